"""The picture of a range test: loss against learning rate, and the two bounds read off it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.plots import style
from stepsize.results import Estimate, Suggestion, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (6.4, 4.0)
DIGITS = 2
"""How many digits of a bound mean anything."""

BINS = 150
"""How fine the curve is when no suggestion brings a smoothed one."""


def plot_sweep(sweep: Sweep, suggestion: Suggestion | None = None, ax: Axes | None = None) -> Axes:
    """Draw a range test: every seed thin, their median bold, and the bounds as vertical lines with their spread shaded.

    sweep: the record. suggestion: what was read off it; without one, only the curves.
    ax: where; a new figure if not given. The losses after divergence are cut off a little above the loss of the start.
    """
    ax = style.axes(ax, SIZE)
    raw = np.where(np.isfinite(sweep.losses), sweep.losses, np.nan).astype(np.float64)
    stride = max(1, len(sweep.rates) // style.FINEST)
    for column in range(raw.shape[1]):
        ax.plot(sweep.rates[::stride], raw[::stride, column], color=style.BLUE, alpha=0.28, linewidth=0.7)
    rates, median = _median(sweep, suggestion)
    ax.plot(rates, median, color=style.INK, linewidth=2.2)
    style.log_rates(ax)
    ax.set_ylim(*_limits(median, raw))
    if suggestion is not None and suggestion.clear:
        _bound(ax, suggestion.min_lr, "min", style.GREEN, "right")
        _bound(ax, suggestion.max_lr, "max", style.RED, "left")
    style.dress(ax, title=_title(sweep, suggestion), x="learning rate", y="loss", pad=20)
    return ax


def _title(sweep: Sweep, suggestion: Suggestion | None) -> str:
    rule = sweep.title
    if suggestion is None:
        return f"{rule}: loss while the rate climbs"
    bounds = (suggestion.min_lr, suggestion.max_lr)
    if not suggestion.clear or bounds == (None, None):
        return f"{rule}: no clear answer"
    if suggestion.min_lr is None or suggestion.max_lr is None:
        one = suggestion.min_lr or suggestion.max_lr
        word = "up to" if suggestion.min_lr is None else "from"
        return f"{rule} learns {word} {style.rate(one.value, DIGITS) if one else ''}"
    low, high = (style.rate(bound.value, DIGITS) for bound in (suggestion.min_lr, suggestion.max_lr))
    return f"{rule} learns from {low} to {high}"


def _median(sweep: Sweep, suggestion: Suggestion | None) -> tuple[Floats, Floats]:
    """Return the rates and the median over seeds of the smoothed losses, as far as half of the seeds live."""
    if suggestion is not None and suggestion.smooth.shape == sweep.losses.shape:
        at = np.unique(np.linspace(0, len(sweep.rates) - 1, style.FINEST).round().astype(np.int64))
        return sweep.rates[at], style.middle(np.asarray(suggestion.smooth, dtype=np.float64)[at], average="median")
    steps, means = style.binned(sweep.losses, BINS)
    return sweep.rates[steps.round().astype(np.int64)], style.middle(means, average="median")


def _limits(median: Floats, raw: Floats) -> tuple[float, float]:
    """Return y limits around the part that was learnt: from below the least loss to a little above the first."""
    finite = median[np.isfinite(median)]
    if not len(finite):
        finite = raw[np.isfinite(raw)]
    if not len(finite):
        return 0.0, 1.0
    first, least = float(np.median(finite[: max(1, len(finite) // 20)])), float(finite.min())
    span = max(first - least, 0.4 * abs(first), 1e-12)
    return least - 0.2 * span, first + 0.35 * span


def _bound(ax: Axes, estimate: Estimate | None, word: str, color: str, side: str) -> None:
    """Mark one bound: a line at the estimate, the spread over seeds shaded, the rate written above the picture."""
    if estimate is None or not (np.isfinite(estimate.value) and estimate.value > 0):
        return
    if np.isfinite([estimate.low, estimate.high]).all() and estimate.low > 0:
        ax.axvspan(estimate.low, estimate.high, color=color, alpha=0.15, linewidth=0)
    ax.axvline(estimate.value, color=color, linewidth=1.8, label=f"{word} {style.rate(estimate.value, DIGITS)}")
    ax.annotate(
        f"{word} {style.rate(estimate.value, DIGITS)}", xy=(estimate.value, 1.0), xycoords=ax.get_xaxis_transform(),
        xytext=(-2 if side == "right" else 2, 4), textcoords="offset points", ha=side, va="bottom",
        fontsize=style.TEXT, color=color, fontweight="bold", annotation_clip=False,
    )  # fmt: skip
