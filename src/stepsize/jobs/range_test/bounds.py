"""Reading a range test: its curves smoothed, and the two bounds of the article on each.

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
from stepsize.results import Estimate, Sweep
from stepsize.theory import local_regression
from stepsize.theory.range_test import EXPLODED

BANDWIDTH = 0.25
"""Half-width of the local regression, decades of the rate."""

FOOT = 0.1
"""The share of the whole drop that is down when the sharp drop begins."""

LEAST_DROP = 0.05
"""The least drop of the log loss that counts as one: 5 % of the loss."""

WIDEST = 1.0
"""The widest spread over seeds, in decades, that is still an answer."""


Flaw = Literal["", "no drop", "no rise", "too fast", "disagreement"]


@dataclass(frozen=True, eq=False)
class Reading:
    """The bounds that a sweep shows.

    smooth: the smoothed losses, (points, seeds). lows, highs: the bounds of each seed, (seeds,).
    drop: how far the log of the loss falls, the median over seeds.
    flaw: what keeps this from being a clear answer, by name; empty when it is one. trouble: the same as a sentence.
    """

    smooth: Floats
    lows: Floats
    highs: Floats
    drop: float
    flaw: Flaw = ""
    trouble: str = ""

    @property
    def fall(self) -> float:
        """The share of the loss that the drop takes away."""
        return 1 - math.exp(-max(0.0, self.drop))


def read(sweep: Sweep) -> Reading:
    """Return the bounds of each seed of `sweep`, and what keeps them from being a clear answer."""
    rates = floats(sweep.rates)
    x, losses, smooth = _curves(sweep)
    nothing = np.full(losses.shape[1], np.nan)
    if not np.isfinite(smooth).any(axis=0).all():
        why = "a seed diverged before the range test could see anything: begin at a smaller rate"
        return Reading(_at_points(sweep, x, smooth), nothing, nothing, 0.0, "too fast", why)
    bounds = [_bounds(x, smooth[:, i]) for i in range(smooth.shape[1])]
    lows, highs, drops = (floats([each[i] for each in bounds]) for i in range(3))
    found = Reading(_at_points(sweep, x, smooth), 10**lows, 10**highs, float(np.median(drops)))
    noise = _noise(losses, smooth)
    if found.drop < max(LEAST_DROP, 2 * noise):
        why = f"no drop: the loss falls by {found.fall:.0%} over the whole range, not more than its noise ({noise:.0%})"
        return replace(found, flaw="no drop", trouble=why)
    if not all(each[3] for each in bounds):
        why = f"no rise: the loss still falls at {rates[-1]:.2g}, the end of the range; widen it"
        return replace(found, flaw="no rise", trouble=why)
    if np.ptp(highs) > WIDEST:
        spread = Estimate.of(found.highs)
        why = f"the seeds disagree: the maximum is between {spread.low:.2g} and {spread.high:.2g}"
        return replace(found, flaw="disagreement", trouble=why)
    return found


def _curves(sweep: Sweep) -> tuple[Floats, Floats, Floats]:
    """Return log10 of the rates, the losses and the smoothed losses; those of a fan are as they are.

    A fan begins with a rate of nearly 0, where a run ends as it began.
    """
    x, losses = np.log10(floats(sweep.rates)), floats(sweep.judged)
    if not sweep.fan:
        taken = ~np.isnan(losses).all(axis=1) if sweep.held_out.size else np.ones(len(x), dtype=bool)
        x, losses = x[taken], losses[taken]
        return x, losses, np.column_stack([smoothed(x, column) for column in losses.T])
    if len(sweep.before):
        x, losses = np.concatenate([[x[0] - 1], x]), np.concatenate([sweep.before[None], losses])
    lived = [np.arange(len(x)) < _survived(column) for column in losses.T]
    return x, losses, np.where(np.column_stack(lived), losses, np.nan)


def smoothed(x: Floats, losses: NDArray, bandwidth: float = BANDWIDTH) -> Floats:
    """Return the losses smoothed over `x`, (points,) float64; NaN from where they diverge.

    Robust local linear regression, of the logarithm when all losses are above 0.
    """
    y = floats(losses)
    whole = _survived(y)
    result = np.full(len(y), np.nan)
    if whole < max(5, len(y) // 20):
        return result
    head, logs = x[:whole], bool((y[:whole] > 0).all())
    target = np.log(y[:whole]) if logs else y[:whole]
    fitted = local_regression(head, target, max(bandwidth, 2.5 * float(np.median(np.diff(x)))))
    result[:whole] = np.exp(fitted) if logs else fitted
    return result


def _at_points(sweep: Sweep, x: Floats, smooth: Floats) -> Floats:
    """Return the smoothed losses at the sweep's own points, in between where they were not taken at each."""
    return np.column_stack([np.interp(np.log10(floats(sweep.rates)), x, column) for column in smooth.T])


def _survived(losses: Floats) -> int:
    """Return how many points there are before the loss explodes or stops being a number."""
    first = losses[: max(1, len(losses) // 20)]
    start = float(np.median(first)) if np.isfinite(first).all() else math.nan
    scale = np.maximum(max(abs(start), float(np.ptp(first))), start - np.fmin.accumulate(losses))
    bad = ~np.isfinite(losses) | (losses - start > (EXPLODED - 1) * scale)
    return int(bad.argmax()) if bad.any() else len(losses)


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
