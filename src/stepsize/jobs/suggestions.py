"""What a range test suggests: two bounds with their spread, or that there is no clear answer, and why.

A pure function of the recorded sweep. The loss is smoothed after the run, two-sidedly, by local regression of its
logarithm over
the logarithm of the rate. The article's bounds are read from that curve, seed by seed: the minimum is the rate just
before the sharp
drop (a tenth of the way down), the maximum the rate just before the loss rises again (its lowest point)
[smith2017cyclical, sec. 3.3].
"""

from __future__ import annotations

import math

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.spec import NDArray
from stepsize.results import Estimate, Suggestion, Sweep

BANDWIDTH = 0.25
"""Half-width of the local regression, decades of the rate."""

FOOT = 0.1
"""The share of the whole drop that is down when the sharp drop begins."""

LEAST_DROP = 0.05
"""The least drop of the log loss that counts as one: 5 % of the loss."""

EXPLODED = 4.0
"""A loss that rises above the first by so many times its size, or its fall, less one, is a divergence."""

WIDEST = 1.0
"""The widest spread over seeds, in decades, that is still an answer."""


def suggest(sweep: Sweep) -> Suggestion:
    """Return the bounds that `sweep` shows, with their spread over its seeds.

    Watch out: the largest rate that a short ramp bears is not the best rate of a long run; it is where to look for it.
    """
    x = np.log10(np.asarray(sweep.rates, dtype=np.float64))
    smooth = np.column_stack([smoothed(x, column) for column in _columns(sweep)])
    if not np.isfinite(smooth).any(axis=0).all():
        return _unclear("a seed diverged before the range test could see anything: begin at a smaller rate", smooth)
    found = [_bounds(x, smooth[:, i]) for i in range(smooth.shape[1])]
    drops, rises = np.array([each[2] for each in found]), [each[3] for each in found]
    lows = Estimate.of(10 ** np.array([each[0] for each in found]))
    highs = Estimate.of(10 ** np.array([each[1] for each in found]))
    noise = _noise(sweep, smooth)
    if float(np.median(drops)) < max(LEAST_DROP, 2 * noise):
        fall = 1 - math.exp(-max(0.0, float(np.median(drops))))
        return _unclear(
            f"no drop: the loss falls by {fall:.0%} over the whole range, not more than its noise ({noise:.0%})", smooth
        )
    if not all(rises):
        return _unclear(
            f"no rise: the loss still falls at {sweep.rates[-1]:.2g}, the end of the range; widen it", smooth
        )
    if math.log10(highs.high / highs.low) > WIDEST:
        return _unclear(f"the seeds disagree: the maximum is between {highs.low:.2g} and {highs.high:.2g}", smooth)
    fall = 1 - math.exp(-float(np.median(drops)))
    reason = (
        f"the loss falls by {fall:.0%}, from {lows.value:.2g} on (a tenth of the drop) to its lowest point at "
        f"{highs.value:.2g}, then rises"
    )
    return Suggestion(lows, highs, clear=True, reason=reason, smooth=smooth)


def smoothed(x: Floats, losses: NDArray, bandwidth: float = BANDWIDTH) -> Floats:
    """Return the losses smoothed over `x`, (steps,) float64; NaN from where they diverge.

    Local linear regression with tricube weights, of the logarithm when all losses are above 0.
    """
    y = np.asarray(losses, dtype=np.float64)
    whole = _survived(y)
    result = np.full(len(y), np.nan)
    if whole < 5:
        return result
    head, logs = x[:whole], bool((y[:whole] > 0).all())
    target = np.log(y[:whole]) if logs else y[:whole]
    offset = head[None, :] - head[:, None]
    width = max(bandwidth, 2.5 * float(x[1] - x[0]))
    weight = np.clip(1 - np.abs(offset / width) ** 3, 0, None) ** 3
    s0, s1, s2 = weight.sum(1), (weight * offset).sum(1), (weight * offset**2).sum(1)
    t0, t1 = weight @ target, (weight * offset) @ target
    fitted = (s2 * t0 - s1 * t1) / (s0 * s2 - s1**2)
    result[:whole] = np.exp(fitted) if logs else fitted
    return result


def _columns(sweep: Sweep) -> list[NDArray]:
    return [sweep.losses[:, i] for i in range(sweep.losses.shape[1])]


def _survived(losses: Floats) -> int:
    """Return how many steps there are before the loss explodes or stops being a number."""
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
    top = float(np.median(level[: max(3, len(level) // 10)]))
    lowest = int(level.argmin())
    drop = top - float(level[lowest])
    above = np.flatnonzero(top - level[: lowest + 1] <= FOOT * drop)
    foot = int(above[-1]) if len(above) else 0
    rises = not alive.all() or float(level[-1] - level[lowest]) > FOOT * drop
    return float(x[foot]), float(x[lowest]), drop, rises


def _noise(sweep: Sweep, smooth: Floats) -> float:
    """Return how far the smoothed curve may wander by chance, in log loss, from the scatter of its first fifth."""
    head = slice(0, max(5, len(smooth) // 5))
    losses = np.asarray(sweep.losses[head], dtype=np.float64)
    if not (losses > 0).all() or not (smooth[head] > 0).all():
        return float(np.std(losses - smooth[head]))
    return float(np.std(np.log(losses) - np.log(smooth[head])))


def _unclear(reason: str, smooth: Floats) -> Suggestion:
    return Suggestion(None, None, clear=False, reason=f"no clear answer: {reason}", smooth=smooth)
