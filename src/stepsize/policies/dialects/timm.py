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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from stepsize.kernel.errors import ParameterError
from stepsize.policies.base import Policy
from stepsize.policies.dialects.shared import chained, cut, jagged, ramp, rate, tabulated, whole
from stepsize.schedules import (
    Constant,
    Cosine,
    KCosine,
    Linear,
    Polynomial,
    Repeat,
    Reversed,
    Schedule,
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
    return rate(_warmed(curve, lr, warmup_t, warmup_lr_init, warmup_prefix))


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
    return rate(_warmed(curve, target, warmup_t, warmup_lr_init, warmup_prefix))


def StepLRScheduler(
    lr: float,
    decay_t: int,
    decay_rate: float = 1.0,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = True,
) -> Policy:
    """`lr * decay_rate ** (t // decay_t)`: Staircase; by default it begins where the warmup ends."""
    return rate(
        _warmed(Staircase(lr, decay_rate, whole(decay_t, "decay_t")), lr, warmup_t, warmup_lr_init, warmup_prefix)
    )


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
    return rate(_warmed(curve, lr, warmup_t, warmup_lr_init, warmup_prefix))


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


def _warmed(curve: Schedule, target: float, warmup_t: int, start: float, prefix: bool) -> Schedule:
    """Return `curve` after a warmup, or with its first steps replaced by one."""
    steps = whole(warmup_t, "warmup_t", least=0)
    if prefix or not steps:
        return chained(ramp(start, target, steps), curve)
    climb = Linear(start, target, steps) >> Constant(0.0)
    return climb + (Constant(0.0, steps) >> Constant(1.0)) * curve
