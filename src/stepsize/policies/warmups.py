"""Policies of runs that warm up, and of runs that do not know when they end.

A warmup is any schedule that rises, and `warm` makes the usual ones; with `>>` it goes before anything:

>>> warm(1.0, 4).table(0, 5).tolist()
[0.25, 0.5, 0.75, 1.0, 1.0]
>>> warm(1.0, 4, start=0.0).table(0, 5).tolist()
[0.0, 0.25, 0.5, 0.75, 1.0]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from stepsize.kernel.errors import one_of
from stepsize.kernel.length import REST
from stepsize.policies.base import Policy
from stepsize.schedules import (
    Constant,
    Cosine,
    Exponential,
    ExponentialToZero,
    Linear,
    MirrorCosine,
    PowerLaw,
    Reversed,
    Schedule,
    Sqrt,
    Square,
    Until,
)

Warmup = Literal["linear", "exponential", "cosine", "sqrt"]
Cooldown = Literal["linear", "lowered_linear", "sqrt", "cosine", "square", "mirror_cosine", "exponential"]
LOWERED = 0.7
"""Where the lowered linear cooldown begins, as a share of the rate before it."""


def _lowered_linear(start: float, end: float, steps: int | str) -> Schedule:
    return Linear(LOWERED * start, end, steps)


COOLDOWNS: dict[Cooldown, Callable[[float, float, int | str], Schedule]] = {
    "linear": Linear,
    "lowered_linear": _lowered_linear,
    "sqrt": Sqrt,
    "cosine": Cosine,
    "square": Square,
    "mirror_cosine": MirrorCosine,
    "exponential": ExponentialToZero,
}


def warm(peak: float, steps: int | str, *, start: float | None = None, shape: Warmup = "linear") -> Schedule:
    """Return a warmup to `peak`, to be followed by `>>`.

    steps: of the climb. start: the rate of the first update, as a fraction of the peak; 0 wastes that update, as
        transformers does; when it is not given, and `steps` is a number, the first update already has the rate
        `peak / steps` and the last the peak itself, so that none is wasted.
    shape: "linear", "exponential", "cosine", or "sqrt" (`1 - sqrt(1 - u)`).

    Raises ParameterError for a shape that is none of these.
    """
    one_of(shape, "a warmup's shape", get_args(Warmup))
    if start is None and isinstance(steps, int) and shape == "linear":
        return Linear(peak / steps, peak, steps - 1) if steps > 1 else Constant(peak, 1)
    low = (0.01 if start is None else start) * peak
    if shape == "exponential":
        return Exponential(low, peak, steps)
    if shape == "sqrt":
        return Reversed(Sqrt(peak, low, steps))
    return (Cosine if shape == "cosine" else Linear)(low, peak, steps)


def wsd(
    peak: float,
    *,
    warmup: int | str = "5%",
    cooldown: int | str = "20%",
    shape: Cooldown = "sqrt",
    end: float = 0.0,
) -> Policy:
    """Warmup, stable, decay: up to `peak`, there for most of the run, and down at its end [hagele2024scaling].

    warmup, cooldown: the lengths of the climb and of the descent; what they leave is the stable part.
    shape: of the cooldown: "sqrt" (1-sqrt), "linear", "lowered_linear" (from 0.7 of the peak), "cosine", "square",
        "mirror_cosine" or "exponential".
    end: the last rate, as a fraction of the peak.

    Watch out: its best peak is about half of the cosine's; a cooldown under a tenth of the run falls short.
    """
    down = COOLDOWNS[one_of(shape, "wsd's cooldown", COOLDOWNS)](peak, end * peak, cooldown)
    return Policy(lr=warm(peak, warmup, start=0.01) >> Constant(peak, REST) >> down)


def cooldown(schedule: Schedule, at: int, steps: int, *, shape: Cooldown = "sqrt", end: float = 0.0) -> Schedule:
    """Leave a schedule at step `at` and cool down from its value there, over `steps` more.

    A run without a horizon ends so: its checkpoint at step `at` goes on with this schedule.
    end: the last value, as a fraction of the value at `at`.

    >>> cooldown(PowerLaw(1.0, timescale=100.0), at=300, steps=100, shape="linear")(350)
    0.25
    """
    down = COOLDOWNS[one_of(shape, "a cooldown's shape", COOLDOWNS)]
    top = schedule(at)
    return Until(schedule, at) >> down(top, end * top, steps)


def inverse_sqrt(peak: float, *, warmup: int | str = "5%") -> Policy:
    """A linear warmup, then `peak * sqrt(warmup / t)`, without an end (transformers' inverse_sqrt)."""
    return Policy(lr=Linear(0.01 * peak, peak, warmup) >> PowerLaw(peak, exponent=0.5, timescale=warmup))


def inverse_time(peak: float, *, timescale: float | str = "10%") -> Policy:
    """Inverse time decay: `peak / (1 + t / timescale)`, without an end."""
    return Policy(lr=PowerLaw(peak, exponent=1.0, timescale=timescale))


def noam(peak: float, *, warmup: int | str = "5%") -> Policy:
    """The schedule of the first transformer: `peak * min(n / warmup, sqrt(warmup / n))`, n counted from 1.

    Its own form has `peak = (width * warmup) ** -0.5` and a number of steps for a warmup [vaswani2017attention,
    sec. 5.3]. A warmup that is a share of the run begins at a hundredth of the peak instead, one step behind.
    """
    body = PowerLaw(peak, exponent=0.5, timescale=warmup)
    return Policy(lr=body if warmup == 1 else warm(peak, warmup) >> body)


def power(peak: float, *, exponent: float = 0.51, plateau: int | str = "10%", cooldown: int | str = "10%") -> Policy:
    """The power scheduler: `peak * min(1, (t / plateau) ** -exponent)`, then a cooldown to 0 [shen2024power].

    plateau: how long the rate stays at `peak`. cooldown: the last part, exponentially down.

    Watch out: the constants of the paper belong to its batch size and its models.
    """
    body = Constant(peak, plateau) >> PowerLaw(peak, exponent=exponent, timescale=plateau)
    return Policy(lr=body * (Constant(1.0, REST) >> ExponentialToZero(1.0, 0.0, cooldown)))
