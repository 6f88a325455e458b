"""A range test as text, for a terminal: the curve as a line of dots, and marks under the axis. It needs NumPy alone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from stepsize.kernel.arrays import floats
from stepsize.kernel.errors import ParameterError
from stepsize.plots import range_test_data, style
from stepsize.plots.canvas import BRAILLE, PLAIN, Canvas, Ink
from stepsize.plots.range_test_data import Mark, Window
from stepsize.results import Suggestion, Sweep

LEAST = (40, 4)
"""The fewest columns, and the fewest lines of a picture, that show anything."""


def sketch(
    sweep: Sweep, suggestion: Suggestion | None = None, width: int = 80, height: int = 12, encoding: str = "utf-8"
) -> str:
    """Return a range test as lines of text: a ramp, a fan, or the ramp and the fans of a search below each other.

    sweep: as it was recorded. suggestion: what was read off it; its rates are marked under the axis. width: of a line,
    in characters, at least 40. height: of each picture, in lines, at least 4, without its words, axis and marks.
    encoding: of where it goes; braille where it has that, else ASCII.

    A ramp is the median of its seeds, smoothed. A fan is the mean over its seeds, a sign at each rate and a line
    between them; of the fans before it there are the signs alone. A run that diverged is a cross at the top.

    Raises ParameterError for a width or height that is too small.
    """
    if width < LEAST[0] or height < LEAST[1]:
        raise ParameterError(
            f"a sketch of {width} columns and {height} lines is too small to be read. "
            f"Give it at least {LEAST[0]} and {LEAST[1]}."
        )
    ink = PLAIN if _encoded(BRAILLE.probe, encoding) != BRAILLE.probe else BRAILLE
    page = _Page(width, height, ink)
    ramp, fans = range_test_data.parts(sweep)
    lines = [] if ramp is None else page.ramp(ramp, suggestion)
    if fans:
        lines += [""] * bool(lines) + page.fans(fans, suggestion)
    return "\n".join(_encoded(line.rstrip(), encoding) for line in lines)


def _encoded(text: str, encoding: str) -> str:
    """Return `text` with a question mark for what `encoding` does not have."""
    try:
        return text.encode(encoding, "replace").decode(encoding)
    except LookupError:  # an encoding that this Python has never heard of
        return _encoded(text, "ascii")


@dataclass(frozen=True)
class _Page:
    """How large a picture is, and what it is drawn with."""

    width: int
    height: int
    ink: Ink

    def ramp(self, sweep: Sweep, suggestion: Suggestion | None) -> list[str]:
        """Return the lines of a ramp."""
        rates, each = range_test_data.fit(sweep, suggestion)
        curve, shown = style.middle(each, average="median"), range_test_data.marks(suggestion)
        title = f"{sweep.title} on {sweep.task}: loss while the rate climbs"
        losses = range_test_data.losses_of_ramp(curve, floats(sweep.losses))
        canvas = self._canvas(range_test_data.values((sweep,), shown), losses)
        canvas.line(rates, curve)
        notes = [] if np.isfinite(curve).any() else ["every loss is infinite or not a number"]
        return [*self._words([title, *notes]), *canvas.lines(), *self._marks(canvas, shown)]

    def fans(self, fans: Sequence[Sweep], suggestion: Suggestion | None) -> list[str]:
        """Return the lines of fans; the last of them is the one in question."""
        last, shown = fans[-1], range_test_data.mark_of_fan(fans[-1], suggestion)
        canvas = self._canvas(range_test_data.values(tuple(fans), shown), range_test_data.losses_of_fans(tuple(fans)))
        key: list[str] = []
        before = last.before[np.isfinite(last.before)]
        if len(before):
            canvas.level(float(before.mean()))
            key.append(f"{self.ink.level} before training")
        canvas.line(last.rates, range_test_data.ends(last))
        signs = list(zip(reversed(fans), cycle(self.ink.signs), strict=False))
        for fan, sign in reversed(signs):
            canvas.signs(fan.rates, range_test_data.ends(fan), sign)
            key.insert(0, f"{sign} {fan.steps} steps")
        for fan in fans:
            canvas.crosses(fan.rates[~np.isfinite(fan.judged).all(axis=1)])
        others = ((self.ink.cross, "diverged"), (self.ink.above, "higher"))
        key += [f"{sign} {word}" for sign, word in others if canvas.has(sign)]
        what = "validation score" if last.held_out.size else "training loss"
        against = "peak rate" if last.of == "lr" else last.of.replace("_", " ")
        title = f"{last.title} on {last.task}: {what} at the end of runs, over the {against}"
        return [*self._words([title]), *self._words(key), *canvas.lines(), *self._marks(canvas, shown)]

    def _canvas(self, x: Window, y: Window) -> Canvas:
        return Canvas(x, y, self.width, self.height, self.ink)

    def _words(self, parts: Sequence[str]) -> list[str]:
        """Return phrases in as few lines as they fit in, none of them torn where it fits."""
        lines: list[str] = []
        for part in parts:
            if lines and len(lines[-1]) + 2 + len(part) <= self.width:
                lines[-1] += f"  {part}"
            else:
                lines += textwrap.wrap(part, self.width)
        return lines

    def _marks(self, canvas: Canvas, shown: Sequence[Mark]) -> list[str]:
        """Return the marks under the axis, as many lines as it takes for none to hide another, and what they are."""
        signs = self.ink.marks
        lines = canvas.under([(signs[mark.word], mark.estimate.value) for mark in shown])
        return [*lines, *self._words([f"{signs[mark.word]} {mark.text}" for mark in shown])]
