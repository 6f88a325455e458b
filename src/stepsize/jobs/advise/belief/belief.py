"""The belief: where the best rate of every family lies at the full horizon, from runs of any length.

By which power of the length the best rates drift is a property of a task, which its runs tell: a model that learns its
samples by heart (see `by_heart`) wants ever lower rates as it trains longer, one that is slow to begin may want higher
ones. So the belief is a mixture over drifts, each a `tree` of best rates. How good each family gets is another
question, which `worth` answers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from stepsize.jobs.advise.belief import prior, valley
from stepsize.jobs.advise.belief.by_heart import by_length, learned_by_heart
from stepsize.jobs.advise.belief.evidence import Evidence, kept
from stepsize.jobs.advise.belief.tree import Tree
from stepsize.kernel.arrays import Floats, floats
from stepsize.strategy import Strategy

OVERFITS = 0.2
"""A gap between validation and training loss, as a share of the gain, from which on a task overfits."""

WITHIN = 0.9
"""The probability that a best rate lies in its interval."""

UNLIKELY = 1e-5
"""Drifts of a probability below this are left out."""


@dataclass(eq=False)
class Belief(Evidence):
    """What is known of the best rates of all families."""

    _trees: list[tuple[float, Tree]] = field(default_factory=list)
    _counted: int = -1

    def trees(self) -> list[tuple[float, Tree]]:
        """Return the tree of each drift, and its probability."""
        if self._counted != len(self.runs):
            found = list(self._hypotheses())
            said = floats([log + tree.log_evidence for log, tree in found])
            weights = np.exp(said - np.logaddexp.reduce(said))
            self._trees = [(weight, tree) for weight, (_, tree) in zip(weights.tolist(), found, strict=True)]
            self._counted = len(self.runs)
        return self._trees

    def _hypotheses(self) -> Iterator[tuple[float, Tree]]:
        """Yield the trees that are likely enough, and the logarithm of their probability."""
        learned = self.by_heart
        for by_heart, probability in ((False, 1 - learned), (True, learned)):
            for steeper, log in zip(prior.STEEPER, prior.log_of_steeper(by_heart=by_heart), strict=True):
                if probability * math.exp(log) > UNLIKELY:
                    yield math.log(probability) + log, Tree(self, steeper, by_heart=by_heart)

    @property
    def overfits(self) -> bool:
        """Whether the best of the longest runs end with a validation loss far above their training loss."""
        lengths = by_length(self.runs, self.untrained)
        return bool(lengths) and lengths[-1].gap > OVERFITS

    @property
    def by_heart(self) -> float:
        """The probability that runs learn their samples by heart."""
        return learned_by_heart(self.runs, self.untrained, self.epoch)

    @kept
    def posterior(self, strategy: Strategy, steps: int | None = None) -> Floats:
        """Return the probability of each shape and centre of a family at a length, (shapes, centres).

        steps: the full horizon when not given.
        """
        steps = self.horizon if steps is None else steps
        return floats(sum(weight * _normalised(tree.log_posterior(strategy, steps)) for weight, tree in self.trees()))

    def centre(self, strategy: Strategy, steps: int | None = None) -> tuple[float, float]:
        """Return the mean and the standard deviation of a family's best log10 rate at a length."""
        p = self.posterior(strategy, steps).sum(axis=0)
        x = self.centres(self.prior_of(strategy).group)
        mean = float(p @ x)
        return mean, math.sqrt(float(p @ (x - mean) ** 2))

    def interval(self, strategy: Strategy) -> tuple[float, float]:
        """Return the rates between which a family's best one lies at the horizon with 90 %."""
        rates = 10 ** self.centres(self.prior_of(strategy).group)
        summed = np.cumsum(self.posterior(strategy).sum(axis=0))
        low, high = (float(rates[int(np.searchsorted(summed, each))]) for each in ((1 - WITHIN) / 2, (1 + WITHIN) / 2))
        return low, high

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

    @kept
    def risk(self, strategy: Strategy, steps: int) -> Floats:
        """Return what a family is expected to lose against its own best rate at each of its `centres`, (centres,)."""
        group = self.prior_of(strategy).group
        kernels = _kernels(group, len(self.centres(group)))
        each = zip(self.posterior(strategy, steps), kernels, strict=True)
        return floats(np.sum([np.convolve(kernel, own, "valid") for own, kernel in each], axis=0))


def _normalised(log: Floats) -> Floats:
    p = np.exp(log - log.max())
    return floats(p / p.sum())


@functools.cache
def _kernels(group: str, centres: int) -> Floats:
    """Return what each shape loses at all distances between so many centres, (shapes, 2 * centres - 1)."""
    return valley.at_distance(prior.shapes(group), floats(valley.STEP * np.arange(1 - centres, centres)))
