"""Shapes of a decay beyond the article's: most were proposed as the cooldown of a run, and each is a `Segment`.

>>> (Constant(1.0, "80%") >> Sqrt(1.0, 0.0, "20%")).over(10).table(7, 11).round(4).tolist()
[1.0, 1.0, 0.2929, 0.0]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import Positive
from stepsize.schedules.base import Segment
from stepsize.schedules.decays import Constant  # noqa: F401  (for the doctest)


@dataclass(frozen=True)
class Sqrt(Segment):
    """The "1-sqrt" cooldown: `c(u) = sqrt(u)`, so `f = end + (start - end) * (1 - sqrt(u))` [hagele2024scaling].

    Reversed it is the 1-sqrt warmup, `1 - sqrt(1 - u)`.

    Watch out: it falls at once, by a third in the first tenth; begin it where the run can bear the change.

    >>> Sqrt(1.0, 0.0, 4).table(0, 5).round(4).tolist()
    [1.0, 0.5, 0.2929, 0.134, 0.0]
    """

    def curve(self, u: Array, xp: Any) -> Array:
        """Return `sqrt(u)`."""
        return xp.sqrt(u)


@dataclass(frozen=True)
class Square(Segment):
    """The square cooldown: `c(u) = u**2`, so `f = end + (start - end) * (1 - u**2)` [hagele2024scaling].

    Watch out: it stays high for long and then drops; most of its gain comes in the last steps.

    >>> Square(1.0, 0.0, 4).table(0, 5).tolist()
    [1.0, 0.9375, 0.75, 0.4375, 0.0]
    """

    def curve(self, u: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `u**2`."""
        return u * u


@dataclass(frozen=True)
class MirrorCosine(Segment):
    """The cosine mirrored at the straight line: `c(u) = 2*u - (1 - cos(pi*u)) / 2` [hagele2024scaling].

    Watch out: it falls fastest at both ends, where the cosine is flat.

    >>> MirrorCosine(1.0, 0.0, 4).table(0, 5).round(6).tolist()
    [1.0, 0.646447, 0.5, 0.353553, 0.0]
    """

    def curve(self, u: Array, xp: Any) -> Array:
        """Return `2*u - (1 - cos(pi*u)) / 2`."""
        return 2 * u - 0.5 * (1 - xp.cos(math.pi * u))


@dataclass(frozen=True)
class ExponentialToZero(Segment):
    """An exponential that arrives: `c(u) = (1 - r**u) / (1 - r)`, so from 1 to 0 `f = (r**u - r) / (1 - r)`.

    left: `r`, the share of the height that a plain exponential would leave at the end; above 0, below 1. (timm.)

    Watch out: a small `left` is an early drop with a long tail near the end value.

    >>> ExponentialToZero(1.0, 0.0, 2, left=0.25).table(0, 3).round(6).tolist()
    [1.0, 0.333333, 0.0]
    """

    left: Positive = 0.1

    def validate(self) -> None:
        """Refuse a share that leaves nothing to fall."""
        if not self.left < 1:
            raise ParameterError(f"ExponentialToZero.left must be below 1, not {self.left!r}; at 1 it is Linear.")

    def curve(self, u: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `(1 - r**u) / (1 - r)`."""
        return (1 - self.left**u) / (1 - self.left)


@dataclass(frozen=True)
class Rex(Segment):
    """REX: `f = end + (start - end) * (1 - u) / (1 - u/2)` [chen2022rex].

    Watch out: it is steep at its end, so the last steps matter more than in a linear decay.

    >>> Rex(1.0, 0.0, 4).table(0, 5).round(4).tolist()
    [1.0, 0.8571, 0.6667, 0.4, 0.0]
    """

    def curve(self, u: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return `1 - (1 - u) / (1 - u/2)`."""
        return 1 - (1 - u) / (1 - 0.5 * u)


@dataclass(frozen=True)
class Tanh(Segment):
    """A hyperbolic tangent, scaled so that it begins at `start` and arrives at `end` [hsueh2019stochastic].

    `c(u) = (tanh(x) - tanh(lower)) / (tanh(upper) - tanh(lower))`, `x = lower*(1 - u) + upper*u`.
    lower, upper: the piece of the tangent that is used, in its own units.

    Watch out: with the usual -6 and 3 two thirds of the run are nearly constant.

    >>> Tanh(1.0, 0.0, 4).table(0, 5).round(4).tolist()
    [1.0, 0.9995, 0.9525, 0.1804, 0.0]
    """

    lower: float = -6.0
    upper: float = 3.0

    def validate(self) -> None:
        """Refuse an empty piece."""
        if not math.tanh(self.upper) - math.tanh(self.lower) > 1e-6:
            raise ParameterError(
                f"Tanh.lower must be below Tanh.upper, and the tangent must move between them, unlike between "
                f"{self.lower!r} and {self.upper!r}. Between -6 and 3 it does."
            )

    def curve(self, u: Array, xp: Any) -> Array:
        """Return the tangent between its own ends."""

        def tangent(x: Array) -> Array:
            return 1 - 2 / (xp.exp(2 * xp.clip(x, -20.0, 20.0)) + 1)  # beyond 20 it is 1, and exp would overflow

        low, high = tangent(self.lower + 0 * u), tangent(self.upper + 0 * u)
        c = (tangent(self.lower * (1 - u) + self.upper * u) - low) / (high - low)
        return xp.clip(c, 0.0, 1.0)


@dataclass(frozen=True)
class KCosine(Segment):
    """The k-decay cosine: `c(u) = (1 - cos(pi * u**k)) / 2` [zhang2020k].

    k: 1 is the cosine; above 1 it stays high for longer.

    Watch out: with a large k all of the decay lies in the last steps.

    >>> KCosine(1.0, 0.0, 4, k=2.0).table(0, 5).round(4).tolist()
    [1.0, 0.9904, 0.8536, 0.4025, 0.0]
    """

    k: Positive = 1.5

    def curve(self, u: Array, xp: Any) -> Array:
        """Return `(1 - cos(pi * u**k)) / 2`."""
        return 0.5 * (1 - xp.cos(math.pi * u**self.k))
