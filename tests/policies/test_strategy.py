"""A strategy is a rule and a policy that fits it."""

import numpy as np
import pytest

from stepsize.kernel.errors import LengthError, ParameterError
from stepsize.policies import RECIPES, Policy, cosine, one_cycle
from stepsize.rules import SGD, Adam, AdamW, Momentum
from stepsize.schedules import Constant, Cosine, Linear, Triangular
from stepsize.strategy import Strategy, Trial


def test_a_policy_that_speaks_of_what_the_rule_lacks_is_refused_with_advice():
    with pytest.raises(ParameterError, match=r"SGD has no hyperparameter 'momentum' .* policy\.only\("):
        Strategy(SGD(), one_cycle(0.1))
    strategy = Strategy(SGD(), one_cycle(0.1).only(SGD().hyperparameters))
    assert list(strategy.policy) == ["lr"]


def test_a_policy_without_a_rate_is_refused():
    with pytest.raises(ParameterError, match="must schedule 'lr'; it schedules momentum"):
        Strategy(Momentum(), Policy(momentum=0.9))


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (Strategy(AdamW(), cosine(0.01)), "AdamW Cosine 0.01"),
        (Strategy(AdamW(), one_cycle(0.123456)), "AdamW Cosine >> Cosine 0.123"),
        (Strategy(SGD(), Policy(lr=0.5)), "SGD Constant 0.5"),
        (Strategy(SGD(), Policy(lr=0.5), "mine"), "mine"),
    ],
)
def test_a_strategy_has_a_name(strategy, name):
    assert strategy.name == name
    assert strategy.over(100).name == name
    assert strategy.scaled(0.5).name == name


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"exp_range", "exp_range_paper"}))
def test_the_peak_of_a_recipe_is_its_peak_bound_or_not(name):
    policy = RECIPES[name](0.3).only(["lr"])
    assert Strategy(SGD(), policy).peak == pytest.approx(0.3, rel=1e-12)
    assert Strategy(SGD(), policy.over(480)).peak == pytest.approx(0.3, rel=1e-12)


@pytest.mark.parametrize(
    "schedule",
    [
        Linear(0.0, 0.3, 2000) >> Cosine(0.3, 0.0),
        Linear(0.0, 0.3, 100_000) >> Constant(0.3, "90%") >> Cosine(0.3, 0.0),
        Triangular(0.1, 0.3, 5000),
        Triangular(0.1, 0.3, "10%", steps=500),
        Linear(0.0, 0.3, 5000) >> Triangular(0.3, 0.1, "10%", steps=500),
        2 * Linear(0.15, 0.0, 10_000_000),
        Linear(0.0, 0.1, 3000) >> Constant(0.1) + Linear(0.1, 0.2),
    ],
)
def test_lengths_in_steps_of_any_size_have_a_peak(schedule):
    """A strategy could not be made of a warmup of 2000 steps: its peak was read off a run of 1000."""
    assert Strategy(SGD(), Policy(lr=schedule)).peak == pytest.approx(0.3, rel=1e-3)


@pytest.mark.parametrize("warmup", [1, 2, 7, 998])
@pytest.mark.parametrize("fall", [1, 2, 500])
def test_a_peak_of_a_single_step_is_found(warmup, fall):
    schedule = Linear(0.0, 0.3, warmup) >> Linear(0.3, 0.0, fall)
    assert Strategy(SGD(), Policy(lr=schedule)).peak == 0.3


def test_the_run_that_a_peak_is_read_off_has_1000_steps():
    """Documented, since a schedule whose amplitude shrinks with the step has another peak in another run."""
    assert Strategy(SGD(), Policy(lr=Linear(0.0, 1.0))).peak == 1.0
    wave = RECIPES["exp_range"](0.3).only(["lr"])
    assert Strategy(SGD(), wave).peak == wave.over(1000)["lr"].table(0, 1000).max()


def test_lengths_that_fit_no_run_are_refused():
    with pytest.raises(LengthError, match="add up to"):
        Strategy(SGD(), Policy(lr=Linear(0.0, 0.1, "60%") >> Cosine(0.1, 0.0, "60%")))


def test_a_table_holds_every_hyperparameter_scheduled_or_not():
    strategy = Strategy(Adam(epsilon=1e-6), Policy(lr=Cosine(0.1, 0.0), momentum=Linear(0.9, 0.8))).over(10)
    table = strategy.table(3, 8)
    assert sorted(table) == ["beta2", "epsilon", "lr", "momentum", "weight_decay"]
    assert all(values.shape == (5,) and values.dtype == np.float64 for values in table.values())
    assert table["epsilon"].tolist() == [1e-6] * 5
    assert table["momentum"][0] == pytest.approx(0.87)
    np.testing.assert_array_equal(table["lr"], strategy.policy["lr"].table(3, 8))


def test_scaled_multiplies_the_rate():
    strategy = Strategy(SGD(), cosine(0.1)).scaled(3.0)
    assert strategy.peak == pytest.approx(0.3)


def test_trials_of_one_seed_are_equal_values():
    assert Trial(Strategy(SGD(), cosine(0.1)), 1) == Trial(Strategy(SGD(), cosine(0.1)), 1)
    assert Trial(Strategy(SGD(), cosine(0.1)), 1) != Trial(Strategy(SGD(), cosine(0.1)), 2)
