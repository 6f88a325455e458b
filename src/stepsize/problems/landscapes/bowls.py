"""Bowls in any dimension: a plain one, and those with ripples, whose very many other minima are not listed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Bound
from stepsize.problems.landscapes.base import TINY, Dimensions, Landscape


@dataclass(frozen=True)
class Ellipsoid(Landscape):
    """A convex bowl that is steeper in each coordinate than in the one before [hansen2009real].

    `sum condition**((i - 1)/(dimensions - 1)) * x[i]**2`; in one dimension a parabola.

    condition: of its Hessian, the largest curvature over the smallest; the largest is `2 * condition`.

    Watch out: its axes are those of the coordinates, so a rule that scales each coordinate by itself looks better than
    it is.
    """

    radius: ClassVar[float] = 0.5
    bounds = ((-5, 5),)
    lows = ((0,),)

    dimensions: Dimensions = 2
    condition: Annotated[float, Bound("a number from 1 to 1e12", low=1.0, high=1e12)] = 100.0

    @property
    def unimodal(self) -> bool:
        """It is convex."""
        return True

    def value(self, x: Array, xp: Any) -> Array:
        """Return the weighted sum of squares."""
        return (self._weights(x, xp) * x * x).sum(-1)

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return twice the weighted coordinates."""
        return 2 * self._weights(x, xp) * x

    def _weights(self, x: Array, xp: Any) -> Array:
        positions = xp.arange(self.dimensions, dtype=x.dtype) / max(1, self.dimensions - 1)
        return self.condition**positions


@dataclass(frozen=True)
class Ackley(Landscape):
    """A funnel with ripples [ackley1987connectionist].

    `20 - 20*exp(-0.2*sqrt(mean x**2)) + e - exp(mean cos(2*pi*x))`.

    Watch out: the funnel is a cusp at its minimum, where no gradient exists (0 is returned there), and flat far out.
    """

    radius: ClassVar[float] = 0.3
    bounds = ((-32.768, 32.768),)
    lows = ((0,),)

    dimensions: Dimensions = 2

    def value(self, x: Array, xp: Any) -> Array:
        """Return funnel and ripples."""
        size = xp.sqrt((x * x).mean(-1))
        return 20 - 20 * xp.exp(-0.2 * size) + math.e - xp.exp(xp.cos(2 * math.pi * x).mean(-1))

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient of funnel and ripples."""
        size = xp.sqrt((x * x).mean(-1).clip(min=TINY))[..., None]
        funnel = 4 * xp.exp(-0.2 * size) / size * x
        ripples = 2 * math.pi * xp.exp(xp.cos(2 * math.pi * x).mean(-1))[..., None] * xp.sin(2 * math.pi * x)
        return (funnel + ripples) / self.dimensions


@dataclass(frozen=True)
class Griewank(Landscape):
    """A wide bowl with shallow ripples: `1 + sum x**2/4000 - prod cos(x[i]/sqrt(i))` [griewank1981generalized].

    Watch out: in many dimensions the product vanishes, and what is left is a convex bowl: it gets easier.
    """

    radius: ClassVar[float] = 1.5
    bounds = ((-600, 600),)
    lows = ((0,),)

    dimensions: Dimensions = 2

    def value(self, x: Array, xp: Any) -> Array:
        """Return bowl and ripples."""
        positions = xp.sqrt(xp.arange(1, self.dimensions + 1, dtype=x.dtype))
        return 1 + (x * x).sum(-1) / 4000 - xp.cos(x / positions).prod(-1)


@dataclass(frozen=True)
class Levy(Landscape):
    """Ripples on a valley [levy1985tunneling].

    `w = 1 + (x - 1)/4; sin(pi*w1)**2 + sum (w-1)**2 * (1 + 10*sin(pi*w + 1)**2) + (wd-1)**2 * (1 + sin(2*pi*wd)**2)`,
    where the sum is over all but the last.

    Watch out: in one coordinate the ripples hardly rise, so a small rate crosses the flat parts slowly.
    """

    radius: ClassVar[float] = 0.5
    bounds = ((-10, 10),)
    lows = ((1,),)

    dimensions: Dimensions = 2

    def value(self, x: Array, xp: Any) -> Array:
        """Return the first ripple, the middle ones and the last one."""
        w = 1 + (x - 1) / 4
        head, last = w[..., :-1], w[..., -1]
        middle = ((head - 1) ** 2 * (1 + 10 * xp.sin(math.pi * head + 1) ** 2)).sum(-1)
        end = (last - 1) ** 2 * (1 + xp.sin(2 * math.pi * last) ** 2)
        return xp.sin(math.pi * w[..., 0]) ** 2 + middle + end
