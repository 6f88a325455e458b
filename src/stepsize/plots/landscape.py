"""Pictures of a descent: trajectories over the contours, basins, rates with intervals, times to the global basin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stepsize.kernel.arrays import NUMPY, Floats, floats
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.optional import need
from stepsize.kernel.spec import NDArray
from stepsize.kernel.text import count, thousands
from stepsize.plots import style
from stepsize.plots.style import Axes
from stepsize.problems.landscapes import Landscape
from stepsize.results import Descent
from stepsize.results.landscape import ELSEWHERE

PIXELS = 300
"""Along each side of a map."""

LEVELS, DECADES = 15, 7
"""How many contours are drawn, and over how many decades below the highest point of the box, at most."""

FEW = 10
"""How many trajectories are drawn in one picture; more hide each other."""

SIX = 6
"""The most basins that have a colour each; where there are more, the colour is the height of their minimum."""

PANEL = (4.4, 4.3)
"""The size of one of several panels, in inches."""

PALE, DARK = "#dfe3e8", "#3b4048"
"""The colours of what ended at no listed minimum, and of what diverged or is not known."""

GROUND = ("#ffffff", "#77828f")
"""The grey of the highest and of the lowest ground."""


def plot_paths(descent: Descent, index: int = 0, ax: Axes | None = None, few: int = FEW) -> Axes:
    """Draw the first trajectories of one strategy over the landscape; darker ground is lower.

    descent: what is drawn. index: of the strategy. ax: where; a new figure if not given. few: how many trajectories.

    The contours are of `f - f_min`, spaced evenly in its logarithm. Of more than two dimensions the first two are
    drawn, over the slice through the global minimum, or the lowest end where none is known; of one, the coordinate
    against the step.
    """
    ax = style.axes(ax, PANEL)
    paths = descent.paths[index, :, :few]
    one = descent.landscape.dimensions == 1
    x = np.broadcast_to(descent.path_steps[:, None], paths.shape[:2]) if one else paths[..., 0]
    y = paths[..., 0] if one else paths[..., 1]
    ground(ax, descent)
    ax.plot(x, y, color=style.BLUE, linewidth=0.9, alpha=0.75)
    ax.plot(x[0], y[0], "o", color="white", markeredgecolor=style.BLUE, markersize=4, linestyle="none", label="start")
    ax.plot(x[-1], y[-1], "o", color=style.BLUE, markeredgecolor="white", markersize=6, linestyle="none", label="end")
    mark_minima(ax, descent)
    frame(ax, descent)
    labels = ("step", "x") if one else ("x1", "x2")
    style.dress(ax, title=style.short(descent.strategies[index].name, 34), x=labels[0], y=labels[1])
    ax.grid(visible=False)
    return ax


def plot_basins(descent: Descent, index: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw where each start ended: every point of the box has the colour of the basin that its nearest start ended in.

    descent: of two dimensions, or of one, where the end is drawn against the start. index: of the strategy; None for
    gradient flow, whose map is of the basins themselves. ax: where; a new figure if not given.

    Raises ParameterError for more than two dimensions.
    """
    landscape = descent.landscape
    if landscape.dimensions > 2:
        raise ParameterError(
            f"a map of basins needs one or two dimensions, and this {type(landscape).__name__} has "
            f"{landscape.dimensions}; look at its rates and times instead."
        )
    ax = style.axes(ax, PANEL)
    title = "gradient flow" if index is None else style.short(descent.strategies[index].name, 34)
    if landscape.dimensions == 1:
        _draw_final(ax, descent, index)
        style.dress(ax, title=title, x="start", y="end")
        return ax
    basins = descent.home if index is None else descent.basins[index]
    (left, right), (bottom, top) = landscape.box
    x, y = (np.linspace(low, high, PIXELS + 1)[:-1] + (high - low) / (2 * PIXELS) for low, high in landscape.box)
    tree = need("scipy.spatial").cKDTree((descent.starts - landscape.box[:, 0]) / np.ptp(landscape.box, axis=1))
    pixels = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    _, nearest = tree.query((pixels - landscape.box[:, 0]) / np.ptp(landscape.box, axis=1))
    colors = basin_colors(descent)[basins]
    ax.imshow(
        colors[nearest].reshape(PIXELS, PIXELS, 3), origin="lower", extent=(left, right, bottom, top), aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    mark_minima(ax, descent, star="white")
    frame(ax, descent)
    style.dress(ax, title=title, x="start: x1", y="start: x2")
    ax.grid(visible=False)
    return ax


def plot_rates(descent: Descent, ax: Axes | None = None) -> Axes:
    """Draw the share of the starts in the global basin, and the escape rate, with their 95 % intervals.

    descent: one pair of bars a strategy. ax: where; a new figure if not given.
    """
    rows = len(descent.strategies)
    ax = style.axes(ax, (8.0, 1.6 + 0.62 * rows))
    for row, outcome in enumerate(descent.outcomes):
        for offset, interval, color in ((-0.18, outcome.share, style.BLUE), (0.18, outcome.escape, style.ORANGE)):
            if interval is None:
                continue
            y = row if descent.landscape.saddle else row + offset  # on a saddle there is one bar
            bounds = [[interval.mean - interval.low], [interval.high - interval.mean]]
            ax.barh(y, interval.mean, height=0.32, color=color, zorder=2)
            ax.errorbar(interval.mean, y, xerr=np.abs(bounds), color=style.INK, linewidth=1.2, capsize=3, zorder=3)
            ax.annotate(
                f"{100 * interval.mean:.3g} %", xy=(interval.high, y), xytext=(6, 0), textcoords="offset points",
                va="center", fontsize=style.SMALL, color=style.INK,
            )  # fmt: skip
    ax.set_yticks(range(rows), [style.plain(style.short(s.name)) for s in descent.strategies])
    ax.set_ylim(rows - 0.45, -0.55)
    highest = max(i.high for o in descent.outcomes for i in (o.share, o.escape) if i is not None)
    ax.set_xlim(0, min(1.12, max(1.18 * highest, 0.01)))
    ax.xaxis.set_major_formatter(need("matplotlib.ticker").PercentFormatter(1.0))
    starts, trapped = thousands(len(descent.starts)), thousands(int(descent.trapped.sum()))
    bars = {f"of all {starts} starts": style.BLUE}
    if not descent.landscape.saddle:
        bars[f"escape: of the {trapped} that gradient flow leaves elsewhere"] = style.ORANGE
    patch = need("matplotlib.patches").Patch
    ax.legend(
        [patch(color=color) for color in bars.values()], list(bars),
        loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=2, frameon=False, fontsize=style.SMALL,
    )  # fmt: skip
    title = f"{name(descent)}: who {descent.goal.got}"
    style.dress(ax, title=title, x="share, with 95 % interval", y="", pad=24)
    ax.grid(visible=False, axis="y")
    return ax


def plot_arrivals(descent: Descent, ax: Axes | None = None) -> Axes:
    """Draw the share of the starts that came near a global minimum, or left the saddle, against the step.

    descent: a line a strategy; a dot is where half of the starts have been there. ax: where; a new figure if not given.
    """
    ax = style.axes(ax)
    steps = np.unique(np.concatenate([np.arange(min(descent.steps, 1000) + 1), descent.path_steps]))
    for index, (strategy, (color, _)) in enumerate(
        zip(descent.strategies, style.inks(len(descent.strategies)), strict=True)
    ):
        times = np.sort(np.where(descent.entered[index] < 0, np.iinfo(np.int64).max, descent.entered[index]))
        shares = np.searchsorted(times, steps, side="right") / len(times)
        ax.plot(
            np.maximum(steps, 0.8), shares, color=color, linestyle=style.DASHES[index % 4], linewidth=2,
            drawstyle="steps-post", label=style.plain(style.short(strategy.name)),
        )  # fmt: skip
        half = descent.outcomes[index].time.mean
        if np.isfinite(half):
            ax.plot([max(half, 0.8)], [0.5], "o", color=color, markersize=7, markeredgecolor="white", zorder=4)
    style.log_rates(ax)
    ax.xaxis.set_major_formatter(need("matplotlib.ticker").FuncFormatter(lambda step, _: thousands(round(step))))
    ax.set_xlim(0.8, max(descent.steps, 2))
    ax.set_ylim(bottom=0.0)
    ax.yaxis.set_major_formatter(need("matplotlib.ticker").PercentFormatter(1.0))
    title = f"{name(descent)}: who {descent.goal.done}"
    style.dress(ax, title=title, x="step, logarithmic", y="share of the starts")
    style.legend(
        ax, title="dot: half of the starts" if any(np.isfinite(o.time.mean) for o in descent.outcomes) else None
    )
    return ax


def side_by_side(descent: Descent, draw: Callable[..., Axes], *, flow: bool = False) -> list[Axes]:
    """Draw one panel a strategy in one figure, and return their Axes.

    draw: `plot_paths` or `plot_basins`. flow: whether the basins of gradient flow come first.
    """
    panels: list[int | None] = [*([None] if flow else []), *range(len(descent.strategies))]
    columns = len(panels) if len(panels) <= 3 else -(-len(panels) // 2) if len(panels) <= 6 else 4
    grid = style.panels(len(panels), columns, PANEL, room=0.5)
    drawn = [draw(descent, panel, ax) for panel, ax in zip(panels, grid, strict=True)]
    (_add_basin_key if draw is plot_basins else _add_path_key)(drawn, descent)
    return drawn


def name(descent: Descent) -> str:
    """Return the landscape in a few words: its kind, its dimensions when they can be chosen, and the noise."""
    kind, dimensions = type(descent.landscape).__name__, descent.landscape.dimensions
    noise = "" if descent.noise is None else f", {type(descent.noise).__name__} noise of scale {descent.noise.scale:g}"
    return f"{kind} in {count(dimensions, 'dimension')}{noise}"


def heights(landscape: Landscape, through: Floats, pixels: int = PIXELS) -> tuple[Floats, Floats, Floats]:
    """Return the points along two coordinates and `f - f_min` there, (pixels, pixels); one row for one dimension.

    through: the point whose other coordinates the slice has.
    """
    axes = [np.linspace(low, high, pixels) for low, high in landscape.box[:2]]
    points = np.stack(np.meshgrid(*axes), -1)
    rest = np.broadcast_to(through[2:], (*points.shape[:-1], len(through[2:])))
    found = np.asarray(landscape.value(np.concatenate([points, rest], -1), NUMPY), dtype=np.float64)
    lowest = landscape.lowest if np.isfinite(landscape.lowest) else float(found.min())
    return axes[0], axes[-1], np.maximum(found - lowest, 0.0)


def _lowest(descent: Descent) -> Floats:
    """Return the global minimum, or where none is listed the lowest end."""
    if len(descent.landscape.best):
        return floats(descent.landscape.best[0])
    final = descent.last.reshape(-1, descent.landscape.dimensions)
    with np.errstate(all="ignore"):  # an end may lie where the function is beyond all numbers
        values = np.asarray(descent.landscape.value(final, NUMPY), dtype=np.float64)
    return np.asarray(final[np.where(np.isnan(values), np.inf, values).argmin()], dtype=np.float64)


def levels(above: Floats) -> Floats:
    """Return the levels of the contours, spaced evenly in their logarithm, within DECADES of the highest."""
    positive = above[above > 0]
    highest = float(positive.max()) if len(positive) else 1.0
    lowest = float(np.quantile(positive, 1e-3)) if len(positive) else highest
    return np.geomspace(min(max(lowest, highest * 10.0**-DECADES), highest / 10), highest, LEVELS)


def ground(ax: Axes, descent: Descent) -> None:
    """Draw the contours of the landscape, darker where it is lower; bands along the step for one dimension."""
    colors = need("matplotlib.colors")
    x, y, above = heights(descent.landscape, _lowest(descent))
    if descent.landscape.dimensions == 1:
        x, y = np.array([0.0, float(descent.steps)]), x
        above = np.tile(above.reshape(-1, 1), (1, 2))
    at = levels(above)
    shades = colors.LinearSegmentedColormap.from_list("ground", GROUND[::-1])
    norm = colors.LogNorm(at[0], at[-1])
    kept = np.clip(above, at[0] * 0.999, at[-1])
    ax.contourf(x, y, kept, levels=[at[0] * 0.99, *at], cmap=shades, norm=norm, zorder=0)
    ax.contour(x, y, kept, levels=at, colors="white", linewidths=0.4, zorder=0.5)
    ax.set_rasterization_zorder(0.9)  # as outlines the ground would be a third of a megabyte in an SVG


def mark_minima(ax: Axes, descent: Descent, star: str = style.ORANGE) -> None:
    """Mark the known minima: a star for the global ones, a cross for the others; lines for one dimension."""
    landscape = descent.landscape
    goals = len(landscape.best)
    if landscape.dimensions == 1:
        for i, minimum in enumerate(landscape.minima[:, 0]):
            dash = "-" if i < goals else ":"
            ax.axhline(minimum, color=style.RED, linewidth=1.2, linestyle=dash, zorder=3)
        return
    others, best = landscape.minima[goals:], landscape.best
    small = len(others) > 20
    ax.plot(
        others[:, 0], others[:, 1], linestyle="none", marker="+", color=style.INK, markersize=4 if small else 7,
        markeredgewidth=0.8 if small else 1.4, label="other known minimum", zorder=3,
    )  # fmt: skip
    ax.plot(
        best[:, 0], best[:, 1], linestyle="none", marker="*", color=star, markeredgecolor=style.INK,
        markersize=13, markeredgewidth=0.9, label="global minimum", zorder=4,
    )  # fmt: skip


def frame(ax: Axes, descent: Descent) -> None:
    """Show the box, and a little more where a minimum lies on its edge."""
    room = 0.02 * np.ptp(descent.landscape.box, axis=1)
    low, high = descent.landscape.box[:, 0] - room, descent.landscape.box[:, 1] + room
    if descent.landscape.dimensions == 1:
        ax.set_xscale("symlog", linthresh=1)
        ax.xaxis.set_major_formatter(need("matplotlib.ticker").FuncFormatter(lambda v, _: thousands(round(v))))
        ax.set_xlim(0, descent.steps)
        ax.set_ylim(low[0], high[0])
        return
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])


def basin_colors(descent: Descent) -> Floats:
    """Return the colour of each basin, (minima + 2, 3), also by the negative numbers of ELSEWHERE and UNKNOWN."""
    rgb = need("matplotlib.colors").to_rgb
    if len(descent.landscape.minima) <= SIX:
        listed = [rgb(color) for color in style.PALETTE[: max(1, len(descent.landscape.minima))]]
    else:
        shades, norm = _shades(descent)
        goals = descent.landscape.goals
        heights_of = norm(np.maximum(_above(descent), norm.vmin))
        listed = [rgb(style.BLUE) if i < goals else shades(h)[:3] for i, h in enumerate(heights_of)]
    return np.array([*listed, rgb(DARK), rgb(PALE)])


def _above(descent: Descent) -> Floats:
    """Return how far each known minimum lies above the global one, (minima,)."""
    landscape = descent.landscape
    return np.asarray(landscape.value(landscape.minima, NUMPY) - landscape.lowest, dtype=np.float64)


def _shades(descent: Descent) -> tuple[Any, Any]:
    """Return the colours of local minima by their height, from pale to dark, and the logarithmic scale."""
    above = _above(descent)[descent.landscape.goals :]
    shades = need("matplotlib.colors").LinearSegmentedColormap.from_list("height", ("#fff3d6", "#e69f00", "#5e3c00"))
    return shades, need("matplotlib.colors").LogNorm(float(above.min()), float(above.max()))


def _add_path_key(panels: list[Axes], descent: Descent) -> None:
    """Say below the panels what marks and ground mean."""
    where = "darker ground is lower; contours evenly spaced in log(f - f_min)"
    if descent.landscape.dimensions > 2:
        where += "; the first two coordinates, over the slice through the lowest point known"
    handles, labels = panels[0].get_legend_handles_labels()
    if descent.landscape.dimensions == 1:
        where += "; red: minima"
    lines: list[Any] = handles
    known = {text: line for line, text in zip(lines, labels, strict=True) if len(line.get_xdata())}
    _key(panels, list(known.values()), list(known), f"{name(descent)}; {where}")


def _add_basin_key(panels: list[Axes], descent: Descent) -> None:
    """Say below the panels what the colours of the basins mean."""
    if descent.landscape.dimensions == 1:
        _key(panels, [], [], f"{name(descent)}: where each start ended; red: minima")
        return
    patch = need("matplotlib.patches").Patch
    colors, known, goals = basin_colors(descent), len(descent.landscape.minima), descent.landscape.goals
    pairs = []
    if known <= SIX:
        for i, minimum in enumerate(descent.landscape.minima):
            at = ", ".join(style.rate(float(number)) for number in minimum)
            pairs.append((patch(color=colors[i]), f"{'global' if i < goals else 'local'} ({at})"))
    else:
        pairs.append((patch(color=colors[0]), "global minimum"))
        shades, norm = _shades(descent)
        bar = need("matplotlib.cm").ScalarMappable(norm, shades)
        ruler = panels[0].figure.colorbar(bar, ax=panels, label="other minima: height above the global one", shrink=0.6)
        ruler.ax.yaxis.set_major_formatter(need("matplotlib.ticker").FuncFormatter(lambda value, _: style.rate(value)))
    basins = np.concatenate([descent.home, descent.basins.ravel()])
    pairs += [(patch(color=colors[ELSEWHERE]), "at no listed minimum")] if (basins == ELSEWHERE).any() else []
    pairs += [(patch(color=colors[-2]), "diverged, or not known")] if (basins < ELSEWHERE).any() else []
    _key(panels, [p for p, _ in pairs], [text for _, text in pairs], f"{name(descent)}: where each start ended")


def _key(panels: list[Axes], handles: list[Any], labels: list[str], title: str) -> None:
    panels[0].figure.legend(
        handles, labels, loc="outside lower left", ncols=6, frameon=False, fontsize=style.SMALL, title=title,
        title_fontsize=style.SMALL, alignment="left", labelcolor=style.INK,
    )  # fmt: skip


def _draw_final(ax: Axes, descent: Descent, index: int | None) -> None:
    """Draw the end of each start on a line, or its minimum for gradient flow."""
    starts = descent.starts[:, 0]
    if index is None:
        minima = np.append(descent.landscape.minima[:, 0], [np.nan, np.nan])
        final: NDArray = minima[np.where(descent.home < 0, -1, descent.home)]
    else:
        final = descent.last[index, :, 0]
    ax.plot(starts, final, ".", color=style.BLUE, markersize=2, alpha=0.5)
    mark_minima(ax, descent)
    ax.set_xlim(*descent.landscape.box[0])
