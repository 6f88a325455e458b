"""The look of the experiments' pictures: the library's style, small panels side by side, SVG without a date."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from stepsize.kernel.arrays import Floats
from stepsize.plots.style import dress, inks, legend, log_losses, log_rates
from stepsize.results import Interval

SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "stepsize", "font.family": "sans-serif"}
"""Text stays text, and the same data makes the same bytes."""


def panels(count: int, *, width: float = 4.6, height: float = 3.4) -> tuple[Figure, list[Any]]:
    """Return a figure of `count` panels side by side, each of this size (inches), and its axes."""
    figure = Figure(figsize=(width * count + 1.6, height), layout="constrained", facecolor="white")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def svg(figure: Figure) -> str:
    """Return a figure as SVG text; the user's matplotlib settings do not reach it."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the reader's fonts draw the text
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def draw_lines(
    ax: Any, lines: Mapping[str, tuple[Any, Any]], *, title: str, x: str, y: str, rates: bool = False,
    losses: bool = True, key: bool = True,
) -> None:  # fmt: skip
    """Draw labelled lines, each (x, y); `rates` makes the x axis logarithmic, and `key` lists the labels.

    losses: make the y axis logarithmic where the lines span more than a decade; within one it would have few numbers.
    """
    for (name, (across, up)), (color, dash) in zip(lines.items(), inks(len(lines)), strict=True):
        values = np.where(np.isfinite(up), up, np.nan)
        ax.plot(across, values, dash, color=color, label=name, linewidth=1.6, marker="o" if rates else "", markersize=3)
    dress(ax, title=title, x=x, y=y)
    if rates:
        log_rates(ax)
    if losses and _decades(ax) > 1:
        log_losses(ax)
    if key:
        legend(ax)


def _decades(ax: Any) -> float:
    found = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in ax.get_lines()])
    return float(np.log10(np.nanmax(found) / np.nanmin(found)))


def draw_intervals(ax: Any, intervals: Mapping[str, Interval], *, title: str, x: str, at: float | None = None) -> None:
    """Draw labelled intervals below each other, and a line at the number that means no difference."""
    heights = np.arange(len(intervals))[::-1]
    means = np.array([each.mean for each in intervals.values()])
    sides = np.array([[each.mean - each.low, each.high - each.mean] for each in intervals.values()]).T
    whole = np.isfinite(means) & np.isfinite(sides).all(axis=0)
    ax.errorbar(
        means[whole], heights[whole], xerr=sides[:, whole], fmt="o", color=inks(1)[0][0], capsize=3, markersize=4
    )
    dress(ax, title=title, x=x, y="")
    ax.set_yticks(heights, list(intervals))
    ax.set_ylim(-0.6, len(intervals) - 0.4)
    if at is not None:
        ax.axvline(at, color=inks(4)[3][0], linewidth=1, linestyle="--")


def thinned(values: Floats, most: int = 120) -> Floats:
    """Return at most about `most` of the values, evenly."""
    return values[:: max(1, len(values) // most)]


def names(items: Sequence[str], most: int = 3) -> str:
    """Return words in a row: "a, b and c"."""
    shown = list(items)[:most] if len(items) > most else list(items)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
