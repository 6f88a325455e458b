"""Intervals that cover what they say, ties that are said to be ties, divergence last."""

import math

import numpy as np
import pytest
from scipy import stats

from stepsize.jobs.statistics import kendall, prediction_interval, standings, t_interval
from stepsize.policies import constant
from stepsize.results import Rung
from stepsize.rules import SGD
from stepsize.strategy import Strategy

DRAWS = 40_000


def rung(scores, names=None):
    scores = np.asarray(scores, dtype=np.float64)
    names = names or [f"s{i}" for i in range(len(scores))]
    return Rung(10, tuple(Strategy(SGD(), constant(0.1), n) for n in names), tuple(range(scores.shape[1])), scores)


def limits(interval, samples):
    """The limits for many samples at once, (draws, seeds): an interval is the mean plus so many standard deviations."""
    first = interval(samples[0])
    width = (first.high - first.mean) / samples[0].std(ddof=1)
    low, high = (samples.mean(1) + sign * width * samples.std(axis=1, ddof=1) for sign in (-1, 1))
    for row in range(3):
        found = interval(samples[row])
        assert (found.low, found.high) == pytest.approx((low[row], high[row]))
        assert found.mean == pytest.approx(samples[row].mean())
    return low, high


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_the_t_interval_covers_the_mean_as_often_as_it_says(seeds):
    samples = 3.0 + 0.5 * np.random.default_rng(seeds).standard_normal((DRAWS, seeds))
    low, high = limits(t_interval, samples)
    assert 0.945 < np.mean((low <= 3.0) & (high >= 3.0)) < 0.955


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_the_prediction_interval_covers_one_more_run_as_often_as_it_says(seeds):
    samples = 3.0 + 0.5 * np.random.default_rng(seeds).standard_normal((DRAWS, seeds + 1))
    low, high = limits(prediction_interval, samples[:, 1:])
    assert 0.945 < np.mean((low <= samples[:, 0]) & (samples[:, 0] <= high)) < 0.955


def test_the_t_interval_is_scipys():
    values = np.array([0.3, 0.5, 0.35, 0.42])
    expected = stats.t.interval(0.9, 3, values.mean(), stats.sem(values))
    found = t_interval(values, 0.9)
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize("interval", [t_interval, prediction_interval])
def test_too_few_or_infinite_values_say_nothing(interval):
    for values in (np.array([]), np.array([0.5]), np.array([0.5, np.inf]), np.array([0.5, np.nan])):
        found = interval(values)
        assert (found.low, found.high) == (-math.inf, math.inf)
    assert interval(np.array([0.5])).mean == 0.5


def test_the_standings_are_by_the_mean_with_paired_differences():
    noise = np.array([0.0, 0.1, -0.1, 0.05])
    found = standings(rung([0.5 + noise, 0.3 + noise, 0.4 + noise + [0.01, -0.01, 0.005, 0.0]]))
    assert [each.strategy.name for each in found] == ["s1", "s2", "s0"]
    assert found[0].behind is None
    assert found[1].behind.mean == pytest.approx(0.10125)
    assert found[1].score.high - found[1].score.low > found[1].behind.high - found[1].behind.low
    assert [each.tied for each in found] == [True, False, False]
    assert (found[2].behind.low, found[2].behind.high) == pytest.approx((0.2, 0.2))


def test_a_difference_that_may_be_zero_is_a_tie():
    found = standings(rung([[0.3, 0.5, 0.4], [0.45, 0.42, 0.38]]))
    assert [each.tied for each in found] == [True, True]
    assert 0.0 in found[1].behind


def test_the_diverged_come_last_and_are_never_tied_with_the_best():
    found = standings(rung([[np.inf, 0.1, 0.1], [0.5, 0.6, 0.7], [np.inf] * 3, [0.4, 0.5, 0.6]]))
    assert [each.strategy.name for each in found] == ["s3", "s1", "s0", "s2"]
    assert [each.diverged for each in found] == [0, 0, 1, 3]
    assert [each.tied for each in found][2:] == [False, False]
    assert all(each.behind is None and each.score.mean == math.inf for each in found[2:])


def test_when_all_diverged_nobody_is_told_apart():
    found = standings(rung([[np.inf, 0.1], [np.inf, np.inf]]))
    assert [each.diverged for each in found] == [1, 2]
    assert all(each.score.mean == math.inf for each in found)


def test_one_seed_tells_nothing_apart():
    found = standings(rung([[0.1], [0.9]]))
    assert [each.tied for each in found] == [True, True]
    assert (found[1].behind.low, found[1].behind.high) == (-math.inf, math.inf)


def test_equal_means_keep_the_order_they_came_in():
    assert [each.strategy.name for each in standings(rung([[0.5, 0.5], [0.4, 0.6], [0.5, 0.5]]))] == ["s0", "s1", "s2"]


def test_kendall_is_scipys_tau_over_those_who_ran_in_both():
    values = np.random.default_rng(0).standard_normal((6, 2))
    first = rung(values, list("abcdef"))
    second = rung(values[[4, 1, 3, 0]] + 1.5 * np.random.default_rng(2).standard_normal((4, 2)), list("ebda"))
    expected = stats.kendalltau(first.means[[4, 1, 3, 0]], second.means).statistic
    assert kendall(first, second) == pytest.approx(expected)
    assert -1 < expected < 1


def test_kendall_reads_divergence_as_worst_and_says_nothing_of_one():
    first = rung([[0.1], [0.2], [np.inf]], list("abc"))
    assert kendall(first, rung([[1.0], [2.0], [np.inf]], list("abc"))) == pytest.approx(1.0)
    assert math.isnan(kendall(first, rung([[1.0]], ["a"])))
    assert math.isnan(kendall(first, rung([[1.0], [2.0]], ["x", "y"])))
