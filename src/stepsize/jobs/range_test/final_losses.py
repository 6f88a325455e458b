"""At which rate the runs of a grid end lowest, and on which side of the grid it lies where it is not between two."""

from __future__ import annotations

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.results import RateGrid
from stepsize.results.range_test import is_little
from stepsize.theory.range_test import LEAST_DROP

VALLEY = 0.25
"""The least share of what the training loss has fallen that a validation loss has fallen which says something."""


def lowest_rates(grid: RateGrid) -> tuple[Floats, str]:
    """Return the rate at which the runs of a grid end lowest, one for each seed, and what is wrong with it, if any.

    It is the vertex of the parabola through the lowest point and its neighbours, in the log of the rate.
    """
    losses = grid.final_losses
    means = losses.mean(axis=1)
    if not np.isfinite(means).any():
        return floats([]), "every run of the grid diverged: begin at smaller rates"
    if grid.before is not None and float(means.min()) >= float(grid.before.mean()):
        trouble = "no run of the grid ends below where it began: the rates are too small, or nothing is learned"
        return floats([]), trouble
    side = _edge(grid)
    if side:
        which, rate = ("smallest", grid.rates[0]) if side < 0 else ("largest", grid.rates[-1])
        return floats([]), f"the optimum is at the edge: it lies beyond the {which} rate of the grid, {rate:.2g}"
    x = np.log10(floats(grid.rates))
    return 10 ** floats([vertex(x, column) for column in losses.T]), ""


def _edge(grid: RateGrid) -> int:
    """Return on which side of a grid its best rate lies: -1 for smaller ones, 1 for larger ones, 0 for in between.

    Where the best run has learned next to nothing, the rates are too small, unless the largest has done harm. And where
    the validation loss has hardly fallen while the training loss still falls at the largest rate, there may be a
    second, deeper valley: factorisations learn by heart before they learn.
    """
    means = grid.final_losses.mean(axis=1)
    best, last = int(means.argmin()), len(means) - 1
    if grid.before is not None and np.isfinite(means[best]):
        start = float(grid.before.mean())
        if is_little(start - means[best], start) and means[last] - start < LEAST_DROP * abs(start):
            return 1
        training = np.where(np.isfinite(grid.losses), grid.losses, np.inf).mean(axis=1)
        if training.argmin() == last and start - means[best] < VALLEY * (start - training[last]):
            return 1
    return -1 if best == 0 else int(best == last)


def vertex(x: Floats, y: Floats) -> float:
    """Return where the parabola through the lowest of `y` and its neighbours has its vertex; at an edge, the edge."""
    low = int(y.argmin())
    if low in (0, len(x) - 1):
        return float(x[low])
    if not np.isfinite(y[low + 1]):  # the best is beside a cliff, which other seeds may fall off
        return float(x[low - 1] + x[low]) / 2
    near = slice(low - 1, low + 2)
    level = np.log(y[near]) if (y[near] > 0).all() else y[near]
    level = np.minimum(level, level[1] + 1.0)  # a loss that is far above says no more than that
    curve = np.polyfit(x[near] - x[low], level, 2)
    if not np.isfinite(curve).all() or curve[0] <= 0:
        return float(x[low])
    return float(np.clip(x[low] - curve[1] / (2 * curve[0]), x[low - 1], x[low + 1]))
