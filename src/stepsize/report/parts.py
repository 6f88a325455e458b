"""What a page is made of: articles of sections of blocks, plain values that the template turns into HTML.

Every string here is plain text and is escaped by the template; only a picture's `svg` is markup, made by `pictures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Block:
    """One thing in a section; `kind` names the macro that writes it."""

    kind: ClassVar[str] = "block"


@dataclass(frozen=True)
class Points(Block):
    """A list of sentences; `warning` sets them apart; folded behind `summary` when there is one."""

    kind: ClassVar[str] = "points"
    items: tuple[str, ...]
    warning: bool = False
    summary: str = ""


@dataclass(frozen=True)
class Checks(Block):
    """A list of what holds and what does not: whether it does (None: it says nothing here), its name, a sentence."""

    kind: ClassVar[str] = "checks"
    items: tuple[tuple[bool | None, str, str], ...]


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

    caption: what it shows. head: one a column. rows: as long as the head each. text: the columns, by index, that hold
    text and not numbers.
    """

    kind: ClassVar[str] = "table"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    text: frozenset[int] = frozenset({0})


@dataclass(frozen=True)
class Picture(Block):
    """A drawing.

    svg: the markup. label: what a screen reader says. caption: one sentence on what is seen.
    chart: its numbers as JSON, if it is to answer to the pointer.
    """

    kind: ClassVar[str] = "picture"
    svg: str
    label: str
    caption: str
    chart: str = ""


@dataclass(frozen=True)
class Gallery(Block):
    """Small pictures side by side, as many as the page is wide for."""

    kind: ClassVar[str] = "gallery"
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, which is seen at a click where it is `folded`."""

    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


@dataclass(frozen=True)
class Article:
    """One result: a line above the title, the title (the answer), facts about it, sections; the answer in sentences."""

    above: str
    title: str
    facts: Facts
    sections: tuple[Section, ...]
    lead: str = ""

    @property
    def live(self) -> bool:
        """Whether any of its pictures is a chart."""
        blocks = (block for section in self.sections for block in section.blocks)
        return any(isinstance(block, Picture) and block.chart for block in blocks)
