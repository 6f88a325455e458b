"""Curves from one value to another: the constant, and the decays of the article.

>>> (Linear(0.0, 0.1, "10%") >> Cosine(0.1, 0.0)).over(100)(55)
0.05
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.length import REST
from stepsize.kernel.spec import NonNegative, Positive, Steps
from stepsize.schedules.base import Schedule, Segment


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value at every step: `f(t) = level`.

    level: the value.
    steps: for how long, where another part follows; by itself it goes on for ever.

    Watch out: at its best rate a constant ends above every decay that reaches zero, since the noise of the last
    updates is never averaged out [defazio2023when, sec. 1].

    >>> Constant(0.1)(7)
    0.1
    """

    level: NonNegative
    steps: Steps = REST

    def value(self, t: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `level`, in the shape of `t`."""
        return self.level + 0.0 * t


@dataclass(frozen=True)
class Linear(Segment):
    """A straight line from `start` to `end`: `c(u) = u`.

    Upwards it is a warmup; downwards to 0 it is the schedule that minimises the last-iterate bound for convex
    problems [defazio2023when, thm. 1].

    Watch out: its best peak is some three times the best constant rate. Judged at the constant's rate it
    looks worse than it is.

    >>> Linear(0.1, 0.0, 10)(5)
    0.05
    """

    def curve(self, u: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `u`."""
        return u


@dataclass(frozen=True)
class Polynomial(Segment):
    """A power of the steps that are left: `f(t) = end + (start - end) * (1 - t/steps)**power`.

    power: 1 is linear; above 1 it falls early and creeps into `end`. (Keras and torch PolynomialLR, which ends at 0.)

    Watch out: with a large power most of the run is spent at rates too small to move.

    >>> Polynomial(1.0, 0.0, 4, power=2.0).table(0, 6).tolist()
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    power: Positive = 2.0

    def curve(self, u: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `1 - (1 - u)**power`."""
        return 1 - (1 - u) ** self.power


@dataclass(frozen=True)
class Exponential(Segment):
    """A geometric decay (or rise) from `start` to `end`: `f(t) = start**(1-u) * end**u`, `u = t/steps`.

    Every step multiplies by the same factor `(end/start)**(1/steps)`, the gamma of torch's ExponentialLR. Upwards it
    is the ramp of a range test.

    Raises ParameterError when `start` or `end` is 0: a factor never reaches it.

    Watch out: a gamma tuned for one horizon is wrong for every other; give the end value instead.

    >>> Exponential(1.0, 0.25, 2)(1)
    0.5
    """

    def validate(self) -> None:
        """Refuse a zero, which no factor reaches."""
        if not (self.start > 0 and self.end > 0):
            raise ParameterError(
                f"Exponential multiplies by one factor a step, so start and end must be above 0, not "
                f"{self.start!r} and {self.end!r}. End at a small value, or use Linear."
            )

    def curve(self, u: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `u`, on the axis of the logarithm."""
        return u

    def value(self, t: Array, xp: Any) -> Array:
        """Return the geometric mean of `start` and `end`, weighted by the share of the run that is over."""
        u = xp.clip(t / float(self._bound("steps")), 0.0, 1.0)
        return self.start ** (1 - u) * self.end**u


@dataclass(frozen=True)
class Cosine(Segment):
    """Half a cosine from `start` to `end`: `c(u) = (1 - cos(pi*u)) / 2` [loshchilov2017sgdr, eq. 5].

    Watch out: it is at its best only when its length is the length of the run; a run that is stopped before its end
    has never cooled down.

    >>> Cosine(1.0, 0.0, 4).table(0, 6).round(6).tolist()
    [1.0, 0.853553, 0.5, 0.146447, 0.0, 0.0]
    """

    def curve(self, u: Array, xp: Any) -> Array:
        """Return `(1 - cos(pi*u)) / 2`."""
        return 0.5 * (1 - xp.cos(math.pi * u))
