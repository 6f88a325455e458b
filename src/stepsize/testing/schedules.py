"""The laws of a schedule: a pure function of the step, whose lengths add up, in every array library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepsize.kernel import arrays
from stepsize.kernel.arrays import Floats
from stepsize.kernel.optional import installed, need
from stepsize.schedules import Chain, Custom, Cycle, Repeat, Reversed, Schedule, Stepped, Stretched, Table, Until
from stepsize.testing.values import check_value, kinds, law

FUNCTIONS = frozenset(["abs", "clip", "cos", "exp", "floor", "log", "maximum", "minimum", "sqrt", "where"])
"""The ten functions that a formula may call; every array library has them, with scalar arguments."""

LOOKUP = frozenset(["asarray", "astype", "int32", "reshape", "take"])
"""What `kernel.arrays.values_at` calls besides, for recorded values."""

LIBRARIES = ("array_api_strict", "torch", "jax")
"""The libraries that a schedule is held against NumPy in, where they are installed."""


def check_schedule(schedule: Schedule, *, steps: int = 120, libraries: Sequence[str] = LIBRARIES) -> None:
    """Check that `schedule` keeps every law of a schedule.

    steps: the run to bind it to, where its own lengths leave that open (optimizer updates).
    libraries: the array libraries to hold it in; one that is not installed is left out.

    Raises AssertionError that says which law failed, and where.

    Watch out: it looks at whole steps up to the horizon and a little beyond; it proves nothing about millions of steps.

    >>> from stepsize.schedules import Cosine, Linear
    >>> check_schedule(Linear(0.0, 0.1, "10%") >> Cosine(0.1, 0.0))
    """
    check_value(schedule)
    run = schedule.steps if isinstance(schedule.steps, int) else steps
    bound = schedule.over(run)
    check_value(bound)
    _check_lengths(bound, run)
    _check_table(bound, run)
    if not endless(bound):
        _check_hold(bound, run)
    _check_functions(bound)
    for library in libraries:
        if installed(library):
            _check_library(bound, run, library)


def _check_lengths(bound: Schedule, run: int) -> None:
    name = type(bound).__name__
    law(bound.steps == run, f"{name}: over({run}) must have {run} steps, not {bound.steps!r}.")
    law(bound.over(run) == bound, f"{name}: over({run}) a second time must change nothing.")


def _check_table(bound: Schedule, run: int) -> None:
    name = type(bound).__name__
    table = bound.table(0, run + 3)
    law(table.shape == (run + 3,), f"{name}: table(0, {run + 3}) must have that many values, not {table.shape}.")
    law(table.dtype == np.float64, f"{name}: a table must be float64, not {table.dtype}.")
    bad = np.flatnonzero(~(np.isfinite(table) & (table >= 0)))
    law(not bad.size, f"{name}: a value must be finite and at least 0; at steps {bad[:5].tolist()} it is not.")
    third = run // 3
    part = bound.table(third, 2 * third + 1)
    law(np.array_equal(part, table[third : 2 * third + 1]), f"{name}: a table must be a slice of the longer table.")
    for step in {0, 1, third, run - 1, run, run + 2}:
        alone = bound(step)
        law(alone == table[step], f"{name}: at step {step} the value {alone} must be the table's row {table[step]}.")
        law(isinstance(alone, float), f"{name}: a whole step must give a float, not {type(alone).__name__}.")


def _check_hold(bound: Schedule, run: int) -> None:
    last = bound(run)
    beyond = np.append(bound.table(run, run + 30), bound(1000 * run + 7))
    law((beyond == last).all(), f"{type(bound).__name__}: past its {run} steps it must hold its last value, {last}.")


def _check_functions(bound: Schedule) -> None:
    recorder = Recorder(np)
    bound.value(np.arange(5.0), recorder)
    extra = recorder.used - FUNCTIONS - (LOOKUP if Table in kinds(bound) else set())
    law(
        not extra,
        f"{type(bound).__name__}: a formula uses only {', '.join(sorted(FUNCTIONS))}, not {', '.join(extra)}.",
    )


def _check_library(bound: Schedule, run: int, library: str) -> None:
    name = type(bound).__name__
    expected = bound.table(0, run + 3)
    steps = np.arange(run + 3)
    xp = need(f"{library}.numpy" if library == "jax" else library)
    given = xp.asarray(steps)
    try:
        values = bound(given)
        mapped = _mapped(library, bound, given)
    except Exception as error:  # a law that fails says so, whatever the code under test raises
        raise AssertionError(f"{name}: its formula does not run in {library} ({error}).") from error
    law(type(values) is type(given), f"{name}: {library} in must be {library} out, not {type(values).__name__}.")
    law(values.shape == given.shape, f"{name}: in {library} the shape must stay {given.shape}, not {values.shape}.")
    _close(values, expected, f"{name}: {library} must give NumPy's values")
    for how, other in mapped:
        _close(other, expected, f"{name}: {library} under {how} must give NumPy's values")


def _mapped(library: str, bound: Schedule, given: Any) -> list[tuple[str, Any]]:
    """Return the values of `given` under the library's transformations."""
    if library == "torch":
        return [("vmap", need("torch").func.vmap(bound)(given))]
    if library == "jax":
        jax = need("jax")
        return [("jit", jax.jit(bound)(given)), ("vmap", jax.vmap(bound)(given))]
    return []


def _close(values: Any, expected: Floats, message: str) -> None:
    """Compare at the precision of the library's floats: float64, or float32 as JAX has by default."""
    found = np.asarray(values)
    tolerance = 1e-12 if found.dtype == np.float64 else 2e-5
    off = np.abs(found - expected) > tolerance * max(1e-300, float(np.abs(expected).max()))
    law(not off.any(), f"{message}; it differs at steps {np.flatnonzero(off)[:5].tolist()}.")


def endless(schedule: Schedule) -> bool:
    """Whether `schedule` goes on moving after its steps, as a cycle does, or as a function of yours may."""
    if isinstance(schedule, Chain):
        return endless(schedule.parts[-1])
    if isinstance(schedule, Reversed | Stepped | Stretched | Until):
        return False
    inside = (value for value in vars(schedule).values() if isinstance(value, Schedule))
    return isinstance(schedule, Custom | Cycle | Repeat) or any(endless(each) for each in inside)


class Recorder:
    """A namespace that remembers which of its functions a formula asked for.

    >>> recorder = Recorder(np)
    >>> float(recorder.cos(0.0)), recorder.used
    (1.0, {'cos'})
    """

    def __init__(self, xp: Any = arrays.NUMPY) -> None:
        self._xp = xp
        self.used: set[str] = set()

    def __getattr__(self, word: str) -> Any:
        self.used.add(word)
        return getattr(self._xp, word)
