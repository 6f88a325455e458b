"""Functions of two coordinates that are a saddle and nothing else: one looks who leaves it, and how soon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.problems.landscapes.base import Critical, Landscape


class SaddlePoint(Landscape):
    """A landscape without a minimum: a run has left the saddle when the value is more than `drop` below that of it.

    It falls without bound, so a descent ends there.
    """

    radius: ClassVar[float] = 0.0
    bounds = ((-2, 2),)
    lows = ()
    """None: it falls without bound."""
    stationary = (Critical("saddle", (0.0, 0.0), 0.0),)
    """The saddle."""
    saddle: ClassVar[bool] = True
    drop: ClassVar[float] = 1.0

    def arrived(self, x: Array, xp: Any) -> Array:
        """Return which rows of `x` have left the saddle, (rows,) bool."""
        return self.value(x, xp) < -self.drop


@dataclass(frozen=True)
class Saddle(SaddlePoint):
    """One valley across a ridge: `x**2 - y**2`, as in the animations of [ruder2016overview, sec. 4.9].

    Starts lie along the ridge, less than 0.01 from it.

    Watch out: on the ridge itself no rule of first order leaves it without noise.
    """

    starts = ((-1.5, 1.5), (-0.01, 0.01))

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the difference of the squares."""
        return x[..., 0] ** 2 - x[..., 1] ** 2

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient of both squares."""
        return xp.stack([2 * x[..., 0], -2 * x[..., 1]], -1)


@dataclass(frozen=True)
class MonkeySaddle(SaddlePoint):
    """Three valleys that leave one flat point: `x**3 - 3*x*y**2`.

    Starts lie less than 0.1 from the flat point in each coordinate.

    Watch out: at 0 slope and curvature vanish both, so what is near leaves slowly.
    """

    starts = ((-0.1, 0.1),)

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the cubic."""
        a, b = x[..., 0], x[..., 1]
        return a**3 - 3 * a * b**2

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient of the cubic."""
        a, b = x[..., 0], x[..., 1]
        return xp.stack([3 * a**2 - 3 * b**2, -6 * a * b], -1)
