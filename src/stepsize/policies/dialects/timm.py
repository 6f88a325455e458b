# ruff: noqa: FBT001, FBT002, N802, PLR0917  (names, defaults and order are timm's)
"""timm's schedulers, by its own names; `lr` is the learning rate of the optimizer, t counts epochs or updates.

timm finds the cycle by a logarithm, which misses some restarts when `cycle_mul` is not 1; here each is at its peak. A
warmup without `warmup_prefix` replaces the first `warmup_t` steps, so the rate falls to the curve where it ends. timm's
noise has no counterpart: a schedule is a function of the step.

>>> CosineLRScheduler(1.0, t_initial=4, lr_min=0.1, warmup_t=2).table(0, 6)["lr"].round(4).tolist()
[0.0, 0.5, 0.55, 0.2318, 0.1, 0.1]
>>> StepLRScheduler(1.0, decay_t=2, decay_rate=0.5).table(0, 5)["lr"].tolist()
[1.0, 1.0, 0.5, 0.5, 0.25]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from stepsize.kernel.errors import LengthError, ParameterError, one_of
from stepsize.policies.base import Policy
from stepsize.policies.dialects.shared import chained, cut, jagged, level, ramp, rate, stairs, tabulated, whole
from stepsize.schedules import (
    Clipped,
    Constant,
    Cosine,
    ExponentialToZero,
    KCosine,
    Linear,
    Polynomial,
    PowerLaw,
    Repeat,
    Reversed,
    Schedule,
    Sqrt,
    Staircase,
    Tanh,
)

Shape = Callable[[float, float, int], Schedule]
"""One cycle: from its top towards a low value, over so many steps."""


def CosineLRScheduler(
    lr: float,
    t_initial: int,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    k_decay: float = 1.0,
) -> Policy:
    """`lr_min + (lr * cycle_decay**i - lr_min) * (1 + cos(pi * (s / n_i)**k_decay)) / 2` at step s of cycle i.

    Cycle i has `n_i = t_initial * cycle_mul**i` steps, and after `cycle_limit` of them the rate is `lr_min`: Cosine or
    KCosine in a Chain, or Interpolated where `cycle_mul` is not whole.
    """

    def shape(top: float, low: float, steps: int) -> Schedule:
        return Cosine(top, low, steps) if k_decay == 1 else KCosine(top, low, steps, k=k_decay)

    cycles = _Cycles(lr, lr_min, whole(t_initial, "t_initial"), cycle_mul, cycle_decay, cycle_limit)
    curve = cycles.schedule(shape, "cosine" if k_decay == 1 else None)
    return _warmed(curve, lr, warmup_t, warmup_lr_init, warmup_prefix)


def TanhLRScheduler(
    lr: float,
    t_initial: int,
    lb: float = -7.0,
    ub: float = 3.0,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
) -> Policy:
    """`lr_min + (lr * cycle_decay**i - lr_min) * (1 - tanh(lb * (1 - u) + ub * u)) / 2`, `u = s / n_i`: Tanh.

    A warmup without `warmup_prefix` leads to the value of the curve where it ends.
    """

    def shape(top: float, low: float, steps: int) -> Schedule:
        first, last = (low + (top - low) * (1 - math.tanh(bound)) / 2 for bound in (lb, ub))
        return Tanh(first, last, steps, lower=lb, upper=ub)

    cycles = _Cycles(lr, lr_min, whole(t_initial, "t_initial"), cycle_mul, cycle_decay, cycle_limit)
    curve = cycles.schedule(shape, None)
    target = lr if warmup_prefix else curve(whole(warmup_t, "warmup_t", least=0))
    return _warmed(curve, target, warmup_t, warmup_lr_init, warmup_prefix)


def StepLRScheduler(
    lr: float,
    decay_t: int,
    decay_rate: float = 1.0,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = True,
) -> Policy:
    """`lr * decay_rate ** (t // decay_t)`: Staircase; by default it begins where the warmup ends.

    With `decay_rate` 1, its default, it is what `create_scheduler_v2` of timm calls "constant".
    """
    curve = Staircase(lr, decay_rate, whole(decay_t, "decay_t"))
    return _warmed(curve, lr, warmup_t, warmup_lr_init, warmup_prefix)


def MultiStepLRScheduler(
    lr: float,
    decay_t: Sequence[int],
    decay_rate: float = 1.0,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = True,
) -> Policy:
    """`lr * decay_rate ** (how many of decay_t are <= t + 1)`: constants, each one step before torch's MultiStepLR.

    decay_t: in rising order, from 1. By default t counts from where the warmup ends.
    """
    edges = [whole(moment, "a moment of decay_t") - 1 for moment in decay_t]
    curve = stairs(edges, [lr * decay_rate**count for count in range(len(edges) + 1)])
    return _warmed(curve, lr, warmup_t, warmup_lr_init, warmup_prefix)


def WSDLRScheduler(
    lr: float,
    t_initial: int,
    decay_t: int,
    lr_min: float = 0.0,
    stable_fn: Literal["constant", "rsqrt", "power"] = "constant",
    stable_timescale: float | None = None,
    stable_power: float = 0.5,
    decay_fn: Literal["linear", "1-sqrt", "cosine", "power", "exp"] = "1-sqrt",
    decay_power: float = 0.5,
    decay_ratio: float = 0.1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
) -> Policy:
    """`lr_min + (max(lr * s(t), lr_min) - lr_min) * d(u)` after the warmup, u from 0 to 1 over the decay.

    decay_t: the length of the decay, the last part. t_initial: that of the stable part and the decay together, after
    the warmup; then the rate is `lr_min`. s(t): 1, or `(1 + t / stable_timescale) ** -stable_power`, where "rsqrt" is
    the root; the timescale is `warmup_t` by default.
    d(u): `1 - u`, `1 - sqrt(u)`, `(1 + cos(pi * u)) / 2`, `1 - u ** decay_power`, or an exponential to `decay_ratio`
    that is stretched to 0. "rsqrt" of `create_scheduler_v2` is `stable_fn="rsqrt", decay_fn="linear"`.
    """
    falls, steps = whole(decay_t, "decay_t"), whole(t_initial, "t_initial")
    if falls > steps:
        raise LengthError(f"decay_t is {falls}, and must be at most t_initial, {steps}: it is the last part of it.")
    shapes: dict[str, Callable[[float, float], Schedule]] = {
        "linear": lambda top, low: Linear(top, low, falls),
        "1-sqrt": lambda top, low: Sqrt(top, low, falls),
        "cosine": lambda top, low: Cosine(top, low, falls),
        "power": lambda top, low: Reversed(Polynomial(low, top, falls, power=decay_power)),
        "exp": lambda top, low: ExponentialToZero(top, low, falls, left=decay_ratio),
    }
    shape, before = shapes[one_of(decay_fn, "decay_fn", shapes)], steps - falls
    if one_of(stable_fn, "stable_fn", ("constant", "rsqrt", "power")) == "constant":
        return rate(chained(ramp(warmup_lr_init, lr, warmup_t), level(lr, before), shape(lr, lr_min), Constant(lr_min)))
    timescale = warmup_t if stable_timescale is None else stable_timescale
    if not timescale > 0:
        raise ParameterError(
            f"stable_timescale is {timescale!r}, and must be above 0; without a warmup there is no default: give it."
        )
    stable = PowerLaw(lr, exponent=0.5 if stable_fn == "rsqrt" else stable_power, timescale=float(timescale))
    share = chained(level(1.0, before), shape(1.0, 0.0), Constant(0.0))
    curve: Schedule = share * stable
    if lr_min:
        low = chained(level(0.0, before), shape(0.0, 1.0), Constant(1.0))
        curve = share * Clipped(stable, low=lr_min) + lr_min * low
    return rate(chained(ramp(warmup_lr_init, lr, warmup_t), curve))


def PolyLRScheduler(
    lr: float,
    t_initial: int,
    power: float = 0.5,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    k_decay: float = 1.0,
) -> Policy:
    """`lr_min + (lr * cycle_decay**i - lr_min) * (1 - (s / n_i)**k_decay) ** power` at step s of cycle i: Polynomial.

    Watch out: with a `power` and a `k_decay` that are both not 1 each cycle is a Table of its steps.
    """

    def shape(top: float, low: float, steps: int) -> Schedule:
        if k_decay == 1:
            return Polynomial(top, low, steps, power=power)
        if power == 1:
            return Reversed(Polynomial(low, top, steps, power=k_decay))
        return cut(tabulated(lambda s: low + (top - low) * (1 - (s / steps) ** k_decay) ** power, steps), steps)

    cycles = _Cycles(lr, lr_min, whole(t_initial, "t_initial"), cycle_mul, cycle_decay, cycle_limit)
    curve = cycles.schedule(shape, "linear" if k_decay == power == 1 else None)
    return _warmed(curve, lr, warmup_t, warmup_lr_init, warmup_prefix)


@dataclass(frozen=True)
class _Cycles:
    top: float
    low: float
    steps: int
    stretch: float
    scale: float
    limit: int

    def schedule(self, shape: Shape, between_steps: Literal["cosine", "linear"] | None) -> Schedule:
        """Return the cycles, then the low value; `between_steps` is the curve when cycles begin between two steps."""
        tops = [self.top * self.scale**cycle for cycle in range(whole(self.limit, "cycle_limit"))]
        if self.stretch != int(self.stretch) or self.stretch < 1:
            return self._jagged(tops, between_steps)
        rest = Constant(self.low)
        if self.stretch == self.scale == 1 and self.limit > 1:
            return chained(Repeat(shape(self.top, self.low, self.steps), steps=self.steps * self.limit), rest)
        sizes = [self.steps * int(self.stretch) ** cycle for cycle in range(self.limit)]
        parts = [shape(top, self.low, size) for top, size in zip(tops, sizes, strict=True)]
        return chained(*parts, rest)

    def _jagged(self, tops: list[float], curve: Literal["cosine", "linear"] | None) -> Schedule:
        if curve is None or self.stretch < 1:
            raise ParameterError(
                f"cycle_mul is {self.stretch!r}, and must be a whole number of at least 1, or any number above 1 for a "
                "plain cosine or line; round it."
            )
        return jagged([(top, self.low) for top in tops], self.steps, self.stretch, curve)


def _warmed(curve: Schedule, target: float, warmup_t: int, start: float, prefix: bool) -> Policy:
    """Return `curve` after a warmup, or with its first steps replaced by one."""
    steps = whole(warmup_t, "warmup_t", least=0)
    if prefix or not steps:
        return rate(chained(ramp(start, target, steps), curve))
    climb = Linear(start, target, steps) >> Constant(0.0)
    return rate(climb + (Constant(0.0, steps) >> Constant(1.0)) * curve)
