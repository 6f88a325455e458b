"""A canvas of characters: lines of dots, signs, and two axes with numbers. It needs NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.plots import style
from stepsize.plots.range_test_data import Window

BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The dots of a character of braille, by row and column; they are added to its blank."""

BLANK = 0x2800


@dataclass(frozen=True)
class Ink:
    """What is drawn with.

    dots: how many of them a character has, down and across. axes: the side, its tick, the corner, the floor and its
    tick. level: a horizontal line. cross: a run that diverged. above: one that ends above the picture. signs: of
    fans, the last fan's first. marks: under the axis, by their words.
    """

    dots: tuple[int, int]
    axes: str
    level: str
    cross: str
    above: str
    signs: str
    marks: Mapping[str, str]

    @property
    def probe(self) -> str:
        """Every kind of character that it may need."""
        return "".join(
            [chr(BLANK + 255), self.axes, self.level, self.cross, self.above, self.signs, *self.marks.values()]
        )


BRAILLE = Ink((4, 2), "│┤└─┬", "┄", "✗", "↑", "●○■□", {"min": "[", "max": "]", "lr": "▲", "base": "△", "limit": "┊"})
PLAIN = Ink((1, 1), "|++-+", ".", "x", "A", "o@%&", {"min": "[", "max": "]", "lr": "^", "base": "b", "limit": "!"})


@dataclass
class Canvas:
    """A picture of `height` lines of at most `width` characters, the numbers of the y axis among them.

    x, y: what is drawn.
    """

    x: Window
    y: Window
    width: int
    height: int
    ink: Ink
    numbers: dict[int, str] = field(init=False)  # of the y axis, by line
    columns: int = field(init=False)
    dots: np.ndarray = field(init=False)  # of bool, (lines * dots down, columns * dots across)
    over: dict[tuple[int, int], str] = field(init=False, default_factory=dict)  # signs by line and column

    def __post_init__(self) -> None:
        """Lay out the axes."""
        lines = sorted({0, self.height // 3, 2 * self.height // 3, self.height - 1})
        self.numbers = {line: style.rate(self.y.at(1 - (line + 0.5) / self.height)) for line in lines}
        self.columns = self.width - self.margin - 1
        self.dots = np.zeros((self.height * self.ink.dots[0], self.columns * self.ink.dots[1]), dtype=bool)

    @property
    def margin(self) -> int:
        """How many characters stand left of the y axis."""
        return max(map(len, self.numbers.values())) + 1

    def line(self, x: np.ndarray, y: Floats) -> None:
        """Draw a line of dots through points, (points,), in the order of rising x; it has no gaps where y is NaN."""
        across, up = self.x.share(x), self.y.share(y)
        there = np.isfinite(across) & np.isfinite(up)
        if not there.any():
            return
        down, wide = self.dots.shape
        at = (np.arange(wide) + 0.5) / wide
        middle = int(np.clip(across[there][0] * wide, 0, wide - 1))
        heights = np.interp(at, across[there], up[there], left=np.nan, right=np.nan)
        heights[middle] = up[there][0] if np.isnan(heights[middle]) else heights[middle]
        rows = np.floor((1 - heights) * down)
        for column in np.flatnonzero(np.isfinite(rows)):
            near = [rows[column]]
            if column and np.isfinite(rows[column - 1]):
                near.append(rows[column - 1] + np.sign(rows[column] - rows[column - 1]))
            low, high = max(min(near), 0), min(max(near), down - 1)
            self.dots[int(low) : max(int(high) + 1, 0), column] = True

    def signs(self, x: np.ndarray, y: Floats, sign: str) -> None:
        """Put a sign at each point, (points,); one that lies above the picture is another, in the top line."""
        for across, up in zip(self.x.share(x), self.y.share(y), strict=True):
            if np.isfinite(across) and np.isfinite(up):
                line = min(max(int((1 - up) * self.height), 0), self.height - 1)
                self.over[line, self._column(float(across))] = sign if up <= 1 else self.ink.above

    def has(self, sign: str) -> bool:
        """Whether a sign is in the picture."""
        return sign in self.over.values()

    def crosses(self, x: np.ndarray) -> None:
        """Put a cross at the top for each of `x`, (points,)."""
        self.over.update({(0, self._column(float(across))): self.ink.cross for across in self.x.share(x)})

    def level(self, y: float) -> None:
        """Draw a horizontal line at `y`, wherever nothing else is."""
        line = int((1 - float(self.y.share(y))) * self.height)
        if 0 <= line < self.height:
            self.over.update({(line, column): self.ink.level for column in range(self.columns)})

    def _column(self, across: float) -> int:
        return min(max(int(across * self.columns), 0), self.columns - 1)

    def lines(self) -> list[str]:
        """Return the picture with its axes."""
        side, tick, corner, floor, notch = tuple(self.ink.axes)
        rows = [
            f"{self.numbers.get(line, ''):>{self.margin - 1}} {tick if line in self.numbers else side}{self._row(line)}"
            for line in range(self.height)
        ]
        places = [(self._column(float(self.x.share(value))), style.rate(value)) for value in ticks(self.x)]
        axis = "".join(notch if column in dict(places) else floor for column in range(self.columns))
        return [*rows, f"{'':{self.margin}}{corner}{axis}", self._captions(places)]

    def _row(self, line: int) -> str:
        down, across = self.ink.dots
        block = self.dots[line * down : (line + 1) * down].reshape(down, self.columns, across)
        bits = (block * BITS[:down, None, :across]).sum(axis=(0, 2)) if across > 1 else block.sum(axis=(0, 2))
        full = [("*" if across == 1 else chr(BLANK + int(bit))) if bit else " " for bit in bits]
        for column in range(self.columns):
            sign = self.over.get((line, column), "")
            if sign and not (sign == self.ink.level and bits[column]):
                full[column] = sign
        return "".join(full)

    def _captions(self, places: Sequence[tuple[int, str]]) -> str:
        """Return the numbers under the x axis, centred, without those that would touch the one before."""
        text = ""
        for column, number in places:
            start = min(self.margin + 1 + column - len(number) // 2, self.width - len(number))
            if start > len(text) or not text:
                text = f"{text:{start}}{number}"
        return text

    def under(self, marks: Sequence[tuple[str, float]]) -> list[str]:
        """Return lines with the marks (sign, x) under the axis; one that another hides goes a line down."""
        rows: list[dict[int, str]] = []
        for sign, value in marks:
            across = float(self.x.share(value))
            if not 0 <= across <= 1:
                continue
            column = self._column(across)
            row = next((row for row in rows if column not in row), None)
            if row is None:
                rows.append(row := {})
            row[column] = sign
        return [" " * (self.margin + 1) + "".join(row.get(i, " ") for i in range(self.columns)) for row in rows]


def ticks(window: Window) -> list[float]:
    """Return where an axis has numbers: at decades, or at 1, 2 and 5 times them in a short one; else at round numbers.

    >>> ticks(Window(1e-3, 2.0, log=True)), ticks(Window(0.8, 1.0, log=False))
    ([0.001, 0.01, 0.1, 1.0], [0.8, 0.85, 0.9, 0.95, 1.0])
    """
    if window.log:
        decades = range(math.floor(math.log10(window.low)), math.ceil(math.log10(window.high)) + 1)
        for subs in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
            found = [float(f"{sub}e{decade}") for decade in decades for sub in subs]
            found = [value for value in found if window.low <= value <= window.high]
            if len(found) > 2:
                break
        return found
    rough = (window.high - window.low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * sub for sub in (1, 2, 5, 10) if size * sub >= 0.999 * rough)
    first = math.ceil(window.low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(window.high / step + 1e-9) + 1)]
