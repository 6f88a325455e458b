"""The picture of a range test: loss against learning rate, and what is read off it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.arrays import floats
from stepsize.plots import range_test_data, rate_markers, style
from stepsize.plots.rate_grid import SIZE, plot_rate_grid
from stepsize.results import RangeTestRecord, RunGrid, Suggestion, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_sweep(sweep: Sweep, suggestion: Suggestion | None = None, ax: Axes | None = None) -> Axes:
    """Draw a range test, a grid of rates or a sweep of another hyperparameter, as `plot_rate_grid` has the latter two.

    sweep: as it was recorded. suggestion: what it suggests: both bounds with their spread shaded, the rate and the base
    of a cycle, the largest stable rate dotted; without one, only the curves. ax: where; a new figure if not given.

    Every seed of a range test is thin and their smoothed median bold. The band is the range of the seeds' smoothed
    curves. What lies far above the loss of the start is cut off. Losses are on a logarithmic axis where what was learnt
    spans more than a decade.
    """
    if isinstance(sweep, RunGrid):
        return plot_rate_grid(sweep, suggestion, ax)
    ax = style.axes(ax, SIZE)
    if isinstance(sweep, RangeTestRecord):
        _draw(ax, sweep, suggestion)
    return ax


def _draw(ax: Axes, record: RangeTestRecord, suggestion: Suggestion | None) -> None:
    marks = range_test_data.marks(suggestion)
    window = range_test_data.swept_values(record, marks)
    _curves(ax, record, suggestion)
    rate_markers.draw_rates(ax, marks, window)
    ax.set_xlim(window.low, window.high)
    style.log_rates(ax)
    style.dress(ax, title=_title(record, suggestion), x="learning rate", y="loss")
    style.legend(ax)


def _curves(ax: Axes, record: RangeTestRecord, suggestion: Suggestion | None) -> None:
    """Draw the losses of each seed, their smoothed median and range, and the validation losses."""
    raw = np.where(np.isfinite(record.losses), floats(record.losses), np.nan)
    stride, several = max(1, len(record.rates) // style.FINEST), len(record.seeds) > 1
    for column in range(raw.shape[1]):
        ax.plot(
            record.rates[::stride], raw[::stride, column], color=style.QUIET, alpha=0.35, linewidth=0.7,
            label="_" if column else "each seed" if several else "loss",
        )  # fmt: skip
    rates, each = range_test_data.fit(record, suggestion)
    bold = style.middle(each, average="median")
    alive = np.isfinite(each).all(axis=1)
    if several and alive.any():
        ax.fill_between(
            rates[alive], each[alive].min(axis=1), each[alive].max(axis=1), color="#56B4E9", alpha=0.35, linewidth=0,
            label="range",
        )  # fmt: skip
    ax.plot(rates, bold, color=style.INK, linewidth=2.2, label="median" if several else "smoothed")
    if record.held_out is not None:
        taken = np.isfinite(record.held_out).any(axis=1)
        ax.plot(
            record.rates[taken], style.middle(floats(record.held_out[taken]), average="median"), color="#CC79A7",
            linewidth=1.0, marker="D", markersize=4, label="validation",
        )  # fmt: skip
    window = range_test_data.losses_of_range_test(bold, raw)
    ax.set_ylim(window.low, window.high)
    if window.log:
        style.log_losses(ax)


def _title(record: RangeTestRecord, suggestion: Suggestion | None) -> str:
    if suggestion is None:
        return f"{record.title}: loss while the rate climbs"
    low, high = (style.rate(bound.value, range_test_data.DIGITS) if bound is not None else ""
                 for bound in (suggestion.min_lr, suggestion.max_lr))  # fmt: skip
    if not low and not high:
        return f"{record.title}: no clear answer"
    return f"{record.title} learns" + f" from {low}" * bool(low) + f" {'to' if low else 'up to'} {high}" * bool(high)
