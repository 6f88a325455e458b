"""A race's record: who ran, at which length, with which scores, and what that says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.optional import need
from stepsize.kernel.spec import Score, Spec
from stepsize.kernel.text import count
from stepsize.results.curves import Curves
from stepsize.results.race_text import sentences
from stepsize.results.sensitivity import Sensitivity, rates_a_family, sensitivities
from stepsize.strategy import Strategy

View = Literal["retimed", "prefix"]
"""What a rung below the full horizon runs: whole schedules in fewer steps, or the first part of the long run."""

Selection = Literal["last", "best"]
"""What a run is scored by: the last iterate, or the best of the checkpoints along the way."""


@dataclass(frozen=True)
class Interval(Spec):
    """A mean with its 95 % interval: of the mean, or of one more run where the docstring says so."""

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

    steps: the length of every run of this rung. strategies: who ran, with the rates of the full horizon (a shorter
        rung that is retimed moves them).
    seeds: the paired seeds. scores: validation losses, (strategies, seeds) float64; inf where a run diverged.
    """

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


@dataclass(frozen=True, kw_only=True)
class Standing(Spec):
    """How one strategy did.

    score: the mean of the scores with its t-interval.
    behind: the paired difference to the best, with its t-interval; None for the best itself and for a strategy that
        diverged.
    diverged: how many seeds diverged. tied: whether it belongs to the indistinguishable set: its difference to the best
        cannot be separated from zero, with Holm's correction for as many comparisons as there are.
    differences: to the best, seed by seed; empty where `behind` is None.
    chance: the probability that it is the best of the field; NaN with a single seed.
    decay: the sum of rate times weight decay over the run; 0 for a rule without weight decay.
    """

    strategy: Strategy
    score: Interval
    behind: Interval | None
    diverged: int = 0
    tied: bool
    differences: tuple[Score, ...] = ()
    chance: Score = float("nan")
    decay: Score = 0.0


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Race(Shown, Spec):
    """The record of a race.

    task: its name. steps: the full horizon. rungs: in order, the last at the full horizon.
    standings: of the last rung, best first, then those that a rung at the full horizon separated before it.
    curves: the full record of the last rung.
    agreement: Kendall's tau between the order of each earlier rung and the first at the full horizon, or the last
        rung, for one at the full horizon; over the strategies that ran in both.
    cost: in full trainings, of everything, tuning included. engine: how the trials were computed, and why so.
    executor: where they ran; "" for the process of the race. seconds: wall time.
    view: what a rung below the full horizon ran. selection: what a run is scored by.
    tuned: how many of the first rungs chose the rates, on seeds of their own; 0 when the rates were given.
    extensions: how often more seeds were added until the leaders separated.
    scored: what a score is: the validation loss, or a metric of the task, negative where it is to be large.
    """

    is_record: ClassVar[bool] = True

    task: str
    steps: int
    rungs: tuple[Rung, ...]
    standings: tuple[Standing, ...]
    curves: Curves
    agreement: tuple[Score, ...]
    cost: float
    engine: str
    seconds: float
    view: View = "retimed"
    selection: Selection = "last"
    tuned: int = 0
    extensions: int = 0
    scored: str = "validation loss"
    executor: str = ""

    def __str__(self) -> str:
        """Who is best, and of how many; or that nobody is."""
        run = f"{count(self.steps, 'step')} of {self.task}"
        if self.all_diverged:
            return f"all of {count(len(self.standings), 'strategy', 'strategies')} diverged in {run}"
        tied = len(self.indistinguishable) - 1
        beside = f"; {count(tied, 'other')} cannot be separated from it" if tied else ""
        return f"{self.best.name} is best of {len(self.standings)} after {run}{beside}"

    @property
    def computed_by(self) -> str:
        """How the trials were computed, and where, in one line."""
        return "; ".join(filter(None, (self.engine, self.executor)))

    @property
    def best(self) -> Strategy:
        """The strategy with the lowest mean score of the last rung."""
        return self.standings[0].strategy

    @property
    def all_diverged(self) -> bool:
        """Whether every strategy diverged, so that there is no best one."""
        return not math.isfinite(self.standings[0].score.mean)

    @property
    def indistinguishable(self) -> tuple[Strategy, ...]:
        """The best, and who cannot be separated from it; none where every strategy diverged."""
        return tuple(standing.strategy for standing in self.standings if standing.tied)

    @property
    def sensitivities(self) -> tuple[Sensitivity, ...]:
        """How much the rate matters to each family, on the widest rung."""
        return sensitivities(self.widest)

    @property
    def widest(self) -> Rung:
        """The first of the rungs with the most rates a family."""
        return max(self.rungs, key=rates_a_family)

    @property
    def ranks(self) -> tuple[int | None, ...]:
        """The rank of the winner on each rung, from 1; None where it did not run."""
        ranked = [[rung.strategies[index].name for index in rung.order] for rung in self.rungs]
        return tuple(names.index(self.best.name) + 1 if self.best.name in names else None for names in ranked)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the race says in sentences, and how far that may be trusted."""
        return sentences(self)

    def rows(self) -> list[dict[str, Any]]:
        """Return the standings as plain rows, best first: one a strategy, its scores by seed at the end."""
        return [self._row(rank, standing) for rank, standing in enumerate(self.standings, 1)]

    def frame(self) -> Any:
        """Return `rows` as a pandas DataFrame; raise MissingPackageError without pandas."""
        return need("pandas").DataFrame(self.rows())

    def _row(self, rank: int, standing: Standing) -> dict[str, Any]:
        strategy, behind = standing.strategy, standing.behind
        low, mean, high = (None,) * 3 if behind is None else (behind.low, behind.mean, behind.high)
        return {
            "rank": rank, "strategy": strategy.name, "family": str(strategy.family), "rule": strategy.rule.title,
            "peak": strategy.peak, "steps": self.steps, "score": standing.score.mean, "score_low": standing.score.low,
            "score_high": standing.score.high, "behind": mean, "behind_low": low, "behind_high": high,
            "tied": standing.tied, "chance": standing.chance, "diverged": standing.diverged, "decay": standing.decay,
            **{f"seed_{seed}": score for seed, score in self._scores(strategy.name)},
        }  # fmt: skip

    def seeds_of(self, name: str) -> int:
        """Return how many seeds the strategy called `name` is judged by: those of the last rung that it ran on."""
        return len(self._scores(name))

    def _scores(self, name: str) -> list[tuple[int, float]]:
        """Return seed and score of a strategy on the last rung that it ran on."""
        for rung in reversed(self.rungs):
            for strategy, scores in zip(rung.strategies, rung.scores.tolist(), strict=True):
                if strategy.name == name:
                    return list(zip(rung.seeds, scores, strict=True))
        return []

    def plot(self, ax: Any = None) -> Any:
        """Draw the standings with their intervals and return the matplotlib Axes."""
        return picture("plot_race")(self, ax=ax)
