"""A schedule as a plain function of the step, in code that needs nothing of ours.

>>> from stepsize.schedules import Cosine, Linear
>>> print(function("lr", (Linear(0.0, 0.1, "10%") >> Cosine(0.1, 0.0)).over(100), 100, PYTHON))
def lr(step):
    if step < 10:
        return 0.1 * step / 10
    return 0.05 + 0.05 * math.cos(math.pi * (step - 10) / 90)
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from stepsize.codegen.native.expression import WHOLE, Atom, Expression, Language, SplitError, Writer, written
from stepsize.kernel.spec import Spec
from stepsize.schedules import Custom, Schedule, Table

PYTHON = Language("math.", inline=True)
JAX = Language("jnp.", pi="jnp.pi")
KERAS = Language("ops.")

PIECES = 12
"""More pieces than these are not written one by one; comparisons are then part of one expression."""

WIDEST = 1000
"""Characters of an expression; a schedule that takes more is written as a table."""


def function(name: str, schedule: Schedule, steps: int, language: Language) -> str:
    """Return the definition of `name(step)`, the value of a bound schedule at steps 0..steps-1.

    It is the formula where there is one of some length, and else a table of all values.
    """
    found = pieces(schedule, steps, language)
    if found is None:
        return _tabulated(name, [written(value) for value in schedule.table(0, steps).tolist()], language)
    lines = [f"def {name}(step):"]
    if language.inline or len(found) == 1:
        lines += [f"    if step < {end}:\n        return {text}" for end, text in found[:-1]]
        return "\n".join([*lines, f"    return {found[-1][1]}"])
    lines += [f"    value = {found[-1][1]}"]
    lines += [f"    value = {language.call('where', f'step < {end}', text, 'value')}" for end, text in found[-2::-1]]
    return "\n".join([*lines, "    return value"])


def _tabulated(name: str, values: list[str], language: Language) -> str:
    """Return the definition of `name(step)` by a list of its values, the last of which holds."""
    listed, last = f"[{', '.join(values)}]", len(values) - 1
    if language == PYTHON:
        given, got = listed, f"{name.upper()}[min(step, {last})]"
    elif language == JAX:
        given, got = f"jnp.array({listed})", f"{name.upper()}[jnp.minimum(step, {last})]"
    else:
        given, got = listed, f'ops.take(ops.array({name.upper()}), ops.cast(ops.minimum(step, {last}), "int32"))'
    return f"{name.upper()} = {given}\n\n\ndef {name}(step):\n    return {got}"


def pieces(schedule: Schedule, steps: int, language: Language) -> list[tuple[int, str]] | None:
    """Return the expressions of a schedule, each with the step before which it holds; None for what has no formula."""
    if _recorded(schedule):
        return None
    found = _pieces(schedule, 0, steps, language, splits=True)
    if len(found) > PIECES:
        found = _pieces(schedule, 0, steps, language, splits=False)
    joined = [(list(same)[-1][0], text) for text, same in groupby(found, key=lambda piece: piece[1])]
    return joined if all(len(text) <= WIDEST for _, text in joined) else None


def _pieces(schedule: Schedule, start: int, stop: int, language: Language, *, splits: bool) -> list[tuple[int, str]]:
    """Return the expressions of the steps start..stop-1; more than PIECES of them are cut off."""
    found: list[tuple[int, str]] = []
    stops = [stop]
    while stops and len(found) <= PIECES:
        step = Expression(Atom("step", WHOLE, start, stops[-1] - 1, (0.0, 1.0)), language, splits)
        try:
            value = schedule.value(step, Writer(language))
        except SplitError as split:
            stops.append(min(max(split.step, start + 1), stops[-1] - 1))
        else:
            start = stops.pop()
            found.append((start, written(value)))
    return found


def _recorded(value: Any) -> bool:
    """Whether a schedule, or one inside it, is a list of values or a function, of which no formula is known."""
    if isinstance(value, tuple):
        return any(map(_recorded, value))
    if isinstance(value, Custom | Table):
        return True
    return isinstance(value, Spec) and _recorded(tuple(value.spec_fields().values()))
