# ruff: noqa: FBT001, FBT002, N802  (names, defaults and order are Keras's)
"""`keras.optimizers.schedules`, by its own names; the argument `name` has no use here.

>>> PiecewiseConstantDecay([2], [1.0, 0.5]).table(0, 4)["lr"].tolist()
[1.0, 1.0, 1.0, 0.5]
>>> CosineDecay(0.0, 4, warmup_target=1.0, warmup_steps=2).table(0, 7)["lr"].round(4).tolist()
[0.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 0.0]
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from stepsize.kernel.errors import ParameterError
from stepsize.policies.base import Policy
from stepsize.policies.dialects.shared import between, chained, held, jagged, level, ramp, rate, stairs, whole
from stepsize.schedules import (
    Constant,
    Cosine,
    Geometric,
    Polynomial,
    PowerLaw,
    Repeat,
    Schedule,
    Staircase,
    Stepped,
)

FOREVER = 10**9
"""Up to this step restarts are written out, where no Repeat can say them."""


def ExponentialDecay(
    initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False
) -> Policy:
    """`initial_learning_rate * decay_rate ** (t / decay_steps)`: Geometric, or Staircase."""
    kind = Staircase if staircase else Geometric
    return rate(kind(initial_learning_rate, decay_rate, whole(decay_steps, "decay_steps")))


def InverseTimeDecay(
    initial_learning_rate: float, decay_steps: int, decay_rate: float, staircase: bool = False
) -> Policy:
    """`initial_learning_rate / (1 + decay_rate * t / decay_steps)`: PowerLaw, or Stepped."""
    every = whole(decay_steps, "decay_steps")
    if not decay_rate:
        return rate(Constant(initial_learning_rate))
    curve = PowerLaw(initial_learning_rate, exponent=1.0, timescale=every / decay_rate)
    return rate(Stepped(curve, every=every) if staircase else curve)


def PolynomialDecay(
    initial_learning_rate: float,
    decay_steps: int,
    end_learning_rate: float = 0.0001,
    power: float = 1.0,
    cycle: bool = False,
) -> Policy:
    """`end + (initial - end) * (1 - t/n) ** power` with `n = decay_steps`, then held: Polynomial.

    cycle: after `n` it goes on over the next multiple of `n`, from below the start: the multiples themselves are at the
    end value, and the jump up is one step behind each.
    """
    steps = whole(decay_steps, "decay_steps")
    if not cycle:
        return rate(held(Polynomial(initial_learning_rate, end_learning_rate, steps, power=power)))
    height = initial_learning_rate - end_learning_rate
    if height < 0:
        raise ParameterError(
            f"a polynomial that cycles falls, and {initial_learning_rate!r} to {end_learning_rate!r} rises; swap them, "
            "or leave cycle away."
        )
    return rate(chained(Constant(initial_learning_rate, 1), _teeth(height, steps, power, end_learning_rate)))


def PiecewiseConstantDecay(boundaries: Sequence[float], values: Sequence[float]) -> Policy:
    """`values[how many boundaries are < t]`: Constants. Its stairs are one step later than torch's and optax's."""
    if len(boundaries) != len(values) - 1:
        raise ParameterError(
            f"PiecewiseConstantDecay got {len(boundaries)} boundaries for {len(values)} values, and needs one less "
            "than values: one between each two."
        )
    return rate(stairs([max(0, math.floor(boundary) + 1) for boundary in boundaries], values))


def CosineDecay(
    initial_learning_rate: float,
    decay_steps: int,
    alpha: float = 0.0,
    warmup_target: float | None = None,
    warmup_steps: int = 0,
) -> Policy:
    """Half a cosine over `decay_steps` down to `alpha` of its start, after a linear warmup if given: Linear, Cosine.

    Watch out: the warmup comes on top of `decay_steps`; in optax the argument of the same name counts it. Without a
    `warmup_target` there is none, whatever `warmup_steps` is.
    """
    steps = whole(decay_steps, "decay_steps")
    if warmup_target is None:
        return rate(held(Cosine(initial_learning_rate, alpha * initial_learning_rate, steps)))
    warmup = ramp(initial_learning_rate, warmup_target, whole(warmup_steps, "warmup_steps", least=0))
    return rate(chained(warmup, held(Cosine(warmup_target, alpha * warmup_target, steps))))


def CosineDecayRestarts(
    initial_learning_rate: float, first_decay_steps: int, t_mul: float = 2.0, m_mul: float = 1.0, alpha: float = 0.0
) -> Policy:
    """Cosines, each `t_mul` times as long and `m_mul` times as high, above a floor of `alpha`: Repeat of a Cosine.

    Keras finds the cycle by a logarithm in float32 and misses some restarts; here each is at its peak.

    Watch out: a `t_mul` that is not whole, or an `m_mul` above 1 with it, is written out cycle by cycle (Interpolated),
    up to a step of a billion.
    """
    steps = whole(first_decay_steps, "first_decay_steps")
    floor = between(alpha, "alpha", 0, 1) * initial_learning_rate
    cycles = _cycles(initial_learning_rate - floor, steps, t_mul, m_mul)
    return rate(Constant(floor) + cycles if floor else cycles)


def _teeth(height: float, steps: int, power: float, end: float) -> Schedule:
    """Return the curve from step 1 on: cycle k, counted from 0, is `end + height * ((1 - u) / (k + 1)) ** power`."""
    if steps == 1:
        return Constant(end)
    top = height * ((steps - 1) / steps) ** power
    tooth = chained(Polynomial(top, 0.0, steps - 1, power=power), level(0.0, 1))
    teeth = Repeat(tooth) * Stepped(PowerLaw(1.0, exponent=power, timescale=float(steps)), every=steps)
    return Constant(end) + teeth


def _cycles(height: float, steps: int, stretch: float, scale: float) -> Schedule:
    cycle = Cosine(height, 0.0, steps)
    if stretch == int(stretch) and scale <= 1:
        return Repeat(cycle, stretch=int(stretch), scale=scale)
    if stretch == 1:
        return Repeat(cycle) * Staircase(1.0, scale, every=steps)
    if not stretch >= 1.01:
        raise ParameterError(f"t_mul is {stretch!r}, and must be 1, or at least 1.01; cycles do not shrink.")
    cycles = math.ceil(math.log(1 + FOREVER * (stretch - 1) / steps, stretch))
    return jagged([(height * scale**cycle, 0.0) for cycle in range(cycles)], steps, stretch)
