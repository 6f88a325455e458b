"""The picture of Smith's four steps: a panel each, in their order."""

from __future__ import annotations

from stepsize.plots import style
from stepsize.plots.range_test import plot_sweep
from stepsize.plots.style import Axes
from stepsize.results import FourSteps

PANEL = (6.6, 3.4)
"""The size of a panel with its legend, in inches."""


def plot_four_steps(steps: FourSteps, ax: Axes | None = None) -> Axes:
    """Draw what each of the four steps ran with what it suggests, and return the first of the Axes.

    steps: as they were recorded. ax: where the first step alone is drawn; a new figure of all of them if not given.
    """
    shown = steps.parts if ax is None else steps.parts[:1]
    axes = style.panels(len(shown), 2, PANEL) if ax is None else [ax]
    for number, (each, part) in enumerate(zip(axes, shown, strict=True), start=1):
        plot_sweep(part.sweep, part.found, ax=each)
        style.entitle(each, f"{number}. {each.get_title(loc='left')}")
    return axes[0]
