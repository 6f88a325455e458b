"""The figure that trains: a range test on the built-in digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize import jobs
from stepsize.plots import plot_sweep
from stepsize.problems import load_task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEEDS = 8
"""The replicas of the range test; the shades are their spread."""


def range_test() -> Axes:
    """Let AdamW's rate climb on the digits, once a seed, and draw the losses with the two bounds."""
    sweep = jobs.range_test(load_task("digits"), seeds=range(SEEDS))
    return plot_sweep(sweep, jobs.suggest(sweep))
