"""Local regression: a curve through noise that lags behind neither side.

At every place a straight line is fitted to its neighbours, weighted by `(1 - |d / width|**3)**3` of their distance d,
and its value there is the curve's [cleveland1979robust]. Then each point is weighted down by how far it lies off,
`(1 - (r / 10s)**2)**2` with s the mean size of the residuals r, and the lines are fitted again: a batch with a wild
loss moves nothing. An average over the past, which most range tests use, moves every drop and minimum to the right.
"""

from __future__ import annotations

import numpy as np

from stepsize.kernel.arrays import Floats

BLOCK = 512
"""Points that are fitted at once: their weights are (fitted, points)."""

ROUNDING = 1e-9
"""Residuals below this share of the largest value are rounding, and make no outliers."""


def local_regression(x: Floats, y: Floats, width: float, *, robust: int = 2) -> Floats:
    """Return `y` smoothed over `x`, (points,) float64.

    x: rising, (points,). y: finite, (points,). width: half the width of a neighbourhood, in units of x.
    robust: how often outliers are weighted down.

    Watch out: a minimum narrower than `width` is filled up, and at both ends there are neighbours on one side only.

    Source: [cleveland1979robust].

    >>> x = np.linspace(0.0, 1.0, 101)
    >>> wild = np.where(np.arange(101) == 50, 9.0, 2 * x)
    >>> round(float(np.abs(local_regression(x, wild, 0.1) - 2 * x).max()), 3)
    0.0
    """
    trust = np.ones(len(x))
    fitted = _fitted(x, y, width, trust)
    for _ in range(robust):
        off = np.abs(y - fitted)
        scale = 10 * float(off.mean())  # the median is 0 where most points lie on the curve, and its bends would go
        if scale <= ROUNDING * float(np.abs(y).max(initial=0.0)):
            break
        trust = np.clip(1 - (off / scale) ** 2, 0, None) ** 2
        fitted = _fitted(x, y, width, trust)
    return fitted


def _fitted(x: Floats, y: Floats, width: float, trust: Floats) -> Floats:
    return np.concatenate([_lines(x[i : i + BLOCK], x, y, width, trust) for i in range(0, len(x), BLOCK)])


def _lines(at: Floats, x: Floats, y: Floats, width: float, trust: Floats) -> Floats:
    """Return the value at each point `at` of the line through its neighbours; their mean, where all lie on one spot."""
    offset = x[None, :] - at[:, None]
    near = np.clip(1 - np.abs(offset / width) ** 3, 0, None) ** 3
    weight = near * trust
    lonely = weight.sum(1) < 1e-6 * near.sum(1)  # where every neighbour is an outlier, they are all that there is
    weight[lonely] = near[lonely]
    s0, s1, s2 = weight.sum(1), (weight * offset).sum(1), (weight * offset**2).sum(1)
    t0, t1 = weight @ y, (weight * offset) @ y
    spread = s0 * s2 - s1**2
    flat = spread <= 1e-12 * s0 * s2
    found: Floats = np.where(flat, t0 / s0, (s2 * t0 - s1 * t1) / np.where(flat, 1.0, spread))
    return found
