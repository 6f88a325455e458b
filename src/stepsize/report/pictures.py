"""Drawings as inline SVG: the same bytes for the same data, no reference to anything outside, text as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from stepsize.plots.images import image
from stepsize.plots.style import axes
from stepsize.report.parts import Picture

ID_PREFIX = "\ue000"
"""Stands before every id until the page numbers its pictures, so that two pictures never share one."""

HALF = (4.6, 3.1)
"""The size of a small picture, in inches."""


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
