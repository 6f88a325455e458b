"""Vertical lines at the rates that matter, each with its word on a flag above the picture, and no flag over another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stepsize.kernel.optional import need
from stepsize.plots import style
from stepsize.plots.range_test_data import Mark, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 13.0
"""The height of a row of flags, and of a row of the key, in points."""

BOLD, LETTER, HANDLE = 0.72, 0.58, 31.0
"""The width of a bold letter and of another, as shares of the size of type, and of a key's sample with its gaps, in
points."""

Look = tuple[str, Any, float]
"""A colour, a dash of matplotlib's, and a width in points."""

LOOKS: dict[str, Look] = {
    "min": (style.GREEN, "--", 1.6), "max": (style.RED, "-.", 1.6), "lr": (style.BLUE, "-", 2.2),
    "base": (style.BLUE, (0, (7, 2)), 1.4), "limit": ("#555555", ":", 1.6),
}  # fmt: skip
"""How each mark looks, told apart without colour too."""

SHADED = ("min", "max", "lr")
"""The marks whose spread is shown."""

ARROWS = ("← ", " →")
"""Before or behind the word of a mark that lies outside the picture."""


def crown(ax: Axes, marks: Sequence[Mark], window: Window) -> float:
    """Draw marks and, above their flags, the key of what `ax` has; return where a title fits, in points above it."""
    return 6 + key(ax, mark(ax, marks, window))


def mark(ax: Axes, marks: Sequence[Mark], window: Window) -> float:
    """Draw each mark as a line with the spread shaded and its flag above; return the height of all flags in points.

    window: of the x axis. A mark outside is a flag with an arrow at that edge, without a line.
    """
    shown = [(each, float(window.share(each.estimate.value))) for each in marks]
    shown = [(each, place) for each, place in shown if np.isfinite(place)]
    texts = [_arrowed(each.text, place) for each, place in shown]
    points = _points(ax)
    flags = rows([(min(max(place, 0.0), 1.0), (BOLD * style.SMALL * len(text) + 8) / points)
                  for (_, place), text in zip(shown, texts, strict=True)])  # fmt: skip
    for (each, place), text, (side, row) in zip(shown, texts, flags, strict=True):
        if 0 <= place <= 1:
            _line(ax, each, row)
        at = (min(max(place, 0.0), 1.0), ROW * row)
        _flag(ax, text, at, side, LOOKS[each.word][0])
    return ROW * (1 + max((row for _, row in flags), default=-1))


def _line(ax: Axes, each: Mark, row: int) -> None:
    """Draw the line of a mark, up to its flag, and its spread."""
    color, dash, width = LOOKS[each.word]
    value, low, high = each.estimate.value, each.estimate.low, each.estimate.high
    if each.word in SHADED and np.isfinite([low, high]).all() and low < high and (low > 0 or ax.get_xscale() != "log"):
        ax.axvspan(low, high, color=color, alpha=0.13, linewidth=0)
    ax.axvline(value, color=color, linewidth=width, linestyle=dash, label=f"_{each.text}", zorder=2.5)
    ax.annotate(
        "", xy=(value, 1.0), xycoords=ax.get_xaxis_transform(), xytext=(0, ROW * (row + 1)),
        textcoords="offset points", annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": color, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def _flag(ax: Axes, text: str, at: tuple[float, float], side: str, color: str) -> None:
    """Write a flag at its pole (share of the width, points above the picture)."""
    ax.annotate(
        text, xy=(at[0], 1.0), xycoords="axes fraction", xytext=(3 if side == "right" else -3, 3 + at[1]),
        textcoords="offset points", ha="left" if side == "right" else "right", va="bottom",
        fontsize=style.SMALL, color=color, fontweight="bold", annotation_clip=False,
    )  # fmt: skip


def _arrowed(text: str, place: float) -> str:
    return f"{ARROWS[0] * (place < 0)}{text}{ARROWS[1] * (place > 1)}"


def rows(flags: Sequence[tuple[float, float]]) -> list[tuple[str, int]]:
    """Return to which side of its pole each flag hangs, and in which row, so that no flag meets another or its pole.

    flags: where its pole stands and how wide it is, as shares of the width of the picture.

    A flag hangs to the right, save where it would leave the picture or the pole is under a flag that hangs to the left.
    Those to the left are placed from left to right, then the others from right to left, each above all that it meets.
    """
    order = sorted(range(len(flags)), key=lambda i: flags[i][0])
    sides = dict.fromkeys(order, "right")
    reach = 1.0
    for i in reversed(order):
        pole, width = flags[i]
        if pole + width > 1.0 or pole > reach:
            sides[i], reach = "left", min(reach, pole - width)
    lefts = [i for i in order if sides[i] == "left"]
    rights = [i for i in reversed(order) if sides[i] == "right"]
    placed: list[tuple[float, float, int]] = []
    found = dict.fromkeys(order, 0)
    for i in (*lefts, *rights):
        pole, width = flags[i]
        start, stop = (pole, pole + width) if sides[i] == "right" else (pole - width, pole)
        found[i] = 1 + max((row for low, high, row in placed if low <= stop and start <= high), default=-1)
        placed.append((start, stop, found[i]))
    return [(sides[i], found[i]) for i in range(len(flags))]


def key(ax: Axes, above: float) -> float:
    """List the labelled curves of `ax` over it, `above` points over its upper edge; return the height of all, points.

    As many stand in a row as there is room for.
    """
    handles, words = ax.get_legend_handles_labels()
    if not handles:
        return above
    count = _key_rows([HANDLE + LETTER * style.SMALL * len(word) for word in words], _points(ax))
    ax.legend(
        handles, words, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.0, borderpad=0.0, frameon=False,
        bbox_transform=raised(ax, ax.transAxes, above + 2), ncols=-(-len(words) // count), fontsize=style.SMALL,
        labelcolor=style.INK, handlelength=1.8, columnspacing=1.0, handletextpad=0.5, labelspacing=0.25,
    )  # fmt: skip
    return above + ROW * count + 4


def _key_rows(widths: Sequence[float], room: float) -> int:
    """Return in how few rows a key fits, whose columns are filled from top to bottom, each as wide as its widest."""
    for count in range(1, len(widths)):
        if sum(max(widths[i : i + count]) for i in range(0, len(widths), count)) <= room:
            return count
    return len(widths)


def raised(ax: Axes, transform: Any, points: float) -> Any:
    """Return a transform of `ax` that ends some points higher."""
    copy = need("matplotlib.transforms").offset_copy
    return copy(transform, fig=ax.get_figure(root=True), y=points, units="points")


def _points(ax: Axes) -> float:
    """Return about how wide `ax` is, in points; its labels may yet take a tenth of it."""
    return 0.9 * 72 * float(ax.get_position().width) * float(ax.get_figure(root=True).get_figwidth())  # type: ignore[union-attr]  # axes without a figure cannot be made
