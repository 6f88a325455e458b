"""Animations: the trajectories of a descent as moving dots, one panel a strategy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from stepsize.kernel.errors import ParameterError, suggestion
from stepsize.kernel.optional import need
from stepsize.kernel.output_files import write
from stepsize.kernel.text import thousands
from stepsize.plots import style
from stepsize.plots.landscape import frame, ground, mark_minima, name
from stepsize.results import Descent

ENDINGS = ("gif", "webp")

FRAME = 80
"""How long a frame is shown, in milliseconds; the last one is shown fifteen times as long."""

PANEL = (3.4, 3.3)
"""The size of one panel, in inches."""

DPI, EVERY = 100, 2
"""The sharpness, in points an inch, and which of the recorded steps are shown: every second, and so the last one."""


def animate(descent: Descent, path: str | Path) -> Path:
    """Write the first trajectories of every strategy as an animation, side by side, and return its file.

    descent: of one dimension or more; see `plot_paths` for what is drawn of it. path: ends in .gif or .webp.

    Raises ParameterError for another ending, FormatError for a file that cannot be written.
    """
    file = Path(path)
    ending = file.suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        raise ParameterError(f"cannot animate into {file}: {ending!r} is no such format. {suggestion(ending, ENDINGS)}")
    frames = _frames(descent)
    if ending == "gif":  # of 256 colours; an octree keeps the few bright ones among all the greys
        frames = [frame.quantize(256, method=need("PIL.Image").Quantize.FASTOCTREE, dither=0) for frame in frames]
    first, *rest = frames
    durations = [FRAME] * len(rest) + [15 * FRAME]
    drawn = io.BytesIO()
    first.save(drawn, format=ending, save_all=True, append_images=rest, duration=durations, loop=0)
    return write(path, drawn.getvalue())


def _frames(descent: Descent) -> list[Any]:
    """Return the pictures, one a recorded step: the ground is drawn once, the dots anew on each."""
    image = need("PIL.Image")
    canvas, panels = _stage(descent)
    dots = [ax.plot([], [], "o", color=style.BLUE, markersize=4, markeredgecolor="white", markeredgewidth=0.4,
                    zorder=6, animated=True)[0] for ax in panels]  # fmt: skip
    clock = panels[0].figure.text(0.995, 0.99, "", ha="right", va="top", fontsize=style.TEXT, color=style.INK)
    clock.set_animated(True)
    canvas.draw()
    canvas.draw()  # the layout settles in the first pass
    empty = canvas.copy_from_bbox(canvas.figure.bbox)
    frames = []
    for row, step in list(enumerate(descent.path_steps.tolist()))[::EVERY]:
        canvas.restore_region(empty)
        for index, (ax, line) in enumerate(zip(panels, dots, strict=True)):
            points = descent.paths[index, row]
            one = points.shape[1] == 1
            line.set_data(np.full(len(points), step) if one else points[:, 0], points[:, 0] if one else points[:, 1])
            ax.draw_artist(line)
        clock.set_text(f"step {thousands(step)} of {thousands(descent.steps)}")
        canvas.figure.draw_artist(clock)
        frames.append(image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    return frames


def _stage(descent: Descent) -> tuple[Any, list[Any]]:
    """Return the canvas and its panels, with the ground and the minima drawn."""
    count = len(descent.strategies)
    grid = style.panels(count, min(count, 4), PANEL, room=0.4, dpi=DPI)
    canvas = need("matplotlib.backends.backend_agg").FigureCanvasAgg(grid[0].figure)
    labels = ("step", "x") if descent.landscape.dimensions == 1 else ("x1", "x2")
    for ax, strategy in zip(grid, descent.strategies, strict=True):
        ground(ax, descent)
        mark_minima(ax, descent)
        frame(ax, descent)
        style.dress(ax, title=style.short(strategy.name, 30), x=labels[0], y=labels[1])
        ax.grid(visible=False)
    canvas.figure.suptitle(name(descent), x=0.005, ha="left", fontsize=style.TEXT, color=style.INK)
    return canvas, grid
