"""Where the runs of a fan end, and at which rate they end lowest."""

from __future__ import annotations

import numpy as np

from stepsize.jobs.range_test.bounds import LEAST_DROP
from stepsize.kernel.arrays import Floats, floats
from stepsize.results import Sweep

SHARE = 0.25
"""The least share of what the training loss has fallen that a validation loss has fallen which has moved."""


def lowest(fan: Sweep) -> tuple[Floats, str]:
    """Return the rate at which the runs of a fan end lowest, one for each seed, and what is wrong with it, if anything.

    It is the vertex of the parabola through the lowest point and its neighbours, in the log of the rate.
    """
    losses = ends(fan)
    means = losses.mean(axis=1)
    if not np.isfinite(means).any():
        return floats([]), "every run of the fan diverged: begin at smaller rates"
    if len(fan.before) and float(means.min()) >= float(fan.before.mean()):
        return floats([]), "no run of the fan ends below where it began: the rates are too small, or nothing is learned"
    side = edge(fan)
    if side:
        which, place = ("smallest", 0) if side < 0 else ("largest", -1)
        rate = fan.rates[place]
        return floats([]), f"the optimum is at the edge: it lies beyond the {which} rate of the fan, {rate:.2g}"
    x = np.log10(floats(fan.rates))
    return 10 ** floats([vertex(x, column) for column in losses.T]), ""


def edge(fan: Sweep) -> int:
    """Return on which side of a fan its best rate lies: -1 for smaller ones, 1 for larger ones, 0 for in between.

    Where the best run has learned next to nothing, the rates are too small, unless the largest has done harm. And where
    the validation loss has hardly moved while the training loss still falls at the largest rate, there may be a second,
    deeper valley: factorisations learn by heart before they learn.
    """
    means = ends(fan).mean(axis=1)
    place, last = int(means.argmin()), len(means) - 1
    if len(fan.before) and np.isfinite(means[place]):
        start = float(fan.before.mean())
        if _little(means[place], start) and means[last] - start < LEAST_DROP * abs(start):
            return 1
        training = np.where(np.isfinite(fan.losses), fan.losses, np.inf).mean(axis=1)
        if training.argmin() == last and start - means[place] < SHARE * (start - training[last]):
            return 1
    return -1 if place == 0 else int(place == last)


def ends(fan: Sweep) -> Floats:
    """Return the loss that each run of a fan ended with, (points, seeds); inf for one that diverged.

    It is the validation loss; but where short runs have hardly moved that yet, it is the training loss.
    """
    held_out, losses = (np.where(np.isfinite(each), each, np.inf) for each in (floats(fan.judged), floats(fan.losses)))
    if not len(fan.before):
        return held_out
    start, best = float(fan.before.mean()), float(held_out.mean(axis=1).min())
    unmoved = best < start and _little(best, start)
    return losses if unmoved and not _little(float(losses.mean(axis=1).min()), start) else held_out


def _little(end: float, start: float) -> bool:
    return start - end < LEAST_DROP * abs(start)


def vertex(x: Floats, y: Floats) -> float:
    """Return where the parabola through the lowest of `y` and its neighbours has its vertex; at an edge, the edge."""
    place = int(y.argmin())
    if place in (0, len(x) - 1):
        return float(x[place])
    if not np.isfinite(y[place + 1]):  # the best is beside a cliff, which other seeds may fall off
        return float(x[place - 1] + x[place]) / 2
    near = slice(place - 1, place + 2)
    level = np.log(y[near]) if (y[near] > 0).all() else y[near]
    level = np.minimum(level, level[1] + 1.0)  # a loss that is far above says no more than that
    curve = np.polyfit(x[near] - x[place], level, 2)
    if not np.isfinite(curve).all() or curve[0] <= 0:
        return float(x[place])
    return float(np.clip(x[place] - curve[1] / (2 * curve[0]), x[place - 1], x[place + 1]))
