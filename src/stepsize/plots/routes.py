"""One start, closely: the graph of a landscape of one dimension, the routes of strategies, their effective rates."""

from __future__ import annotations

from typing import Literal

import numpy as np

from stepsize.kernel.arrays import NUMPY, Floats
from stepsize.kernel.errors import ParameterError, suggestion
from stepsize.plots import style
from stepsize.plots.landscape import FEW, PANEL, frame, ground, mark_minima
from stepsize.plots.style import Axes
from stepsize.results import Descent

What = Literal["rates", "moves"]

LABELS: dict[What, str] = {"rates": "effective rate, |step| / |gradient|", "moves": "step, |change of a parameter|"}

POINTS = 500
"""How many points the graph of a landscape has."""


def plot_profile(descent: Descent, index: int = 0, ax: Axes | None = None, few: int = FEW) -> Axes:
    """Draw the graph of a landscape of one dimension, and the first trajectories of one strategy on it.

    descent: of one dimension. index: of the strategy. ax: where; a new figure if not given. few: how many trajectories.

    Raises ParameterError for more than one dimension.
    """
    landscape = descent.landscape
    if landscape.dimensions != 1:
        raise ParameterError(
            f"a graph needs one dimension, and this {type(landscape).__name__} has {landscape.dimensions}; look at its "
            "paths instead."
        )
    ax = style.axes(ax)
    x = np.linspace(landscape.box[0, 0], landscape.box[0, 1], POINTS)
    ax.plot(x, _heights(descent, x), color=style.QUIET, linewidth=1.6, zorder=1)
    paths = descent.paths[index, :, :few, 0]
    colors = [color for color, _ in style.inks(paths.shape[1])]
    for path, color in zip(paths.T, colors, strict=True):
        ax.plot(path, _heights(descent, path), ".-", color=color, linewidth=0.8, markersize=4, zorder=2)
    for row, face, label in ((0, "white", "start"), (-1, style.INK, "end")):
        ax.plot(
            paths[row], _heights(descent, paths[row]), "o", markerfacecolor=face, markeredgecolor=style.INK,
            markersize=7, linestyle="none", label=label, zorder=4,
        )  # fmt: skip
    best = landscape.best[:, 0]
    ax.plot(
        best, _heights(descent, best), "*", color=style.ORANGE, markeredgecolor=style.INK, markersize=17,
        markeredgewidth=0.9, linestyle="none", label="global minimum", zorder=3,
    )  # fmt: skip
    style.dress(ax, title=style.short(descent.strategies[index].name), x="x", y="f(x)")
    return ax


def _heights(descent: Descent, x: Floats) -> Floats:
    return np.asarray(descent.landscape.value(x[:, None], NUMPY), dtype=np.float64)


def plot_routes(descent: Descent, start: int = 0, ax: Axes | None = None) -> Axes:
    """Draw where each strategy goes from one start, over the contours of the landscape; darker ground is lower.

    descent: of two dimensions or more; of more, the first two are drawn. start: its number. ax: where; a new figure if
    not given.

    Raises ParameterError for one dimension, and for a start whose trajectory was not recorded.
    """
    _watched(descent, start)
    if descent.landscape.dimensions == 1:
        raise ParameterError("routes need two dimensions; look at the profile of a landscape of one.")
    ax = style.axes(ax, PANEL)
    ground(ax, descent)
    for index, (strategy, (color, _)) in enumerate(
        zip(descent.strategies, style.inks(len(descent.strategies)), strict=True)
    ):
        x, y = descent.paths[index, :, start, :2].T
        ax.plot(x, y, ".-", color=color, linewidth=1.4, markersize=4, label=style.plain(style.short(strategy.name)))
        ax.plot(x[-1:], y[-1:], "o", color=color, markeredgecolor="white", markersize=8, zorder=5)
    ax.plot(*descent.starts[start, :2], "o", color="white", markeredgecolor=style.INK, markersize=7, zorder=5)
    mark_minima(ax, descent)
    frame(ax, descent)
    style.dress(ax, title="One start, several strategies", x="x1", y="x2")
    ax.grid(visible=False)
    return ax


def plot_coordinates(descent: Descent, what: What = "rates", start: int = 0, ax: Axes | None = None) -> Axes:
    """Draw how far each coordinate moved in each update, or how far for its gradient, along one trajectory.

    descent: what is drawn, as far as every update of it was recorded: all of a short run, the first ones of a long one.
    what: the effective rates `|step| / |gradient|`, or the moves `|step|`. start: the number of the trajectory. ax:
    where; a new figure if not given. One colour a strategy, one dash a coordinate; at most four coordinates.

    Raises ParameterError when `what` is neither, and for a start whose trajectory was not recorded.

    Watch out: the gradient is the landscape's, without noise, so under noise the rates are ragged.
    """
    if what not in LABELS:
        raise ParameterError(f"what cannot be {what!r}. {suggestion(str(what), LABELS)}")
    _watched(descent, start)
    ax = style.axes(ax)
    for index, (strategy, (color, _)) in enumerate(
        zip(descent.strategies, style.inks(len(descent.strategies)), strict=True)
    ):
        values = _steps(descent, index, start)[what]
        for axis, dash in zip(range(values.shape[1]), style.DASHES, strict=False):
            label = style.plain(f"{style.short(strategy.name, 30)}: x{axis + 1}")
            ax.plot(values[:, axis], color=color, linestyle=dash, linewidth=1.8, label=label)
    style.dress(ax, title="How far each coordinate moves", x="step", y=LABELS[what])
    style.log_losses(ax)
    return ax


def _steps(descent: Descent, index: int, start: int) -> dict[str, Floats]:
    """Return the moves and the effective rates of one trajectory, (updates, dimensions) each, NaN for none."""
    every = int(np.argmax(np.append(np.diff(descent.path_steps), 2) != 1)) + 1
    path = descent.paths[index, :every, start]
    moves = np.abs(np.diff(path, axis=0))
    with np.errstate(all="ignore"):  # a trajectory that diverged has been where the function is beyond all numbers
        slopes = np.abs(np.asarray(descent.landscape.gradient(path[:-1], NUMPY), dtype=np.float64))
    moves[moves == 0] = np.nan
    return {"moves": moves, "rates": np.divide(moves, slopes, out=np.full_like(moves, np.nan), where=slopes > 0)}


def _watched(descent: Descent, start: int) -> None:
    if not 0 <= start < descent.watched:
        raise ParameterError(
            f"the trajectory of start {start} was not recorded; take one of the first {descent.watched}, or "
            "descend with a larger `watched`."
        )
