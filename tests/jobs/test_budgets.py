"""Budgets: what may be written, and when they buy more seeds; looking often does not tell strategies apart by luck."""

import math

import numpy as np
import pytest

from stepsize.jobs.budgets import Budget, alpha_of, more_seeds
from stepsize.jobs.statistics import holm, p_values
from stepsize.kernel.errors import ParameterError
from stepsize.policies import constant
from stepsize.results import Interval, Standing
from stepsize.rules import SGD
from stepsize.strategy import Strategy


def places(*tied):
    mean = Interval(1.0, 0.9, 1.1)
    return [Standing(Strategy(SGD(), constant(0.1), str(i)), mean, None, 0, tied=t) for i, t in enumerate(tied)]


@pytest.mark.parametrize(
    ("given", "trainings", "seconds"),
    [
        (30, 30, None),
        (2.5, 2.5, None),
        ("30", 30, None),
        ("90s", None, 90),
        ("20min", None, 1200),
        ("1.5 h", None, 5400),
    ],
)
def test_a_budget_is_trainings_or_time(given, trainings, seconds):
    assert (Budget.of(given).trainings, Budget.of(given).seconds) == (trainings, seconds)
    assert Budget.of(Budget.of(given)) == Budget.of(given)


@pytest.mark.parametrize("given", [0, -1, "0", "0min", "min", "20 minutes", "", "nan", "inf", math.nan, "1e3"])
def test_a_budget_that_is_none_is_refused(given):
    with pytest.raises(ParameterError, match="a budget is"):
        Budget.of(given)


@pytest.mark.parametrize("fields", [{}, {"trainings": 1.0, "seconds": 1.0}])
def test_a_budget_is_one_of_the_two(fields):
    with pytest.raises(ParameterError, match="one of the two"):
        Budget(**fields)


def test_what_is_left_of_a_time_is_counted_at_the_pace_so_far():
    assert Budget.of(30).left(12, 1e9) == 18
    assert Budget.of("100s").left(10, 40) == pytest.approx(15)
    assert Budget.of("100s").left(10, 140) < 0
    assert Budget.of("100s").left(0, 0) == math.inf


@pytest.mark.parametrize(
    ("tied", "seeds", "left", "more"),
    [
        ((True, False, False), 3, 100, 0),
        ((True, True, False), 3, 100, 1),
        ((True, True, False), 8, 100, 4),
        ((True, True, True), 8, 10, 3),
        ((True, True, True), 8, 2.9, 0),
        ((True, True), 1, 100, 1),
        ((True, True), 4, -5, 0),
        ((False, False), 4, 100, 0),
    ],
)
def test_more_seeds_are_bought_for_ties_as_far_as_the_budget_goes(tied, seeds, left, more):
    assert more_seeds(places(*tied), seeds, left) == more


def test_the_parts_of_alpha_add_up_to_it():
    assert sum(alpha_of(look, 0.05) for look in range(1, 100_000)) == pytest.approx(0.05, rel=1e-4)


def looked_often(count, spread, part, looks=8, replicates=400):
    """How often the best in truth stays among the leaders, who get more seeds and another look until they separate."""
    noise = np.random.default_rng([count, int(10 * spread)])
    held = 0
    for _ in range(replicates):
        truth = spread * noise.standard_normal(count)
        best, leaders, scores = truth.argmin(), np.arange(count), truth[:, None] + noise.standard_normal((count, 3))
        for look in range(1, looks + 1):
            first = scores[leaders].mean(axis=1).argmin()
            apart = holm(p_values(scores[np.delete(leaders, first)] - scores[leaders[first]]), part(look))
            leaders = np.append(np.delete(leaders, first)[~apart], leaders[first])
            if len(leaders) < 2:
                break
            more = max(1, scores.shape[1] // 2)
            scores = np.hstack([scores, truth[:, None] + noise.standard_normal((count, more))])
        held += best in leaders
    return held / replicates


@pytest.mark.parametrize(("count", "spread"), [(2, 0.0), (2, 0.2), (6, 0.0), (6, 0.5)])
def test_the_best_in_truth_is_not_lost_by_looking_often(count, spread):
    held = looked_often(count, spread, lambda look: alpha_of(look, 0.05))
    assert held > 0.95 - 2.5 * math.sqrt(0.05 * 0.95 / 400)


def test_the_whole_of_alpha_at_every_look_would_lose_it():
    assert looked_often(6, 0.0, lambda look: 0.05) < 0.93
