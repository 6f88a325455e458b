"""Pictures of how a race went: the rank of every strategy on every rung, and who may be the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.kernel.text import count, thousands
from stepsize.plots import style
from stepsize.results import Race, Rung
from stepsize.results.race_text import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = len(style.PALETTE)
"""The most strategies that have a colour and a name; the others are grey. Dashes would not tell two dots apart."""

RANKS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)
"""The ranks that are marked; the axis is logarithmic, because the first ones matter."""


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
    ax.set_xticks(range(len(tables)), [_label(rung) for rung in race.rungs])
    ax.set_xlim(-0.25, len(tables) - 0.75)
    most = max(map(len, tables))
    ax.set_yscale("log")
    shown = [rank for rank in RANKS if rank <= most]
    ax.set_yticks(shown, [str(rank) for rank in shown])
    ax.set_yticks([], minor=True)
    ax.set_ylim(most * 1.15, 0.87)
    style.dress(ax, title="Ranks, rung by rung", x="rung", y="rank")
    ax.grid(visible=False, axis="x")
    _legend(ax, named)
    return ax


def plot_chances(race: Race, ax: Axes | None = None, most: int = 12) -> Axes:
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
    ax.set_yticks(range(len(shown)), [style.plain(style.short(s.strategy.name)) for s in shown])
    ax.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    ax.set_xlim(0, 1.09)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    style.dress(ax, title="Who is the best", x=f"probability to have the lowest mean {race.scored}", y="")
    ax.grid(visible=False, axis="y")
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


def _label(rung: Rung) -> str:
    return f"{thousands(rung.steps)} steps\n{count(len(rung.seeds), 'seed')}"


def _legend(ax: Axes, named: list[str]) -> None:
    """List the named ones alone, the winner first."""
    handles, labels = ax.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    ax.legend(
        [found[name] for name in named], [style.plain(style.short(name, 28)) for name in named], loc="upper left",
        bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False, fontsize=style.SMALL, labelcolor=style.INK,
        title="cross: went out", title_fontsize=style.SMALL, alignment="left",
    )  # fmt: skip
