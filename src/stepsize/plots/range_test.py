"""Pictures of range tests and grids: loss against what was swept, and what is read off it; several tests in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.plots import range_test_data as data
from stepsize.plots import style
from stepsize.plots.range_test_data import Mark, Window
from stepsize.plots.style import Axes
from stepsize.policies import LR
from stepsize.results import RangeTestRecord, RangeTests, RunGrid, Suggestion, Sweep
from stepsize.results.range_test import EXACT

SIZE = (6.4, 4.2)
"""The size of a picture without an `ax`, in inches."""

TOP = 0.975
"""Where the crosses stand, as a share of the height."""

LINES: dict[str, dict[str, Any]] = {
    "min": {"color": style.GREEN, "linestyle": "--", "linewidth": 1.6},
    "max": {"color": style.RED, "linestyle": "-.", "linewidth": 1.6},
    "lr": {"color": style.BLUE, "linestyle": "-", "linewidth": 2.2},
    "base": {"color": style.BLUE, "linestyle": (0, (7, 2)), "linewidth": 1.4},
    "limit": {"color": "#555555", "linestyle": ":", "linewidth": 1.6},
}
"""How each kind of rate is drawn, so that they differ without colour too."""

SHADED = ("min", "max", "lr")
"""The kinds whose spread is shown."""


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
    marks = data.marks(suggestion)
    window = data.swept_values(record, marks)
    _curves(ax, record, suggestion)
    draw_rates(ax, marks, window)
    ax.set_xlim(window.low, window.high)
    style.log_rates(ax)
    style.dress(
        ax, title=_title(record, suggestion), x="learning rate", y=record.judged_name if not record.has_gap else "loss"
    )
    style.legend(ax)


def _curves(ax: Axes, record: RangeTestRecord, suggestion: Suggestion | None) -> None:
    """Draw the losses of each seed, the smoothed median and range of those that decide, and the gap between the two."""
    raw, several = _each_seed(ax, record), len(record.seeds) > 1
    rates, each = data.fit(record, suggestion)
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
    window = data.losses_of_range_test(shown, raw, data.sign_of(record))
    ax.set_ylim(window.low, window.high)
    if window.log:
        style.log_losses(ax)


def _each_seed(ax: Axes, record: RangeTestRecord) -> Floats:
    """Draw what was recorded of each seed: its training losses, or its metric where that is watched in their place."""
    if record.is_negative or (record.held_out is not None and not record.has_gap):
        rates, raw = data.fit(record, None)
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
    at, training = data.training_losses(record, int(record.taken.sum()))
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
    low, high = (style.rate(bound.value, data.DIGITS) if bound is not None else ""
                 for bound in (suggestion.min_lr, suggestion.max_lr))  # fmt: skip
    if not low and not high:
        return f"{record.title}: no clear answer"
    return f"{record.title} learns" + f" from {low}" * bool(low) + f" {'to' if low else 'up to'} {high}" * bool(high)


def plot_rate_grid(grid: RunGrid, suggestion: Suggestion | None = None, ax: Axes | None = None) -> Axes:
    """Draw where the runs of a grid end against their peak rate or another hyperparameter.

    grid: what is drawn of it is the loss that decides (`final_losses`). suggestion: its rate is a vertical line with
    the spread shaded. ax: where; a new figure if not given.

    The mean over seeds is bold, each seed a faint point. A run that diverged is a cross at the top, and one that ends
    above the picture a triangle there. The dotted line is the loss before training.
    """
    ax = style.axes(ax, SIZE)
    marks = data.marks_of_grid(grid, suggestion)
    window, losses = data.swept_values(grid, marks), data.losses_of_grid(grid)
    x = window.at(floats(grid.x))
    _curve(ax, grid, x)
    _lost(ax, grid, x, losses)
    before = data.loss_before(grid)
    if before is not None:
        ax.axhline(before, color=style.QUIET, linewidth=1.3, linestyle=":", label="before training")
    draw_rates(ax, marks, window)
    ax.set_xlim(window.low, window.high)
    if window.log:
        style.log_rates(ax, window.name)
    ax.set_ylim(losses.low, losses.high)
    if losses.log:
        style.log_losses(ax)
    swept = "peak learning rate" if grid.swept == LR else grid.swept.replace("_", " ")
    style.dress(ax, title=_grid_title(grid, suggestion), x=swept, y=f"{data.loss_name(grid)} at the end")
    style.legend(ax)
    return ax


def _curve(ax: Axes, grid: RunGrid, x: Floats) -> None:
    losses = np.where(np.isfinite(grid.final_losses), grid.final_losses, np.nan)
    if losses.shape[1] > 1:
        for column in losses.T:
            ax.plot(x, column, color=style.BLUE, linestyle="none", marker="o", markersize=4, alpha=0.35)
    means, label = data.mean_final_losses(grid), grid.lasting
    ax.plot(x, means, color=style.BLUE, linewidth=2.0, marker="o", markersize=6, label=label)


def _lost(ax: Axes, grid: RunGrid, x: Floats, losses: Window) -> None:
    """Mark the runs that are not in the picture at its top: those that diverged, and those above it."""
    dead = ~np.isfinite(grid.final_losses)
    for sign, which, label in (
        ("x", dead.any(axis=1), "diverged"), ("^", _above(grid, losses) & ~dead.any(axis=1), "higher"),
    ):  # fmt: skip
        values = x[which]
        if len(values):
            ax.plot(
                values, np.full(len(values), TOP), color=style.INK, linestyle="none", marker=sign, markersize=7,
                markeredgewidth=2, transform=ax.get_xaxis_transform(), label=label,
            )  # fmt: skip


def _above(grid: RunGrid, losses: Window) -> np.ndarray:
    """Return which runs end above the picture, (points,) of bool."""
    with np.errstate(invalid="ignore"):
        return np.asarray(data.mean_final_losses(grid) > losses.high)


def _grid_title(grid: RunGrid, suggestion: Suggestion | None) -> str:
    """Return what a grid says, in short."""
    if suggestion is None:
        return f"{grid.title}: where runs of {grid.lasting} end"
    if suggestion.lr is None:
        return f"{grid.title}: no clear answer" + f" for the {grid.swept.replace('_', ' ')}" * (grid.swept != LR)
    what = "" if grid.swept == LR else f"{grid.swept.replace('_', ' ')} of "
    digits = data.DIGITS if grid.swept == LR else EXACT
    return f"{grid.title}: use {what}{style.rate(suggestion.lr.value, digits)}"


def plot_range_tests(tests: RangeTests, ax: Axes | None = None) -> Axes:
    """Draw the smoothed median of each of several range tests, with a point at its largest rate.

    tests: as they were recorded. ax: where; a new figure if not given. A test without a clear answer has no point. What
    lies far above the loss of the start is cut off.
    """
    ax = style.axes(ax)
    windows = []
    for (color, dash), name, test, found in zip(
        style.inks(len(tests.tests)), tests.names, tests.tests, tests.found, strict=True
    ):
        rates, each = data.fit(test, found)
        curve = style.middle(each, average="median")
        label = style.plain(name) + (
            f": to {style.rate(found.max_lr.value, 2)}" if found.max_lr else ": no clear answer"
        )
        ax.plot(rates, curve, color=color, linestyle=dash, linewidth=1.8, label=label)
        if found.max_lr is not None:
            at = float(np.interp(np.log(found.max_lr.value), np.log(rates), curve))
            ax.plot([found.max_lr.value], [at], color=color, marker="o", markersize=6, linestyle="none")
        raw = test.judged[test.taken] if test.taken.any() else test.losses
        sign = data.sign_of(test)
        windows.append(data.losses_of_range_test(curve, sign * floats(raw), sign))
    first = tests.tests[0]
    ax.set_xlim(min(test.rates[0] for test in tests.tests), max(test.rates[-1] for test in tests.tests))
    style.log_rates(ax)
    ax.set_ylim(min(window.low for window in windows), max(window.high for window in windows))
    if all(window.log for window in windows):
        style.log_losses(ax)
    what = tests.compared.replace("_", " ")
    style.dress(ax, title=f"Range tests by {what}", x="learning rate", y=first.judged_name)
    style.legend(ax, title=what)
    return ax


def draw_rates(ax: Axes, marks: Sequence[Mark], window: Window) -> None:
    """Draw each mark as a line with its spread shaded, for the legend to name.

    window: of the x axis. A mark outside has no line, and an arrow to that side at its name.
    """
    for mark in marks:
        line, share = LINES[mark.kind], float(window.share(mark.estimate.value))
        if 0 <= share <= 1:
            value, low, high = (
                float(window.at(each)) for each in (mark.estimate.value, mark.estimate.low, mark.estimate.high)
            )
            ax.axvline(value, label=mark.text, zorder=2.5, **line)
            if mark.kind in SHADED and np.isfinite([low, high]).all() and (low > 0 or not window.log):
                ax.axvspan(low, high, color=line["color"], alpha=0.13, linewidth=0)
        elif np.isfinite(share):
            ax.plot([], [], label=f"← {mark.text}" if share < 0 else f"{mark.text} →", **line)
