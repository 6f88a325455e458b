"""What a page is made of: articles of sections of blocks, plain values that the template turns into HTML.

Every string here is plain text and is escaped by the template; only a picture's `svg` is markup, made by `pictures`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Block:
    """One thing in a section; `kind` names the macro that writes it."""

    kind: ClassVar[str] = "block"


@dataclass(frozen=True)
class Points(Block):
    """A list of sentences; `warning` sets them apart."""

    kind: ClassVar[str] = "points"
    items: tuple[str, ...]
    warning: bool = False


@dataclass(frozen=True)
class Code(Block):
    """Text to be copied as it is; folded behind `summary` when there is one."""

    kind: ClassVar[str] = "code"
    text: str
    summary: str = ""


@dataclass(frozen=True)
class Facts(Block):
    """Terms and what they are."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table(Block):
    """A table: the first cell of a row is its heading; rows in `marked`, by index, are set apart.

    caption: what it shows. head: one a column. rows: as long as the head each. words: the columns, by index, that hold
    words and not numbers.
    """

    kind: ClassVar[str] = "table"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    words: frozenset[int] = frozenset({0})


Column = tuple[float | None, ...]
"""Numbers at every x of a chart; None where there is none."""


@dataclass(frozen=True)
class Line:
    """One strategy of a chart: its name, its colour and dashes (pixels), its columns, and the y that they need."""

    name: str
    color: str
    dash: tuple[int, ...]
    columns: tuple[Column, ...]
    low: float
    high: float


@dataclass(frozen=True)
class Chart:
    """The numbers of a picture, for the page's script.

    x: rising. lines: each with a column for every one of `heads`, the names of the numbers.
    marks: how a column is drawn: "line", "dots" (of which the last holds until the next), "both", "cross" at the top,
        "mean" with "low" and "high".
    names: of every x, where it is a place and not a number; the chart then lies on its side.
    floor: where a logarithmic y axis begins at the earliest; 0 where there can be none.
    log: whether one is shown first. rates: whether x is a rate, on a logarithmic axis.
    """

    x: tuple[float, ...]
    x_name: str
    y_name: str
    heads: tuple[str, ...]
    marks: tuple[str, ...]
    lines: tuple[Line, ...]
    floor: float
    log: bool = False
    rates: bool = False
    names: tuple[str, ...] = ()

    @property
    def json(self) -> str:
        """The chart as JSON, the same text for the same numbers."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Picture(Block):
    """A drawing.

    svg: the markup. label: what a screen reader says. caption: one sentence on what is seen.
    chart: its numbers, if it is to answer to the pointer.
    """

    kind: ClassVar[str] = "picture"
    svg: str
    label: str
    caption: str
    chart: Chart | None = None


@dataclass(frozen=True)
class Gallery(Block):
    """Small pictures side by side, as many as the page is wide for."""

    kind: ClassVar[str] = "gallery"
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Article:
    """One result: a line above the title, the title (the answer), facts about it, sections; the answer in words."""

    above: str
    title: str
    facts: Facts
    sections: tuple[Section, ...]
    lead: str = ""

    @property
    def live(self) -> bool:
        """Whether any of its pictures is a chart."""
        blocks = (block for section in self.sections for block in section.blocks)
        return any(isinstance(block, Picture) and block.chart is not None for block in blocks)
