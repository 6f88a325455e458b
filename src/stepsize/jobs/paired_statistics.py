"""Few seeds, honestly: paired t-intervals, ties that are said to be ties, divergence as data.

With five seeds or fewer a percentile bootstrap covers 73 to 84 % where it says 95 %; the t-interval covers 95 %. So
every interval here is a t-interval, and strategies are compared by their differences on the same seeds.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from stepsize.kernel import seeds
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.optional import need
from stepsize.policies import LR
from stepsize.results import Interval, Rung, Standing
from stepsize.strategy import Strategy

CONFIDENCE = 0.95

DRAWS = 4000
"""How many fields are drawn for the probabilities of being best: good to about a hundredth."""


def t_interval(values: Floats, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean of `values`, (seeds,), with its t-interval; infinite for fewer than two values."""
    mean = float(np.mean(values)) if len(values) else math.inf
    if len(values) < 2 or not math.isfinite(mean):
        return Interval(mean, -math.inf, math.inf)
    if not np.ptp(values):  # where all are equal the test divides 0 by 0
        return Interval(mean, mean, mean)
    interval = _t_test(values).confidence_interval(confidence)
    return Interval(mean, float(interval.low), float(interval.high))


def prediction_interval(values: Floats, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean of `values`, (seeds,), with the interval of one more value: `t * s * sqrt(1 + 1/n)` each way."""
    interval = t_interval(values, confidence)
    if not math.isfinite(interval.low):
        return interval
    half = (interval.high - interval.low) / 2 * math.sqrt(len(values) + 1)  # the mean's own is t * s * sqrt(1/n)
    return Interval(interval.mean, interval.mean - half, interval.mean + half)


def p_values(differences: Floats) -> Floats:
    """Return the two-sided p of the paired t-test of each row of `differences`, (strategies, seeds); 1 for one seed."""
    count, n = differences.shape
    if n < 2:
        return np.ones(count)
    equal = np.ptp(differences, axis=1) == 0  # where the test divides by 0
    p = np.where(differences[:, 0] == 0, 1.0, 0.0)
    if not equal.all():
        p[~equal] = _t_test(differences[~equal]).pvalue
    return floats(p)


def _t_test(values: Floats) -> Any:
    """Return SciPy's t-test of a mean of 0 over the last axis."""
    with warnings.catch_warnings():
        # SciPy warns of values that are nearly equal; seeds of a rule that ignores them are, and their p is right.
        warnings.simplefilter("ignore", RuntimeWarning)
        return need("scipy.stats").ttest_1samp(values, 0.0, axis=-1)


def holm(p: Floats, alpha: float = 1 - CONFIDENCE) -> np.ndarray:
    """Return which of the hypotheses with these p-values, (m,), Holm's procedure rejects, (m,) bool.

    The smallest p is held against `alpha / m`, the next against `alpha / (m - 1)`, until one is not below. The chance
    that any true one is rejected is at most `alpha`, whatever depends on what [holm1979simple].

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [True, False, False]
    """
    order = np.argsort(p, kind="stable")
    passed = p[order] <= alpha / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected


def chances(scores: Floats, draws: int = DRAWS) -> Floats:
    """Return the probability of each strategy to be the best of its field, (strategies,); NaN for fewer than two seeds.

    scores: (strategies, seeds), finite. A parametric bootstrap of the means, by t with `2 (n - 1)` degrees of freedom:
    what a seed does to all strategies is taken out; the variance of a strategy is half its own and half that of the
    field, since its own is known from n - 1 values only; and the means are drawn together by as much of their spread as
    is noise (empirical Bayes), without which the leader of a field of equals seems far too sure.

    Watch out: it speaks of this field, and a field that is one family at many rates shares the chance among them.
    """
    count, n = scores.shape
    if n < 2 or count < 2:
        return np.full(count, 1.0 if count == 1 else math.nan)
    means = scores.mean(axis=1)
    residuals = scores - means[:, None] - scores.mean(axis=0) + scores.mean()
    own = (residuals**2).sum(axis=1) / (n - 1) * count / (count - 1)
    noise = (own + own.mean()) / 2 / n
    spread = max(float(means.var(ddof=1) - own.mean() / n), 0.0)
    share = np.divide(spread, spread + noise, out=np.ones(count), where=spread + noise > 0)
    centre, scale = share * means + (1 - share) * means.mean(), np.sqrt(share * noise)
    deviations = seeds.generator(0, "chances").standard_t(2 * (n - 1), (draws, count))
    drawn = centre + scale * deviations
    winners = drawn == drawn.min(axis=1, keepdims=True)  # where nothing is left to tell apart all of them win a share
    return floats((winners / winners.sum(axis=1, keepdims=True)).mean(axis=0))


def standings(rung: Rung, alpha: float = 1 - CONFIDENCE) -> tuple[Standing, ...]:
    """Return the strategies of a rung, best first, each with its paired difference to the best.

    alpha: the chance to call a strategy worse that is not, over all comparisons with the best.
    """
    order = rung.order
    scores = floats(rung.scores)
    alive = [index for index in order if math.isfinite(rung.means[index])]
    chance = dict(zip(alive, chances(scores[alive]).tolist(), strict=True)) if alive else {}
    behind = scores[alive[1:]] - scores[order[0]]
    apart = dict(zip(alive[1:], holm(p_values(behind), alpha).tolist(), strict=True))
    return tuple(
        _standing(rung, index, scores[order[0]], chance.get(index, 0.0), tied=not apart.get(index, False))
        for index in order
    )


def _standing(rung: Rung, index: int, best: Floats, chance: float, *, tied: bool) -> Standing:
    strategy, scores = rung.strategies[index], floats(rung.scores[index])
    decay = total_decay(strategy, rung.steps)
    diverged = int(np.sum(~np.isfinite(scores)))
    if diverged:
        mean = Interval(math.inf, -math.inf, math.inf)
        return Standing(
            strategy=strategy, score=mean, behind=None, diverged=diverged, tied=False, chance=0.0, decay=decay
        )  # fmt: skip
    differences = scores - best
    first = index == rung.order[0]
    return Standing(
        strategy=strategy,
        score=t_interval(scores),
        behind=None if first else t_interval(differences),
        tied=tied,
        differences=() if first else tuple(differences.tolist()),
        chance=chance,
        decay=decay,
    )


def total_decay(strategy: Strategy, steps: int) -> float:
    """Return the sum of rate times weight decay over a run of `steps` updates: by how much weights are drawn to 0.

    Strategies whose totals differ differ in more than their schedule. 0 for a rule without weight decay.
    """
    table = strategy.bound_to(steps).table(0, steps)
    return float((table[LR] * table["weight_decay"]).sum()) if "weight_decay" in table else 0.0


def kendall(first: Rung, second: Rung) -> float:
    """Return Kendall's tau-b between two rungs over the strategies that ran in both; NaN for fewer than two."""
    before = {strategy.name: mean for strategy, mean in zip(first.strategies, first.means, strict=True)}
    after = zip(second.strategies, second.means, strict=True)
    pairs = [(before[strategy.name], mean) for strategy, mean in after if strategy.name in before]
    if len(pairs) < 2:
        return math.nan
    a, b = np.array(pairs, dtype=np.float64).T
    return float(need("scipy.stats").kendalltau(a, b).statistic)
