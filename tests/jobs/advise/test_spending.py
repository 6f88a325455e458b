"""What runs cost, and what a budget pays for."""

import math

import pytest

from stepsize.jobs.advise.locate import pilot_lengths
from stepsize.jobs.advise.spending import Account, least_steps
from stepsize.jobs.race.budget import Budget


def account(amount, *, horizon=400, validation=0.0):
    return Account(None if amount is None else Budget.of(amount), horizon, validation)


def test_a_full_training_costs_one_whatever_its_validation():
    assert account(3, validation=20).price(400) == 1
    assert account(3, validation=20).price(100) == pytest.approx(120 / 420)


def test_a_budget_of_trainings_pays_for_so_many():
    found = account(2.5)
    assert found.affords(400, 2)
    found.pay(400, 2)
    assert not found.affords(400)
    assert found.affords(100, 2)
    assert not found.affords(100, 2, reserve=0.1)


def test_a_budget_of_runs_counts_runs_of_any_length():
    found = account("3 trials")
    assert found.affords(400, 3)
    found.pay(10, 3)
    assert not found.affords(1)


def test_a_budget_of_time_counts_what_was_spent_before_an_interruption():
    found = account("60s")
    assert found.affords(400)  # nothing is known of how long it takes
    found.replayed = 50.0
    found.pay(400)
    assert found.seconds >= 50
    assert not found.affords(400)
    assert found.trainings == 1.0


def test_nothing_pays_for_nothing_and_without_a_budget_all_is_paid():
    assert not Account(Budget(trainings=0.0), 400, 0.0).affords(1)
    assert account(None).affords(10**9)
    assert math.isinf(account(None).trainings)


@pytest.mark.parametrize("validation", [0.0, 3.3, 20.0, 400.0])
def test_validation_is_at_most_a_fifth_of_the_shortest_run(validation):
    steps = least_steps(validation)
    assert validation <= 0.2 * (steps + validation) + 1e-9


def test_pilot_runs_are_never_longer_than_half_of_the_horizon():
    for horizon in (40, 64, 400, 4999, 5000, 100_000):
        for least in (16, 300):
            assert all(length <= horizon // 2 for length in pilot_lengths(horizon, least))
    assert pilot_lengths(100_000, 16) == [1562, 6250]
