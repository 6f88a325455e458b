"""Figures of how the rate moves: the decays, the cycles, 1cycle with its momentum, and a range test that trains."""

from __future__ import annotations

from stepsize import jobs
from stepsize.plots import plot_policy, plot_schedule, plot_schedules, plot_sweep, style
from stepsize.plots.style import Axes
from stepsize.policies import LR, RECIPES, exp_range, one_cycle, smith_one_cycle, triangular, triangular2
from stepsize.problems import load_task

STEPS = 1000
"""The run that everything is drawn over, optimizer updates."""

SEEDS = 8
"""The replicas of the range test; the shades are their spread."""

DECAYS = ("constant", "step_decay", "exponential_decay", "polynomial_decay", "cosine", "linear_to_zero", "inverse_time")


def decays() -> Axes:
    """Draw the family that only falls, with the constant rate beside it."""
    ax = plot_schedules({name: RECIPES[name](1.0) for name in DECAYS}, STEPS)
    style.entitle(ax, "Diminishing: one peak, and six ways down from it")
    ax.set_ylabel("learning rate, share of the peak")
    return ax


def cycles() -> Axes:
    """Draw the three cyclical policies side by side, on one scale."""
    panels = style.panels(3, 3, (3.5, 3.0), sharey=True)
    titles = (
        "triangular: every peak is the same",
        "triangular2: half as high each time",
        "exp_range: lower every step",
    )
    for ax, policy, title in zip(panels, (triangular(1.0), triangular2(1.0), exp_range(1.0)), titles, strict=True):
        plot_schedule(policy[LR].over(STEPS), ax=ax)
        style.entitle(ax, title)
        ax.set_ylabel("learning rate, share of the peak" if ax is panels[0] else "")
    return panels[0]


def one_cycles() -> Axes:
    """Draw 1cycle as the libraries have it, and as its author ran it."""
    panels = style.panels(2, 2, (5.2, 3.4))
    named = {"The libraries' 1cycle: a cosine up, a cosine down": one_cycle(1.0),
             "The author's: straight up and down, then a rest": smith_one_cycle(1.0)}  # fmt: skip
    for ax, (title, policy) in zip(panels, named.items(), strict=True):
        plot_policy(policy.over(STEPS), ax=ax)
        style.entitle(ax, title)
        ax.set_ylabel("learning rate, share of the peak")
    return panels[0]


def range_test() -> Axes:
    """Let AdamW's rate climb on the digits, once a seed, and draw the losses with the two bounds."""
    sweep = jobs.range_test(load_task("digits"), seeds=range(SEEDS))
    return plot_sweep(sweep, jobs.suggest(sweep))
