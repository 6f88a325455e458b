"""The charts that answer to the pointer: the numbers of a picture, as JSON for the page's script."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.plots.series import Graph, Series

DASHES: dict[str, tuple[int, ...]] = {"-": (), "--": (7, 4), ":": (2, 3), "-.": (7, 3, 2, 3)}
"""matplotlib's dashes in pixels."""

DIGITS = 4


def chart_json(graph: Graph) -> str:
    """Return the numbers of a picture as JSON, the same text for the same numbers; "" where none is finite.

    All columns of all series stand on one x, the union of theirs: a line between its points, everything else as null
    where it has none.
    """
    if graph.span is None:
        return ""
    low, _ = graph.span
    x = np.unique(np.concatenate([own for each in graph.series for own, _ in each.columns.values()]))
    chart = {
        "x": [_rounded(value) if graph.rates else value for value in x.tolist()],
        "x_name": graph.x, "y_name": graph.y, "heads": list(graph.marks),
        "marks": list(graph.marks.values()), "lines": [_line(each, graph, x) for each in graph.series],
        "floor": _rounded(max(low if graph.floor is None else graph.floor, 0.0)), "log": graph.log,
        "rates": graph.rates, "names": graph.names,
    }  # fmt: skip
    return json.dumps(chart, separators=(",", ":"), allow_nan=False)


def _line(series: Series, graph: Graph, x: Floats) -> dict[str, Any]:
    span = (series.low, series.high) if math.isfinite(series.low) else graph.span or (0.0, 0.0)
    return {
        "name": series.label, "color": series.color, "dash": DASHES[series.dash],
        "columns": [_column(*series.columns[head], x, mark) for head, mark in graph.marks.items()],
        "low": _rounded(span[0]), "high": _rounded(span[1]),
    }  # fmt: skip


def _column(own: Floats, y: Floats, x: Floats, mark: str) -> list[float | None]:
    if mark == "line":
        return _numbers(np.interp(x, own, y))
    values = np.full(len(x), np.nan)
    values[np.searchsorted(x, own)] = y
    return _numbers(values)


def _numbers(values: Floats) -> list[float | None]:
    return [_rounded(value) if math.isfinite(value) else None for value in values.tolist()]


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
