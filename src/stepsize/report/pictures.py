"""Drawings as inline SVG, and the numbers of those that answer to the pointer, as JSON for the page's script.

The same bytes for the same data, no reference to anything outside, text as text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.plots.images import image
from stepsize.plots.series import Graph, Series
from stepsize.plots.style import axes
from stepsize.report.parts import Picture

ID_PREFIX = "\ue000"
"""Stands before every id until the page numbers its pictures, so that two pictures never share one."""

HALF = (4.6, 3.1)
"""The size of a small picture, in inches."""


DASHES: dict[str, tuple[int, ...]] = {"-": (), "--": (7, 4), ":": (2, 3), "-.": (7, 3, 2, 3)}
"""matplotlib's dashes in pixels."""

DIGITS = 4


def draw(
    function: Callable[..., Any], *args: Any, label: str, caption: str, size: tuple[float, float] | None = None,
    chart: str = "",
) -> Picture:  # fmt: skip
    """Return what a plot function draws, as a picture.

    function, args: called with `ax` too when a `size` is given (inches). The user's matplotlib settings do not reach
    the page. label: for a screen reader. caption: one sentence on what is seen. chart: the same in numbers, as JSON.
    """

    def drawn() -> Any:
        return function(*args) if size is None else function(*args, ax=axes(None, size))

    return Picture(_clean(image(drawn).decode()), label, caption, chart)


def _clean(svg: str) -> str:
    """Return the `<svg>` element alone: no prolog, metadata, namespace, fixed size or font, no id that is not used."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", svg, flags=re.DOTALL)
    tags = re.compile(r"<[^<>]*>")  # text between tags is the user's, and stays as it is
    used = {name for tag in tags.findall(svg) for name in re.findall(r'(?:url\(#|href="#)([^)"]+)', tag)}
    svg = tags.sub(lambda tag: _clean_tag(tag[0], used), svg)
    return re.sub(r"\n\s*", "\n", svg).strip()


def _clean_tag(tag: str, used: set[str]) -> str:
    """Return one tag with ID_PREFIX before the ids that are `used`, and the page's own font."""
    if tag.startswith("<svg"):
        tag = re.sub(r'\s(xmlns(:\w+)?|width|height|version)="[^"]*"', "", tag)
    tag = tag.replace("xlink:href", "href")
    tag = re.sub(r' id="([^"]*)"', lambda found: f' id="{ID_PREFIX}{found[1]}"' if found[1] in used else "", tag)
    tag = re.sub(r'(url\(#|href="#)', rf"\1{ID_PREFIX}", tag)
    tag = re.sub(r"font: (?:(\w+) )?([\d.]+px) [^;\"]*", r"font-weight: \1; font-size: \2", tag)  # matplotlib < 3.10
    return re.sub(r"font-weight: ;|font-family: [^;\"]*;?", "", tag)


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
