"""The evidence: the runs that were made, and what those of one family and length say of its best rate."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stepsize.jobs.advise.belief import prior, valley
from stepsize.jobs.advise.belief.prior import FamilyPrior
from stepsize.jobs.advise.belief.valley import Losses
from stepsize.kernel.arrays import Floats, floats
from stepsize.strategy import Family, Strategy

REACH = 5.0
"""How far from its anchor a best rate may lie, in decades."""

SLOW = 0.3
"""Runs that gain less than this share of what longer ones do say nothing: the model has not begun to learn."""

BY_HEART = 0.1
"""Runs whose validation gains less than this share of what training does say nothing either: they learn by heart. What
shorter ones gained counts: where long ones are all the worse for their length, they differ all the same."""

MEMORISED = 0.4
"""Below this share training losses speak, where `training_start` is known: runs so short that validation hardly falls
at any rate are in the right order by them; those over the whole horizon are not short. Seen .2 to .4 there, on four
tasks, and .5 or more on those that overfit."""

IN_ALL, FURTHER = 0.8, 1.5
"""What training gains in all where no run has been that long: a share of the start, .7 to 1 on most tasks. And what a
run at a rate so many times lower as it is longer than another misses: what that one missed, to this power. Seen 1.2 to
1.4 where features are of uneven sizes, and 2 to 3 elsewhere."""

SHORTER = 0.5
"""By how much less, as a power of the length, a run goes further as it is longer, where a rule divides by all gradients
since its start."""

AS_FAR, UNLIKE, UNSURE = 0.1, 0.3, 0.6
"""The standard deviation of that: the least, and how it grows with the loss, where what there is to gain is known, and
where it is not."""

HARM = 0.05
"""A run that ends above the start by more than this share of it has done harm."""

LEAST_LATE = 16
"""By how many of its last updates the noise of a training loss is judged, at least."""


@dataclass(frozen=True)
class Run:
    """One finished run.

    strategy: with the rate of this very run. steps: its length. seed: its own. score: at its end, inf where it
    diverged. training: the mean training loss of its last tenth. made: the updates that it made, where it was ended
    before all of them. error: the standard error of `training`, which is that of its batches; 0 where it is not known.
    """

    strategy: Strategy
    steps: int
    seed: int
    score: float
    training: float
    made: int | None = None
    error: float = 0.0

    @property
    def updates(self) -> int:
        """The updates that it made."""
        return self.steps if self.made is None else self.made

    @property
    def x(self) -> float:
        """The log10 of its peak rate."""
        return math.log10(self.strategy.peak)


@dataclass(frozen=True)
class Anchor:
    """Where the best rate of a group's reference family lies before anything has run: log10 of it, and its spread.

    source: what it was read from, in words.
    """

    centre: float
    spread: float
    source: str


def kept(method: Callable[..., Floats]) -> Callable[..., Floats]:
    """Keep what a method returns until the next run is known; a strategy counts by its family."""

    @functools.wraps(method)
    def keeping(self: Evidence, *given: Any, **named: Any) -> Floats:
        own = (each.family if isinstance(each, Strategy) else each for each in (*given, *named.values()))
        key = (method.__name__, *own)
        if key not in self._known:
            self._known[key] = method(self, *given, **named)
        return self._known[key]

    return keeping


@dataclass(eq=False)
class Evidence:
    """All runs so far, and where they started from.

    horizon: steps of the training in question. start: the score before any update. anchors: by group.
    doubt: how much higher `start` may be on the batches that score the runs. training_start: the training loss before
    any update, where that is known and measures the same as the score; else NaN. epoch: steps until samples come again;
    inf where none does, 0 where that is not known.
    """

    horizon: int
    start: float
    anchors: dict[str, Anchor]
    runs: list[Run] = field(default_factory=list)
    doubt: float = 0.0
    training_start: float = math.nan
    epoch: float = 0.0
    _priors: dict[Family, FamilyPrior] = field(default_factory=dict)
    _known: dict[tuple[object, ...], Floats] = field(default_factory=dict)

    def learn(self, runs: Iterable[Run]) -> None:
        """Learn from finished runs."""
        self.runs += runs
        self._known.clear()

    def prior_of(self, strategy: Strategy) -> FamilyPrior:
        """Return what is believed of a family before it has run."""
        if strategy.family not in self._priors:
            self._priors[strategy.family] = prior.family_prior(strategy)
        return self._priors[strategy.family]

    def prior_spread(self, strategy: Strategy) -> float:
        """Return how wide the belief in a family's best rate was before anything ran, in decades, its tails aside."""
        own = self.prior_of(strategy)
        return math.hypot(self.anchors[own.group].spread, own.spread)

    def centres(self, group: str) -> Floats:
        """Return the grid of log10 rates of a group, (centres,)."""
        middle = round(self.anchors[group].centre / valley.STEP) * valley.STEP
        return floats(middle + np.arange(-REACH, REACH + valley.STEP / 2, valley.STEP))

    def families(self) -> list[Strategy]:
        """Return a strategy of every family that has run."""
        return list({run.strategy.family: run.strategy for run in self.runs}.values())

    def lengths(self, strategy: Strategy) -> list[int]:
        """Return the lengths at which a family has run, rising."""
        return sorted({run.steps for run in self.of(strategy)})

    def of(self, strategy: Strategy, steps: int | None = None) -> list[Run]:
        """Return the runs of a family, of one length where that is given."""
        same = [run for run in self.runs if run.strategy.family == strategy.family]
        return [run for run in same if steps is None or run.steps == steps]

    @property
    def untrained(self) -> float:
        """The score of what has learned nothing, at most."""
        return self.start + self.doubt

    def gain_at(self, steps: int) -> float:
        """Return what the best run of a length has gained; 0 where none has."""
        return max((self.untrained - run.score for run in self.runs if run.steps == steps), default=0.0)

    @kept
    def likelihood(self, strategy: Strategy, steps: int, *, by_heart: bool = False) -> Floats:
        """Return the log likelihood of what a family's runs say of one length, (shapes, centres).

        Those of that length compare rates. Shorter ones say how steep the valley is below its best rate: what moves a
        model is rate times steps, so at a rate so many times lower as it is longer a run goes about as far as they did,
        which is next to nowhere where they have hardly begun to learn; but for runs that learn by heart, as there is
        little more to gain then than short ones have.
        """
        group = self.prior_of(strategy).group
        x, shapes = self.centres(group), prior.shapes(group)
        runs = self.of(strategy, steps)
        said = valley.log_likelihood(shapes, x, self._losses(runs, steps)) if runs else np.zeros((len(shapes), len(x)))
        for at, lost, spread in () if by_heart else self._gone_as_far(strategy, steps):
            said = said + valley.log_of_steep(valley.at_distance(shapes, at - x), lost, spread)
        return floats(said)

    def _gone_as_far(self, strategy: Strategy, steps: int) -> Iterator[tuple[float, float, float]]:
        """Yield at which log10 rate a run of `steps` goes as far as the best of each shorter length, and its loss.

        The loss is a share of what training gains, with its standard deviation.
        """
        shorter = [run for run in self.of(strategy) if run.steps < steps]
        if strategy.rule.facts.parameter_free or not shorter:
            return
        best = {run.steps: run for run in sorted(shorter, key=lambda run: -run.score)}
        known = any(run.steps == steps for run in self.runs)
        in_all = self.gain_at(steps) if known else IN_ALL * self.untrained
        there_is = max(in_all, *(self.untrained - run.score for run in best.values()))
        power = 1 - SHORTER if strategy.rule.facts.accumulates else 1.0
        for length, run in best.items():
            gain = self.untrained - run.score
            learned = self._learned(each for each in shorter if each.steps == length)
            if gain > max(BY_HEART * learned, 0.0) and (known or self.untrained > 0):
                lost = (1 - gain / there_is) ** FURTHER
                spread = AS_FAR + (UNLIKE if known else UNSURE) * lost
                yield run.x - power * math.log10(steps / length), lost, spread

    def _losses(self, runs: Sequence[Run], steps: int) -> Losses:
        scores = means(runs)
        dead = {run.x for run in runs if self.did_harm(run)}
        alive = {x: score for x, score in scores.items() if math.isfinite(score)}
        gain = self.untrained - min(alive.values(), default=math.inf)
        longer = max((self.gain_at(run.steps) for run in self.runs if run.steps > steps), default=0.0)
        most = max(gain, *(self.gain_at(run.steps) for run in self.runs if run.steps < steps), 0.0)
        learned = self._learned(runs)
        trained = {run.x: run.training for run in runs if math.isfinite(run.training + run.score)}
        memorised = self.training_start - min(trained.values(), default=math.inf)
        if steps < self.horizon and memorised > 0 and gain < MEMORISED * memorised:
            alive, most = trained, memorised
        elif most <= 0 or gain < SLOW * longer or most < BY_HEART * learned:
            alive = {}
        lowest = min(alive.values(), default=0.0)
        shares = [max(0.0, 1 - (score - lowest) / most) for score in alive.values()]
        noise = noise_at(steps / self.horizon) / math.sqrt(len({run.seed for run in runs}))
        return Losses(floats(list(alive)), floats(shares), floats(sorted(dead)), noise)

    def _learned(self, runs: Iterable[Run]) -> float:
        """Return what some runs have learned of their samples, at most; 0 where that is not known."""
        return self.start - min((run.training for run in runs if math.isfinite(run.training)), default=self.start)

    def did_harm(self, run: Run) -> bool:
        """Whether a run diverged, or ended clearly above where it began.

        A run that learns its samples by heart, so that validation alone gets worse, was not too fast.
        """
        if not math.isfinite(run.score):
            return True
        return run.score > self.untrained + HARM * abs(self.untrained) and not run.training < self.start


def last_tenth(losses: np.ndarray) -> tuple[Floats, Floats]:
    """Return the mean of the last tenth of some losses, (steps, runs), and its standard error, both (runs,).

    The error is by how much neighbours differ, so that a loss which falls steadily does not count as noise; inf where
    one of those is not known.
    """
    count = max(1, len(losses) // 10)
    late = np.asarray(losses[-max(count, LEAST_LATE) :], dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        between = (np.diff(late, axis=0) ** 2).sum(axis=0) / max(1, len(late) - 1)
        errors = np.nan_to_num(np.sqrt(between / 2 / count), nan=np.inf, posinf=np.inf)
        return floats(late[-count:].mean(axis=0)), floats(errors)


def means(runs: Iterable[Run]) -> dict[float, float]:
    """Return the mean score of runs by log10 rate."""
    scores: dict[float, list[float]] = {}
    for run in runs:
        scores.setdefault(run.x, []).append(run.score)
    return {x: float(np.mean(each)) for x, each in scores.items()}


def noise_at(share: float) -> float:
    """Return the standard deviation of a run's gain, of one seed, from the share of the horizon that it is long."""
    table = prior.numbers()["noise"]
    return float(np.interp(math.log2(share), table["log2_shares"], table["spreads"]))
