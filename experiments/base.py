"""What every experiment is made of: a name, a claim, and a function that measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from experiments.records import Check, Record, Row
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.arrays import floats
from stepsize.results import Interval

T = TypeVar("T")

Tell = Callable[[str, int], None]
"""Called with the stage, and with how many updates of one trial were done since the last call."""


@dataclass(frozen=True)
class Setup:
    """How to run: the seed, whether in the quick form, and who is called with how far it is."""

    seed: int = 0
    quick: bool = False
    tell: Tell = field(default=lambda stage, updates: None, repr=False)  # noqa: ARG005  (nobody listens)

    def pick(self, full: T, quick: T) -> T:
        """Return one of the two, as this run is full or quick."""
        return quick if self.quick else full

    def seeds(self, first: int, full: int, quick: int = 2) -> tuple[int, ...]:
        """Return consecutive seeds of this run, from number `first` on; those below 100 tune, the others report."""
        return tuple(1000 * self.seed + first + i for i in range(self.pick(full, quick)))

    def progress(self, stage: str) -> Callable[[int], None]:
        """Return what an engine tells its progress to."""
        return lambda updates: self.tell(stage, updates)


@dataclass(frozen=True, eq=False)
class Measured:
    """What an experiment's function returns; see `Record` for the words. figure: a matplotlib Figure."""

    setting: str
    intervals: str
    rows: Sequence[Row]
    checks: Sequence[Check]
    figure: Any


@dataclass(frozen=True)
class Experiment:
    """A claim and the function that measures it.

    name: its word on the command line. source: keys of docs/references.bib, or "article" and the section.
    """

    name: str
    claim: str
    source: str
    measure: Callable[[Setup], Measured]

    def run(self, setup: Setup) -> tuple[Record, Any]:
        """Run it, and return its record and its figure."""
        found = self.measure(setup)
        record = Record.of(
            self.name, self.claim, self.source, setting=found.setting, intervals=found.intervals, seed=setup.seed,
            quick=setup.quick, rows=found.rows, checks=found.checks,
        )  # fmt: skip
        return record, found.figure


def paired(seeds: Sequence[int], kind: str = "ratios, on the logarithm,") -> str:
    """Return what the intervals are, where the checks are ratios or differences over seeds."""
    return f"95 % t-intervals over {len(seeds)} seeds; the checks are {kind} paired by seed"


def exact(value: float) -> Interval:
    """Return a number without a spread as an interval."""
    return Interval(value, value, value)


def spread(values: npt.ArrayLike) -> Interval:
    """Return the mean of numbers, and from the least to the most of them: for what is exact, over all its cases."""
    x = floats(values)
    return Interval(float(x.mean()), float(x.min()), float(x.max()))


def ratio(a: npt.ArrayLike, b: npt.ArrayLike) -> Interval:
    """Return the geometric mean of `a / b` over paired seeds, with its t-interval on the logarithm."""
    if not (np.isfinite(floats(a)).all() and np.isfinite(floats(b)).all()):
        return Interval(np.inf, 0.0, np.inf)
    found = t_interval(np.log(floats(a)) - np.log(floats(b)))
    return Interval(*np.exp([found.mean, found.low, found.high]).tolist())
