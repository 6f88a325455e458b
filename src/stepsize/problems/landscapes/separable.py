"""Sums of a function of each coordinate: what is known of one coordinate is known of all.

The minima of one coordinate are found on a fine grid and made exact by bisection of the slope; those of the landscape
are their products.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Annotated, Any, ClassVar

import numpy as np

from stepsize.kernel.arrays import NUMPY, Array, Floats, floats
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import Bound, Positive
from stepsize.problems.landscapes.base import Critical, Dimensions, Landscape, cube

MOST = 1000
"""The most minima that are listed; where there are more, the global one alone is."""


@dataclass(frozen=True)
class Separable(Landscape):
    """A landscape that a subclass writes as `sum term(x[i], i)`.

    dimensions: 2 if not given.
    """

    dimensions: Dimensions = 2

    @abstractmethod
    def term(self, x: Array, i: Array, xp: Any) -> Array:
        """Return the function of coordinate number `i` (from 1) at `x`, of any shape."""

    @abstractmethod
    def slope(self, x: Array, i: Array, xp: Any) -> Array:
        """Return the derivative of `term` by `x`."""

    def value(self, x: Array, xp: Any) -> Array:
        """Return the sum of the terms."""
        return self.term(x, xp.arange(1, self.dimensions + 1), xp).sum(-1)

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the slope of each term."""
        return self.slope(x, xp.arange(1, self.dimensions + 1), xp)

    def wells(self, i: int) -> Floats:
        """Return the minima of the term of coordinate number `i` inside of the box, lowest first."""
        first, last = self.box[i - 1].tolist()
        grid = np.linspace(first, last, 4001 + 200 * i)
        depth = self.term(grid, i, NUMPY)
        inside = np.flatnonzero((depth[1:-1] < depth[:-2]) & (depth[1:-1] <= depth[2:])) + 1
        if not inside.size:  # the bottom is rounded away, or is no number
            raise ParameterError(f"{self!r} has no minimum that floats can tell from what is beside it; scale it down.")
        low, high = grid[inside - 1], grid[inside + 1]
        for _ in range(60):
            middle = (low + high) / 2
            uphill = self.slope(middle, i, NUMPY) > 0
            low, high = np.where(uphill, low, middle), np.where(uphill, middle, high)
        found = (low + high) / 2
        return floats(found[np.argsort(self.term(found, i, NUMPY), kind="stable")])

    @cached_property
    def minima(self) -> Floats:
        """All of them, lowest first, where there are at most 1000; else the global ones' first."""
        wells = [self.wells(i) for i in range(1, self.dimensions + 1)]
        if math.prod(map(len, wells)) > MOST:
            return np.array([[each[0] for each in wells]])
        found = np.array(list(product(*wells)))
        return found[np.argsort(np.round(self.value(found, NUMPY), 9), kind="stable")]


@dataclass(frozen=True)
class Rastrigin(Separable):
    """A bowl with a minimum near every whole number: `sum 10 + x**2 - 10*cos(2*pi*x)` [rastrigin1974systems].

    Watch out: separable and regular, so a rule that moves each coordinate by about one spacing looks better than it is.
    """

    radius: ClassVar[float] = 0.5
    bounds = ((-5.12, 5.12),)

    def term(self, x: Array, i: Array, xp: Any) -> Array:  # noqa: ARG002  (the signature is every landscape's)
        """Return `10 + x**2 - 10*cos(2*pi*x)`."""
        return 10 + x * x - 10 * xp.cos(2 * math.pi * x)

    def slope(self, x: Array, i: Array, xp: Any) -> Array:  # noqa: ARG002  (the signature is every landscape's)
        """Return `2*x + 20*pi*sin(2*pi*x)`."""
        return 2 * x + 20 * math.pi * xp.sin(2 * math.pi * x)


@dataclass(frozen=True)
class Schwefel(Separable):
    """Deceptive: `sum 418.98288727243295 - x*sin(sqrt(abs(x)))`, the second best minimum far from the best.

    Watch out: outside of the box it falls below the minimum, so updates are projected onto it.
    """

    radius: ClassVar[float] = 50.0
    walls: ClassVar[bool] = True
    bounds = ((-500, 500),)

    def term(self, x: Array, i: Array, xp: Any) -> Array:  # noqa: ARG002  (the signature is every landscape's)
        """Return `418.98... - x*sin(sqrt(abs(x)))`."""
        return 418.98288727243295 - x * xp.sin(xp.sqrt(abs(x)))

    def slope(self, x: Array, i: Array, xp: Any) -> Array:  # noqa: ARG002  (the signature is every landscape's)
        """Return `-sin(r) - r*cos(r)/2`, where `r = sqrt(abs(x))`."""
        r = xp.sqrt(abs(x))
        return -xp.sin(r) - r * xp.cos(r) / 2


@dataclass(frozen=True)
class StyblinskiTang(Separable):
    """Two wells a coordinate, one deeper: `sum (x**4 - 16*x**2 + 5*x) / 2` [styblinski1990experiments].

    Watch out: the share of starts in the global basin is about 1/2 a coordinate, so a high dimension is a hard one.
    """

    radius: ClassVar[float] = 1.5
    bounds = ((-5, 5),)

    def term(self, x: Array, i: Array, xp: Any) -> Array:  # noqa: ARG002  (the signature is every landscape's)
        """Return half of the quartic."""
        return 0.5 * (x**4 - 16 * x**2 + 5 * x)

    def slope(self, x: Array, i: Array, xp: Any) -> Array:  # noqa: ARG002  (the signature is every landscape's)
        """Return its derivative."""
        return 2 * x**3 - 16 * x + 2.5


@dataclass(frozen=True)
class Michalewicz(Separable):
    """Narrow valleys in a plateau: `-sum sin(x[i]) * sin(i*x[i]**2/pi)**(2*steepness)` [michalewicz1996genetic].

    steepness: 10 is the usual one; the valleys are narrower for more.

    Watch out: most of the box is so flat that a plain gradient step does not move; coordinate i has i valleys.
    """

    radius: ClassVar[float] = 0.1
    bounds = ((0, math.pi),)

    dimensions: Annotated[int, Bound("a whole number from 1 to 100", low=1, high=100)] = 2
    steepness: Annotated[int, Bound("a whole number from 1 to 100", low=1, high=100)] = 10

    def term(self, x: Array, i: Array, xp: Any) -> Array:
        """Return `-sin(x) * sin(i*x**2/pi)**(2*m)`."""
        return -xp.sin(x) * xp.sin(i * x * x / math.pi) ** (2 * self.steepness)

    def slope(self, x: Array, i: Array, xp: Any) -> Array:
        """Return its derivative."""
        angle, power = i * x * x / math.pi, 2 * self.steepness
        sine = xp.sin(angle)
        inner = power * xp.sin(x) * xp.cos(angle) * (2 * i * x / math.pi)
        return -(sine ** (power - 1)) * (sine * xp.cos(x) + inner)


@dataclass(frozen=True)
class DoubleWell(Separable):
    """Two wells and a barrier between them: `sum height * (x**2 - 1)**2 + tilt * x`.

    height: of the barrier at 0 when there is no tilt; the curvature in the wells is then 8 * height.
    tilt: above 0 the left well is the deeper one.

    Watch out: a tilt of more than `8 * height / 3**1.5` leaves one well.
    """

    radius: ClassVar[float] = 0.8

    dimensions: Dimensions = 1
    height: Positive = 1.0
    tilt: float = 0.0

    @property
    def box(self) -> Floats:
        """From -2 to 2, and wider where the tilt moves the minimum out of that."""
        reach = 2.0 + (abs(self.tilt) / (4 * self.height)) ** (1 / 3)
        return cube(-reach, reach, self.dimensions)

    @property
    def critical(self) -> tuple[Critical, ...]:
        """The top of the barrier, when there is no tilt."""
        if self.tilt:
            return ()
        return (Critical("maximum", (0.0,) * self.dimensions, self.height * self.dimensions),)

    def term(self, x: Array, i: Array, xp: Any) -> Array:  # noqa: ARG002  (the signature is every landscape's)
        """Return the quartic and its tilt."""
        return self.height * (x * x - 1) ** 2 + self.tilt * x

    def slope(self, x: Array, i: Array, xp: Any) -> Array:  # noqa: ARG002  (the signature is every landscape's)
        """Return `4 * height * x * (x**2 - 1) + tilt`."""
        return 4 * self.height * x * (x * x - 1) + self.tilt
