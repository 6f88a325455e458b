"""How good strategies are at the full horizon: a normal belief, joint over all families, from runs of that length.

What a strategy loses is what its family loses at its own best rate, which the tasks of the prior say together (where
Schedule-Free is good, wsd is too), and what its rate loses in the family's valley, which `belief` says. Runs on one
seed share a part of their noise. Every value is a share of what training gains, and only differences mean anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.evidence import Run, noise_at
from stepsize.kernel.arrays import Floats, floats
from stepsize.strategy import Strategy

LEVEL = 1.0
"""The variance of the level that all runs share: nothing is known of it."""

SHARED = 0.25
"""The share of the variance between seeds that all strategies have in common: .24 in the finals of the dev half of
bench/advice, 0 to .56."""

MISFIT = 0.003
"""The standard deviation of what the valley of a family does not explain."""

WORST = 0.25
"""What a run is said to lose at most: one that diverged says that it is bad, and not how bad."""

SEEDS_OF_PRIOR = 4
"""How many repeats the noise of the prior is worth, beside those that were seen."""


@dataclass(frozen=True, eq=False)
class Worth:
    """What some strategies lose at the full horizon, and what some seeds add to that.

    mean: of the strategies, then of the seeds, (strategies + seeds,). covariance: of these estimates. noise: the
    variance of one more run.
    """

    mean: Floats
    covariance: Floats
    noise: float


def scale(belief: Belief) -> tuple[float, float]:
    """Return the best score of a full run and what it gained; the start and 1 where none gained anything."""
    best = min((run.score for run in full_runs(belief)), default=belief.start)
    gain = belief.start - best
    return (best, gain) if gain > 0 and math.isfinite(gain) else (belief.start, 1.0)


def full_runs(belief: Belief) -> list[Run]:
    """Return the runs over the whole horizon."""
    return [run for run in belief.runs if run.steps == belief.horizon]


def noise_of(belief: Belief) -> float:
    """Return the variance of one full run's loss, a share of the gain: the prior's, and what repeats show."""
    _, gain = scale(belief)
    by_strategy: dict[str, list[float]] = {}
    for run in full_runs(belief):
        if math.isfinite(run.score):
            by_strategy.setdefault(run.strategy.name, []).append(run.score / gain)
    squares = sum(float(np.var(each)) * len(each) for each in by_strategy.values())
    count = sum(len(each) - 1 for each in by_strategy.values())
    return (SEEDS_OF_PRIOR * noise_at(1.0) ** 2 + squares) / (SEEDS_OF_PRIOR + count)


def worth(
    belief: Belief, strategies: Sequence[Strategy], *, at_best: Sequence[bool] | None = None, seeds: Sequence[int] = ()
) -> Worth:
    """Return what is known of how much each of `strategies` loses, and then of what each of `seeds` adds to that.

    at_best: which of them are meant at their families' best rates, whatever those are, and not at their own.
    """
    best, gain = scale(belief)
    runs = full_runs(belief)
    noise = noise_of(belief)
    flags = [False] * len(strategies) if at_best is None else list(at_best)
    every = [*strategies, *(run.strategy for run in runs)]
    mean, covariance = _prior(belief, every, [*flags, *[False] * len(runs)])
    n, ran, asked = len(strategies), np.array([run.seed for run in runs]), np.array(seeds, dtype=int)
    of_seeds = noise * SHARED
    wanted = np.zeros((n + len(asked), n + len(asked)))
    wanted[:n, :n], wanted[n:, n:] = covariance[:n, :n], of_seeds * (asked[:, None] == asked[None, :])
    expected = np.concatenate([mean[:n], np.zeros(len(asked))])
    if not runs:
        return Worth(floats(expected), floats(wanted), noise)
    seen = floats([min((run.score - best) / gain, WORST) for run in runs])
    alike = of_seeds * (ran[:, None] == ran[None, :])
    own = covariance[n:, n:] + alike + (noise - of_seeds) * np.eye(len(runs))
    tied = np.concatenate([covariance[n:, :n], of_seeds * (ran[:, None] == asked[None, :])], axis=1)
    weights = np.linalg.solve(own, tied).T
    return Worth(floats(expected + weights @ (seen - mean[n:])), floats(wanted - weights @ tied), noise)


def _prior(belief: Belief, strategies: Sequence[Strategy], at_best: Sequence[bool]) -> tuple[Floats, Floats]:
    """Return the mean and the covariance before any full run, but with what all runs say of the rates."""
    priors = [belief.prior_of(each) for each in strategies]
    tasks = floats([each.loses for each in priors])
    centred = tasks - tasks.mean(axis=1, keepdims=True)
    mean = tasks.mean(axis=1)
    covariance = centred @ centred.T / max(1, tasks.shape[1] - 1) + LEVEL
    families: dict[object, list[int]] = {}
    for index, each in enumerate(strategies):
        families.setdefault(each.family, []).append(index)
    for members in families.values():
        covariance[np.ix_(members, members)] += priors[members[0]].doubt ** 2
        rated = [index for index in members if not at_best[index]]
        if rated:
            x = floats([math.log10(strategies[index].peak) for index in rated])
            lost, spread = belief.lost(strategies[rated[0]], x)
            mean[rated] += lost
            spread = _no_better_than_the_best(lost, spread)
            same = np.abs(x[:, None] - x[None, :]) < 1e-9
            covariance[np.ix_(rated, rated)] += spread + MISFIT**2 * same
    return floats(mean), floats(covariance)


def _no_better_than_the_best(lost: Floats, covariance: Floats) -> Floats:
    """Return the covariance of what rates lose, no wider than its mean: a rate cannot gain more than it loses.

    The distribution has a wide tail upward, of rates that are far off; a normal one would make it hope downward.
    """
    deviations = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    shares = np.minimum(1.0, lost / deviations)
    return floats(covariance * shares[:, None] * shares[None, :])
