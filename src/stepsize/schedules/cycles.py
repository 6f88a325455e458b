"""Cyclical learning rates: between a base and a peak, again and again [smith2017cyclical, sec. 3.1].

A cycle climbs from `base` to `peak` in one half-cycle (Smith's stepsize) and falls back in another. Here `base` and
`peak` name the two values of a cycle and not an order: a momentum that moves the other way has the larger value as its
base.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from stepsize.kernel.arrays import Array
from stepsize.kernel.length import REST
from stepsize.kernel.spec import NonNegative, Ratio, Steps
from stepsize.schedules.base import Schedule, laps


@dataclass(frozen=True)
class Cycle(Schedule):
    """A triangle whose amplitude a subclass scales: `base + (peak - base) * triangle(t) * amplitude(t)`.

    base, peak: the value at the start of a cycle, and in its middle.
    half_cycle: from base to peak, Smith's "stepsize" (steps, optimizer updates), or a share of the run.
    fall: from peak back to base, when that takes another time than the climb.
    steps: the length, where another part follows; by itself it goes on cycling for ever.
    """

    base: NonNegative
    peak: NonNegative
    half_cycle: Steps
    steps: Steps = REST
    fall: Steps | None = None

    @abstractmethod
    def amplitude(self, cycle: Array, t: Array, xp: Any) -> Array:
        """Return the height of the triangle in cycle number `cycle`, counted from 0, at step `t`."""

    def value(self, t: Array, xp: Any) -> Array:
        """Return the triangle between base and peak."""
        rise = float(self._bound("half_cycle"))
        fall = rise if self.fall is None else float(self._bound("fall"))
        cycle = laps(t, rise + fall, xp)
        position = xp.maximum(t - cycle * (rise + fall), 0.0)
        triangle = xp.minimum(position / rise, (rise + fall - position) / fall)
        scaled = triangle * self.amplitude(cycle, t, xp)
        return self.base * (1 - scaled) + self.peak * scaled


@dataclass(frozen=True)
class Triangular(Cycle):
    """Cycles of one height: `amplitude = 1`.

    Watch out: it beats a constant rate and does not beat a tuned decay; stop at the end of a cycle, where the rate is
    low.

    >>> Triangular(0.1, 1.0, half_cycle=2).table(0, 5).tolist()
    [0.1, 0.55, 1.0, 0.55, 0.1]
    """

    def amplitude(self, cycle: Array, t: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Triangular2(Cycle):
    """Cycles whose height halves each time: `amplitude = 1 / 2**cycle`.

    Watch out: after n cycles only `1/2**n` of the height is left, so late cycles no longer leave a basin.

    >>> Triangular2(0.1, 1.0, half_cycle=2).table(0, 9).tolist()
    [0.1, 0.55, 1.0, 0.55, 0.1, 0.325, 0.55, 0.325, 0.1]
    """

    def amplitude(self, cycle: Array, t: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `0.5 ** cycle`."""
        return 0.5**cycle


@dataclass(frozen=True)
class ExpRange(Cycle):
    """Cycles whose height shrinks a little every step: `amplitude = gamma**t`, as every library has it.

    gamma: the factor of one step, above 0 and at most 1.

    Watch out: the paper words it otherwise, both bounds declining, and gamma depends on the horizon: `gamma**steps` is
    what is left of the height at the end.

    >>> ExpRange(0.1, 1.0, half_cycle=2, gamma=0.9).table(0, 4).round(6).tolist()
    [0.1, 0.505, 0.829, 0.42805]
    """

    gamma: Ratio = 0.9999

    def amplitude(self, cycle: Array, t: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `gamma ** t`."""
        return self.gamma**t
