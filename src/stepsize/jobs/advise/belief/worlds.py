"""Worlds: draws from all that is believed, and what they say of an answer and of the next run.

In a world each family has its best rate and loses so much there, so every strategy has its loss, a share of what
training gains. What an answer is expected to lose is its mean distance from the best family over many worlds; what one
more run is worth is by how much the loss of the answer falls, in the mean, when it shows where in them we are: a
knowledge gradient [frazier2009knowledge] by sampling, since a loss has a long tail upward and none downward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepsize.jobs.advise.belief import prior, valley
from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.worth import SHARED, Worth, worth
from stepsize.kernel import seeds
from stepsize.kernel.arrays import Floats, floats
from stepsize.strategy import Strategy

DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Worlds:
    """What strategies lose in worlds drawn from a belief.

    losses: of each strategy, (strategies, draws). shown: what one more run of each would show but for its own noise:
    its loss, and what its seed adds to that, (strategies, draws). best: what the best family loses at its own best
    rate, (draws,). noise: the variance of a run's own noise.
    """

    losses: Floats
    shown: Floats
    best: Floats
    noise: float

    def regrets(self, index: int) -> Floats:
        """Return what a strategy loses against the best family, (draws,)."""
        return floats(np.maximum(self.losses[index] - self.best, 0.0))

    def gains(self, ran: np.ndarray) -> Floats:
        """Return by how much one run of each strategy is expected to lower the loss of the answer, (strategies,).

        ran: which strategies may be answered with now, (strategies,) bool; the one that runs then may as well. The
        best of them is held against the second best, and every other one against the best.
        """
        means = np.where(ran, self.losses.mean(axis=1), np.inf)
        order = np.argsort(means, kind="stable")
        first, second = int(order[0]), int(order[min(1, ran.sum() - 1)])
        better = self.losses[first] - self.losses
        better[first] = self.losses[first] - self.losses[second]
        return floats([self._gain(*pair) for pair in zip(better, self.shown, strict=True)])

    def _gain(self, better: Floats, shown: Floats) -> float:
        """Return what is gained by a run that shows, with its noise, which of two strategies is better.

        better: by how much the other one is better than the one that is answered with, (draws,). shown: see `Worlds`.
        """
        mean, spread = float(better.mean()), float(better.std())
        if not spread:
            return 0.0
        together = float(((better - mean) * (shown - shown.mean())).mean())
        seen = abs(together) / (spread * math.sqrt(float(shown.var()) + self.noise))  # how much of the difference shows
        known = mean + seen * (better - mean)
        return float(np.maximum(known, 0.0).mean() - max(mean, 0.0))


def draw(
    belief: Belief, strategies: Sequence[Strategy], families: Sequence[Strategy], seed: int,
    next_seeds: Sequence[int] | None = None,
) -> Worlds:  # fmt: skip
    """Return worlds drawn from a belief.

    strategies: whose losses are asked for. families: those that may be best; that of each strategy is among them.
    next_seeds: on which each strategy would run next; fresh ones when not given.
    """
    source = seeds.generator(seed, "worlds")
    kinds = {each.family: number for number, each in enumerate(families)}
    full = {run.strategy.name for run in belief.runs if run.steps == belief.horizon}
    ran = [each for each in strategies if each.name in full]
    asked = sorted(set(next_seeds or ()))
    known = worth(belief, [*ran, *families], at_best=[False] * len(ran) + [True] * len(families), seeds=asked)
    levels = _normal(known, source)
    seen = {each.name: levels[number] for number, each in enumerate(ran)}
    best, luck = levels[len(ran) : len(ran) + len(families)], levels[len(ran) + len(families) :]
    losses = floats([
        seen[each.name] if each.name in seen else best[kinds[each.family]] + _lost(belief, each, source)
        for each in strategies
    ])  # fmt: skip
    added = luck[[asked.index(each) for each in next_seeds]] if next_seeds else np.zeros_like(losses)
    return Worlds(losses, floats(losses + added), floats(best.min(axis=0)), known.noise * (1 - SHARED))


def _normal(known: Worth, source: np.random.Generator) -> Floats:
    """Return draws of what is known, (strategies, draws)."""
    values, vectors = np.linalg.eigh(known.covariance)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))
    return floats(known.mean[:, None] + roots @ source.standard_normal((len(known.mean), DRAWS)))


def _lost(belief: Belief, strategy: Strategy, source: np.random.Generator) -> Floats:
    """Return draws of what the rate of a strategy loses in its family's valley, (draws,)."""
    group = belief.prior_of(strategy).group
    p = belief.posterior(strategy).ravel()
    away = math.log10(strategy.peak) - belief.centres(group)
    lost = valley.at_distance(prior.shapes(group), floats(away)).ravel()
    drawn = np.searchsorted(np.cumsum(p), (np.arange(DRAWS) + source.random()) / DRAWS)
    return floats(source.permutation(lost[np.minimum(drawn, len(lost) - 1)]))
