"""The picture of a fan: where whole runs end, against their peak rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.arrays import floats
from stepsize.plots import range_test_data, rate_markers, style
from stepsize.plots.range_test_data import Window
from stepsize.results import Suggestion, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (6.4, 4.2)
"""The size of a picture without an `ax`, in inches."""

SIGNS = ("o", "s", "D", "p")
"""The marker of each fan, again and again."""

TOP, DOWN = 7.0, 10.0
"""How far below the top the crosses of the last fan stand, and how far below them those of the one before, points."""


def plot_fan(sweep: Sweep, suggestion: Suggestion | None = None, ax: Axes | None = None) -> Axes:
    """Draw where the runs of a fan end against their peak rate, and those of the shorter fans before it.

    sweep: the last fan; the earlier ones are lighter, and each is named by the length of its runs. suggestion: its rate
    is a vertical line with the spread shaded. ax: where; a new figure if not given.

    The mean over seeds is bold, each seed a faint point. A run that diverged is a cross at the top, and one that ends
    above the picture a triangle there. The dotted line is the loss before training.
    """
    ax = style.axes(ax, SIZE)
    pad = draw_fans(ax, sweep, suggestion)
    style.entitle(ax, fan_title(sweep, suggestion), pad=pad)
    return ax


def draw_fans(ax: Axes, sweep: Sweep, suggestion: Suggestion | None) -> float:
    """Draw fans but for their title, and return how far above the picture that goes, in points."""
    _, fans = range_test_data.parts(sweep)
    shown = range_test_data.mark_of_fan(sweep, suggestion)
    window, losses = range_test_data.values(fans, shown), range_test_data.losses_of_fans(fans)
    for i, (fan, color) in enumerate(zip(fans, style.shades(len(fans)), strict=True)):
        behind = len(fans) - 1 - i
        _curve(ax, fan, color, SIGNS[behind % len(SIGNS)])
        _lost(ax, fan, color, losses, TOP + DOWN * behind)
    before = sweep.before[np.isfinite(sweep.before)]
    if len(before):
        ax.axhline(float(before.mean()), color=style.QUIET, linewidth=1.3, linestyle=":", label="before training")
    ax.set_xlim(window.low, window.high)
    if window.log:
        style.log_rates(ax)
    ax.set_ylim(losses.low, losses.high)
    if losses.log:
        style.log_losses(ax)
    _name_lost(ax, fans, losses)
    what = "validation score" if sweep.held_out.size else "training loss"
    x = "peak learning rate" if sweep.of == "lr" else sweep.of.replace("_", " ")
    style.dress(ax, title="", x=x, y=f"{what} at the end")
    return rate_markers.crown(ax, shown, window)


def _curve(ax: Axes, fan: Sweep, color: str, sign: str) -> None:
    each = np.where(np.isfinite(fan.judged), floats(fan.judged), np.nan)
    if each.shape[1] > 1:
        for column in each.T:
            ax.plot(fan.rates, column, color=color, linestyle="none", marker=sign, markersize=4, alpha=0.35)
    ax.plot(
        fan.rates, range_test_data.ends(fan), color=color, linewidth=2.0, marker=sign, markersize=6,
        label=f"{style.thousands(fan.steps)} steps",
    )  # fmt: skip


def _lost(ax: Axes, fan: Sweep, color: str, losses: Window, below: float) -> None:
    """Mark the runs that are not in the picture, `below` its top (points): those that diverged, and those above it."""
    dead = ~np.isfinite(fan.judged)
    for sign, which in (("x", dead.any(axis=1)), ("^", _above(fan, losses) & ~dead.any(axis=1))):
        rates = fan.rates[which]
        ax.plot(
            rates, np.ones(len(rates)), color=color, linestyle="none", marker=sign, markersize=7,
            markeredgewidth=2, transform=rate_markers.raised(ax, ax.get_xaxis_transform(), -below),
        )  # fmt: skip


def _name_lost(ax: Axes, fans: tuple[Sweep, ...], losses: Window) -> None:
    """Put the cross and the triangle into the key, where there are any."""
    if any((~np.isfinite(fan.judged)).any() for fan in fans):
        ax.plot([], [], color=style.INK, linestyle="none", marker="x", markeredgewidth=2, label="diverged")
    if any((_above(fan, losses) & np.isfinite(fan.judged).all(axis=1)).any() for fan in fans):
        ax.plot([], [], color=style.INK, linestyle="none", marker="^", markersize=7, label="higher")


def _above(fan: Sweep, losses: Window) -> np.ndarray:
    """Return which rates end above the picture, (points,) of bool."""
    with np.errstate(invalid="ignore"):
        return np.asarray(range_test_data.ends(fan) > losses.high)


def fan_title(sweep: Sweep, suggestion: Suggestion | None) -> str:
    """Return what a fan says, in a few words."""
    if suggestion is None:
        return f"{sweep.title}: where runs of {style.thousands(sweep.steps)} steps end"
    if suggestion.lr is None:
        return f"{sweep.title}: no clear answer"
    what = "" if sweep.of == "lr" else f"{sweep.of.replace('_', ' ')} of "
    return f"{sweep.title}: use {what}{style.rate(suggestion.lr.value, range_test_data.DIGITS)}"
