"""The picture of a range test: loss against learning rate, and what is read off it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.arrays import floats
from stepsize.plots import range_test_data, rate_markers, style
from stepsize.plots.rate_grid import draw_fans, fan_title, plot_fan
from stepsize.results import Suggestion, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (6.4, 4.2)
"""The size of one picture without an `ax`, in inches."""


def plot_sweep(sweep: Sweep, suggestion: Suggestion | None = None, ax: Axes | None = None) -> Axes:
    """Draw a range test: every seed thin, the smoothed median bold, and what was suggested as vertical lines.

    sweep: a ramp; a fan is drawn by `plot_fan`. suggestion: what was read off it: both bounds with their spread shaded,
    the rate and the base of a cycle, the largest stable rate dotted; without one, only the curves.
    ax: where; a new figure if not given.

    The band is the range of the seeds' smoothed curves. What lies far above the loss of the start is cut off. Losses
    are on a logarithmic axis where what was learnt spans more than a decade.
    """
    if sweep.fan:
        return plot_fan(sweep, suggestion, ax)
    ax = style.axes(ax, SIZE)
    pad = _draw(ax, sweep, suggestion)
    style.entitle(ax, _title(sweep, suggestion), pad=pad)
    return ax


def plot_search(sweep: Sweep, suggestion: Suggestion | None = None) -> Axes:
    """Draw a search in a new figure: its ramp, and beside it where the runs of its fans end; return the first Axes.

    sweep: what `find_rate` returns. A ramp alone, and fans alone, are one picture.
    """
    ramp, fans = range_test_data.parts(sweep)
    if ramp is None or not fans:
        return plot_sweep(sweep, suggestion)
    panels = style.panels(1, 2, SIZE)
    pad = max(_draw(panels[0], ramp, suggestion), draw_fans(panels[1], sweep, suggestion))
    style.entitle(panels[0], _title(ramp, suggestion), pad=pad)
    style.entitle(panels[1], fan_title(sweep, suggestion), pad=pad)
    return panels[0]


def _draw(ax: Axes, sweep: Sweep, suggestion: Suggestion | None) -> float:
    """Draw a ramp but for its title, and return how far above the picture that goes, in points."""
    shown = range_test_data.marks(suggestion)
    window = range_test_data.values((sweep,), shown)
    _curves(ax, sweep, suggestion)
    ax.set_xlim(window.low, window.high)
    style.log_rates(ax)
    style.dress(ax, title="", x="learning rate", y="loss")
    return rate_markers.crown(ax, shown, window)


def _curves(ax: Axes, sweep: Sweep, suggestion: Suggestion | None) -> None:
    """Draw the losses of each seed, their smoothed median and range, and the validation losses."""
    raw = np.where(np.isfinite(sweep.losses), floats(sweep.losses), np.nan)
    stride, several = max(1, len(sweep.rates) // style.FINEST), len(sweep.seeds) > 1
    for column in range(raw.shape[1]):
        ax.plot(
            sweep.rates[::stride], raw[::stride, column], color=style.QUIET, alpha=0.35, linewidth=0.7,
            label="_" if column else "each seed" if several else "loss",
        )  # fmt: skip
    rates, each = range_test_data.fit(sweep, suggestion)
    bold = style.middle(each, average="median")
    alive = np.isfinite(each).all(axis=1)
    if several and alive.any():
        ax.fill_between(
            rates[alive], each[alive].min(axis=1), each[alive].max(axis=1), color="#56B4E9", alpha=0.35, linewidth=0,
            label="range",
        )  # fmt: skip
    ax.plot(rates, bold, color=style.INK, linewidth=2.2, label="median" if several else "smoothed")
    if sweep.held_out.size:
        taken = np.isfinite(sweep.held_out).any(axis=1)
        ax.plot(
            sweep.rates[taken], style.middle(floats(sweep.held_out[taken]), average="median"), color="#CC79A7",
            linewidth=1.0, marker="D", markersize=4, label="validation",
        )  # fmt: skip
    window = range_test_data.losses_of_ramp(bold, raw)
    ax.set_ylim(window.low, window.high)
    if window.log:
        style.log_losses(ax)


def _title(sweep: Sweep, suggestion: Suggestion | None) -> str:
    if suggestion is None:
        return f"{sweep.title}: loss while the rate climbs"
    low, high = (style.rate(bound.value, range_test_data.DIGITS) if bound is not None else ""
                 for bound in (suggestion.min_lr, suggestion.max_lr))  # fmt: skip
    if not low and not high:
        return f"{sweep.title}: no clear answer"
    return f"{sweep.title} learns" + f" from {low}" * bool(low) + f" {'to' if low else 'up to'} {high}" * bool(high)
