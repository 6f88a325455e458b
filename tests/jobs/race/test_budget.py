"""Budgets: what may be written, and when they buy more seeds; looking often does not tell strategies apart by luck."""

import math

import numpy as np
import pytest

from stepsize.jobs.paired_statistics import holm, p_values
from stepsize.jobs.race.budget import Budget
from stepsize.jobs.race.climb import alpha_of, more_seeds, undecided
from stepsize.kernel.errors import ParameterError
from stepsize.policies import constant
from stepsize.results import Interval, Standing
from stepsize.rules import SGD
from stepsize.strategy import Strategy


def places(*lows):
    """The best, and who lies behind it by at least so much; None for one that is separated."""
    mean = Interval(1.0, 0.9, 1.1)
    strategies = [Strategy(SGD(), constant(0.1), str(i)) for i in range(len(lows) + 1)]
    found = [Standing(strategy=strategies[0], score=mean, behind=None, diverged=0, tied=True)]
    for strategy, low in zip(strategies[1:], lows, strict=True):
        behind = Interval(0.3, 0.1 if low is None else low, 0.6)
        found.append(Standing(strategy=strategy, score=mean, behind=behind, diverged=0, tied=low is not None))
    return found


@pytest.mark.parametrize(
    ("lows", "margin", "names"),
    [
        ((-0.2, None), 0.0, "01"),
        ((-0.2, -0.1, None), 0.0, "012"),
        ((-0.2, -0.1, None), 0.15, "01"),
        ((-0.2, -0.1), 0.3, "0"),
        ((None, None), 0.0, "0"),
    ],
)
def test_undecided_are_those_who_may_still_be_better_by_the_margin(lows, margin, names):
    assert "".join(each.strategy.name for each in undecided(places(*lows), margin)) == names


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (30, {"trainings": 30}),
        (2.5, {"trainings": 2.5}),
        ("30", {"trainings": 30}),
        ("90s", {"seconds": 90}),
        ("20min", {"seconds": 1200}),
        ("1.5 h", {"seconds": 5400}),
        ("800 trials", {"trials": 800}),
    ],
)
def test_a_budget_is_trainings_or_time_or_trials(given, fields):
    assert Budget.of(given) == Budget(**fields)
    assert Budget.of(Budget.of(given)) == Budget.of(given)


@pytest.mark.parametrize("given", [0, -1, "0", "0min", "min", "20 minutes", "", "nan", "inf", math.nan, "1e3"])
def test_a_budget_that_is_none_is_refused(given):
    with pytest.raises(ParameterError, match="a budget is"):
        Budget.of(given)


@pytest.mark.parametrize("fields", [{}, {"trainings": 1.0, "seconds": 1.0}])
def test_a_budget_is_one_of_the_three(fields):
    with pytest.raises(ParameterError, match="one of the three"):
        Budget(**fields)


def test_what_is_left_of_a_time_is_counted_at_the_pace_so_far():
    assert Budget.of(30).left(12, 1e9, 7) == 18
    assert Budget.of("100s").left(10, 40, 7) == pytest.approx(15)
    assert Budget.of("100s").left(10, 140, 7) < 0
    assert Budget.of("100s").left(0, 0, 7) == math.inf
    assert Budget.of("100 trials").left(10, 40, 7) == 93


@pytest.mark.parametrize(
    ("leaders", "seeds", "left", "more"),
    [(1, 3, 100, 0), (2, 3, 100, 1), (2, 8, 100, 4), (3, 8, 10, 3), (3, 8, 2.9, 0), (2, 1, 100, 1), (2, 4, -5, 0)],
)
def test_more_seeds_are_bought_for_the_undecided_as_far_as_the_budget_goes(leaders, seeds, left, more):
    assert more_seeds(leaders, seeds, left) == more


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
