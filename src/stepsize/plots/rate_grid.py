"""The picture of a grid: where whole runs end, against their peak rate or another hyperparameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.plots import range_test_data, rate_markers, style
from stepsize.plots.range_test_data import Window
from stepsize.policies import LR
from stepsize.results import RunGrid, Suggestion
from stepsize.results.range_test import EXACT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (6.4, 4.2)
"""The size of a picture without an `ax`, in inches."""

TOP = 0.975
"""Where the crosses stand, as a share of the height."""


def plot_rate_grid(grid: RunGrid, suggestion: Suggestion | None = None, ax: Axes | None = None) -> Axes:
    """Draw where the runs of a grid end against their peak rate or another hyperparameter.

    grid: what is drawn of it is the loss that decides (`final_losses`). suggestion: its rate is a vertical line with
    the spread shaded. ax: where; a new figure if not given.

    The mean over seeds is bold, each seed a faint point. A run that diverged is a cross at the top, and one that ends
    above the picture a triangle there. The dotted line is the loss before training.
    """
    ax = style.axes(ax, SIZE)
    marks = range_test_data.marks_of_grid(grid, suggestion)
    window, losses = range_test_data.swept_values(grid, marks), range_test_data.losses_of_grid(grid)
    x = window.at(floats(grid.x))
    _curve(ax, grid, x)
    _lost(ax, grid, x, losses)
    before = range_test_data.loss_before(grid)
    if before is not None:
        ax.axhline(before, color=style.QUIET, linewidth=1.3, linestyle=":", label="before training")
    rate_markers.draw_rates(ax, marks, window)
    ax.set_xlim(window.low, window.high)
    if window.log:
        style.log_rates(ax, window.name)
    ax.set_ylim(losses.low, losses.high)
    if losses.log:
        style.log_losses(ax)
    swept = "peak learning rate" if grid.swept == LR else grid.swept.replace("_", " ")
    style.dress(ax, title=_title(grid, suggestion), x=swept, y=f"{range_test_data.loss_name(grid)} at the end")
    style.legend(ax)
    return ax


def _curve(ax: Axes, grid: RunGrid, x: Floats) -> None:
    losses = np.where(np.isfinite(grid.final_losses), grid.final_losses, np.nan)
    if losses.shape[1] > 1:
        for column in losses.T:
            ax.plot(x, column, color=style.BLUE, linestyle="none", marker="o", markersize=4, alpha=0.35)
    means, label = range_test_data.mean_final_losses(grid), grid.lasting
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
        return np.asarray(range_test_data.mean_final_losses(grid) > losses.high)


def _title(grid: RunGrid, suggestion: Suggestion | None) -> str:
    """Return what a grid says, in short."""
    if suggestion is None:
        return f"{grid.title}: where runs of {grid.lasting} end"
    if suggestion.lr is None:
        return f"{grid.title}: no clear answer" + f" for the {grid.swept.replace('_', ' ')}" * (grid.swept != LR)
    what = "" if grid.swept == LR else f"{grid.swept.replace('_', ' ')} of "
    digits = range_test_data.DIGITS if grid.swept == LR else EXACT
    return f"{grid.title}: use {what}{style.rate(suggestion.lr.value, digits)}"
