"""Decays without a horizon: formulas of the step alone, for runs that do not know when they end.

By itself such a schedule goes on for ever. Bound to a run, or followed by another part, it holds after its `steps`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

from stepsize.kernel import length
from stepsize.kernel.arrays import Array
from stepsize.kernel.length import REST
from stepsize.kernel.spec import NonNegative, Positive, Steps
from stepsize.schedules.base import Schedule


@dataclass(frozen=True)
class Endless(Schedule):
    """A decay that a subclass writes as `start * decay(t)`, with `decay(0) = 1`.

    start: the value at step 0.
    """

    start: NonNegative

    @abstractmethod
    def decay(self, t: Array, xp: Any) -> Array:
        """Return the share of `start` that is left at step `t`."""

    def value(self, t: Array, xp: Any) -> Array:
        """Return the decay, held after `steps` where those are known."""
        return self.start * self.decay(self._held(t, xp), xp)


@dataclass(frozen=True)
class Geometric(Endless):
    """A geometric decay without an end: `f(t) = start * factor ** (t / every)`.

    factor: what `every` steps multiply by; above 1 it grows. every: (steps, optimizer updates), or a share of the run.
    torch's ExponentialLR has `every=1`, Keras's ExponentialDecay and optax's have all three; a natural exponential
    `exp(-k*t/S)` has the factor `exp(-k)`. For the staircase form see `Stepped`.

    Watch out: after a horizon that the factor was not chosen for, the rate is either spent or still high.

    >>> Geometric(1.0, 0.25, every=2).table(0, 4).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """

    factor: Positive
    every: Steps = 1
    steps: Steps = REST

    def decay(self, t: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `factor ** (t / every)`."""
        return self.factor ** (t / float(self._bound("every")))


@dataclass(frozen=True)
class PowerLaw(Endless):
    """A power of time: `f(t) = start * (1 + t / timescale) ** -exponent`.

    exponent: 1/2 is the inverse square root, 1 is inverse time. timescale: when the power begins to bite (steps, not
        always whole), or a share of the run.
    transformers' inverse_sqrt and Noam are a warmup and then this with the timescale of the warmup; Keras's
    InverseTimeDecay `1 / (1 + k*t/S)` has the timescale `S/k`.

    Watch out: it never cools down, so a run should end with a cooldown to zero.

    >>> PowerLaw(1.0, exponent=0.5, timescale=1.0).table(0, 4).round(4).tolist()
    [1.0, 0.7071, 0.5774, 0.5]
    """

    exponent: Positive = 0.5
    timescale: Steps | Positive = 1
    steps: Steps = REST

    def _bind(self, steps: int, run: int) -> Self:
        timescale = length.share(self.timescale, run) if isinstance(self.timescale, str) else self.timescale
        return replace(self, timescale=timescale, steps=steps)

    def decay(self, t: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `(1 + t / timescale) ** -exponent`."""
        timescale = self._bound("timescale") if isinstance(self.timescale, str) else self.timescale
        return (1 + t / float(timescale)) ** -self.exponent
