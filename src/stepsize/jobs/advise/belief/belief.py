"""The belief: where the best rate of every family lies at the full horizon, from runs of any length.

For each group of rules (see `prior`) one unknown, the best log10 rate of its reference family at the horizon, ties the
families together: each lies at an offset from it. Within a family the best rate walks at random as runs become longer,
and drifts by a power of the length. So all that is known is a tree of one-dimensional unknowns, and messages along it
give exact posteriors on a grid of rates:

::

    anchor - reference at T --+-- AdamW one_cycle at T - at T/4 - at T/16     each with its runs' likelihood
                              +-- AdamW wsd at T
                              +-- ScheduleFreeAdamW constant at T

How good each family gets is another question, which `worth` answers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
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

TAIL, WIDE = 0.1, 1.5
"""The share of every transition that is far wider, and its least standard deviation: nothing is excluded."""

TINY = 1e-300
"""Keeps the logarithm of a message finite."""

SLOW = 0.3
"""Runs that gain less than this share of what longer ones do say nothing: the model has not begun to learn."""

HARM = 0.05
"""A run that ends above the start by more than this share of it has done harm."""

OVERFITS = 0.2
"""A gap between validation and training loss, as a share of the gain, from which on a task overfits."""


@dataclass(frozen=True)
class Run:
    """One finished run.

    strategy: with the rate of this very run. steps: its length. seed: its own. score: at its end, inf where it
    diverged. training: the mean training loss of its last tenth.
    """

    strategy: Strategy
    steps: int
    seed: int
    score: float
    training: float

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


def _kept(method: Callable[..., Floats]) -> Callable[..., Floats]:
    """Keep what a method of a belief returns until the next run is known; a strategy counts by its family."""

    @functools.wraps(method)
    def kept(self: Belief, *given: Any) -> Floats:
        key = (method.__name__, *(each.family if isinstance(each, Strategy) else each for each in given))
        if key not in self._known:
            self._known[key] = method(self, *given)
        return self._known[key]

    return kept


@dataclass(eq=False)
class Belief:
    """What is known of the best rates of all families.

    horizon: steps of the training in question. start: the score before any update. anchors: by group.
    """

    horizon: int
    start: float
    anchors: dict[str, Anchor]
    runs: list[Run] = field(default_factory=list)
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

    # the posterior of one family

    @_kept
    def posterior(self, strategy: Strategy, steps: int | None = None) -> Floats:
        """Return the probability of each shape and centre of a family at a length, (shapes, centres).

        steps: the full horizon when not given.
        """
        steps = self.horizon if steps is None else steps
        shaped = np.exp(self._likelihood(strategy, steps))
        total = shaped * self._from_shorter(strategy, steps) * self._from_longer(strategy, steps)
        return floats(total / total.sum())

    def centre(self, strategy: Strategy, steps: int | None = None) -> tuple[float, float]:
        """Return the mean and the standard deviation of a family's best log10 rate at a length."""
        p = self.posterior(strategy, steps).sum(axis=0)
        x = self.centres(self.prior_of(strategy).group)
        mean = float(p @ x)
        return mean, math.sqrt(float(p @ (x - mean) ** 2))

    def lost(self, strategy: Strategy, x: Floats, steps: int | None = None) -> tuple[Floats, Floats]:
        """Return what a family is expected to lose at log10 rates `x` against its own best one, and the covariance.

        The mean, (rates,), and (rates, rates); shares of what training gains.
        """
        group = self.prior_of(strategy).group
        p = self.posterior(strategy, steps).ravel()
        away = floats(x)[:, None] - self.centres(group)[None, :]
        values = valley.at_distance(prior.shapes(group), away)  # (shapes, rates, centres)
        flat = values.transpose(1, 0, 2).reshape(len(away), -1)
        mean = flat @ p
        centred = flat - mean[:, None]
        return floats(mean), floats((centred * p) @ centred.T)

    @_kept
    def risk(self, strategy: Strategy, steps: int) -> Floats:
        """Return what a family is expected to lose against its own best rate at each of its `centres`, (centres,)."""
        group = self.prior_of(strategy).group
        kernels = _kernels(group, len(self.centres(group)))
        each = zip(self.posterior(strategy, steps), kernels, strict=True)
        return floats(np.sum([np.convolve(kernel, own, "valid") for own, kernel in each], axis=0))

    # messages

    def _from_shorter(self, strategy: Strategy, steps: int) -> Floats:
        """Return what the shorter runs of a family say of its best rate at `steps`, (centres,)."""
        message = np.ones(len(self.centres(self.prior_of(strategy).group)))
        before = 0
        for length in [each for each in self.lengths(strategy) if each < steps]:
            message = self._lengthen(strategy, message, before, length)
            message = _scaled(message * np.exp(self._likelihood(strategy, length)).sum(axis=0))
            before = length
        return self._lengthen(strategy, message, before, steps)

    def _from_longer(self, strategy: Strategy, steps: int) -> Floats:
        """Return what the prior, the other families and the longer runs say of a family's best rate at `steps`."""
        message = self._from_reference(strategy)
        above = sorted({*self.lengths(strategy), self.horizon}, reverse=True)
        for length, shorter in zip(above, [*above[1:], 0], strict=True):
            if length <= steps:
                break
            message = _scaled(message * np.exp(self._likelihood(strategy, length)).sum(axis=0))
            message = self._shorten(strategy, message, max(shorter, steps), length)
        return message

    def _from_reference(self, strategy: Strategy) -> Floats:
        """Return what all but the family's own runs say of its best rate at the horizon, (centres,)."""
        own = self.prior_of(strategy)
        reference = self._reference(own.group)
        if self.of(strategy):
            reference = reference - np.log(self._to_reference(strategy) + TINY)
        reference = np.exp(reference - reference.max())
        return _scaled(reference @ _matrix(self._key(own.group), own.offset, own.spread))

    @_kept
    def _reference(self, group: str) -> Floats:
        """Return the log probability of the best rate of a group's reference family, by all runs, (centres,)."""
        anchor = self.anchors[group]
        total = np.log(_normal(self.centres(group)[None, :] - anchor.centre, anchor.spread)[0])
        families = {run.strategy.family: run.strategy for run in self.runs}
        for strategy in families.values():
            if self.prior_of(strategy).group == group:
                total = total + np.log(self._to_reference(strategy) + TINY)
        return floats(total)

    @_kept
    def _to_reference(self, strategy: Strategy) -> Floats:
        """Return what the runs of a family say of the best rate of its group's reference, (centres,)."""
        own = self.prior_of(strategy)
        evidence = self._from_shorter(strategy, self.horizon)
        evidence = evidence * np.exp(self._likelihood(strategy, self.horizon)).sum(axis=0)
        return _scaled(_matrix(self._key(own.group), own.offset, own.spread) @ evidence)

    def _lengthen(self, strategy: Strategy, message: Floats, short: int, long: int) -> Floats:
        return message if not short or short == long else _scaled(message @ self._walk(strategy, short, long))

    def _shorten(self, strategy: Strategy, message: Floats, short: int, long: int) -> Floats:
        return message if short == long else _scaled(self._walk(strategy, short, long) @ message)

    def _walk(self, strategy: Strategy, short: int, long: int) -> Floats:
        """Return the probability of each best rate of long runs, given that of short ones, (centres, centres)."""
        exponent = prior.drift_exponent(strategy.rule, overfits=self.overfits)
        spread = prior.drift_spread(strategy.rule, short, long, overfits=self.overfits)
        return _matrix(self._key(self.prior_of(strategy).group), exponent * math.log10(long / short), spread)

    def _key(self, group: str) -> tuple[float, int]:
        x = self.centres(group)
        return float(x[0]), len(x)

    # what the runs say

    def lengths(self, strategy: Strategy) -> list[int]:
        """Return the lengths at which a family has run, rising."""
        return sorted({run.steps for run in self.of(strategy)})

    def of(self, strategy: Strategy, steps: int | None = None) -> list[Run]:
        """Return the runs of a family, of one length where that is given."""
        same = [run for run in self.runs if run.strategy.family == strategy.family]
        return [run for run in same if steps is None or run.steps == steps]

    def gain_at(self, steps: int) -> float:
        """Return what the best run of a length has gained; 0 where none has."""
        return max((self.start - run.score for run in self.runs if run.steps == steps), default=0.0)

    @property
    def overfits(self) -> bool:
        """Whether the best of the longest runs ends with a validation loss far above its training loss."""
        known = [run for run in self.runs if math.isfinite(run.training)]
        if not known:
            return False
        longest = max(run.steps for run in known)
        best = min((run for run in known if run.steps == longest), key=lambda run: run.score)
        gain = self.start - best.score
        return gain > 0 and best.score - best.training > OVERFITS * gain

    @_kept
    def _likelihood(self, strategy: Strategy, steps: int) -> Floats:
        """Return the log likelihood of what a family's runs of one length say, (shapes, centres)."""
        group = self.prior_of(strategy).group
        x, shapes = self.centres(group), prior.shapes(group)
        runs = self.of(strategy, steps)
        if not runs:
            return np.zeros((len(shapes), len(x)))
        return valley.log_likelihood(shapes, x, self._losses(runs, steps))

    def _losses(self, runs: Sequence[Run], steps: int) -> Losses:
        scores = self.means(runs)
        dead = [x for x, score in scores.items() if self.did_harm(score)]
        alive = {x: score for x, score in scores.items() if math.isfinite(score)}
        gain = self.start - min(alive.values(), default=math.inf)
        longer = max((self.gain_at(run.steps) for run in self.runs if run.steps > steps), default=0.0)
        if gain <= 0 or gain < SLOW * longer:
            alive = {}
        shares = [(self.start - max(min(score, self.start), -math.inf)) / gain for score in alive.values()]
        seeds = len({run.seed for run in runs})
        return Losses(
            floats(list(alive)), floats(shares), floats(dead), noise_at(steps / self.horizon) / math.sqrt(seeds)
        )

    def means(self, runs: Sequence[Run]) -> dict[float, float]:
        """Return the mean score of runs by log10 rate."""
        scores: dict[float, list[float]] = {}
        for run in runs:
            scores.setdefault(run.x, []).append(run.score)
        return {x: float(np.mean(each)) for x, each in scores.items()}

    def did_harm(self, score: float) -> bool:
        """Whether a run diverged, or ended clearly above where it began."""
        return not score <= self.start + HARM * abs(self.start)


def noise_at(share: float) -> float:
    """Return the standard deviation of a run's gain, of one seed, from the share of the horizon that it is long."""
    table = prior.numbers()["noise"]
    return float(np.interp(math.log2(share), table["log2_shares"], table["spreads"]))


@functools.cache
def _kernels(group: str, centres: int) -> Floats:
    """Return what each shape loses at all distances between so many centres, (shapes, 2 * centres - 1)."""
    return valley.at_distance(prior.shapes(group), floats(valley.STEP * np.arange(1 - centres, centres)))


def _scaled(message: Floats) -> Floats:
    return floats(message / message.max())


@functools.lru_cache(maxsize=256)
def _matrix(grid: tuple[float, int], offset: float, spread: float) -> Floats:
    """Return the probability of `b` given `a`, (a, b), where `b` lies at `offset` from `a`, with a wide tail."""
    x = grid[0] + valley.STEP * np.arange(grid[1])
    return _normal(x[None, :] - x[:, None] - offset, spread)


def _normal(away: Floats, spread: float) -> Floats:
    """Return densities at distances from the mean, each row of sum 1."""
    spread = max(spread, valley.STEP / 2)
    wide = max(WIDE, 2 * spread)
    narrow, broad = (np.exp(-0.5 * (away / each) ** 2) / each for each in (spread, wide))
    total = (1 - TAIL) * narrow + TAIL * broad
    return floats(total / total.sum(axis=1, keepdims=True))
