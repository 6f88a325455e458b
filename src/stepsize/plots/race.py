"""Pictures of a race: who won by how much, and how much the peak rate mattered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.text import thousands
from stepsize.plots import style
from stepsize.plots.series import Graph, Series
from stepsize.results import Race, Sensitivity, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUPS = 8
"""The most lines of a sensitivity picture."""

MOST = 12
"""The most strategies of the standings."""

REACH = 3.0
"""How far beyond the means whiskers are shown, in ranges of the means; those of two seeds may be endless."""

DIVERGED = "diverged"


def plot_race(race: Race, ax: Axes | None = None, most: int = MOST) -> Axes:
    """Draw the standings: a dot and its interval for each strategy, best on top.

    race: its standings are drawn. ax: where; a new figure if not given. most: how many strategies, at most.
    What is tied with the best has its colour; what diverged is listed by name.
    """
    shown, graph = race.standings[:most], standings_graph(race, most)
    ax = style.axes(ax, (8.0, 1.3 + 0.36 * len(shown)))
    for series in graph.series:
        _interval(ax, series)
    for row, standing in enumerate(shown):
        if not np.isfinite(standing.score.mean):
            _write_diverged(ax, row, standing)
    ax.set_yticks(range(len(shown)), [style.plain(style.short(s.strategy.name)) for s in shown])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    style.dress(ax, title=_title(race), x=f"{graph.y}, mean and 95 % interval", y="", pad=20)
    ax.grid(visible=False, axis="y")
    if graph.span is not None:
        low, high = graph.span
        room = 0.04 * max(high - low, 1e-12)
        ax.set_xlim(low - room, high + room)
        ax.axvline(shown[0].score.mean, color=style.BLUE, linewidth=0.8, linestyle=":", zorder=1)
    _key(ax)
    return ax


def standings_graph(race: Race, most: int = MOST) -> Graph:
    """Return the numbers of `plot_race`: the mean and the interval of each strategy that did not diverge."""
    alive = [standing for standing in race.standings[:most] if np.isfinite(standing.score.mean)]
    means = [standing.score.mean for standing in alive] or [np.nan]
    reach = REACH * max(max(means) - min(means), 0.05 * abs(means[0]), 1e-12)
    series = []
    for row, standing in enumerate(alive, start=1):
        score, x = standing.score, np.array([float(row)])
        low, high = (end if np.isfinite(end) else score.mean for end in (score.low, score.high))
        series.append(
            Series(
                label=style.short(standing.strategy.name), dash="-",
                color=style.BLUE if row == 1 or standing.tied else style.QUIET,
                columns={name: (x, np.array([getattr(score, name)])) for name in ("mean", "low", "high")},
                low=max(low, min(means) - reach), high=min(high, max(means) + reach),
            )
        )  # fmt: skip
    return Graph(
        x="strategy", y=race.scored, marks={name: name for name in ("mean", "low", "high")}, series=tuple(series),
        names=tuple(f"{row}. {each.label}" for row, each in enumerate(series, start=1)), floor=min(means) / 2,
    )  # fmt: skip


def plot_sensitivity(race: Race, ax: Axes | None = None) -> Axes:
    """Draw the score against the peak learning rate, for every strategy of the first rung.

    race: the first rung is the widest. ax: where; a new figure if not given. One line for each rule and policy; the
    best 8 are drawn. A bar spans the rates within 5 % of a line's best. A triangle is a best rate at an edge of those
    tried, a cross at the top a rate that diverged.
    """
    ax = style.axes(ax)
    graph, families = sensitivity_graph(race), race.sensitivities[:GROUPS]
    for series, each in zip(graph.series, families, strict=True):
        _family(ax, series, each)
    style.log_rates(ax)
    steps = thousands(race.widest.steps)
    style.dress(ax, title=f"How much the peak rate matters, after {steps} steps", x=graph.x, y=graph.y)
    style.frame_losses(ax, graph)
    if families:
        style.legend(ax, title="\n".join(_marks(families)) or None)
    return ax


def sensitivity_graph(race: Race) -> Graph:
    """Return the numbers of `plot_sensitivity`: the scores of each family by peak rate, and the rates that diverged."""
    families = race.sensitivities[:GROUPS]
    series = []
    for each, (color, dash) in zip(families, style.inks(len(families)), strict=True):
        rates, scores = np.array(each.rates), np.array(each.scores)
        alive = np.isfinite(scores)
        finite, dead = scores[alive], rates[~alive]
        series.append(
            Series(
                label=style.short(each.family), color=color, dash=dash, low=float(finite.min()),
                high=float(finite.max()),
                columns={race.scored: (rates[alive], finite), DIVERGED: (dead, np.ones(len(dead)))},
            )
        )  # fmt: skip
    crosses = any(len(each.columns[DIVERGED][0]) for each in series)
    marks = {race.scored: "both", DIVERGED: "cross"} if crosses else {race.scored: "both"}
    return Graph(x="peak learning rate", y=race.scored, marks=marks, series=tuple(series), rates=True)


def _family(ax: Axes, series: Series, each: Sensitivity) -> None:
    """Draw the scores of one family, the rates that are nearly as good as its best, and a best at the edge."""
    (rates, scores), (dead, _) = series.columns.values()
    color, label = series.color, style.plain(series.label)
    ax.plot(rates, scores, color=color, linestyle=series.dash, linewidth=1.6, marker="o", markersize=5, label=label)
    ax.plot(
        dead, [0.97] * len(dead), color=color, linestyle="none", marker="x", markersize=7, markeredgewidth=2,
        transform=ax.get_xaxis_transform(),
    )  # fmt: skip
    if each.high > each.low:
        ax.plot([each.low, each.high], [each.limit] * 2, color=color, linewidth=6, alpha=0.25, solid_capstyle="butt")
    if each.edge:
        marker = "<" if each.edge == "lowest" else ">"
        ax.plot([each.best], [scores.min()], color=color, linestyle="none", marker=marker, markersize=10)


def _marks(families: Sequence[Sensitivity]) -> list[str]:
    """Return what the marks of a sensitivity picture mean, as far as they are there."""
    crosses = any(not np.isfinite(score) for each in families for score in each.scores)
    meanings = (
        ("bar: within 5 % of the best", any(each.high > each.low for each in families)),
        ("triangle: best at an end", any(each.edge for each in families)), ("cross: diverged", crosses),
    )  # fmt: skip
    return [meaning for meaning, there in meanings if there]


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


def _interval(ax: Axes, series: Series) -> None:
    """Draw one row: dot, whiskers and number."""
    mean, low, high = (float(y[0]) for _, y in series.columns.values())
    row = float(series.columns["mean"][0][0]) - 1
    if np.isfinite([low, high]).all():
        ax.plot([low, high], [row, row], color=series.color, linewidth=2, solid_capstyle="butt")
        ax.plot([low, high], [row, row], color=series.color, linestyle="none", marker="|", markersize=9)
    ax.plot([mean], [row], color=series.color, linestyle="none", marker="o", markersize=7)
    ax.annotate(
        f"{mean:.4g}", xy=(1.0, row), xycoords=ax.get_yaxis_transform(), xytext=(6, 0),
        textcoords="offset points", va="center", fontsize=style.SMALL, color=style.INK, annotation_clip=False,
    )  # fmt: skip


def _write_diverged(ax: Axes, row: int, standing: Standing) -> None:
    text = "diverged" + (f" ({standing.diverged} seeds)" if standing.diverged > 1 else "")
    ax.annotate(
        text, xy=(0.01, row), xycoords=ax.get_yaxis_transform(), va="center",
        fontsize=style.SMALL, color=style.RED, style="italic",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )  # fmt: skip


def _key(ax: Axes) -> None:
    """Say below the title what the two colours mean."""
    for x, color, text in ((0, style.BLUE, "● best, or tied with it"), (132, style.QUIET, "● behind the best")):
        ax.annotate(
            text, xy=(0.0, 1.0), xycoords="axes fraction", xytext=(x, 4), textcoords="offset points",
            fontsize=style.SMALL, color=color, annotation_clip=False,
        )  # fmt: skip
