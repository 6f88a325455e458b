"""A landscape is a function to descend on: a formula, a box to start in, and what is known of its minima.

The formula is written once, against the namespace `xp` of its argument (NumPy, torch, JAX), over the last axis: one
point or ten thousand. The gradient is a second formula, or torch's automatic differentiation where none is written.

::

    class Booth(Landscape):
        radius = 1.0
        bounds = ((-10, 10),)
        lows = ((1, 3),)

        def value(self, x, xp): ...

Adding one is a class like this and its import line; the JSON kind, the command line's word and the tests over the
catalogue follow from it.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from stepsize.kernel.arrays import NUMPY, Array, Floats, floats
from stepsize.kernel.optional import need
from stepsize.kernel.spec import Bound, NDArray, Spec

Kind = Literal["minimum", "saddle", "maximum"]

Rows = tuple[tuple[float, ...], ...]

Dimensions = Annotated[int, Bound("a whole number from 1 to 1000", low=1, high=1000)]

TINY = 1e-300
"""What keeps a root away from zero, where its slope is not finite."""

FEW = 4
"""The most columns that are summed one by one."""

SAME = 1e-6
"""Minima whose values differ by less, relative to 1 and their size, are equally low."""


@dataclass(frozen=True)
class Critical:
    """A point without a slope: what it is, where, and the value there, as published or computed to as many digits."""

    kind: Kind
    at: tuple[float, ...]
    value: float


@dataclass(frozen=True)
class Landscape(Spec, ABC):
    """A function to descend on; its fields choose a member of the family.

    bounds: the lowest and the highest of each coordinate of a start; one pair where they are the same for all.
    lows: the known minima, lowest first; the global ones are among them unless it is empty. One number is one for all
        coordinates. stationary: other points without a slope: saddles and maxima.
    radius: of a ball around each global minimum in which gradient flow leads to it (for a continuum, see `arrived`).
    starts: where starts are drawn, as `bounds`, if not in all of it. saddle: whether it is one, and has no minimum.
    walls: whether updates are projected onto the box: where the minimum lies on its edge, or outside it the function
        falls below it.

    A subclass whose fields decide these overrides `box`, `minima` and `critical` instead.
    """

    bounds: ClassVar[Rows]
    lows: ClassVar[Rows]
    stationary: ClassVar[tuple[Critical, ...]] = ()
    radius: ClassVar[float]
    starts: ClassVar[Rows] = ()
    saddle: ClassVar[bool] = False
    walls: ClassVar[bool] = False

    @property
    def dimensions(self) -> int:
        """The number of coordinates."""
        return 2

    @property
    def box(self) -> Floats:
        """Where starts lie, (dimensions, 2): the lowest and the highest of each coordinate."""
        return np.array(np.broadcast_to(points(*self.bounds), (self.dimensions, 2)))

    @property
    def start_box(self) -> Floats:
        """Where starts are drawn, (dimensions, 2): the box, or the part of it that `starts` says."""
        return np.array(np.broadcast_to(points(*self.starts), (self.dimensions, 2))) if self.starts else self.box

    @property
    def minima(self) -> Floats:
        """The known minima, (minima, dimensions), lowest first; the global ones are among them unless it is empty."""
        rows = [np.broadcast_to(row, self.dimensions) for row in self.lows]
        return floats(rows).reshape(-1, self.dimensions)

    @property
    def critical(self) -> tuple[Critical, ...]:
        """Other points without a slope, beside the minima: saddles and maxima."""
        return self.stationary

    @abstractmethod
    def value(self, x: Array, xp: Any) -> Array:
        """Return the function at `x`, (..., dimensions) floating, as (...)."""

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the gradient at `x`, (..., dimensions): by torch's automatic differentiation unless overridden."""
        torch = need("torch")
        leaf = torch.as_tensor(x).detach().requires_grad_()
        with torch.enable_grad():
            (found,) = torch.autograd.grad(self.value(leaf, torch).sum(), leaf)
        return found if xp is torch else xp.asarray(found)

    def observed(self, x: Array, xp: Any, step: int, seed: int) -> Array:  # noqa: ARG002  (only online ones use them)
        """Return the gradient that update number `step` (from 0) of a run with `seed` sees, before any noise."""
        return self.gradient(x, xp)

    @cached_property
    def lowest(self) -> float:
        """The value of the global minimum; -inf where there is none."""
        return float(self.value(self.minima[:1], NUMPY)[0]) if len(self.minima) else -np.inf

    @cached_property
    def best(self) -> Floats:
        """The global minima, (minima, dimensions)."""
        if not len(self.minima):
            return self.minima
        return floats(self.minima[self.value(self.minima, NUMPY) <= self.lowest + SAME * (1 + abs(self.lowest))])

    @property
    def unimodal(self) -> bool:
        """Whether it is proven that gradient flow leads from everywhere to the one minimum."""
        return False

    @property
    def goals(self) -> int:
        """How many of the minima, from the first, are global; 1 where what is global is known by its value alone."""
        return max(1, len(self.best))

    def arrived(self, x: Array, xp: Any) -> Array:
        """Return which rows of `x`, (rows, dimensions), lie within `radius` of a global minimum, (rows,) bool."""
        if not len(self.best):
            return x[..., 0] < -np.inf  # nowhere
        near = [_squares(x, minimum, xp) <= self.radius**2 for minimum in self.best.tolist()]
        return reduce(operator.or_, near)

    def nearest(self, x: Floats, share: float = 1.0) -> NDArray:
        """Return the index of the known minimum nearest to each row of `x`, (rows,); -1 beyond `share` of `radius`."""
        if not len(self.minima):
            return np.full(len(x), -1)
        found, shortest = np.zeros(len(x), dtype=np.int64), np.full(len(x), np.inf)
        for index, minimum in enumerate(self.minima):
            with np.errstate(over="ignore"):  # where a diverged trajectory was last is as good as infinitely far
                away = np.linalg.norm(x - minimum, axis=1)
            closer = away < shortest
            found[closer], shortest[closer] = index, away[closer]
        return np.where(shortest <= share * self.radius, found, -1)


class Continuum(Landscape):
    """A landscape whose global minima are a continuum: one arrives there by the value, not by a distance.

    level: how far above the lowest value counts as there.
    """

    level: ClassVar[float] = 1e-2
    radius: ClassVar[float] = np.inf

    def arrived(self, x: Array, xp: Any) -> Array:
        """Return which rows of `x` have a value within `level` of the lowest, (rows,) bool."""
        return self.value(x, xp) <= self.lowest + self.level

    def nearest(self, x: Floats, share: float = 1.0) -> NDArray:  # noqa: ARG002  (landscapes of many places take a share)
        """Return 0, the continuum, for each row of `x` that arrived, and -1 for the others."""
        return np.where(self.arrived(x, NUMPY), 0, -1)


def _squares(x: Array, point: list[float], xp: Any) -> Array:
    """Return the squared distance of each row of `x` to `point`; of few columns faster than by a sum over an axis."""
    if len(point) <= FEW:
        return reduce(operator.add, [(x[..., i] - at) ** 2 for i, at in enumerate(point)])
    away = x - xp.asarray(point, dtype=x.dtype)
    return (away * away).sum(-1)


def cube(low: float, high: float, dimensions: int = 2) -> Floats:
    """Return the box with the same two bounds in each of its dimensions."""
    return np.tile(np.array([[low, high]], dtype=np.float64), (dimensions, 1))


def points(*rows: Sequence[float]) -> Floats:
    """Return points as an array, (points, dimensions)."""
    return np.array(rows, dtype=np.float64)


def mirrored(*rows: Sequence[float]) -> Rows:
    """Return points and, after each, its reflection through the origin."""
    return tuple(tuple(sign * number for number in row) for row in rows for sign in (1.0, -1.0))
