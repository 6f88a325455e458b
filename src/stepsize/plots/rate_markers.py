"""Vertical lines at the rates that matter, each named in the legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stepsize.plots import style
from stepsize.plots.range_test_data import Mark, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
