"""The picture of a grid: where whole runs end, against their peak rate or another hyperparameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.text import thousands
from stepsize.plots import range_test_data, rate_markers, style
from stepsize.plots.range_test_data import Window
from stepsize.policies import LR
from stepsize.results import RunGrid, Suggestion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (6.4, 4.2)
"""The size of a picture without an `ax`, in inches."""

SIGNS = ("o", "s", "D", "p")
"""The marker of each grid, again and again."""

TOP, DOWN = 0.975, 0.035
"""Where the crosses of the last grid stand, and how far below them those of the one before, as shares of the height."""


def plot_rate_grid(grid: RunGrid, suggestion: Suggestion | None = None, ax: Axes | None = None) -> Axes:
    """Draw where the runs of a grid end against their peak rate, and those of the shorter grids before it.

    grid: the last one; the shorter ones are lighter, and each is named by the length of its runs. What is drawn is the
    loss that decides (`final_losses`). suggestion: its rate is a vertical line with the spread shaded. ax: where; a new
    figure if not given.

    The mean over seeds is bold, each seed a faint point. A run that diverged is a cross at the top, and one that ends
    above the picture a triangle there. The dotted line is the loss before training.
    """
    ax = style.axes(ax, SIZE)
    draw_grids(ax, range_test_data.parts(grid)[1], suggestion)
    style.entitle(ax, grid_title(grid, suggestion))
    return ax


def draw_grids(ax: Axes, grids: tuple[RunGrid, ...], suggestion: Suggestion | None) -> None:
    """Draw grids, the last of them in full, but for the title."""
    last, marks = grids[-1], range_test_data.marks_of_grid(grids[-1], suggestion)
    window, losses = range_test_data.swept_values(grids, marks), range_test_data.losses_of_grids(grids)
    labels = range_test_data.grid_labels(grids)
    for i, (grid, color, label) in enumerate(zip(grids, style.shades(len(grids)), labels, strict=True)):
        behind = len(grids) - 1 - i
        _curve(ax, grid, color, SIGNS[behind % len(SIGNS)], label)
        _lost(ax, grid, color, losses, TOP - DOWN * behind)
    before = range_test_data.loss_before(last)
    if before is not None:
        ax.axhline(before, color=style.QUIET, linewidth=1.3, linestyle=":", label="before training")
    rate_markers.draw_rates(ax, marks, window)
    ax.set_xlim(window.low, window.high)
    if window.log:
        style.log_rates(ax)
    ax.set_ylim(losses.low, losses.high)
    if losses.log:
        style.log_losses(ax)
    _name_lost(ax, grids, losses)
    x = "peak learning rate" if last.swept == LR else last.swept.replace("_", " ")
    style.dress(ax, title="", x=x, y=f"{range_test_data.loss_name(last)} at the end")
    style.legend(ax)


def _curve(ax: Axes, grid: RunGrid, color: str, sign: str, label: str) -> None:
    losses = np.where(np.isfinite(grid.final_losses), grid.final_losses, np.nan)
    if losses.shape[1] > 1:
        for column in losses.T:
            ax.plot(grid.x, column, color=color, linestyle="none", marker=sign, markersize=4, alpha=0.35)
    means = range_test_data.mean_final_losses(grid)
    ax.plot(grid.x, means, color=color, linewidth=2.0, marker=sign, markersize=6, label=label)


def _lost(ax: Axes, grid: RunGrid, color: str, losses: Window, height: float) -> None:
    """Mark the runs that are not in the picture at a share of its height: those that diverged, and those above it."""
    dead = ~np.isfinite(grid.final_losses)
    for sign, which in (("x", dead.any(axis=1)), ("^", _above(grid, losses) & ~dead.any(axis=1))):
        values = grid.x[which]
        ax.plot(
            values, np.full(len(values), height), color=color, linestyle="none", marker=sign, markersize=7,
            markeredgewidth=2, transform=ax.get_xaxis_transform(),
        )  # fmt: skip


def _name_lost(ax: Axes, grids: tuple[RunGrid, ...], losses: Window) -> None:
    """Put the cross and the triangle into the legend, where there are any."""
    if any((~np.isfinite(grid.final_losses)).any() for grid in grids):
        ax.plot([], [], color=style.INK, linestyle="none", marker="x", markeredgewidth=2, label="diverged")
    if any((_above(grid, losses) & np.isfinite(grid.final_losses).all(axis=1)).any() for grid in grids):
        ax.plot([], [], color=style.INK, linestyle="none", marker="^", markersize=7, label="higher")


def _above(grid: RunGrid, losses: Window) -> np.ndarray:
    """Return which runs end above the picture, (points,) of bool."""
    with np.errstate(invalid="ignore"):
        return np.asarray(range_test_data.mean_final_losses(grid) > losses.high)


def grid_title(grid: RunGrid, suggestion: Suggestion | None) -> str:
    """Return what a grid says, in short."""
    if suggestion is None:
        return f"{grid.title}: where runs of {thousands(grid.steps)} steps end"
    if suggestion.lr is None:
        return f"{grid.title}: no clear answer"
    what = "" if grid.swept == LR else f"{grid.swept.replace('_', ' ')} of "
    return f"{grid.title}: use {what}{style.rate(suggestion.lr.value, range_test_data.DIGITS)}"
