"""The two bounds of the article, on each smoothed curve of a range test, or of a grid that had none before it.

The loss is smoothed after the run, two-sidedly and robustly, by local regression of its logarithm over that of the
rate. The minimum is the rate just before the sharp drop (a tenth of the way down), the maximum the one just before the
loss rises again (its lowest point) [smith2017cyclical, sec. 3.3]; both seed by seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.spec import NDArray
from stepsize.results import Estimate, RangeTestRecord, RateGrid
from stepsize.theory import local_regression
from stepsize.theory.range_test import LEAST_DROP, count_before_explosion, first_losses

BANDWIDTH = 0.25
"""Half-width of the local regression, decades of the rate."""

FOOT = 0.1
"""The share of the whole drop that is down when the sharp drop begins."""

WIDEST = 1.0
"""The widest spread over seeds, in decades, that is still an answer."""

Flaw = Literal["", "no drop", "no rise", "too fast", "disagreement"]


@dataclass(frozen=True, eq=False)
class Bounds:
    """The bounds that a range test or a grid shows.

    smooth: the smoothed losses, (points, seeds). lows, highs: the bounds of each seed, (seeds,).
    drop: how far the log of the loss falls, the median over seeds; or the loss itself, where it is not above 0.
    change: the same in words, such as "the loss falls by 70%".
    flaw: what keeps this from being a clear answer, by name; empty when it is one. trouble: the same as a sentence.
    """

    smooth: Floats
    lows: Floats
    highs: Floats
    drop: float
    change: str = ""
    flaw: Flaw = ""
    trouble: str = ""


def read_bounds(record: RangeTestRecord | RateGrid) -> Bounds:
    """Return the bounds of each seed of `record`, and what keeps them from being a clear answer."""
    rates = floats(record.rates)
    x, losses, smooth = _curves(record)
    at_points = np.column_stack([np.interp(np.log10(rates), x, column) for column in smooth.T])
    if not np.isfinite(smooth).any(axis=0).all():
        why = "a seed diverged before the range test could see anything: begin at a smaller rate"
        nothing = np.full(losses.shape[1], np.nan)
        return Bounds(at_points, nothing, nothing, 0.0, flaw="too fast", trouble=why)
    curves = [_bounds(x, column) for column in smooth.T]
    lows, highs, drops = (floats([curve[i] for curve in curves]) for i in range(3))
    drop, logs = float(np.median(drops)), bool((smooth[np.isfinite(smooth)] > 0).all())
    bounds = Bounds(at_points, 10**lows, 10**highs, drop, _change(record, drop, logs=logs))
    noise = _noise(losses, smooth)
    if drop < max(LEAST_DROP, 2 * noise):
        size = f"{noise:.0%}" if logs else f"{noise:.2g}"
        fall = f"{bounds.change} over the whole range, not more than its noise ({size})"
        return replace(bounds, flaw="no drop", trouble=f"no drop: {fall}")
    if not all(curve[3] for curve in curves):
        still = f"the {record.judged_name} still {record.directions[0]} at {rates[-1]:.2g}"
        why = f"no rise: {still}, the end of the range; widen it"
        return replace(bounds, flaw="no rise", trouble=why)
    if np.ptp(highs) > WIDEST:
        spread = Estimate.of(bounds.highs)
        why = f"the seeds disagree: the maximum is between {spread.low:.2g} and {spread.high:.2g}"
        return replace(bounds, flaw="disagreement", trouble=why)
    return bounds


def _change(record: RangeTestRecord | RateGrid, drop: float, *, logs: bool) -> str:
    size = f"{1 - math.exp(-max(0.0, drop)):.0%}" if logs else f"{max(0.0, drop):.2g}"
    return f"the {record.judged_name} {record.directions[0]} by {size}"


def _curves(record: RangeTestRecord | RateGrid) -> tuple[Floats, Floats, Floats]:
    """Return log10 of the rates, the losses and the smoothed losses, at the points where the losses that decide are."""
    x, losses = np.log10(floats(record.rates)), floats(record.judged)
    if isinstance(record, RateGrid):
        return _grid_curves(record, x, losses)
    first = first_losses(record.planned or len(x))
    if record.held_out is not None:
        x, losses = x[record.taken], losses[record.taken]
        first = first_losses(len(x))
    return x, losses, np.column_stack([smooth_curve(x, column, first) for column in losses.T])


def _grid_curves(grid: RateGrid, x: Floats, losses: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the curves of a grid, which need no smoothing.

    They begin with a rate of nearly 0, where a run ends as it began.
    """
    if grid.before is not None:
        x, losses = np.concatenate([[x[0] - 1], x]), np.concatenate([grid.before[None], losses])
    first = first_losses(len(x))
    lived = [np.arange(len(x)) < count_before_explosion(column, first) for column in losses.T]
    return x, losses, np.where(np.column_stack(lived), losses, np.nan)


def smooth_curve(x: Floats, losses: NDArray, first: int) -> Floats:
    """Return the losses smoothed over `x`, (points,) float64; NaN from where they diverge.

    Robust local linear regression, of the logarithm when all losses are above 0. first: how many losses are the start.
    """
    y = floats(losses)
    whole = count_before_explosion(y, first)
    result = np.full(len(y), np.nan)
    if whole < max(5, first):
        return result
    head, logs = x[:whole], bool((y[:whole] > 0).all())
    target = np.log(y[:whole]) if logs else y[:whole]
    fitted = local_regression(head, target, max(BANDWIDTH, 2.5 * float(np.median(np.diff(x)))))
    result[:whole] = np.exp(fitted) if logs else fitted
    return result


def _bounds(x: Floats, smooth: Floats) -> tuple[float, float, float, bool]:
    """Return log10 of the minimum and of the maximum, the drop in log loss, and whether the loss rises behind it."""
    alive = np.isfinite(smooth)
    curve = smooth[alive]
    level = np.log(curve) if (curve > 0).all() else curve
    head = max(3, len(level) // 10)  # where nothing is learned yet, and where a smoothed curve is least certain
    top = float(np.median(level[:head]))
    lowest = head + int(level[head:].argmin()) if len(level) > head else int(level.argmin())
    drop = top - float(level[lowest])
    above = np.flatnonzero(top - level[: lowest + 1] <= FOOT * drop)
    foot = int(above[-1]) if len(above) else 0
    rises = not alive.all() or float(level[-1] - level[lowest]) > FOOT * drop
    return float(x[foot]), float(x[lowest]), drop, rises


def _noise(losses: Floats, smooth: Floats) -> float:
    """Return how far the smoothed curve may wander by chance, in log loss, from the scatter of its first fifth."""
    head = slice(0, max(5, len(smooth) // 5))
    raw = losses[head]
    if not (raw > 0).all() or not (smooth[head] > 0).all():
        return float(np.std(raw - smooth[head]))
    return float(np.std(np.log(raw) - np.log(smooth[head])))
