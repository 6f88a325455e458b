"""A range test as text for a terminal: pictures by plotext, or tables where it or its characters are missing."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.optional import installed, need
from stepsize.plots import range_test_data, style
from stepsize.plots.range_test_data import Mark, Window
from stepsize.policies import LR
from stepsize.results import RangeTestRecord, RunGrid, Suggestion

LEAST = (40, 4)
"""The fewest columns, and the fewest lines of a picture, that show anything."""

MARKS = {"min": "[", "max": "]", "lr": "▲", "base": "△", "limit": "┊"}
SIGN = "●"
"""A run of a grid."""

CROSS, ABOVE = "✗", "↑"
"""A run that diverged, and one whose loss lies above the picture."""

CHARACTERS = "⣿│┤└─┬├┈" + CROSS + ABOVE + SIGN + "".join(MARKS.values())
"""Every kind of character that a picture may need."""

ROWS = 15
"""The most rows of a table."""


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """What one picture shows: a title and axes, a curve, a level, signs with their meaning, and marks on the x axis.

    curve: x and y, (points,) each. runs: what the points of the curve are, where each of them is a run. crosses: x of
    what diverged.
    """

    title: str
    x: Window
    y: Window
    curve: tuple[Floats, Floats]
    marks: Sequence[Mark]
    level: float = math.nan
    runs: str = ""
    crosses: Floats = field(default_factory=lambda: np.empty(0))


def sketch(
    sweep: RangeTestRecord | RunGrid, suggestion: Suggestion | None = None, width: int = 80, height: int = 12,
    encoding: str = "utf-8",
) -> str:  # fmt: skip
    """Return a range test or a grid as lines of text.

    sweep: as it was recorded. suggestion: what follows from it; its rates are marked on the axis. width: of a line, in
    characters, at least 40. height: of the picture, in lines, at least 4, without title, axis and key.
    encoding: of where it goes. Where it has no braille, or plotext is not installed, there is a table in place of the
    picture.

    A range test is the median of its seeds, smoothed. A grid is the mean over its seeds, a sign at each rate and a line
    between them. A run that diverged is a cross at the top.

    Raises ParameterError for a width or height that is too small.
    """
    if width < LEAST[0] or height < LEAST[1]:
        raise ParameterError(
            f"a sketch of {width} columns and {height} lines is too small to be read. "
            f"Give it at least {LEAST[0]} and {LEAST[1]}."
        )
    shown = _range_test(sweep, suggestion) if isinstance(sweep, RangeTestRecord) else _grid(sweep, suggestion)
    drawable = installed("plotext") and _encoded(CHARACTERS, encoding) == CHARACTERS
    text = _picture(shown, width, height) if drawable else _table(shown, width)
    return "\n".join(_encoded(line.rstrip(), encoding) for line in text.splitlines())


def _encoded(text: str, encoding: str) -> str:
    """Return `text` with a question mark for what `encoding` does not have."""
    try:
        return text.encode(encoding, "replace").decode(encoding)
    except LookupError:  # an encoding that this Python has never heard of
        return _encoded(text, "ascii")


def _range_test(record: RangeTestRecord, suggestion: Suggestion | None) -> Sketch:
    rates, losses = range_test_data.fit(record, suggestion)
    curve, marks = style.middle(losses, average="median"), range_test_data.marks(suggestion)
    note = "" if np.isfinite(curve).any() else "; no loss is finite"
    return Sketch(
        title=f"{record.title} on {record.task}: {record.judged_name} while the rate climbs{note}",
        x=range_test_data.swept_values(record, marks),
        y=range_test_data.losses_of_range_test(curve, floats(record.losses), range_test_data.sign_of(record)),
        curve=(rates, curve),
        marks=marks,
    )


def _grid(grid: RunGrid, suggestion: Suggestion | None) -> Sketch:
    marks, before = range_test_data.marks_of_grid(grid, suggestion), range_test_data.loss_before(grid)
    against = "peak rate" if grid.swept == LR else grid.swept.replace("_", " ")
    return Sketch(
        title=f"{grid.title} on {grid.task}: {range_test_data.loss_name(grid)} at the end of runs, over the {against}",
        x=range_test_data.swept_values(grid, marks),
        y=range_test_data.losses_of_grid(grid),
        curve=(floats(grid.x), range_test_data.mean_final_losses(grid)),
        marks=marks,
        level=math.nan if before is None else before,
        runs=grid.lasting,
        crosses=floats(grid.x[~np.isfinite(grid.final_losses).all(axis=1)]),
    )


def _picture(shown: Sketch, width: int, height: int) -> str:
    """Return a picture between its title and its key. plotext has one figure, which is cleared before and after."""
    plotext = need("plotext")
    figure = plotext.figure
    key: list[str] = []
    plotext.terminal.limit(False, False)  # else the terminal of this process cuts what goes elsewhere
    figure.clear()
    figure.plot_size(width, height + 2)
    figure.theme("colorless")
    figure.axes(False, axis="both", side=1)

    def put(x: Floats, y: Floats, marker: str, *, joined: bool = False) -> None:
        finite = np.isfinite(x) & np.isfinite(y)
        near = np.clip(y[finite], -1, 3)  # plotext allocates every cell of a line, also of its part above the picture
        signal = figure.signal(x[finite].tolist(), near.tolist(), marker=marker)
        figure.draw(signal.lines() if joined else signal)

    for axis, window in (("x", shown.x), ("y", shown.y)):
        values = ticks(window)
        figure.ruler(axis).lim(0, 1)
        figure.ruler(axis).ticks([float(window.share(value)) for value in values], list(map(window.name, values)))
    if 0 <= (level := float(shown.y.share(shown.level))) <= 1:
        figure.line(level, "horizontal", style="dotted")
    x, y = shown.x.share(shown.curve[0]), shown.y.share(shown.curve[1])
    put(x, y, "braille", joined=True)
    if shown.runs:
        put(x[y <= 1], y[y <= 1], SIGN)
        put(x[y > 1], np.ones((y > 1).sum()), ABOVE)
        key.append(f"{SIGN} {shown.runs}")
    put(shown.x.share(shown.crosses), np.ones(len(shown.crosses)), CROSS)
    for mark, share, line in _stacked(shown, width):
        put(np.array([share]), np.array([(line + 0.5) / height]), MARKS[mark.kind])
    text = str(plotext.uncolorize(str(figure.build())))
    figure.clear()
    plotext.terminal.limit()
    key += ["┈ before training"] * math.isfinite(shown.level)
    key += [f"{sign} {meaning}" for sign, meaning in ((CROSS, "diverged"), (ABOVE, "higher")) if sign in text]
    key += [f"{MARKS[mark.kind]} {mark.text}" for mark in shown.marks]
    return "\n".join([*textwrap.wrap(shown.title, width), text.rstrip("\n"), *_filled(key, width)])


def _stacked(shown: Sketch, width: int) -> list[tuple[Mark, float, int]]:
    """Return each mark with its share of the x axis and the line that it stands on, so that none hides another."""
    stacked: list[tuple[Mark, float, int]] = []
    for mark in shown.marks:
        x = float(shown.x.share(mark.estimate.value))
        if 0 <= x <= 1:
            stacked.append((mark, x, sum(abs(x - other) * width < 2 for _, other, _ in stacked)))
    return stacked


def _table(shown: Sketch, width: int) -> str:
    """Return the title and some points of the curve as rows, with a bar each, and the marks."""
    rates, losses = shown.curve
    rows = np.unique(np.linspace(0, len(rates) - 1, ROWS).round().astype(int))
    lines = []
    for rate, loss in zip(rates[rows].tolist(), losses[rows].tolist(), strict=True):
        share = float(np.clip(shown.y.share(loss), 0, 1))
        bar = "#" * round((width - 22) * share) if math.isfinite(share) else "diverged"
        lines.append(f"{style.rate(rate):>9} {loss:>10.4g}  {bar}")
    marks = [mark.text for mark in shown.marks]
    return "\n".join([*textwrap.wrap(shown.title, width), *lines, *_filled(marks, width)])


def _filled(phrases: Sequence[str], width: int) -> list[str]:
    """Return phrases in as few lines as they fit in, none of them torn."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and len(lines[-1]) + 2 + len(phrase) <= width:
            lines[-1] += f"  {phrase}"
        else:
            lines.append(phrase)
    return lines


def ticks(window: Window) -> list[float]:
    """Return where an axis has numbers: at decades, or at 1, 2 and 5 times them in a short one; else at round numbers.

    >>> ticks(Window(1e-3, 2.0, log=True)), ticks(Window(0.8, 1.0, log=False))
    ([0.001, 0.01, 0.1, 1.0], [0.8, 0.85, 0.9, 0.95, 1.0])
    """
    if window.log:
        decades = range(math.floor(math.log10(window.low)), math.ceil(math.log10(window.high)) + 1)
        for subs in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
            inside = [float(f"{sub}e{decade}") for decade in decades for sub in subs]
            inside = [value for value in inside if window.low <= value <= window.high]
            if len(inside) > 2:
                break
        return inside
    rough = (window.high - window.low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * sub for sub in (1, 2, 5, 10) if size * sub >= 0.999 * rough)
    first = math.ceil(window.low / step - 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, math.floor(window.high / step + 1e-9) + 1)]
