"""Pictures of a race: who won by how much, and how much the peak rate mattered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stepsize.plots import style
from stepsize.results import Race, Sensitivity, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUPS = 8
"""The most lines of a sensitivity picture."""

Points = list[tuple[float, float]]


def plot_race(race: Race, ax: Axes | None = None, most: int = 12) -> Axes:
    """Draw the standings: a dot and its interval for each strategy, best on top.

    race: its standings are drawn. ax: where; a new figure if not given. most: how many strategies, at most.
    What is tied with the best has its colour; what diverged is listed by name.
    """
    shown = race.standings[:most]
    ax = style.axes(ax, (8.0, 1.3 + 0.36 * len(shown)))
    means = [s.score.mean for s in shown if np.isfinite(s.score.mean)]
    for place, standing in enumerate(shown):
        _interval(ax, place, standing, best=place == 0)
    ax.set_yticks(range(len(shown)), [style.plain(style.short(s.strategy.name)) for s in shown])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    style.dress(ax, title=_title(race), x=f"{race.scored}, mean and 95 % interval", y="", pad=20)
    ax.grid(visible=False, axis="y")
    if means:
        _limits(ax, shown)
        ax.axvline(means[0], color=style.BLUE, linewidth=0.8, linestyle=":", zorder=1)
    _key(ax)
    return ax


def plot_sensitivity(race: Race, ax: Axes | None = None) -> Axes:
    """Draw the score against the peak learning rate, for every strategy of the first rung.

    race: the first rung is the widest. ax: where; a new figure if not given. One line for each rule and policy, which
    is the strategy's name without its last word; the best 8 are drawn. A bar spans the rates within 5 % of a line's
    best. A triangle is a best rate at an end of those tried, a cross at the top a rate that diverged.
    """
    ax = style.axes(ax)
    groups = race.sensitivities[:GROUPS]
    for each, (color, dash) in zip(groups, style.inks(len(groups)), strict=True):
        _family(ax, each, color, dash)
    style.log_rates(ax)
    steps = style.thousands(race.widest.steps)
    title = f"How much the peak rate matters, after {steps} steps"
    style.dress(ax, title=title, x="peak learning rate", y=race.scored)
    _stretch(ax, [score for each in groups for score in each.scores])
    if groups:
        style.legend(ax, title="\n".join(_marks(groups)) or None)
    return ax


def _family(ax: Axes, each: Sensitivity, color: str, dash: str) -> None:
    """Draw the scores of one family, the rates that are nearly as good as its best, and the ends."""
    points = list(zip(each.rates, each.scores, strict=True))
    alive = [(x, y) for x, y in points if np.isfinite(y)]
    dead = [x for x, y in points if not np.isfinite(y)]
    label = style.plain(style.short(each.family))
    ax.plot(*_columns(alive), color=color, linestyle=dash, linewidth=1.6, marker="o", markersize=5, label=label)
    ax.plot(
        dead, [0.97] * len(dead), color=color, linestyle="none", marker="x", markersize=7, markeredgewidth=2,
        transform=ax.get_xaxis_transform(),
    )  # fmt: skip
    if each.high > each.low:
        ax.plot([each.low, each.high], [each.limit] * 2, color=color, linewidth=6, alpha=0.25, solid_capstyle="butt")
    if each.edge:
        marker = "<" if each.edge == "lowest" else ">"
        ax.plot([each.best], [min(each.scores)], color=color, linestyle="none", marker=marker, markersize=10)


def _marks(groups: Sequence[Sensitivity]) -> list[str]:
    """Return what the marks of a sensitivity picture mean, as far as they are there."""
    crosses = any(not np.isfinite(score) for each in groups for score in each.scores)
    found = (
        ("bar: within 5 % of the best", any(each.high > each.low for each in groups)),
        ("triangle: best at an end", any(each.edge for each in groups)), ("cross: diverged", crosses),
    )  # fmt: skip
    return [words for words, there in found if there]


def _title(race: Race) -> str:
    if not race.standings:
        return "Nothing was raced to the end"
    ties = sum(s.tied for s in race.standings[1:])
    best = style.short(race.best.name)
    if not np.isfinite(race.standings[0].score.mean):
        return "Every strategy diverged"
    if not ties:
        return f"{best} is the best"
    return f"{best} leads; {ties} more {'is' if ties == 1 else 'are'} tied with it"


def _interval(ax: Axes, place: int, standing: Standing, *, best: bool) -> None:
    """Draw one row: dot, whiskers and number, or the word that it diverged."""
    score = standing.score
    if not np.isfinite(score.mean):
        text = "diverged" + (f" ({standing.diverged} seeds)" if standing.diverged > 1 else "")
        ax.annotate(
            text, xy=(0.01, place), xycoords=ax.get_yaxis_transform(), va="center",
            fontsize=style.SMALL, color=style.RED, style="italic",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
        return
    color = style.BLUE if best or standing.tied else style.QUIET
    if np.isfinite([score.low, score.high]).all():
        ax.plot([score.low, score.high], [place, place], color=color, linewidth=2, solid_capstyle="butt")
        ax.plot([score.low, score.high], [place, place], color=color, linestyle="none", marker="|", markersize=9)
    ax.plot([score.mean], [place], color=color, linestyle="none", marker="o", markersize=7)
    ax.annotate(
        f"{score.mean:.4g}", xy=(1.0, place), xycoords=ax.get_yaxis_transform(), xytext=(6, 0),
        textcoords="offset points", va="center", fontsize=style.SMALL, color=style.INK, annotation_clip=False,
    )  # fmt: skip


def _limits(ax: Axes, shown: Sequence[Standing]) -> None:
    """Set x limits that hold every dot and the whiskers, save those that are wide beyond use."""
    means = np.array([s.score.mean for s in shown if np.isfinite(s.score.mean)])
    ends = np.array([[s.score.low, s.score.high] for s in shown if np.isfinite(s.score.mean)])
    reach = max(float(np.ptp(means)), 0.05 * abs(float(means[0])), 1e-12)
    ends = np.append(ends[np.isfinite(ends)], means)
    low = max(float(ends.min()), float(means.min()) - 3 * reach)
    high = min(float(ends.max()), float(means.max()) + 3 * reach)
    room = 0.04 * max(high - low, 1e-12)
    ax.set_xlim(low - room, high + room)


def _key(ax: Axes) -> None:
    """Say below the title what the two colours mean."""
    for x, color, text in ((0, style.BLUE, "● best, or tied with it"), (132, style.QUIET, "● behind the best")):
        ax.annotate(
            text, xy=(0.0, 1.0), xycoords="axes fraction", xytext=(x, 4), textcoords="offset points",
            fontsize=style.SMALL, color=color, annotation_clip=False,
        )  # fmt: skip


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _stretch(ax: Axes, scores: list[float]) -> None:
    """Leave room for the crosses; logarithmic where the scores span a factor of 5."""
    finite = [y for y in scores if np.isfinite(y)]
    if not finite:
        return
    low, high = min(finite), max(finite)
    if low > 0 and high / low > 5:
        ax.set_ylim(low / 1.2, high * (high / low) ** 0.12)
        style.log_losses(ax)
        return
    span = max(high - low, 1e-12)
    ax.set_ylim(low - 0.06 * span, high + 0.12 * span)
