"""The largest eigenvalue of a symmetric matrix that is known only by its products with vectors.

Lanczos: from a start `q[1]` of norm 1 it builds an orthonormal basis of the vectors `q, A q, A**2 q, ...`, in which the
matrix is a small tridiagonal `T` [parlett1998symmetric, ch. 13]:

::

    w = A q[k] - alpha[k] q[k] - beta[k-1] q[k-1],   alpha[k] = q[k]' A q[k],   beta[k] = |w|,   q[k+1] = w / beta[k]

An eigenvalue `theta` of `T` with eigenvector `s` is one of `A`, up to the residual `|A y - theta y| = beta[k] |s[k]|`
of `y = q s`, which costs nothing to know. Every `w` is made orthogonal to the whole basis, twice: for a few dozen
vectors this is cheap, and without it rounding brings copies of what was found already.

The vectors are arrays of any library, where they are; the small matrix is NumPy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError

Product = Callable[[Array], Array]
"""A symmetric matrix, as the function that multiplies a vector (size,) by it."""


class Eigenpair(NamedTuple):
    """An eigenvalue found by Lanczos.

    value: the largest eigenvalue of `T`. residual: `|A y - value y|`; an eigenvalue of A lies within it.
    vector: `y`, (size,), of norm 1. products: how often A was multiplied. converged: whether the residual is as small
    as was asked.
    """

    value: float
    residual: float
    vector: Array
    products: int
    converged: bool


def largest_eigenpair(
    product: Product, start: Array, *, tolerance: float = 0.01, least: int = 1, most: int = 100
) -> Eigenpair:
    """Return the algebraically largest eigenvalue of a symmetric matrix, with its residual and its eigenvector.

    product: multiplies a vector by the matrix. start: (size,), any array library, not 0.
    tolerance: stop when the residual is at most this share of the eigenvalue.
    least, most: how many products to spend at least and at most; the whole space, if it is smaller.

    A matrix with entries that are not finite gives NaN, unconverged: a model that diverged is no error.

    Raises ParameterError for a start without a direction.

    Watch out: the residual bounds the distance to some eigenvalue. That it is the largest rests on the start, which
    must have a part along its eigenvector, as a random one has, and on enough products to bring that part out: two
    eigenvalues a few percent apart look like one for a while, and `least` is the guard.

    Source: [parlett1998symmetric].

    >>> pair = largest_eigenpair(lambda v: np.array([1.0, 2.0, 5.0]) * v, np.ones(3))
    >>> round(pair.value, 6), pair.products
    (5.0, 3)
    """
    size = float(start @ start) ** 0.5
    if not (math.isfinite(size) and size > 0):
        raise ParameterError(f"start must be finite and not 0, and its norm is {size!r}; draw it at random.")
    rounding = 1e-12 if "float64" in str(start.dtype) else 1e-5  # as a share of the matrix's size
    basis, alphas, betas = [start / size], [], []  # type: tuple[list[Array], list[float], list[float]]
    while True:
        w = product(basis[-1])
        alphas.append(float(w @ basis[-1]))
        w = _orthogonal(w, basis)
        betas.append(float(w @ w) ** 0.5)
        if not math.isfinite(alphas[-1] + betas[-1]):  # eigh would raise
            return Eigenpair(math.nan, math.nan, basis[0], len(basis), converged=False)
        value, weights = _top(alphas, betas)
        residual = betas[-1] * abs(float(weights[-1]))
        scale = max(map(abs, alphas + betas))
        # a beta of 0, up to rounding: the basis spans an invariant space, where T's eigenvalues are exact
        spent = len(basis) == len(start) or betas[-1] <= rounding * scale
        close = residual <= tolerance * abs(value)
        if spent or (close and len(basis) >= least) or len(basis) >= most:
            vector = sum(float(weight) * q for weight, q in zip(weights, basis, strict=True))
            return Eigenpair(value, residual, vector, len(basis), converged=bool(close or spent))
        basis.append(w / betas[-1])


def _orthogonal(w: Array, basis: list[Array]) -> Array:
    """Return `w` without its part in the span of `basis`; the second pass removes what rounding left."""
    for q in 2 * basis:
        w = w - (w @ q) * q
    return w


def _top(alphas: list[float], betas: list[float]) -> tuple[float, np.ndarray]:
    """Return the largest eigenvalue of T and its eigenvector, (k,)."""
    between = betas[: len(alphas) - 1]  # the last beta leads out of the basis, and is in the residual alone
    values, vectors = np.linalg.eigh(np.diag(alphas) + np.diag(between, 1) + np.diag(between, -1))
    return float(values[-1]), vectors[:, -1]
