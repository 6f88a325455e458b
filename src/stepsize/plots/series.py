"""What a picture and its chart on a page both draw: the numbers of each line, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stepsize.kernel.arrays import Floats

SPAN = 5.0
"""Numbers above 0 that span more than this are drawn on a logarithmic axis."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """The numbers of one strategy.

    label: its name, as a legend has it. color, dash: in matplotlib's words. columns: x and y, (points,) each, by what
    the y are. low, high: the part of the y axis that it needs; NaN when it has no finite number.
    """

    label: str
    color: str
    dash: str
    columns: Mapping[str, tuple[Floats, Floats]]
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A picture in numbers.

    marks: how each column is drawn, by its name: "line", "dots" (of which the last holds until the next), "both",
        "cross" at the top, "mean" with "low" and "high".
    names: of each x, where x counts rows from 1; the picture then lies on its side.
    floor: where a logarithmic y axis begins at the earliest; None for the lowest number, where that is above 0.
    rates: whether the x axis is logarithmic.
    """

    x: str
    y: str
    marks: Mapping[str, str]
    series: tuple[Series, ...]
    names: tuple[str, ...] = ()
    floor: float | None = None
    rates: bool = False

    @property
    def span(self) -> tuple[float, float] | None:
        """The part of the y axis that the series need; None when none of them has a finite number."""
        known = [series for series in self.series if np.isfinite(series.low)]
        return (min(each.low for each in known), max(each.high for each in known)) if known else None

    @property
    def log(self) -> bool:
        """Whether the y axis is logarithmic: numbers above 0 that span more than a factor of 5, but for intervals."""
        low, high = self.span or (0.0, 0.0)
        return not self.names and low > 0 and high / low > SPAN
