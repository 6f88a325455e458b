"""Pictures of an advice: where the best rate lies by all runs, and how the answer got there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.text import count, thousands
from stepsize.plots import style
from stepsize.plots.series import SPAN
from stepsize.plots.style import Axes
from stepsize.results import Advice, RateBelief, SearchRun
from stepsize.strategy import Strategy

SIZE = (6.4, 4.6)
"""The size of a picture without an `ax`, in inches; its legend stands below."""

SIGNS = ("o", "s", "D", "p")
"""The marker of each length of runs, again and again."""

FAINT = 1e-3
"""Rates whose density is below this share of the highest, and on which nothing ran, are not shown."""

CHANGES = 6
"""The most changes of the answer that are named, the last ones."""

SAME = 1.26
"""An answer whose rate moves by a smaller factor, a tenth of a decade, is not a new one."""


LONG = 20.0
"""Costs that span more than this are drawn on a logarithmic axis: the pilot runs are short, and a final is long."""


def plot_advice(advice: Advice, ax: Axes | None = None) -> Axes:
    """Draw where the best peak rate of the answer's family lies, and the runs of that family.

    advice: its belief is filled, as probability by decade of the rate; before any run it was the dashed line. The 90 %
    range is a bar at the bottom, the answer a vertical line, which is left out where nothing has learned. ax: where;
    a new figure if not given.

    A second axis at the right has the scores of the runs, one colour and marker a length; a cross at the top diverged.
    """
    ax = style.axes(ax, SIZE)
    belief, runs = advice.belief, advice.own_runs
    _draw_belief(ax, belief)
    if advice.learned:
        label = f"the answer, {style.rate(advice.strategy.peak)}"
        ax.axvline(advice.strategy.peak, color=style.INK, linewidth=1.6, label=label)
    ax.set_xlim(_window(belief, [run.strategy.peak for run in runs]))
    style.log_rates(ax)
    lies = f"{style.rate(belief.low, 2)} to {style.rate(belief.high, 2)}" if advice.learned else "nothing has learned"
    style.dress(
        ax, title=f"{style.short(belief.family, 22)}: {lies}", x="peak learning rate", y="probability, by decade"
    )
    if runs:
        _draw_runs(ax, runs, advice.scored)
    _legend_below(ax, 2)
    return ax


def _draw_belief(ax: Axes, belief: RateBelief) -> None:
    density, before = (_by_decade(belief.rates, each) for each in (belief.density, belief.before))
    ax.fill_between(belief.rates, density, color=style.BLUE, alpha=0.25, linewidth=0, label="where the best rate lies")
    ax.plot(belief.rates, density, color=style.BLUE, linewidth=1.4)
    ax.plot(belief.rates, before, color=style.QUIET, linewidth=1.0, linestyle="--", label="before any run")
    ax.plot(
        [belief.low, belief.high], [0.015] * 2, color=style.BLUE, linewidth=5, solid_capstyle="butt",
        transform=ax.get_xaxis_transform(), label="90 % range",
    )  # fmt: skip
    ax.set_ylim(0.0, 1.15 * float(max(density.max(), before.max())))


def _by_decade(rates: Floats, probabilities: Floats) -> Floats:
    """Return the probabilities of rates as a density over log10 of the rate, whatever their spacing."""
    if len(rates) < 2:
        return probabilities
    return np.asarray(probabilities / np.gradient(np.log10(rates)), dtype=np.float64)


def _window(belief: RateBelief, peaks: Sequence[float]) -> tuple[float, float]:
    """Return the rates that are shown: where something is believed, now or before, and all that ran."""
    seen = [belief.rates[each > FAINT * each.max()] for each in (belief.density, belief.before)]
    shown = np.concatenate([*seen, peaks, [belief.low, belief.high]])
    return float(shown.min()) / 1.2, float(shown.max()) * 1.2


def _draw_runs(ax: Axes, runs: Sequence[SearchRun], scored: str) -> None:
    """Draw the scores of runs on an axis of their own, which the legend of `ax` names too."""
    right = ax.twinx()
    lengths = sorted({run.steps for run in runs})
    warm = [style.ORANGE, style.GREEN, "#CC79A7", style.RED]  # none is the blue of the belief, and the longest is red
    colors = warm[-len(lengths) :] if len(lengths) <= len(warm) else [style.RED] * len(lengths)
    for steps, color, sign in zip(lengths, colors, cycle(SIGNS), strict=False):
        own = [run for run in runs if run.steps == steps]
        lived, dead = ([run for run in own if math.isfinite(run.score) is alive] for alive in (True, False))
        label = f"runs of {thousands(steps)} steps"
        peaks, scores = [run.strategy.peak for run in lived], [run.score for run in lived]
        drawn: dict[str, Any] = {"color": color, "linestyle": "none", "label": label}
        right.plot(peaks, scores, marker=sign, markersize=6.5, markeredgecolor="white", markeredgewidth=0.7, **drawn)
        right.plot(
            [run.strategy.peak for run in dead], [0.96] * len(dead), color=color, linestyle="none", marker="x",
            markersize=8, markeredgewidth=2, transform=right.get_xaxis_transform(),
        )  # fmt: skip
    if any(not math.isfinite(run.score) for run in runs):
        right.plot([], [], color=style.INK, linestyle="none", marker="x", markeredgewidth=2, label="diverged")
    _scale(right, [run.score for run in runs if math.isfinite(run.score)])
    right.set_ylabel(f"{scored} of the runs", fontsize=style.TEXT, color=style.INK)
    right.tick_params(labelsize=style.SMALL, colors=style.INK, length=3)
    right.spines[["top", "left"]].set_visible(False)
    right.spines[["right", "bottom"]].set_color(style.QUIET)


def _scale(ax: Axes, values: Sequence[float]) -> None:
    """Show values with room at the top; on a logarithmic axis where they are above 0 and span much."""
    if not values:
        return
    low, high = min(values), max(values)
    if low > 0 and high / low > SPAN:
        ax.set_ylim(low / 1.4, high * max(1.3, (high / low) ** 0.15))
        style.log_losses(ax)
        return
    room = max(high - low, 0.02 * abs(high), 1e-12)
    ax.set_ylim(low - 0.1 * room, high + 0.18 * room)
    ax.ticklabel_format(axis="y", useOffset=False)


def plot_search_course(advice: Advice, ax: Axes | None = None) -> Axes:
    """Draw what the answer was expected to lose against what had been spent, over the course of a search.

    advice: each run is a dot on the steps of the line, and the last dot is the answer itself. ax: where; a new figure
    if not given. A number stands where the answer changes, by its family or by more than a tenth of a decade of its
    rate; the legend says to what, for the last 6 changes.
    """
    ax = style.axes(ax, SIZE)
    points = course(advice)
    costs, losses = (np.array([getattr(point, name) for point in points]) for name in ("cost", "loses"))
    ax.step(costs, losses, where="post", color=style.BLUE, linewidth=1.6)
    ax.plot(costs, losses, color=style.BLUE, linestyle="none", marker="o", markersize=4.5)
    for number, point in enumerate(changes(points)[-CHANGES:], start=1):
        ax.plot(
            [point.cost], [point.loses], color=style.RED, linestyle="none", marker="o", markersize=7,
            label=f"{number}: {style.plain(style.short(point.answer.name, 34))}",
        )  # fmt: skip
        ax.annotate(
            str(number), (point.cost, point.loses), xytext=(5, 5), textcoords="offset points",
            fontsize=style.SMALL, color=style.INK,
        )  # fmt: skip
    if costs[0] > 0 and costs[-1] / costs[0] > LONG:
        style.log_rates(ax)
    _scale(ax, losses[np.isfinite(losses)].tolist())
    title = f"{count(len(advice.runs), 'run')}, {style.rate(advice.cost)} full trainings"
    style.dress(ax, title=title, x="cost so far, full trainings", y="expected to lose, % of the gain")
    _legend_below(ax, 1, title="The answer changes to")
    return ax


class Point(NamedTuple):
    """What was answered when so much had been spent: cost in full trainings, loses in % of what training gains."""

    cost: float
    loses: float
    answer: Strategy


def course(advice: Advice) -> list[Point]:
    """Return the answer after each run, and the advice itself where it cost more than its last run."""
    points = [Point(run.cost, 100 * run.loses, run.answer) for run in advice.runs]
    if not points or advice.cost > points[-1].cost:
        points.append(Point(advice.cost, 100 * advice.loses, advice.strategy))
    return points


def changes(points: Sequence[Point]) -> list[Point]:
    """Return where another strategy became the answer; the first point is one of them."""
    found: list[Point] = []
    for point in points:
        last, new = found[-1].answer if found else None, point.answer
        if last is None or last.family != new.family or not 1 / SAME < new.peak / last.peak < SAME:
            found.append(point)
    return found


def _legend_below(ax: Axes, columns: int, *, title: str | None = None) -> None:
    """List the labelled artists of all axes at the position of `ax` below them, where a narrow picture has room."""
    shared = [each for each in ax.figure.axes if each.bbox.bounds == ax.bbox.bounds]
    pairs = [pair for each in shared for pair in zip(*each.get_legend_handles_labels(), strict=True)]
    if not pairs:
        return
    handles, labels = zip(*pairs, strict=True)
    ax.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=3.8, frameon=False,
        fontsize=style.SMALL, ncols=columns, title=title, title_fontsize=style.SMALL, alignment="left",
        labelcolor=style.INK, handlelength=1.4, columnspacing=1.2,
    )  # fmt: skip
