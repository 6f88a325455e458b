"""A race's record: who ran, at which length, with which scores, and what that says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.optional import picture
from stepsize.kernel.spec import Score, Spec
from stepsize.results.curves import Curves
from stepsize.strategy import Strategy


@dataclass(frozen=True)
class Interval(Spec):
    """A mean with its 95 % interval: of the mean, or of one more run where the docstring says so."""

    noun: ClassVar[str] = "interval"

    mean: Score
    low: Score
    high: Score

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.mean:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True, eq=False)
class Rung(Spec):
    """One round of a race: all its strategies, the same seeds, the same number of updates.

    steps: the length of every run of this rung; each schedule was complete in it.
    strategies: who ran, with the rates of the full horizon (a shorter rung moves them by the bound).
    seeds: the paired seeds. scores: final validation losses, (strategies, seeds) float64; inf where a run diverged.
    """

    noun: ClassVar[str] = "rung"

    steps: int
    strategies: tuple[Strategy, ...]
    seeds: tuple[int, ...]
    scores: np.ndarray = field(repr=False)  # (strategies, seeds) float64

    @property
    def means(self) -> Floats:
        """The mean score of each strategy over the paired seeds, (strategies,); inf when a seed diverged."""
        return np.asarray(self.scores.mean(axis=1), dtype=np.float64)

    @property
    def order(self) -> list[int]:
        """The strategies, by index, best first."""
        return [int(i) for i in np.argsort(self.means, kind="stable")]


@dataclass(frozen=True)
class Standing(Spec):
    """The place of one strategy in the last rung.

    score: the mean validation loss with the t-interval of the mean.
    behind: the paired difference to the best, with its t-interval; None for the best itself and for a strategy that
        diverged.
    diverged: how many seeds diverged. tied: whether the difference to the best cannot be told from zero.
    """

    noun: ClassVar[str] = "standing"

    strategy: Strategy
    score: Interval
    behind: Interval | None
    diverged: int
    tied: bool


@dataclass(frozen=True, eq=False)
class Race(Spec):
    """The record of a race.

    task: its name. steps: the full horizon. rungs: in order, the last at the full horizon.
    standings: of the last rung, best first. curves: the full record of the last rung.
    agreement: Kendall's tau between the order of each earlier rung and the next, over the strategies that ran in both.
    cost: in full trainings. engine: which, and why. seconds: wall time.
    """

    noun: ClassVar[str] = "race"

    task: str
    steps: int
    rungs: tuple[Rung, ...]
    standings: tuple[Standing, ...]
    curves: Curves
    agreement: tuple[Score, ...]
    cost: float
    engine: str
    seconds: float

    @property
    def best(self) -> Strategy:
        """The strategy with the lowest mean score of the last rung."""
        return self.standings[0].strategy

    def plot(self, ax: Any = None) -> Any:
        """Draw the standings with their intervals and return the matplotlib Axes."""
        return picture("plot_race")(self, ax=ax)
