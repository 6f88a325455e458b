"""Pictures of a race: who won by how much, how it went rung by rung, and how much the peak rate mattered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stepsize.kernel.text import count, thousands
from stepsize.plots import style
from stepsize.plots.series import Graph, Series
from stepsize.plots.style import Axes
from stepsize.results import Race, Rung, Sensitivity, Standing
from stepsize.results.race_text import percent

GROUPS = 8
"""The most lines of a sensitivity picture."""

MOST = 12
"""The most strategies of the standings."""

REACH = 3.0
"""How far beyond the means whiskers are shown, in ranges of the means; those of two seeds may be endless."""

DIVERGED = "diverged"

NAMED = len(style.PALETTE)
"""The most strategies that have a colour and a name; the others are grey. Dashes would not tell two dots apart."""

RANKS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)
"""The ranks that are marked; the axis is logarithmic, because the first ones matter."""


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
    style.dress(ax, title=_title(race), x=f"{graph.y}, mean and 95 % interval", y="", pad=20)
    style.name_rows(ax, [standing.strategy for standing in shown])
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
    if race.all_diverged:
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


def plot_rungs(race: Race, ax: Axes | None = None) -> Axes:
    """Draw the rank of every strategy on every rung, best on top; the first ranks have more room.

    race: all its rungs are drawn, from left to right. ax: where; a new figure if not given. The strategies of the last
    rung have colours and names, the best 7 of them; a cross is where one went out.
    """
    ax = style.axes(ax, (8.0, 4.6))
    tables = [_ranks(rung) for rung in race.rungs]
    named = [race.rungs[-1].strategies[i].name for i in race.rungs[-1].order][:NAMED]
    for name in {name: None for ranks in tables for name in ranks}:
        if name not in named:
            _line(ax, tables, name, style.QUIET, "-", width=0.8)
    for name, (color, dash) in reversed(list(zip(named, style.inks(len(named)), strict=True))):
        _line(ax, tables, name, color, dash, width=2.0)
    labels = [f"{thousands(rung.steps)} steps\n{count(len(rung.seeds), 'seed')}" for rung in race.rungs]
    ax.set_xticks(range(len(tables)), labels)
    ax.set_xlim(-0.25, len(tables) - 0.75)
    most = max(map(len, tables))
    ax.set_yscale("log")
    shown = [rank for rank in RANKS if rank <= most]
    ax.set_yticks(shown, [str(rank) for rank in shown])
    ax.set_yticks([], minor=True)
    ax.set_ylim(most * 1.15, 0.87)
    style.dress(ax, title="Ranks, rung by rung", x="rung", y="rank")
    ax.grid(visible=False, axis="x")
    style.legend(ax, title="cross: went out", named={name: style.plain(style.short(name, 28)) for name in named})
    return ax


def plot_chances(race: Race, ax: Axes | None = None, most: int = MOST) -> Axes:
    """Draw the probability of every strategy to be the best of its field, in the order of the standings.

    race: of more than one seed; those that diverged are left out. ax: where; a new figure if not given. most: how many
    strategies, at most.
    """
    shown = [standing for standing in race.standings if np.isfinite(standing.chance) and not standing.diverged][:most]
    ax = style.axes(ax, (8.0, 1.2 + 0.3 * len(shown)))
    for row, standing in enumerate(shown):
        color = style.BLUE if standing.tied or row == 0 else style.QUIET
        ax.barh(row, standing.chance, height=0.62, color=color)
        ax.annotate(
            percent(standing.chance), xy=(standing.chance, row), xytext=(5, 0), textcoords="offset points",
            va="center", fontsize=style.SMALL, color=style.INK,
        )  # fmt: skip
    ax.set_xlim(0, 1.09)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    style.dress(ax, title="Who is the best", x=f"probability to have the lowest mean {race.scored}", y="")
    style.name_rows(ax, [standing.strategy for standing in shown])
    return ax


def _ranks(rung: Rung) -> dict[str, int]:
    """Return the rank of every strategy, from 1; all that diverged share the one after the last."""
    alive = [index for index in rung.order if np.isfinite(rung.means[index])]
    ranks = {rung.strategies[index].name: rank for rank, index in enumerate(alive, start=1)}
    return {strategy.name: ranks.get(strategy.name, len(alive) + 1) for strategy in rung.strategies}


def _line(ax: Axes, tables: list[dict[str, int]], name: str, color: str, dash: str, *, width: float) -> None:
    """Draw one strategy over the rungs that it ran on, and a cross where it went out."""
    xs = [x for x, ranks in enumerate(tables) if name in ranks]
    ys = [tables[x][name] for x in xs]
    ax.plot(xs, ys, color=color, linestyle=dash, linewidth=width, marker="o", markersize=2.5 * width, label=name)
    if xs[-1] < len(tables) - 1:
        ax.plot(xs[-1:], ys[-1:], color=color, linestyle="none", marker="x", markersize=5, markeredgewidth=1.1)
