"""Functions of two coordinates that are no polynomials, or whose minima are no data of their own: ripples, ridges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.problems.landscapes.base import TINY, Critical, Landscape


@dataclass(frozen=True)
class Branin(Landscape):
    """Three equal minima: `(y - 5.1*x**2/(4*pi**2) + 5*x/pi - 6)**2 + 10*(1 - 1/(8*pi))*cos(x) + 10`.

    Watch out: two of the three lie near the edge of the box, and a fast rule leaves it there.
    """

    radius: ClassVar[float] = 1.0
    bounds = ((-5, 10), (0, 15))
    lows = ((-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475))
    """Three, 2*pi apart in x."""

    def value(self, x: Array, xp: Any) -> Array:
        """Return the square and the ripple."""
        a, b = x[..., 0], x[..., 1]
        return self._residual(a, b) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * xp.cos(a) + 10

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient of both."""
        a, b = x[..., 0], x[..., 1]
        r = 2 * self._residual(a, b)
        bend = 5 / math.pi - 5.1 * a / (2 * math.pi**2)
        return xp.stack([r * bend - 10 * (1 - 1 / (8 * math.pi)) * xp.sin(a), r], -1)

    @staticmethod
    def _residual(a: Array, b: Array) -> Array:
        return b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6


@dataclass(frozen=True)
class GoldsteinPrice(Landscape):
    """One global and three local minima, over six decades of height [goldstein1971descent].

    `[1 + (x+y+1)**2 * (19-14x+3x**2-14y+6xy+3y**2)] * [30 + (2x-3y)**2 * (18-32x+12x**2+48y-36xy+27y**2)]`.

    Watch out: curvatures from 200 to 26 000 at the minima, more between; look at it on a logarithmic scale.
    """

    radius: ClassVar[float] = 0.2
    bounds = ((-2, 2),)
    lows = ((0, -1), (-0.6, -0.4), (1.8, 0.2), (1.2, 0.8))
    """The values are 3, 30, 84 and 840."""

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the product of the two brackets."""
        a, b = x[..., 0], x[..., 1]
        first = 1 + (a + b + 1) ** 2 * (19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2)
        second = 30 + (2 * a - 3 * b) ** 2 * (18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2)
        return first * second


@dataclass(frozen=True)
class McCormick(Landscape):
    """A ripple on a slope: `sin(x + y) + (x - y)**2 - 1.5*x + 2.5*y + 1` [mccormick1976computability].

    Watch out: along the diagonal it goes on falling outside of the box, a step of pi lower each ripple.
    """

    radius: ClassVar[float] = 1.0
    bounds = ((-1.5, 4), (-3, 4))
    lows = ((-0.5471975511965977, -1.5471975511965979), (2.5943951023931957, 1.5943951023931957))
    """The global one, and one a ripple further."""
    stationary = (Critical("saddle", (1.5471975511965979, 0.5471975511965977), 1.9132229549810362),)
    """The pass between the two ripples."""

    def value(self, x: Array, xp: Any) -> Array:
        """Return the ripple, the valley and the slope."""
        a, b = x[..., 0], x[..., 1]
        return xp.sin(a + b) + (a - b) ** 2 - 1.5 * a + 2.5 * b + 1

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient of the three."""
        a, b = x[..., 0], x[..., 1]
        ripple, valley = xp.cos(a + b), 2 * (a - b)
        return xp.stack([ripple + valley - 1.5, ripple - valley + 2.5], -1)


@dataclass(frozen=True)
class Easom(Landscape):
    """A needle in a plain: `-cos(x)*cos(y)*exp(-(x - pi)**2 - (y - pi)**2)`.

    Watch out: a few units away the gradient is zero to any precision, so no rule of first order finds the needle.
    """

    radius: ClassVar[float] = 1.0
    bounds = ((-100, 100),)
    lows = ((math.pi, math.pi),)

    def value(self, x: Array, xp: Any) -> Array:
        """Return the needle."""
        a, b = x[..., 0], x[..., 1]
        return -xp.cos(a) * xp.cos(b) * xp.exp(-((a - math.pi) ** 2) - (b - math.pi) ** 2)


@dataclass(frozen=True)
class Eggholder(Landscape):
    """Many deep valleys: `-(y+47)*sin(sqrt(abs(y + x/2 + 47))) - x*sin(sqrt(abs(x - (y+47))))`.

    Watch out: the minimum lies on the edge of the box, and outside it falls further, so updates are projected onto the
    box; its many local minima are not listed.
    """

    radius: ClassVar[float] = 10.0
    walls: ClassVar[bool] = True
    bounds = ((-512, 512),)
    lows = ((512, 404.2318050882936),)
    """One, on the right edge."""

    def value(self, x: Array, xp: Any) -> Array:
        """Return the two ripples; at the roots' kinks the slope counts as zero."""
        a, b = x[..., 0], x[..., 1] + 47
        first, second = abs(b + a / 2).clip(min=TINY), abs(a - b).clip(min=TINY)
        return -b * xp.sin(xp.sqrt(first)) - a * xp.sin(xp.sqrt(second))


@dataclass(frozen=True)
class Bukin(Landscape):
    """A curved, sharp ridge (Bukin's function 6): `100*sqrt(abs(y - 0.01*x**2)) + 0.01*abs(x + 10)`.

    Watch out: no slope exists along the ridge where the minimum lies, and beside it the slope is without bound, so
    every rule with a constant rate bounces; even global search stalls 1e-4 above the minimum.
    """

    radius: ClassVar[float] = 0.1
    bounds = ((-15, -5), (-3, 3))
    lows = ((-10, 1),)

    def value(self, x: Array, xp: Any) -> Array:
        """Return the ridge and the slope along it; on the ridge itself the slope across counts as zero."""
        a, b = x[..., 0], x[..., 1]
        return 100 * xp.sqrt(abs(b - 0.01 * a * a).clip(min=TINY)) + 0.01 * abs(a + 10)
