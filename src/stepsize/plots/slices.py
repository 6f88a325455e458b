"""Slices of the loss around a model: a line, or the contours of a plane with the path of training on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.optional import need
from stepsize.plots import style
from stepsize.results import Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = 18
"""How many steps the contours have, evenly in the logarithm of the loss."""

DECADES = 6.0
"""Over how many decades above the lowest loss they reach at least; higher ground is drawn flat."""

GROUND = ("#123a5c", "#2f6c9c", "#7fb0d3", "#cfe1ee", "#f7fafc")
"""From the lowest to the highest ground: one hue, evenly lighter, so it reads without colour too."""

SQUARE = (6.0, 4.6)
"""The size of a picture of a plane, in inches."""


def plot_slice(found: Slice, ax: Axes | None = None) -> Axes:
    """Draw the loss on a line, or its contours in a plane, darker where lower, with the path of training on them.

    found: what is drawn. ax: where; a new figure if not given. Losses that are not finite are left white.
    """
    return _line(found, ax) if not len(found.y) else _plane(found, ax)


def _line(found: Slice, ax: Axes | None) -> Axes:
    ax = style.axes(ax)
    ax.plot(found.x, found.losses, color=style.BLUE, linewidth=2)
    ax.plot(
        [0.0], [found.centre], "o", color=style.RED, markersize=8, markeredgecolor="white", zorder=4,
        label=f"the model, loss {style.rate(found.centre)}",
    )  # fmt: skip
    finite = found.losses[np.isfinite(found.losses)]
    if len(finite) and finite.min() > 0 and finite.max() / finite.min() > 5:
        ax.set_ylim(float(finite.min()) / 1.3, float(finite.max()) * 1.15)
        style.log_losses(ax)
    style.dress(ax, title=f"Loss along a {found.name}", x=found.labels[0], y="loss")
    ax.legend(loc="upper center", frameon=False, fontsize=style.SMALL, labelcolor=style.INK)
    return ax


def _plane(found: Slice, ax: Axes | None) -> Axes:
    ax = style.axes(ax, SQUARE)
    _ground(ax, found)
    if len(found.path):
        _path(ax, found)
    else:
        ax.set_aspect("equal")
        _dot(ax, (0.0, 0.0), "model")
    labels = list(found.labels)
    if found.explained:
        labels = [f"{label} ({100 * share:.0f} %)" for label, share in zip(labels, found.explained, strict=True)]
    style.dress(ax, title=_title(found), x=labels[0], y=labels[1])
    ax.grid(visible=False)
    return ax


def _title(found: Slice) -> str:
    if not len(found.path):
        return f"Loss in a plane of {found.name}"
    return f"{style.thousands(int(found.steps[-1]))} updates in {found.name}"


def _ground(ax: Axes, found: Slice) -> None:
    """Draw the contours, filled and as hairlines, and the bar that says what they are."""
    levels = contours(found.losses)
    if levels is None:
        ax.set_xlim(found.x[0], found.x[-1])
        ax.set_ylim(found.y[0], found.y[-1])
        return
    colors = need("matplotlib.colors")
    losses = np.ma.masked_invalid(found.losses)
    ramp = colors.LinearSegmentedColormap.from_list("ground", GROUND)
    norm = colors.BoundaryNorm(levels, ramp.N, extend="max")
    ground = ax.contourf(found.x, found.y, losses, levels, cmap=ramp, norm=norm, extend="max")
    ax.contour(found.x, found.y, losses, levels[1:], colors="white", linewidths=0.5, alpha=0.7)
    _bar(ax, ground, levels)


def _bar(ax: Axes, ground: Any, levels: Floats) -> None:
    bar = ax.figure.colorbar(ground, ax=ax, pad=0.02, aspect=28, ticks=levels[::3])
    bar.ax.set_yticklabels([style.rate(level, 2) for level in levels[::3]])
    bar.ax.tick_params(labelsize=style.SMALL, colors=style.INK, length=0)
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    bar.set_label("loss", fontsize=style.TEXT, color=style.INK)


def contours(losses: Floats) -> Floats | None:
    """Return LEVELS + 1 levels, evenly in the logarithm: of the loss where it is above 0, else of its height.

    None where no loss is finite, or all are the same.
    """
    finite = losses[np.isfinite(losses)]
    if not len(finite) or not finite.max() > finite.min():
        return None
    low, high = float(finite.min()), float(finite.max())
    if low > 0:
        return np.geomspace(low, min(high, low * 10**DECADES), LEVELS + 1)
    return np.concatenate([[low], low + (high - low) * np.geomspace(10**-DECADES / 2, 1.0, LEVELS)])


def _path(ax: Axes, found: Slice) -> None:
    """Draw the path over the ground, in a white casing so that it is seen on any of it."""
    effects = need("matplotlib.patheffects")
    casing = [effects.Stroke(linewidth=3.6, foreground="white"), effects.Normal()]
    x, y = found.path.T
    ax.plot(x, y, color=style.RED, linewidth=1.8, path_effects=casing, zorder=3)
    ax.plot(x[1:-1], y[1:-1], "o", color=style.RED, markersize=3, markeredgewidth=0, zorder=3)
    _dot(ax, (x[0], y[0]), "start", hollow=True)
    _dot(ax, (x[-1], y[-1]), "end")


def _dot(ax: Axes, place: tuple[float, float], word: str, *, hollow: bool = False) -> None:
    effects = need("matplotlib.patheffects")
    face, edge = ("white", style.RED) if hollow else (style.RED, "white")
    ax.plot(*place, "o", markerfacecolor=face, markeredgecolor=edge, markersize=9, markeredgewidth=1.8, zorder=5)
    ax.annotate(
        word, place, xytext=(8, 7), textcoords="offset points", fontsize=style.TEXT, color=style.INK, zorder=6,
        fontweight="bold", path_effects=[effects.Stroke(linewidth=3, foreground="white"), effects.Normal()],
    )  # fmt: skip
