"""What an experiment leaves behind: the claim, what was measured, and the verdict that follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from stepsize.kernel.catalogue import Catalogue
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import Score, Spec
from stepsize.results import Interval

Answer = Literal["shown", "open", "contradicted"]
Verdict = Literal["holds", "holds in part", "does not show here"]


@dataclass(frozen=True)
class Row(Spec):
    """One measured number: of what, which quantity, and its interval (one number twice where it is exact)."""

    noun: ClassVar[str] = "row"

    what: str
    quantity: str
    value: Interval


@dataclass(frozen=True)
class Check(Spec):
    """One part of a claim: a measured number, and the range from `low` to `high` that the claim puts it in."""

    noun: ClassVar[str] = "check"

    says: str
    measured: Interval
    low: Score = -math.inf
    high: Score = math.inf

    @property
    def answer(self) -> Answer:
        """Whether the whole interval lies in the range, without its ends, or outside, or neither."""
        if self.low < self.measured.low and self.measured.high < self.high:
            return "shown"
        if self.measured.high <= self.low or self.measured.low >= self.high:
            return "contradicted"
        return "open"

    @property
    def needed(self) -> str:
        """The range in words."""
        if math.isinf(self.low):
            return f"below {self.high:.3g}"
        return f"above {self.low:.3g}" if math.isinf(self.high) else f"{self.low:.3g} to {self.high:.3g}"


def verdict(checks: Sequence[Check]) -> Verdict:
    """Return "holds" where every check is shown, "holds in part" where some are, "does not show here" where none is."""
    shown = [check.answer == "shown" for check in checks]
    if not any(shown):
        return "does not show here"
    return "holds" if all(shown) else "holds in part"


def sentence(checks: Sequence[Check]) -> str:
    """Return in words what was seen, what the seeds cannot decide, and where the opposite was seen."""
    openings = {"shown": "Seen", "open": "Not decided", "contradicted": "The opposite was seen of"}
    parts = []
    for answer, opening in openings.items():
        found = [check.says for check in checks if check.answer == answer]
        if found:
            parts.append(f"{opening}: {'; '.join(found)}.")
    return " ".join(parts)


@dataclass(frozen=True)
class Record(Spec):
    """An experiment that was run.

    source: who claims it. setting: on what it was measured. intervals: what the intervals are. quick: whether it was
    the small form, which proves that the code runs and nothing else. verdict, says: what the rule makes of the checks.

    Raises ParameterError when the verdict is not what the rule makes of the checks.
    """

    noun: ClassVar[str] = "experiment's record"

    name: str
    claim: str
    source: str
    setting: str
    intervals: str
    seed: int
    quick: bool
    rows: tuple[Row, ...]
    checks: tuple[Check, ...]
    verdict: Verdict
    says: str

    def validate(self) -> None:
        """Hold the verdict and its sentence to the checks."""
        if not self.checks:
            raise ParameterError(f"the record of {self.name!r} has no check, so nothing decides its verdict; add one.")
        if (self.verdict, self.says) != (verdict(self.checks), sentence(self.checks)):
            raise ParameterError(
                f"the record of {self.name!r} says {self.verdict!r}, and its checks say {verdict(self.checks)!r}; "
                f"run it again with python -m experiments {self.name}."
            )

    @classmethod
    def of(
        cls, name: str, claim: str, source: str, *, setting: str, intervals: str, seed: int, quick: bool,
        rows: Sequence[Row], checks: Sequence[Check],
    ) -> Self:  # fmt: skip
        """Return the record with the verdict that its checks make."""
        outcome = (verdict(checks), sentence(checks))
        return cls(name, claim, source, setting, intervals, seed, quick, tuple(rows), tuple(checks), *outcome)


RECORDS = Catalogue([Record, Row, Check, Interval])
"""The kinds that a record's file may hold."""
