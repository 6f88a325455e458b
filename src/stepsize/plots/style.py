"""One look for every picture: a palette that colour-blind readers tell apart, readable type, no ornament.

Everything is set on the Axes at hand and nothing on matplotlib's global state. A picture without an `ax` gets a figure
of its own, which no window and no registry knows, so it leaves nothing behind and needs no display.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.optional import need
from stepsize.kernel.text import short as short

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes

    from stepsize.plots.series import Graph
    from stepsize.strategy import Strategy
else:
    Axes = Any  # matplotlib is not imported before something is drawn

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PALETTE = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9", "#555555")
"""Okabe and Ito's colours without the yellow, which is too pale for a line on white."""

DASHES = ("-", "--", ":", "-.")
INK, QUIET, GRID = "#1a1a1a", "#5b6470", "#e3e6ea"
TEXT = 10
SMALL = 9
"""Sizes of type, in points."""

WIDE = (8.0, 3.9)
"""The size of a picture without an `ax`, in inches."""

FINEST = 600
"""The most points of a line; more are not seen, and make a page heavy."""


def axes(ax: Any, size: tuple[float, float] = WIDE) -> Axes:
    """Return `ax`, or the axes of a new figure of `size` inches that no global state knows."""
    if ax is not None:
        return ax  # type: ignore[no-any-return]  # matplotlib types its Axes loosely
    figure = need("matplotlib.figure").Figure(figsize=size, layout="constrained", facecolor="white")
    return figure.add_subplot()  # type: ignore[no-any-return]  # matplotlib types its Axes loosely


def panels(
    count: int, columns: int, size: tuple[float, float], *, room: float = 0.0, dpi: float | None = None, **options: Any
) -> list[Axes]:
    """Return `count` axes of a new figure, row by row in so many columns, each about `size` inches.

    room: above or below them, in inches. options: of matplotlib's `subplots`.
    """
    rows = -(-count // columns)
    whole = (size[0] * columns, size[1] * rows + room)
    figure = need("matplotlib.figure").Figure(figsize=whole, layout="constrained", facecolor="white", dpi=dpi)
    grid: list[Axes] = figure.subplots(rows, columns, squeeze=False, **options).ravel().tolist()
    for ax in grid[count:]:
        ax.remove()
    return grid[:count]


def dress(ax: Axes, *, title: str, x: str, y: str, pad: float = 8.0) -> None:
    """Give `ax` its words and its quiet frame: title at the left (`pad` points above), no box, a pale grid behind."""
    entitle(ax, title, pad=pad)
    ax.set_xlabel(x, fontsize=TEXT, color=INK)
    ax.set_ylabel(y, fontsize=TEXT, color=INK)
    ax.tick_params(labelsize=SMALL, colors=INK, length=3)
    ax.grid(visible=True, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)


def entitle(ax: Axes, title: str, *, pad: float = 8.0) -> None:
    """Write the title of `ax`, `pad` points above it, at its left edge."""
    ax.set_title(plain(title), loc="left", fontsize=TEXT + 1, color=INK, fontweight="bold", pad=pad)


def legend(ax: Axes, *, title: str | None = None, named: Mapping[str, str] | None = None) -> None:
    """List the labelled artists of `ax` at its right side, where they cover no data.

    named: those to list, by their labels, with what each is called there; all when not given.
    """
    handles, labels = ax.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True)) if named else {}
    chosen = ([found[label] for label in named], list(named.values())) if named else (handles, labels)
    ax.legend(
        *chosen, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False, fontsize=SMALL,
        title=title, title_fontsize=SMALL, alignment="left", labelcolor=INK,
    )  # fmt: skip


def name_rows(ax: Axes, strategies: Sequence[Strategy]) -> None:
    """Write the names of strategies at the left of their rows, the first on top."""
    ax.set_yticks(range(len(strategies)), [plain(short(strategy.name)) for strategy in strategies])
    ax.set_ylim(max(len(strategies), 1) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")


def inks(count: int) -> list[tuple[str, str]]:
    """Return `count` pairs of colour and dash: all colours in whole lines first, then dashed, then dotted."""
    return list(islice(cycle((color, dash) for dash in DASHES for color in PALETTE), count))


def log_rates(ax: Axes, name: Callable[[float], str] | None = None) -> None:
    """Put learning rates on a logarithmic x axis, with plain numbers at the decades, in a short one also inside.

    name: how a number is written; as `rate` does, when not given.
    """
    ticker = need("matplotlib.ticker")
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    few = math.log10(high / low) < 2.0
    most = 9 if few or ax.figure.bbox.width > 5 * ax.figure.dpi else 5  # numbers of a small picture would touch
    ax.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=most))
    ax.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: (name or rate)(value)))
    ax.xaxis.set_minor_formatter(ticker.NullFormatter())


def log_losses(ax: Axes) -> None:
    """Put losses on a logarithmic y axis, with plain numbers, also inside a decade."""
    ticker = need("matplotlib.ticker")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    few = math.log10(high / low) < 2.0
    ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=12))
    ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: rate(value)))
    ax.yaxis.set_minor_formatter(ticker.NullFormatter())


def frame_losses(ax: Axes, graph: Graph) -> None:
    """Show the losses that a graph needs, with room for crosses at the top; logarithmic where they span much."""
    if graph.span is None:
        return
    low, high = graph.span
    if graph.log:
        ax.set_ylim(low / 1.3, high * max(1.15, (high / low) ** 0.12))
        log_losses(ax)
        return
    room = max(high - low, 1e-12)
    ax.set_ylim(low - 0.08 * room, high + 0.12 * room)


def plain(text: str) -> str:
    """Return user's text on one line, for matplotlib to show as it is.

    A dollar would start a formula, and a label with a leading underscore would be left out of the legend.
    """
    line = " ".join(text.split()).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line


def rate(value: float, digits: int = 3) -> str:
    """Return a number in a few significant digits, the way people write rates: 0.012, 3.2e-5.

    >>> rate(0.0123456), rate(3.16e-5), rate(1.0)
    ('0.0123', '3.16e-5', '1')
    """
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def binned(values: Any, most: int = FINEST) -> tuple[Floats, Floats]:
    """Return the means of at most `most` equal bins, and where they lie.

    values: (steps, ...), any real dtype. A bin with a value that is not finite is NaN: a run that diverged has no mean.
    Returns the middles of the bins (bins,) in steps, and the means (bins, ...), both float64.
    """
    data = np.asarray(values, dtype=np.float64)
    if not len(data):
        return np.empty(0), data
    edges = np.linspace(0, len(data), min(most, len(data)) + 1).astype(np.int64)
    sizes = np.diff(edges)
    clean = np.where(np.isfinite(data), data, np.nan)
    means = np.add.reduceat(clean, edges[:-1], axis=0) / sizes.reshape(-1, *[1] * (data.ndim - 1))
    return (edges[:-1] + edges[1:] - 1) / 2, means


def middle(values: Floats, *, average: str = "mean") -> Floats:
    """Return the mean or the median of each row over its finite values, (rows,); NaN where fewer than half are finite.

    values: (rows, seeds) float64.
    """
    finite = np.isfinite(values)
    enough = 2 * finite.sum(axis=1) >= max(1, values.shape[1])
    result = np.full(len(values), np.nan)
    function = np.nanmedian if average == "median" else np.nanmean
    if enough.any():
        result[enough] = function(np.where(finite, values, np.nan)[enough], axis=1)
    return result
