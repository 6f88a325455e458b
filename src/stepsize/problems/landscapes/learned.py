"""Landscapes of small learning problems: the parameters are one flat vector, the data are drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np

from stepsize.kernel import seeds
from stepsize.kernel.arrays import Array, Floats, floats
from stepsize.kernel.spec import Bound, Whole
from stepsize.problems.landscapes.base import Continuum, Critical, Dimensions, Kind, Landscape, mirrored, points

Size = Annotated[int, Bound("a whole number from 1 to 30", low=1, high=30)]


@dataclass(frozen=True)
class ScalarFactorisation(Continuum):
    """The smallest factorisation: `(x*y - 1)**2 / 2`, whose minima are the hyperbola `x*y = 1`.

    On the valley the sharpness is `x**2 + y**2`, at least 2: gradient descent with the rate eta can settle only where
    it is below `2/eta`, and nowhere when eta is above 1.

    Watch out: which minimum is found depends on the rate alone; the value does not tell them apart.
    """

    bounds = ((-3, 3),)
    lows = mirrored((1, 1))
    """The two flattest points of the hyperbola."""
    stationary = (Critical("saddle", (0.0, 0.0), 0.5),)
    """The saddle between the branches."""

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return half of the square."""
        return 0.5 * (x[..., 0] * x[..., 1] - 1) ** 2

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the residual times the other factor."""
        a, b = x[..., 0], x[..., 1]
        residual = a * b - 1
        return xp.stack([residual * b, residual * a], -1)


@dataclass(frozen=True)
class MatrixFactorisation(Continuum):
    """Low-rank factors of a matrix: `norm(U U' - M)**2 / 4`, or `norm(U V' - M)**2 / 2` when it is not symmetric.

    size: rows of M, which is square. rank: columns of U. seed: of M, which has exactly that rank.
    The parameters are U row by row, then V.

    Watch out: its minima are a continuum (U turned by any rotation), so they are recognised by their value.
    """

    bounds = ((-2, 2),)

    size: Size = 3
    rank: Size = 1
    symmetric: bool = True
    seed: Whole = 0

    @property
    def dimensions(self) -> int:
        """The entries of the factors."""
        return self.size * self.rank * (1 if self.symmetric else 2)

    @cached_property
    def minima(self) -> Floats:
        """The factors that M was made of."""
        return seeds.generator(self.seed, "factors").standard_normal((1, self.dimensions))

    @property
    def critical(self) -> tuple[Critical, ...]:
        """The saddle at 0; a maximum where M and its symmetric factors leave no direction out."""
        height = 0.25 if self.symmetric else 0.5
        kind: Kind = "maximum" if self.symmetric and self.rank >= self.size else "saddle"
        return (Critical(kind, (0.0,) * self.dimensions, height * float((self._target**2).sum())),)

    @cached_property
    def _target(self) -> Floats:
        return floats(self._product(self.minima[0]))

    def _product(self, x: Array) -> Array:
        factors = x.reshape(*x.shape[:-1], -1, self.size, self.rank)
        return factors[..., 0, :, :] @ factors[..., -1, :, :].swapaxes(-1, -2)

    def value(self, x: Array, xp: Any) -> Array:
        """Return the squared distance of the product to M."""
        away = self._product(x) - xp.asarray(self._target)
        return (0.25 if self.symmetric else 0.5) * (away * away).sum(-1).sum(-1)


@dataclass(frozen=True)
class PhaseRetrieval(Landscape):
    """A vector from the sizes of its projections: `mean ((a[i].x)**2 - (a[i].z)**2)**2 / 4` [sun2018geometric].

    dimensions: of z, which is found up to its sign. per_dimension: how many projections a dimension.
    seed: of z, which has length 1, and of the Gaussian a.

    Watch out: it is benign only with many more projections than dimensions; with few there are local minima.
    """

    radius: ClassVar[float] = 0.15
    bounds = ((-2, 2),)

    dimensions: Dimensions = 2
    per_dimension: Annotated[int, Bound("a whole number from 1 to 1000", low=1, high=1000)] = 20
    seed: Whole = 0

    @cached_property
    def minima(self) -> Floats:
        """The vector and its mirror image."""
        z = seeds.generator(self.seed, "signal").standard_normal(self.dimensions)
        return points(*mirrored((z / np.linalg.norm(z)).tolist()))

    @property
    def critical(self) -> tuple[Critical, ...]:
        """The maximum at 0."""
        return (Critical("maximum", (0.0,) * self.dimensions, float((self._sizes**2).mean() / 4)),)

    @cached_property
    def _directions(self) -> Floats:
        shape = (self.dimensions, self.per_dimension * self.dimensions)
        return seeds.generator(self.seed, "directions").standard_normal(shape)

    @cached_property
    def _sizes(self) -> Floats:
        return floats((self.minima[0] @ self._directions) ** 2)

    def value(self, x: Array, xp: Any) -> Array:
        """Return the mean square of how far the sizes are off."""
        away = (x @ xp.asarray(self._directions)) ** 2 - xp.asarray(self._sizes)
        return (away * away).mean(-1) / 4

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the mean over the projections."""
        directions = xp.asarray(self._directions)
        seen = x @ directions
        return (seen * (seen * seen - xp.asarray(self._sizes))) @ directions.T / len(self._sizes)


@dataclass(frozen=True)
class DeepLinear(Continuum):
    """A deep linear net on whitened data: `norm(W_L ... W_1 - A)**2 / 2` [saxe2014exact].

    depth: the number of layers. width: of every layer; for width 1, A = 1 and it is `(prod w - 1)**2 / 2`.
    seed: of A, Gaussian with entries of variance `1/width`.

    Watch out: 0 is a plateau of order `depth`, which a small rate from a small start does not leave in any useful time.
    """

    bounds = ((-2, 2),)

    depth: Size = 3
    width: Size = 1
    seed: Whole = 0

    @property
    def dimensions(self) -> int:
        """The entries of all layers."""
        return self.depth * self.width**2

    @cached_property
    def minima(self) -> Floats:
        """One of the continuum: A, then identities."""
        return np.concatenate([self._target, *[np.eye(self.width)] * (self.depth - 1)]).reshape(1, -1)

    @property
    def critical(self) -> tuple[Critical, ...]:
        """The plateau at 0, when there are two layers or more."""
        at = (0.0,) * self.dimensions
        return (Critical("saddle", at, 0.5 * float((self._target**2).sum())),) if self.depth > 1 else ()

    @cached_property
    def _target(self) -> Floats:
        if self.width == 1:
            return np.ones((1, 1))
        entries = seeds.generator(self.seed, "target").standard_normal((self.width, self.width))
        return floats(entries / np.sqrt(self.width))

    def value(self, x: Array, xp: Any) -> Array:
        """Return the squared distance of the product of the layers to A."""
        layers = x.reshape(*x.shape[:-1], self.depth, self.width, self.width)
        product = layers[..., 0, :, :]
        for layer in range(1, self.depth):
            product = layers[..., layer, :, :] @ product
        away = product - xp.asarray(self._target)
        return 0.5 * (away * away).sum(-1).sum(-1)


@dataclass(frozen=True)
class ChebyshevRegression(Continuum):
    """A small tanh net that learns a Chebyshev polynomial from 20 points on [-1, 1] [cohen2021gradient].

    `mean (sum_j v[j]*tanh(w[j]*t + b[j]) + c - T_degree(t))**2 / 2`; the parameters are w, b, v, then c.
    degree: of the polynomial, usually 3, 4 or 5. hidden: tanh units.

    Watch out: its minima are not known; 0 is a lower bound, and a loss of 0.01 counts as there.
    """

    bounds = ((-2, 2),)
    lows = ()
    """None is known."""

    degree: Annotated[int, Bound("a whole number from 1 to 20", low=1, high=20)] = 3
    hidden: Size = 8

    @property
    def dimensions(self) -> int:
        """Three weights a unit, and the last bias."""
        return 3 * self.hidden + 1

    @cached_property
    def lowest(self) -> float:
        """A lower bound: 0."""
        return 0.0

    @cached_property
    def _points(self) -> Floats:
        return np.linspace(-1, 1, 20)

    @cached_property
    def _targets(self) -> Floats:
        return floats(np.cos(self.degree * np.arccos(self._points)))

    def value(self, x: Array, xp: Any) -> Array:
        """Return half of the mean squared error."""
        w, b, v = (x[..., i * self.hidden : (i + 1) * self.hidden, None] for i in range(3))
        outputs = (v * xp.tanh(w * xp.asarray(self._points) + b)).sum(-2) + x[..., -1:]
        away = outputs - xp.asarray(self._targets)
        return 0.5 * (away * away).mean(-1)
