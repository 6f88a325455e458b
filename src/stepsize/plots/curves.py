"""Learning curves: the loss against the step, one line a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.spec import NDArray
from stepsize.plots import style
from stepsize.results import Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 200
SPREAD = 6
"""The window of the smoothing, in bins: a thirtieth of the run."""

MOST = 12
"""The most strategies that one picture tells apart."""


class Line(NamedTuple):
    """One strategy's curve.

    label: its name, and how many seeds diverged. losses: smoothed training loss, (bins,). scores: (points,).
    """

    label: str
    losses: Floats
    scores: Floats


def plot_curves(curves: Curves, ax: Axes | None = None, names: Sequence[str] | None = None) -> Axes:
    """Draw learning curves: the smoothed training loss of each strategy, averaged over its seeds.

    curves: the record; its trials are grouped by the name of their strategy. The scores are dots, where there is more
        than one point of them. ax: where; a new figure if not given.
    names: the strategies to draw, in this order; if not given the best 12, best first.

    Where some seeds diverged, the line is the mean of the others, and the legend says how many; where more than half
    did, it is drawn as far as half of them lived.
    """
    ax = style.axes(ax)
    steps, lines = lines_of(curves, names)
    scored = len(curves.score_steps) > 1
    for line, (color, dash) in zip(lines, style.inks(len(lines)), strict=True):
        ax.plot(steps, line.losses, color=color, linestyle=dash, linewidth=1.6, label=style.plain(line.label))
        if scored:
            ax.plot(curves.score_steps, line.scores, "o", color=color, markersize=5, markeredgecolor="white")
    _scale(ax, [line.losses for line in lines])
    count = "one strategy" if len(lines) == 1 else f"{len(lines)} strategies"
    style.dress(ax, title=f"Learning curves of {count}", x="step", y="loss")
    if lines:
        style.legend(ax, title="line: training loss" + ("\ndots: validation" if scored else ""))
    return ax


def lines_of(curves: Curves, names: Sequence[str] | None = None) -> tuple[Floats, list[Line]]:
    """Return what `plot_curves` draws: the steps (bins,), and a line for each strategy, in its order."""
    groups = _groups(curves)
    chosen = [name for name in names if name in groups] if names is not None else _best(curves, groups)[:MOST]
    steps, losses = style.binned(curves.losses, BINS)
    smooth = _smooth(losses)
    return steps, [_line(curves, name, groups[name], smooth) for name in chosen]


def _line(curves: Curves, name: str, columns: list[int], smooth: Floats) -> Line:
    drawn = _drawn(columns, curves.died_at)
    scores = style.middle(np.asarray(curves.scores, dtype=np.float64)[:, drawn])
    return Line(_label(name, curves.died_at[columns]), style.middle(smooth[:, drawn]), scores)


def _groups(curves: Curves) -> dict[str, list[int]]:
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


def _scale(ax: Axes, lines: list[Floats]) -> None:
    """Set the y limits from what is learnt, whatever a diverged run did; logarithmic where the losses span much."""
    values = np.concatenate(lines) if lines else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return
    starts = [line[np.isfinite(line)][0] for line in lines if np.isfinite(line).any()]
    low, high = float(values.min()), min(float(values.max()), 1.5 * float(max(starts)))
    if low > 0 and high / low > 5:
        ax.set_ylim(low / 1.3, high * 1.15)
        style.log_losses(ax)
        return
    room = 0.08 * max(high - low, 1e-12)
    ax.set_ylim(low - room, high + room)
