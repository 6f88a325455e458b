"""Intervals that cover what they say, ties that are said to be ties, divergence last."""

import math

import numpy as np
import pytest
from scipy import stats

from stepsize.jobs.paired_statistics import (
    chances,
    holm,
    kendall,
    p_values,
    prediction_interval,
    standings,
    t_interval,
    total_decay,
)
from stepsize.policies import Policy, constant, cosine
from stepsize.results import Rung
from stepsize.rules import SGD, AdamW
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


def test_when_all_diverged_nobody_is_separated():
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


def percentile_coverage(seeds, draws=1000, replicates=600):
    """How often the 95 % percentile bootstrap of the mean covers it, for normal data."""
    noise = np.random.default_rng(seeds)
    samples = noise.standard_normal((replicates, seeds))
    chosen = noise.integers(0, seeds, (draws, seeds))
    means = samples[:, chosen].mean(axis=2)
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    return np.mean((low <= 0) & (high >= 0))


@pytest.mark.parametrize(("seeds", "known"), [(3, 0.73), (4, 0.79), (5, 0.84), (8, 0.89)])
def test_a_percentile_bootstrap_covers_too_little_where_t_does_not(seeds, known):
    """The reason for t-intervals: the figures of the literature for the bootstrap, and 95 % for t, on the same data."""
    assert percentile_coverage(seeds) == pytest.approx(known, abs=0.04)
    samples = np.random.default_rng(seeds).standard_normal((DRAWS, seeds))
    low, high = limits(t_interval, samples)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.95, abs=0.006)


def test_the_paired_test_is_scipys():
    differences = np.random.default_rng(0).standard_normal((5, 4)) + 0.5
    np.testing.assert_allclose(p_values(differences), stats.ttest_1samp(differences, 0, axis=1).pvalue)
    assert p_values(np.array([[0.5], [0.1]])).tolist() == [1.0, 1.0]
    assert p_values(np.array([[0.0, 0.0], [0.5, 0.5]])).tolist() == [1.0, 0.0]


def test_holm_holds_each_p_against_fewer_and_fewer():
    assert holm(np.array([0.012, 0.04, 0.016, 0.9])).tolist() == [True, False, True, False]
    assert holm(np.array([0.02, 0.001, 0.03])).tolist() == [True, True, True]
    assert holm(np.array([0.03, 0.03])).tolist() == [False, False]
    assert holm(np.array([])).tolist() == []


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("count", "seeds"), [(3, 2), (8, 3), (20, 5)])
def test_the_indistinguishable_set_holds_the_best_as_often_as_it_says(count, seeds, spread):
    """Over fields of equals, of near ones, and of far ones; the set is about the best in truth, not the leader."""
    noise = np.random.default_rng([count, seeds, int(10 * spread)])
    held, replicates = 0, 700
    for _ in range(replicates):
        truth = spread * noise.standard_normal(count)
        scores = truth[:, None] + noise.standard_normal(seeds) + noise.standard_normal((count, seeds))
        leader = scores.mean(axis=1).argmin()
        apart = np.zeros(count, dtype=bool)
        others = np.arange(count) != leader
        apart[others] = holm(p_values(scores[others] - scores[leader]))
        held += not apart[truth.argmin()]
    assert held / replicates > 0.95 - 2.5 * math.sqrt(0.05 * 0.95 / replicates)


def test_without_holm_a_field_of_equals_would_lose_its_best_too_often():
    noise = np.random.default_rng(0)
    lost = 0
    for _ in range(500):
        scores = noise.standard_normal((20, 5))
        others = scores[1:] - scores[scores.mean(axis=1).argmin()]
        lost += bool((p_values(others[others.any(axis=1)]) < 0.05).any())
    assert lost / 500 > 0.3


def test_the_standings_are_tied_by_holm():
    """A difference whose own interval leaves out zero, and which twenty comparisons do not tell from it."""
    noise = np.random.default_rng(5)
    leader = noise.standard_normal(5)
    close = leader + np.array([0.5, 1.5, 1.0, 0.2, 2.2])
    far = [leader + 1.0 + 2.0 * noise.standard_normal(5) + 1.2 for _ in range(18)]
    two, twenty = standings(rung([leader, close])), standings(rung([leader, close, *far]))
    behind = next(each for each in twenty if each.strategy.name == "s1")
    assert two[1].behind.low > 0
    assert (two[1].tied, behind.tied) == (False, True)
    assert behind.behind == two[1].behind
    assert behind.differences == pytest.approx((0.5, 1.5, 1.0, 0.2, 2.2))


@pytest.mark.parametrize("uneven", [0.0, 0.7])
@pytest.mark.parametrize(("count", "seeds"), [(3, 3), (8, 2), (8, 5), (20, 3)])
def test_the_chance_of_being_best_is_what_it_says(count, seeds, uneven):
    """Over fields whose spread is a third of, equal to, and three times the noise: the leader is the best in truth
    about as often as its chance says, and never much less often."""
    noise = np.random.default_rng([count, seeds, int(10 * uneven)])
    said, true = [], []
    for spread in (0.3, 1.0, 3.0):
        for _ in range(150):
            truth = spread * noise.standard_normal(count)
            width = np.exp(uneven * noise.standard_normal(count))[:, None]
            scores = truth[:, None] + noise.standard_normal(seeds) + width * noise.standard_normal((count, seeds))
            found = chances(scores, draws=300)
            assert found.sum() == pytest.approx(1)
            leader = scores.mean(axis=1).argmin()
            said.append(found[leader])
            true.append(leader == truth.argmin())
    assert np.mean(said) < np.mean(true) + 0.08
    assert np.mean(said) > np.mean(true) - 0.2


def test_the_chance_of_being_best_knows_the_clear_cases():
    clear = chances(np.array([[0.1, 0.11, 0.1], [0.5, 0.51, 0.49], [0.9, 0.91, 0.9]]))
    assert clear[0] > 0.99
    assert chances(np.array([[0.5, 0.5], [0.5, 0.5]])).tolist() == [0.5, 0.5]
    assert np.isnan(chances(np.array([[0.1], [0.2]]))).all()
    assert chances(np.array([[0.1, 0.2]])).tolist() == [1.0]


def test_the_total_decay_is_the_sum_of_rate_times_decay():
    steps = 50
    rates = cosine(0.1)["lr"].over(steps).table(0, steps)
    assert total_decay(Strategy(AdamW(weight_decay=0.02), cosine(0.1)), steps) == pytest.approx(0.02 * rates.sum())
    moving = Policy(lr=0.1, weight_decay=cosine(0.02)["lr"])
    assert total_decay(Strategy(AdamW(), moving), steps) == pytest.approx(0.02 * rates.sum())
    bound = Strategy(AdamW(weight_decay=0.02), cosine(0.1)).over(100)
    assert total_decay(bound, 50) > total_decay(Strategy(AdamW(weight_decay=0.02), cosine(0.1)), 50)
    assert standings(rung([[0.1, 0.2], [0.3, 0.2]]))[0].decay == total_decay(Strategy(SGD(), constant(0.1)), 10)
