"""The tree of best rates, for one drift: exact messages along it give the posterior of every family at every length.

For each group of rules (see `prior`) one unknown, the best log10 rate of its reference family at the horizon, ties the
families together: each lies at an offset from it. Within a family the best rate walks at random as runs become longer,
and drifts by a power of the length::

    anchor - reference at T --+-- AdamW one_cycle at T - at T/4 - at T/16     each with its runs' likelihood
                              +-- AdamW wsd at T
                              +-- ScheduleFreeAdamW constant at T

All messages are logarithms, (centres,), and none is normalised: their sum at the root is the evidence for the drift.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from stepsize.jobs.advise.belief import prior, valley
from stepsize.jobs.advise.belief.evidence import SHORTER, Evidence
from stepsize.jobs.rescale import MEASURED, rescale_exponent
from stepsize.kernel.arrays import Floats, floats
from stepsize.strategy import Strategy

TAIL, WIDE = 0.1, 1.5
"""The share of every transition that is far wider, and its least standard deviation: nothing is excluded."""

TINY = 1e-300
"""Keeps the logarithm of a message finite."""


class Tree:
    """What some evidence says, if the best rates drift with the length of a run by a given power.

    steeper: what is added to the power of the horizon that is usual for a rule, see `rescale_exponent`. by_heart: that
    of runs which learn by heart, of which the anchor says little.
    """

    def __init__(self, evidence: Evidence, steeper: float, *, by_heart: bool = False) -> None:
        self._evidence, self.steeper, self.by_heart = evidence, steeper, by_heart
        groups = dict.fromkeys(evidence.prior_of(each).group for each in evidence.families())
        self._references = {group: self._reference(group) for group in groups}

    @property
    def log_evidence(self) -> float:
        """The logarithm of the probability of all runs."""
        return sum(_log_sum(each) for each in self._references.values())

    def log_posterior(self, strategy: Strategy, steps: int) -> Floats:
        """Return the log probability of each shape and centre of a family at a length, (shapes, centres)."""
        around = self._from_shorter(strategy, steps) + self._from_longer(strategy, steps)
        return floats(self._evidence.likelihood(strategy, steps, by_heart=self.by_heart) + around)

    def _from_shorter(self, strategy: Strategy, steps: int) -> Floats:
        """Return what the shorter runs of a family say of its best rate at `steps`."""
        message = np.zeros(len(self._evidence.centres(self._evidence.prior_of(strategy).group)))
        before = 0
        for length in [each for each in self._evidence.lengths(strategy) if each < steps]:
            message = self._lengthen(strategy, message, before, length) + self._said(strategy, length)
            before = length
        return self._lengthen(strategy, message, before, steps)

    def _from_longer(self, strategy: Strategy, steps: int) -> Floats:
        """Return what the prior, the other families and the longer runs say of a family's best rate at `steps`."""
        message = self._from_reference(strategy)
        above = sorted({*self._evidence.lengths(strategy), self._evidence.horizon}, reverse=True)
        for length, shorter in zip(above, [*above[1:], 0], strict=True):
            if length <= steps:
                break
            message = self._shorten(strategy, message + self._said(strategy, length), max(shorter, steps), length)
        return message

    def _from_reference(self, strategy: Strategy) -> Floats:
        """Return what all but the family's own runs say of its best rate at the horizon."""
        own = self._evidence.prior_of(strategy)
        reference = self._references[own.group] if own.group in self._references else self._reference(own.group)
        if self._evidence.of(strategy):
            reference = reference - self._to_reference(strategy)
        return _through(reference, _matrix(self._key(own.group), own.offset, own.spread))

    def _reference(self, group: str) -> Floats:
        """Return the log probability of the best rate of a group's reference family, and of all runs of the group."""
        anchor = self._evidence.anchors[group]
        spread = math.hypot(anchor.spread, prior.BY_HEART_DOUBT) if self.by_heart else anchor.spread
        total = np.log(_normal(self._evidence.centres(group)[None, :] - anchor.centre, spread)[0])
        for strategy in self._evidence.families():
            if self._evidence.prior_of(strategy).group == group:
                total = total + self._to_reference(strategy)
        return floats(total)

    def _to_reference(self, strategy: Strategy) -> Floats:
        """Return what the runs of a family say of the best rate of its group's reference."""
        own, horizon = self._evidence.prior_of(strategy), self._evidence.horizon
        said = self._from_shorter(strategy, horizon) + self._said(strategy, horizon)
        return _through(said, _matrix(self._key(own.group), own.offset, own.spread).T)

    def _said(self, strategy: Strategy, steps: int) -> Floats:
        """Return what the runs of a family at one length say, whatever its shape."""
        return floats(np.logaddexp.reduce(self._evidence.likelihood(strategy, steps, by_heart=self.by_heart), axis=0))

    def _lengthen(self, strategy: Strategy, message: Floats, short: int, long: int) -> Floats:
        return message if not short or short == long else _through(message, self._walk(strategy, short, long))

    def _shorten(self, strategy: Strategy, message: Floats, short: int, long: int) -> Floats:
        return message if short == long else _through(message, self._walk(strategy, short, long).T)

    def _walk(self, strategy: Strategy, short: int, long: int) -> Floats:
        """Return the probability of each best rate of long runs, given that of short ones, (centres, centres)."""
        usual = rescale_exponent(strategy.rule)
        if self.by_heart:  # how far a run goes is steps * rate, of any rule but one whose steps go as 1 / sqrt(step)
            usual = MEASURED + (SHORTER if strategy.rule.facts.accumulates else 0.0)
        exponent = usual + self.steeper
        spread = prior.drift_spread(strategy.rule, short, long)
        return _matrix(self._key(self._evidence.prior_of(strategy).group), exponent * math.log10(long / short), spread)

    def _key(self, group: str) -> tuple[float, int]:
        x = self._evidence.centres(group)
        return float(x[0]), len(x)


def _log_sum(message: Floats) -> float:
    return float(np.logaddexp.reduce(message))


def _through(message: Floats, matrix: Floats) -> Floats:
    """Return the message that comes out of a transition, (a, b)."""
    peak = message.max()
    return floats(peak + np.log(np.exp(message - peak) @ matrix + TINY))


@functools.lru_cache(maxsize=1024)
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
