"""Another horizon for a schedule that is bound already, and the jump that it would cause, before it happens."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import Steps, hints
from stepsize.schedules.base import Chain, Schedule, whole_step, whole_steps


def with_horizon(schedule: Schedule, total: int) -> Schedule:
    """Return a bound schedule for a run of `total` steps instead: every length in it grows in proportion.

    Lengths that should stay as they are (a warmup of 500 steps) are better kept by binding the unbound schedule again:
    `schedule.over(total)`.

    Raises ParameterError when `schedule` is not bound.

    >>> from stepsize.schedules import Constant, Linear
    >>> wsd = (Constant(1.0, "80%") >> Linear(1.0, 0.0, "20%")).over(100)
    >>> with_horizon(wsd, 200)
    Constant(level=1.0, steps=160) >> Linear(start=1.0, end=0.0, steps=40)
    """
    if not isinstance(schedule.steps, int):
        raise ParameterError(f"{schedule!r} is not bound yet; bind it to the new horizon: schedule.over({total}).")
    return _grown(schedule, schedule.steps, whole_steps(total))


def _grown(schedule: Schedule, old: int, new: int) -> Schedule:
    """Return `schedule` with every length multiplied by `new / old`; the parts of a chain still add up."""
    if isinstance(schedule, Chain):
        return Chain(tuple(_chained(schedule, old, new)))
    changed: dict[str, Any] = {}
    for name, hint in hints(type(schedule)).items():
        value = getattr(schedule, name)
        if isinstance(value, Schedule):
            changed[name] = _grown(value, old, new)
        elif hint == Steps and isinstance(value, int):
            changed[name] = max(1, _rounded(value, old, new))
        elif hint == tuple[Steps, ...]:
            changed[name] = tuple(max(1, _rounded(each, old, new)) for each in value)
    return replace(schedule, **changed)  # type: ignore[type-var]  # every concrete schedule is a dataclass


def _chained(chain: Chain, old: int, new: int) -> list[Schedule]:
    parts, edge, position = [], 0, 0
    for part in chain.parts:
        position += int(part.steps)
        stop = _rounded(position, old, new)
        if stop > edge:
            grown = _grown(part, old, new)
            parts.append(grown._bind(stop - edge, new))
        edge = stop
    return parts


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
