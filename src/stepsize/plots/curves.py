"""Learning curves: the loss against the step, one line a strategy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.spec import NDArray
from stepsize.plots import style
from stepsize.plots.series import Graph, Series
from stepsize.plots.style import Axes
from stepsize.results import Curves

BINS = 200
SPREAD = 6
"""The window of the smoothing, in bins: a thirtieth of the run."""

MOST = 12
"""The most strategies that one picture tells apart."""

TRAINING, VALIDATION = "training loss", "validation"


def plot_curves(curves: Curves, ax: Axes | None = None, names: Sequence[str] | None = None) -> Axes:
    """Draw learning curves: the smoothed training loss of each strategy, averaged over its seeds.

    curves: the record; its trials are grouped by the name of their strategy. The scores are dots, where there is more
        than one point of them. ax: where; a new figure if not given.
    names: the strategies to draw, in this order; if not given the best 12, best first.

    Where some seeds diverged, the line is the mean of the others, and the legend says how many; where more than half
    did, it is drawn as far as half of them lived.
    """
    ax = style.axes(ax)
    graph = learning_graph(curves, names)
    for each in graph.series:
        ax.plot(
            *each.columns[TRAINING], color=each.color, linestyle=each.dash, linewidth=1.6, label=style.plain(each.label)
        )
        if VALIDATION in each.columns:
            ax.plot(*each.columns[VALIDATION], "o", color=each.color, markersize=5, markeredgecolor="white")
    style.frame_losses(ax, graph)
    count = "one strategy" if len(graph.series) == 1 else f"{len(graph.series)} strategies"
    style.dress(ax, title=f"Learning curves of {count}", x=graph.x, y=graph.y)
    if graph.series:
        style.legend(ax, title="line: training loss" + ("\ndots: validation" if VALIDATION in graph.marks else ""))
    return ax


def learning_graph(curves: Curves, names: Sequence[str] | None = None) -> Graph:
    """Return the numbers of `plot_curves`: smoothed training losses, and the scores where there are several points."""
    columns = _columns_of(curves)
    chosen = _best(curves, columns)[:MOST] if names is None else [name for name in names if name in columns]
    marks = {TRAINING: "line", VALIDATION: "dots"} if len(curves.score_steps) > 1 else {TRAINING: "line"}
    steps, losses = style.binned(curves.losses, BINS)
    smooth, scores = _smooth(losses), floats(curves.scores)
    series = []
    for name, (color, dash) in zip(chosen, style.inks(len(chosen)), strict=True):
        drawn = _drawn(columns[name], curves.died_at)
        loss = style.middle(smooth[:, drawn])
        numbers = {TRAINING: (steps, loss), VALIDATION: (floats(curves.score_steps), style.middle(scores[:, drawn]))}
        finite = loss[np.isfinite(loss)]
        low, high = (finite.min(), min(finite.max(), 1.5 * finite[0])) if len(finite) else (np.nan, np.nan)
        series.append(
            Series(
                label=_label(name, curves.died_at[columns[name]]), color=color, dash=dash, low=float(low),
                high=float(high), columns={mark: numbers[mark] for mark in marks},
            )
        )  # fmt: skip
    return Graph(x="step", y="loss", marks=marks, series=tuple(series))


def _columns_of(curves: Curves) -> dict[str, list[int]]:
    """Return the columns of each strategy, by its name."""
    groups: dict[str, list[int]] = {}
    for column, trial in enumerate(curves.trials):
        groups.setdefault(trial.strategy.name, []).append(column)
    return groups


def _drawn(columns: list[int], died_at: NDArray) -> list[int]:
    """Return the columns that lived, or all when those are fewer than half: an average needs most of its seeds."""
    lived = [column for column in columns if died_at[column] < 0]
    return lived if 2 * len(lived) >= len(columns) else columns


def _best(curves: Curves, groups: dict[str, list[int]]) -> list[str]:
    """Return the names, best mean of the last scores first."""
    if not len(curves.scores):
        return list(groups)
    final = curves.final
    return sorted(groups, key=lambda name: float(final[groups[name]].mean()))


def _smooth(losses: Floats) -> Floats:
    """Return the running mean over SPREAD bins before each, (bins, trials); NaN from divergence on."""
    padded = np.concatenate([np.repeat(losses[:1], SPREAD - 1, axis=0), losses])
    alive = np.logical_and.accumulate(np.isfinite(padded), axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(np.where(alive, padded, np.nan), SPREAD, axis=0)
    counts = np.minimum(np.arange(1, len(losses) + 1), SPREAD)
    return np.stack([windows[i, ..., -n:].mean(axis=-1) for i, n in enumerate(counts)]) if len(losses) else losses


def _label(name: str, died_at: NDArray) -> str:
    dead = int((died_at >= 0).sum())
    note = "" if not dead else " (diverged)" if dead == len(died_at) else f" ({dead} of {len(died_at)} diverged)"
    return style.short(name) + note
