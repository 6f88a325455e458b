"""Polynomials: valleys, and a few minima that can be counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Bound
from stepsize.problems.landscapes.base import Critical, Landscape, mirrored


@dataclass(frozen=True)
class Rosenbrock(Landscape):
    """A curved valley: `sum 100*(x[i+1] - x[i]**2)**2 + (1 - x[i])**2` [rosenbrock1960automatic].

    dimensions: at least 2.

    Watch out: its floor is 2500 times flatter than its walls, so it tests conditioning; from 4 dimensions on there is a
    local minimum near (-1, 1, ..., 1), which is not listed.
    """

    radius: ClassVar[float] = 0.5
    bounds = ((-5, 10),)
    lows = ((1,),)

    dimensions: Annotated[int, Bound("a whole number from 2 to 1000", low=2, high=1000)] = 2

    @property
    def unimodal(self) -> bool:
        """Up to 3 dimensions [kok2009locating]."""
        return self.dimensions <= 3

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the sum over neighbouring coordinates."""
        return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient: each coordinate is in two terms, but the first and the last."""
        first, second = x[..., :-1], x[..., 1:]
        wall = 200 * (second - first**2)
        edge = xp.zeros_like(x[..., :1])
        left = xp.concatenate([2 * (first - 1) - 2 * first * wall, edge], -1)
        return left + xp.concatenate([edge, wall], -1)


@dataclass(frozen=True)
class Beale(Landscape):
    """A flat valley between steep walls: `sum (c[i] - x + x*y**i)**2`, `c = (1.5, 2.25, 2.625)`.

    Watch out: the gradient spans ten decades over the box, so no one rate of plain descent serves all starts.
    """

    radius: ClassVar[float] = 0.2
    bounds = ((-4.5, 4.5),)
    lows = ((3, 0.5),)
    stationary = (Critical("saddle", (0.0, 1.0), 14.203125),)
    """The saddle on the line where x counts for nothing."""

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the three squares."""
        a, b = x[..., 0], x[..., 1]
        return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient of the three squares."""
        a, b = x[..., 0], x[..., 1]
        r, s, t = 1.5 - a + a * b, 2.25 - a + a * b**2, 2.625 - a + a * b**3
        along = 2 * (r * (b - 1) + s * (b**2 - 1) + t * (b**3 - 1))
        across = 2 * a * (r + 2 * s * b + 3 * t * b**2)
        return xp.stack([along, across], -1)


@dataclass(frozen=True)
class Booth(Landscape):
    """A convex quadratic, the control: `(x + 2*y - 7)**2 + (2*x + y - 5)**2`.

    Watch out: nothing to escape from; gradient descent is stable up to a rate of 1/9.
    """

    radius: ClassVar[float] = 1.0
    bounds = ((-10, 10),)
    lows = ((1, 3),)

    @property
    def unimodal(self) -> bool:
        """It is convex."""
        return True

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the two squares."""
        a, b = x[..., 0], x[..., 1]
        return (a + 2 * b - 7) ** 2 + (2 * a + b - 5) ** 2

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient, a linear map."""
        a, b = x[..., 0], x[..., 1]
        return xp.stack([10 * a + 8 * b - 34, 8 * a + 10 * b - 38], -1)


@dataclass(frozen=True)
class Himmelblau(Landscape):
    """Four equal minima around a maximum: `(x**2 + y - 11)**2 + (x + y**2 - 7)**2` [himmelblau1972applied].

    Watch out: all four minima are global, so it tests which basin a rule chooses, and no rule can fail.
    """

    radius: ClassVar[float] = 0.5
    bounds = ((-5, 5),)
    lows = (
        (3, 2), (-2.805118086952745, 3.131312518250573), (-3.7793102533777465, -3.283185991286169),
        (3.5844283403304917, -1.8481265269644034),
    )  # fmt: skip
    """Four, one in each quadrant."""
    stationary = (
        Critical("maximum", (-0.2708445906673476, -0.9230385564799816), 181.6165215225827),
        Critical("saddle", (0.08667750455539633, 2.884254701174776), 67.71915008752613),
        Critical("saddle", (3.385154183607021, 0.07385187983774928), 13.311926270405587),
        Critical("saddle", (-3.0730257507643897, -0.08135304428796752), 104.01516291755811),
        Critical("saddle", (-0.12796134673068005, -1.9537149802445766), 178.33723920192745),
    )
    """The maximum in the middle, and the four passes between the basins."""

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the two squares."""
        a, b = x[..., 0], x[..., 1]
        return (a**2 + b - 11) ** 2 + (a + b**2 - 7) ** 2

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient of the two squares."""
        a, b = x[..., 0], x[..., 1]
        u, v = a * a + b - 11, a + b * b - 7
        return xp.stack([4 * a * u + 2 * v, 2 * u + 4 * b * v], -1)


@dataclass(frozen=True)
class SixHumpCamel(Landscape):
    """Two global and four local minima: `(4 - 2.1*x**2 + x**4/3)*x**2 + x*y + (4*y**2 - 4)*y**2`.

    Watch out: symmetric through the origin, so starts that are symmetric about it decide nothing between the two.
    """

    radius: ClassVar[float] = 0.3
    bounds = ((-3, 3), (-2, 2))
    lows = mirrored(
        (0.08984201310031806, -0.7126564030207396), (1.703606714969981, -0.7960835686726251),
        (1.6071047529201974, 0.5686514548841313),
    )  # fmt: skip
    """Six: three pairs."""
    stationary = (
        Critical("saddle", (0.0, 0.0), 0.0),
        Critical("saddle", (1.1092053368047863, -0.7682680925095398), 0.5437186009781851),
        Critical("saddle", (1.296070267167109, 0.6050843880386585), 2.2294708180298595),
        Critical("saddle", (1.638067984189779, 0.22867406904439413), 2.2293571975307143),
        Critical("maximum", (1.2302298765166524, 0.16233458445899493), 2.496295351023577),
    )
    """The saddles and maxima on one side, and the saddle in the middle."""

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the polynomial."""
        a, b = x[..., 0] ** 2, x[..., 1] ** 2
        return (4 - 2.1 * a + a * a / 3) * a + x[..., 0] * x[..., 1] + (4 * b - 4) * b

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient of the polynomial."""
        a, b = x[..., 0], x[..., 1]
        return xp.stack([8 * a - 8.4 * a**3 + 2 * a**5 + b, a - 8 * b + 16 * b**3], -1)


@dataclass(frozen=True)
class ThreeHumpCamel(Landscape):
    """One global and two local minima: `2*x**2 - 1.05*x**4 + x**6/6 + x*y + y**2`.

    Watch out: at the edge of the box the slope is ten thousand times that of the valleys.
    """

    radius: ClassVar[float] = 0.5
    bounds = ((-5, 5),)
    lows = ((0, 0), *mirrored((1.747552345830289, -0.8737761729151445)))
    """The global one at 0, and a pair."""
    stationary = tuple(
        Critical("saddle", at, 0.8773615577631402) for at in mirrored((1.0705422918236598, -0.5352711459118299))
    )
    """The two passes."""

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the polynomial."""
        a, b = x[..., 0], x[..., 1]
        return 2 * a**2 - 1.05 * a**4 + a**6 / 6 + a * b + b**2

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient of the polynomial."""
        a, b = x[..., 0], x[..., 1]
        return xp.stack([4 * a - 4.2 * a**3 + a**5 + b, a + 2 * b], -1)
