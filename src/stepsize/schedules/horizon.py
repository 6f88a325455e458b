"""Another horizon for a schedule that is bound already, and the jump that it would cause, before it happens."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import hints
from stepsize.schedules.base import Chain, Schedule, whole_step, whole_steps
from stepsize.schedules.cycles import ExpRange
from stepsize.schedules.endless import Endless
from stepsize.schedules.recorded import Custom, Interpolated, Table
from stepsize.schedules.wraps import Stretched

OWN_CLOCK = (Custom, Endless, ExpRange, Interpolated, Table)
"""Kinds whose formula counts in steps that are no length, and which are stretched instead."""


def with_horizon(schedule: Schedule, total: int) -> Schedule:
    """Return a bound schedule for a run of `total` steps instead: every length in it grows in proportion.

    Lengths are rounded to steps. Lengths that should stay as they are (a warmup of 500 steps) are better kept by
    binding the unbound schedule again: `schedule.over(total)`.

    Raises ParameterError when `schedule` is not bound.

    >>> from stepsize.schedules import Constant, Linear
    >>> wsd = (Constant(1.0, "80%") >> Linear(1.0, 0.0, "20%")).over(100)
    >>> with_horizon(wsd, 200)
    Constant(level=1.0, steps=160) >> Linear(start=1.0, end=0.0, steps=40)
    """
    old, new = schedule.steps, whole_steps(total)
    if not isinstance(old, int):
        raise ParameterError(f"{schedule!r} is not bound yet; bind it to the new horizon: schedule.over({total}).")
    return schedule.over(old) if new == old else _grown(schedule.over(old), old, new, 0)


def _grown(schedule: Schedule, old: int, new: int, begin: int) -> Schedule:
    """Return `schedule`, which begins at step `begin` of the old run, with every length multiplied by `new / old`."""
    if isinstance(schedule, Chain):
        return Chain(tuple(_chained(schedule, old, new, begin)))
    span = max(1, _rounded(begin + int(schedule.steps), old, new) - _rounded(begin, old, new))
    if isinstance(schedule, OWN_CLOCK):
        return Stretched(schedule, span)
    if isinstance(schedule, Stretched):
        return Stretched(schedule.schedule, span)
    fields = hints(type(schedule))
    inside = 0 if "steps" in fields else begin
    changed = schedule._lengths(lambda given: max(1, _rounded(given, old, new)))
    for name in fields:
        value = getattr(schedule, name)
        if isinstance(value, Schedule):
            changed[name] = _grown(value, old, new, inside)
        elif name == "steps":
            changed[name] = span
    return replace(schedule, **changed)  # type: ignore[type-var]  # every concrete schedule is a dataclass


def _chained(chain: Chain, old: int, new: int, begin: int) -> list[Schedule]:
    """Return the parts of `chain` that keep a step at least."""
    edges = list(accumulate((int(part.steps) for part in chain.parts), initial=begin))
    return [
        _grown(part, old, new, edge)
        for part, edge, stop in zip(chain.parts, edges, edges[1:], strict=False)
        if _rounded(stop, old, new) > _rounded(edge, old, new)
    ]


def _rounded(length: int, old: int, new: int) -> int:
    return int((Fraction(length * new, old) + Fraction(1, 2)) // 1)


def jump(before: Schedule, after: Schedule, at: int) -> float:
    """Return the factor by which the value at step `at` changes, if a run goes over from `before` to `after` there.

    `after(at) / before(at)`; 1 is no jump, and infinite where `before` is 0 already.

    >>> from stepsize.schedules import Cosine
    >>> short = Cosine(1.0, 0.0, 100)
    >>> round(jump(short, with_horizon(short, 200), at=50), 4)
    1.7071
    """
    step = whole_step(at)
    old, new = before(step), after(step)
    if old == new:
        return 1.0
    return new / old if old else float("inf")
