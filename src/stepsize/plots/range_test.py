"""The picture of a range test: loss against learning rate, and what is read off it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.plots import range_test_data, rate_markers, style
from stepsize.plots.rate_grid import SIZE, plot_rate_grid
from stepsize.results import RangeTestRecord, RunGrid, Suggestion, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_sweep(sweep: Sweep, suggestion: Suggestion | None = None, ax: Axes | None = None) -> Axes:
    """Draw a range test, a grid of rates or a sweep of another hyperparameter, as `plot_rate_grid` has the latter two.

    sweep: as it was recorded. suggestion: what it suggests: both bounds with their spread shaded, the rate and the base
    of a cycle, the largest stable rate dotted; without one, only the curves. ax: where; a new figure if not given.

    Every seed of a range test is thin and the smoothed median of what decides bold; between the validation loss and the
    training loss the gap is shaded. The band is the range of the seeds' smoothed
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
    style.dress(
        ax, title=_title(record, suggestion), x="learning rate", y=record.judged_name if not record.has_gap else "loss"
    )
    style.legend(ax)


def _curves(ax: Axes, record: RangeTestRecord, suggestion: Suggestion | None) -> None:
    """Draw the losses of each seed, the smoothed median and range of those that decide, and the gap between the two."""
    raw, several = _each_seed(ax, record), len(record.seeds) > 1
    rates, each = range_test_data.fit(record, suggestion)
    bold = style.middle(each, average="median")
    alive = np.isfinite(each).all(axis=1)
    if several and alive.any():
        ax.fill_between(
            rates[alive], each[alive].min(axis=1), each[alive].max(axis=1), color="#56B4E9", alpha=0.35, linewidth=0,
            label="range",
        )  # fmt: skip
    name = "median" if several else "smoothed"
    ax.plot(
        rates,
        bold,
        color=style.INK,
        linewidth=2.2,
        label=f"{record.judged_name}, {name}" if record.taken.any() else name,
    )
    shown = np.concatenate([bold, _gap(ax, record, rates, bold)]) if record.has_gap else bold
    window = range_test_data.losses_of_range_test(shown, raw, range_test_data.sign_of(record))
    ax.set_ylim(window.low, window.high)
    if window.log:
        style.log_losses(ax)


def _each_seed(ax: Axes, record: RangeTestRecord) -> Floats:
    """Draw what was recorded of each seed: its training losses, or its metric where that is watched in their place."""
    if record.is_negative or (record.held_out is not None and not record.has_gap):
        rates, raw = range_test_data.fit(record, None)
    else:
        rates, raw = floats(record.rates), floats(record.losses)
    raw, stride = np.where(np.isfinite(raw), raw, np.nan), max(1, len(rates) // style.FINEST)
    name = "training loss" if record.has_gap else "loss" if record.held_out is None else record.judged_name
    label = f"{name}, each seed" if record.taken.any() else "each seed" if len(record.seeds) > 1 else name
    for column in range(raw.shape[1]):
        ax.plot(
            rates[::stride], raw[::stride, column], color=style.QUIET, alpha=0.35, linewidth=0.7,
            label="_" if column else label,
        )  # fmt: skip
    return raw


def _gap(ax: Axes, record: RangeTestRecord, rates: Floats, bold: Floats) -> Floats:
    """Draw the scores that were taken, the training loss between them, and what lies between the two; return that."""
    at, training = range_test_data.training_losses(record, int(record.taken.sum()))
    median = style.middle(training, average="median")
    ax.plot(at, median, color=style.ORANGE, linewidth=1.8, label="training loss, median")
    between = np.interp(np.log(rates), np.log(at), median, left=np.nan, right=np.nan)
    ax.fill_between(rates, between, bold, color=style.ORANGE, alpha=0.15, linewidth=0, label="gap")
    taken = floats(record.held_out[record.taken]) if record.held_out is not None else training
    ax.plot(
        record.rates[record.taken], style.middle(taken, average="median"), color="#CC79A7", linewidth=0.8, marker="D",
        markersize=2.5, label="validation",
    )  # fmt: skip
    return median


def _title(record: RangeTestRecord, suggestion: Suggestion | None) -> str:
    if suggestion is None:
        return f"{record.title}: {record.judged_name} while the rate climbs"
    low, high = (style.rate(bound.value, range_test_data.DIGITS) if bound is not None else ""
                 for bound in (suggestion.min_lr, suggestion.max_lr))  # fmt: skip
    if not low and not high:
        return f"{record.title}: no clear answer"
    return f"{record.title} learns" + f" from {low}" * bool(low) + f" {'to' if low else 'up to'} {high}" * bool(high)
