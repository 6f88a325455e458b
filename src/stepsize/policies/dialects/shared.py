"""What the dialects have in common: lengths as the peers write them, and the joints between the parts of a curve."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import accumulate, pairwise
from typing import Literal

from stepsize.kernel.errors import LengthError, ParameterError, brief
from stepsize.policies.base import Policy
from stepsize.schedules import Chain, Clipped, Constant, Interpolated, Linear, Pair, Schedule, Segment, Table, Until


def whole(given: object, name: str, least: int = 1) -> int:
    """Return a number of steps as an int; a float that is whole, such as 1e4, is one.

    Raises LengthError for anything else, and below `least`.

    >>> whole(1e4, "decay_steps")
    10000
    """
    value = int(given) if isinstance(given, float) and given.is_integer() else given
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise LengthError(f"{name} is a whole number of steps, not {brief(given)}; round it to at least {least}.")
    steps = operator.index(value)
    if steps < least:
        advice = "leave this part out instead" if least == 1 else "train longer"
        raise LengthError(f"{name} is {steps}, and must be at least {least}: {advice}.")
    return steps


def between(given: float, name: str, low: float, high: float) -> float:
    """Return `given` when it lies from `low` to `high`, or raise ParameterError."""
    if not low <= given <= high:
        raise ParameterError(f"{name} is {given!r}, and must lie from {low:g} to {high:g}; give it as a fraction.")
    return given


def chained(*parts: Schedule | None) -> Schedule:
    """Return the parts one after the other; a part of no length is None, and is left out."""
    return reduce(operator.rshift, [part for part in parts if part is not None])


def ramp(start: float, end: float, steps: int) -> Linear | None:
    """Return a line over `steps` steps, or nothing when there are none."""
    return Linear(start, end, steps) if steps else None


def level(value: float, steps: int) -> Constant | None:
    """Return a constant over `steps` steps, or nothing when there are none."""
    return Constant(value, steps) if steps else None


def held(part: Segment) -> Schedule:
    """Return a segment and its end value for ever, so that it also fits a run that is longer."""
    return part >> Constant(part.end)


def stairs(edges: Sequence[int], values: Sequence[float]) -> Schedule:
    """Return constants: `values[i]` from the edge i-1 on, and the last for ever; no edge lies below 0.

    >>> stairs([2, 3], [1.0, 0.5, 0.1]).table(0, 5).tolist()
    [1.0, 1.0, 0.5, 0.1, 0.1]
    """
    lengths = [late - early for early, late in pairwise([0, *edges])]
    if min(lengths, default=0) < 0:
        raise ParameterError(f"the boundaries must rise from 0, not {brief(list(edges))}; sort them with their values.")
    parts = [level(value, length) for value, length in zip(values, lengths, strict=False)]
    return chained(*parts, Constant(values[-1]))


def tabulated(value: Callable[[int], float], steps: int) -> Table:
    """Return the values of the steps 0..steps, for a formula that the algebra has no words for."""
    return Table(tuple(value(step) for step in range(steps + 1)))


def jagged(
    cycles: Sequence[tuple[float, float]], first: float, stretch: float, curve: Literal["cosine", "linear"] = "cosine"
) -> Interpolated:
    """Return cycles from one value to another whose edges may lie between two steps, each `stretch` times as long.

    >>> jagged([(1.0, 0.0), (0.5, 0.0)], 2, 1.5, curve="linear").table(0, 6).round(4).tolist()
    [1.0, 0.5, 0.5, 0.3333, 0.1667, 0.0]
    """
    sizes = [first * stretch**number for number in range(len(cycles))]
    edges = list(accumulate(sizes, initial=0.0))
    at = [moment for pair in pairwise(edges) for moment in pair]
    return Interpolated(tuple(at), tuple(value for pair in cycles for value in pair), curve=curve)


def cut(schedule: Schedule, steps: int) -> Schedule:
    """Return the first `steps` steps of a schedule, as parts whose lengths are numbers.

    >>> cut(Linear(1.0, 0.0, 4) >> Constant(0.0), 2) >> Constant(0.1)
    Until(schedule=Linear(start=1.0, end=0.0, steps=4), steps=2) >> Constant(level=0.1, steps='rest')
    """
    if isinstance(schedule, Pair):
        return replace(schedule, first=cut(schedule.first, steps), second=cut(schedule.second, steps))
    if isinstance(schedule, Clipped):
        return replace(schedule, schedule=cut(schedule.schedule, steps))
    left, pieces = steps, list[Schedule]()
    for part in schedule.parts if isinstance(schedule, Chain) else (schedule,):
        if left and isinstance(part.steps, int):
            pieces.append(part if part.steps <= left else Until(part, left))
            left -= min(part.steps, left)
        elif left:
            pieces.append(cut(part, left) if isinstance(part, Pair | Clipped) else part.over(left))
            left = 0
    return chained(*pieces, level(schedule(steps), left))


def stopped(policy: Policy, steps: int) -> Policy:
    """Return a policy for a run that stops at step `steps`, which may be before its curve ends.

    `over(steps)` refuses such a run, since a rate that has not come down is seldom meant; a peer does not.

    >>> stopped(Policy(lr=Linear(1.0, 0.0, 4)), 2).over(2).table(0, 3)["lr"].tolist()
    [1.0, 0.75, 0.5]
    """
    length = whole(steps, "steps")
    return Policy(**{name: cut(schedule, length) for name, schedule in policy.schedules})


def sequence(policies: Sequence[Policy], edges: Sequence[int], names: tuple[str, str]) -> Policy:
    """Return the policies one after the other, each counting its steps from the edge where it begins.

    names: how the peer calls the two arguments, for the errors. A hyperparameter that only some of them schedule is
    refused, since it would have no value in between.
    """
    if len(policies) != len(edges) + 1:
        raise ParameterError(
            f"{names[1]} holds {len(edges)} steps for {len(policies)} {names[0]}, and needs {len(policies) - 1}: "
            "one where each but the first begins."
        )
    lengths = [whole(late - early, f"the part of {names[0]} that ends at step {late}") for early, late in _pairs(edges)]
    scheduled = {tuple(policy) for policy in policies}
    if len(scheduled) > 1:
        raise ParameterError(
            f"{names[0]} schedule different hyperparameters, {sorted(scheduled)}; give each the same, or use only()."
        )
    return Policy(**{name: _sequence([policy[name] for policy in policies], lengths) for name in policies[0]})


def _pairs(edges: Sequence[int]) -> Iterable[tuple[int, int]]:
    return pairwise([0, *(whole(edge, "a boundary") for edge in edges)])


def _sequence(schedules: Sequence[Schedule], lengths: Sequence[int]) -> Schedule:
    early = [cut(schedule, steps) for schedule, steps in zip(schedules, lengths, strict=False)]
    return chained(*early, schedules[-1])


def rate(schedule: Schedule) -> Policy:
    """Return the policy that schedules the learning rate alone."""
    return Policy(lr=schedule)
