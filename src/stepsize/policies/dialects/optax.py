# ruff: noqa: FBT001, FBT002, PLR0917  (names, defaults and order are optax's)
"""`optax.schedules`, by its own names.

Steps at which optax in float32 falls one late (a staircase whose steps do not divide exactly) are exact here. What
optax answers with a log line and a constant, such as `transition_steps=0`, is an error here.

>>> warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=2, decay_steps=6).table(0, 7)["lr"].round(4).tolist()
[0.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 0.0]
>>> piecewise_constant_schedule(1.0, {2: 0.5, 3: 0.1}).table(0, 5)["lr"].tolist()
[1.0, 1.0, 0.5, 0.05, 0.05]
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from operator import mul
from typing import Any, Literal

from stepsize.kernel.errors import ParameterError, brief, one_of
from stepsize.policies.base import LR, Policy
from stepsize.policies.dialects.shared import (
    between,
    chained,
    held,
    level,
    ramp,
    rate,
    sequence,
    stairs,
    tabulated,
    whole,
)
from stepsize.schedules import Clipped, Constant, Cosine, Geometric, Interpolated, Polynomial, Schedule, Staircase

CURVES: dict[str, Literal["cosine", "linear"]] = {"cosine": "cosine", "linear": "linear"}


def constant_schedule(value: float) -> Policy:
    """The same value at every step: Constant."""
    return rate(Constant(value))


def polynomial_schedule(
    init_value: float, end_value: float, power: float, transition_steps: int, transition_begin: int = 0
) -> Policy:
    """`end + (init - end) * (1 - k / transition_steps) ** power` with `k = t - transition_begin`: Polynomial."""
    steps = whole(transition_steps, "transition_steps")
    down = held(Polynomial(init_value, end_value, steps, power=power))
    return rate(_delayed(init_value, transition_begin, down))


def linear_schedule(init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0) -> Policy:
    """A line from `init_value` to `end_value`, then held: Linear."""
    line = ramp(init_value, end_value, whole(transition_steps, "transition_steps"))
    return rate(_delayed(init_value, transition_begin, chained(line, Constant(end_value))))


def exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Policy:
    """`init_value * decay_rate ** (k / transition_steps)`, `k = t - transition_begin`: Geometric, or Staircase.

    end_value: a floor when `decay_rate` is below 1, a ceiling otherwise (Clipped).
    """
    every = whole(transition_steps, "transition_steps")
    kind = Staircase if staircase else Geometric
    curve = _delayed(init_value, transition_begin, kind(init_value, decay_rate, every))
    if end_value is None:
        return rate(curve)
    return rate(Clipped(curve, low=end_value) if decay_rate < 1 else Clipped(curve, high=end_value))


def piecewise_constant_schedule(init_value: float, boundaries_and_scales: Mapping[int, float] | None = None) -> Policy:
    """`init_value` times every scale whose boundary is at most t: Constants."""
    edges, values = _scaled(init_value, boundaries_and_scales)
    return rate(stairs(edges, values))


def cosine_decay_schedule(init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0) -> Policy:
    """`init_value * ((1 - alpha) * ((1 + cos(pi*t/decay_steps)) / 2) ** exponent + alpha)`, then held: Cosine.

    Watch out: an `exponent` other than 1 is a product of Cosines when it is whole, and else a Table of all the steps.
    """
    return rate(_cosine(init_value, alpha * init_value, whole(decay_steps, "decay_steps"), exponent))


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> Policy:
    """A line from `init_value` to `peak_value`, then held: Linear."""
    return rate(chained(ramp(init_value, peak_value, _warmup(warmup_steps)), Constant(peak_value)))


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Policy:
    """A linear warmup, then half a cosine that ends at step `decay_steps`: Linear, then Cosine.

    Watch out: `decay_steps` counts the warmup too; Keras's argument of the same name does not.
    """
    warmup = _warmup(warmup_steps)
    down = whole(decay_steps - warmup, "decay_steps - warmup_steps")
    low = end_value if peak_value else 0.0
    return rate(chained(ramp(init_value, peak_value, warmup), _cosine(peak_value, low, down, exponent)))


def warmup_exponential_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Policy:
    """A linear warmup, then `exponential_decay` from `peak_value`, whose steps count from the end of the warmup."""
    down = exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return rate(chained(ramp(init_value, peak_value, _warmup(warmup_steps)), down[LR]))


def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Policy:
    """A line, or half a cosine, from each boundary's value to the next's, and then held: Interpolated."""
    curve = CURVES[one_of(interpolate_type, "interpolate_type", CURVES)]
    edges, values = _scaled(init_value, boundaries_and_scales)
    if not edges:
        return rate(Constant(init_value))
    return rate(Interpolated((0.0, *map(float, edges)), tuple(values), curve=curve))


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Policy:
    """Lines through `peak/div` at 0, `peak` at `int(.3n)`, `peak/div` at `int(.85n)`, and the end at n: Interpolated.

    The end is `peak / (div_factor * final_div_factor)`, as optax computes it; its docstring says otherwise.

    Watch out: the peak is one step later than in torch's OneCycleLR.
    """
    start = peak_value / div_factor
    return _onecycle("linear", transition_steps, (pct_start, pct_final), (start, peak_value, start), final_div_factor)


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Policy:
    """Half cosines through `peak/div` at 0, `peak` at `int(.3n)`, and `peak/(div*final)` at n: Interpolated.

    Watch out: the peak is one step later than in torch's OneCycleLR.
    """
    start = peak_value / div_factor
    return _onecycle("cosine", transition_steps, (pct_start,), (start, peak_value), final_div_factor * div_factor)


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> Policy:
    """`warmup_cosine_decay_schedule` again and again, each with its own arguments, `decay_steps` long: Chain."""
    cycles = list(cosine_kwargs)
    if not cycles:
        raise ParameterError("sgdr_schedule got [], no cycle; give the arguments of at least one.")
    edges = list(accumulate(whole(cycle["decay_steps"], "decay_steps") for cycle in cycles))[:-1]
    return join_schedules([warmup_cosine_decay_schedule(**cycle) for cycle in cycles], edges)


def join_schedules(schedules: Sequence[Policy], boundaries: Sequence[int]) -> Policy:
    """Policies one after the other, each counting its steps from its boundary: Chain.

    optax drops schedules in silence when there are too few boundaries; that is an error here.
    """
    return sequence(schedules, boundaries, ("schedules", "boundaries"))


def _delayed(value: float, begin: int, then: Schedule) -> Schedule:
    return chained(level(value, whole(begin, "transition_begin", least=0)), then)


def _warmup(steps: int) -> int:
    return whole(steps, "warmup_steps", least=0)


def _cosine(start: float, end: float, steps: int, exponent: float) -> Schedule:
    """Return the cosine to the power of `exponent`, scaled to go from `start` to `end`."""
    if exponent == 1:
        return held(Cosine(start, end, steps))
    if start < end or not exponent > 0:
        raise ParameterError(
            f"a cosine to the power of {exponent!r} from {start!r} to {end!r} is not one that falls; choose an "
            "exponent above 0 and an end of at most the start."
        )
    if exponent == int(exponent):
        power = reduce(mul, [Cosine(start - end, 0.0, steps), *[Cosine(1.0, 0.0, steps)] * (int(exponent) - 1)])
        return chained(Constant(end) + power if end else power, Constant(end))
    half = math.pi / 2 / steps
    return tabulated(lambda t: end + (start - end) * max(0.0, math.cos(half * t)) ** (2 * exponent), steps)


def _scaled(start: float, scales: Mapping[int, float] | None) -> tuple[list[int], list[float]]:
    """Return the boundaries in order, and the value before the first and from each on."""
    pairs = sorted((scales or {}).items())
    if pairs and pairs[0][0] < 0:
        raise ParameterError(f"a boundary is {brief(pairs[0][0])}, and must be at least 0; steps count from 0.")
    edges = [whole(edge, "a boundary", least=0) for edge, _ in pairs]
    return edges, list(accumulate((scale for _, scale in pairs), mul, initial=start))


def _onecycle(
    curve: Literal["cosine", "linear"], steps: int, turns: Sequence[float], values: Sequence[float], final: float
) -> Policy:
    whole(steps, "transition_steps")
    at = [int(between(turn, "pct_start and pct_final", 0, 1) * steps) for turn in turns]
    end = values[0] / final if curve == "linear" else values[1] / final
    return rate(Interpolated((0.0, *map(float, at), float(steps)), (*values, end), curve=curve))
