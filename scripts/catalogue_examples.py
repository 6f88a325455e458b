# ruff: noqa: INP001  (a script's neighbour, not a package)
"""An example of each kind of schedule: one value for each name of a field, as the house uses it."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from stepsize.schedules import Cosine, Linear, Schedule, Triangular

RUN, SHORT = 1000, 8
"""The horizon of an example, and of one that has a value for each step."""


def halving(step: int) -> float:
    """The function of the examples: half of the value after every 250 steps."""
    return 0.5 ** (step / 250)


FIELDS: dict[str, Any] = {
    "start": 1.0, "end": 0.0, "base": 0.1, "peak": 1.0, "level": 1.0, "factor": 0.5, "steps": "rest",
    "every": "12.5%", "half_cycle": "12.5%", "at": ("25%", "50%", "75%"), "function": halving,
    "values": (0.25, 0.5, 1.0, 0.75, 0.5, 0.375, 0.25, 0.125), "parts": (Linear(0.1, 1.0, "25%"), Cosine(1.0, 0.0)),
    "schedule": Cosine(1.0, 0.0), "first": Cosine(1.0, 0.0), "second": Triangular(0.5, 1.0, "12.5%"),
}  # fmt: skip
"""What a field has that has no default, by its name."""

PART = {"schedule": Cosine(1.0, 0.0, "25%")}
OTHERS: dict[str, dict[str, Any]] = {
    "Clipped": {"high": 0.8}, "Exponential": {"end": 0.01}, "Geometric": {"every": "12.5%"},
    "Repeat": PART, "Stretched": PART, "Until": PART,
    "Interpolated": {"at": tuple(125.0 * eighth for eighth in (0, 1, 2, 4, 5, 6, 7, 8))},
}  # fmt: skip
"""What a kind has instead, to show what it does."""


def example(kind: type[Schedule]) -> tuple[Schedule, int]:
    """Return a schedule of `kind` that shows what it does, not bound, and the run to bind it to.

    Raises KeyError for a field without a default whose name is not in FIELDS: give it a value there.
    """
    needed = [field.name for field in fields(kind) if field.default is MISSING]  # type: ignore[arg-type]  # all are dataclasses
    own = OTHERS.get(kind.__name__, {})
    return kind(**{**{name: FIELDS[name] for name in needed}, **own}), SHORT if kind.__name__ == "Table" else RUN
