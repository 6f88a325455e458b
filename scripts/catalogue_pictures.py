# ruff: noqa: INP001  (a script's neighbour, not a package)
"""Small pictures of policies as SVG text: the same bytes on every machine, and some kilobytes each."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.policies import LR, Policy

WIDTH, HEIGHT = 420, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 374, 14, 158
"""The frame of the curve, in pixels."""

BLUE, RED, INK, GRID = "#0072B2", "#D55E00", "#1a1a1a", "#e3e6ea"
FONT = 'font-family="Helvetica, Arial, sans-serif" font-size="11"'
CLOSE = 0.06
"""How far a point may lie from the line through its neighbours to be left out, in pixels."""


def svg(policy: Policy, run: int, title: str) -> str:
    """Return the picture of a bound policy: the rate in blue and, on an axis of its own, momentum in red.

    Where the rates span more than a factor of 1000 the axis stays linear: what is near zero is meant to look so.
    """
    tables = policy.table(0, run)
    name = LR if LR in tables else next(iter(tables))
    top = float(tables[name].max()) or 1.0
    parts = [*_frame(run), *_curve(tables[name], 0.0, top, BLUE, ""), *_scale(0.0, top, LEFT - 6, "end", INK)]
    if "momentum" in tables and name != "momentum":
        low, high = float(tables["momentum"].min()), float(tables["momentum"].max())
        parts += _curve(tables["momentum"], low, high, RED, ' stroke-dasharray="5 3"')
        parts += _scale(low, high, RIGHT + 6, "start", RED)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}" {FONT}>'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *parts, "</svg>\n"])


def _frame(run: int) -> list[str]:
    lines = []
    for quarter in range(5):
        x = LEFT + (RIGHT - LEFT) * quarter / 4
        lines.append(f'<path d="M{x:g} {TOP}V{BOTTOM}" stroke="{GRID}"/>')
        lines.append(f'<text x="{x:g}" y="{BOTTOM + 16}" text-anchor="middle" fill="{INK}">{run * quarter // 4}</text>')
    lines += [f'<path d="M{LEFT} {y:g}H{RIGHT}" stroke="{GRID}"/>' for y in (TOP, (TOP + BOTTOM) / 2)]
    lines.append(f'<path d="M{LEFT} {BOTTOM}H{RIGHT}" stroke="{INK}"/>')
    middle = (LEFT + RIGHT) / 2
    return [*lines, f'<text x="{middle:g}" y="{HEIGHT - 3}" text-anchor="middle" fill="{INK}">step</text>']


def _scale(low: float, high: float, x: float, anchor: str, color: str) -> list[str]:
    """Return the numbers beside the frame."""
    marks = [(low, BOTTOM), (high, TOP)] if high > low else [(high, TOP)]
    return [
        f'<text x="{x}" y="{y + 4:g}" text-anchor="{anchor}" fill="{color}">{value:.3g}</text>' for value, y in marks
    ]


def _curve(values: Floats, low: float, high: float, color: str, style: str) -> list[str]:
    """Return the line through all values, without the points that nobody would miss."""
    height = (values - low) / (high - low) if high > low else np.ones_like(values)
    x = LEFT + (RIGHT - LEFT) * np.arange(len(values)) / len(values)
    y = BOTTOM - (BOTTOM - TOP) * height
    points = _thinned(np.column_stack([x, y]))
    path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    return [f'<path d="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round"{style}/>']


def _thinned(points: Floats) -> Iterable[tuple[float, float]]:
    """Return the corners of a line: of a stretch that is nearly straight only its ends (Douglas and Peucker)."""
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, -1]] = True
    stretches = [(0, len(points) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        along = points[last] - points[first]
        away = points[first + 1 : last] - points[first]
        distance = np.abs(along[0] * away[:, 1] - along[1] * away[:, 0]) / np.hypot(*along)
        far = int(distance.argmax())
        if distance[far] > CLOSE:
            keep[first + 1 + far] = True
            stretches += pairwise((first, first + 1 + far, last))
    return [(float(x), float(y)) for x, y in points[keep]]
