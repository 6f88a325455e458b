"""A strategy is a rule and a policy that fits it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from stepsize.kernel.errors import LengthError, ParameterError
from stepsize.policies import RECIPES, Policy, cosine, one_cycle
from stepsize.results.io import dumps, load, loads, save
from stepsize.rules import SGD, Adam, AdamW, ClipNorm, Momentum
from stepsize.schedules import Constant, Cosine, Linear, Triangular
from stepsize.strategy import Strategy, Trial, distinguish


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


def test_a_strategy_of_names_is_that_of_values():
    """A recipe leaves out what the rule does not have; a policy and a schedule are scaled to the rate, or kept."""
    strategy = Strategy.of("SGD", "one_cycle", 0.1)
    assert (strategy.rule, strategy.policy) == (SGD(), one_cycle(0.1).only(["lr"]))
    assert (strategy.name, strategy.recipe, strategy.rate) == ("SGD one_cycle 0.1", "one_cycle", 0.1)
    assert Strategy.of(SGD(), "one_cycle", 0.1) == strategy
    shaped = Strategy.of("SGD", Cosine(1.0, 0.0), 0.5)
    assert (shaped.name, shaped.recipe, shaped.peak) == ("SGD Cosine 0.5", None, 0.5)
    assert Strategy.of("SGD", cosine(0.3)) == Strategy(SGD(), cosine(0.3))
    warm = Strategy.of("AdamW", "warmup_cosine", 0.1, warmup="50%")
    assert warm.policy.over(10)["lr"](5) == 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("AdamV", "cosine", 0.1), "no rule is called 'AdamV'. Did you mean 'Adam'"),
        (("AdamW", "cosin", 0.1), "no policy is called 'cosin'. Did you mean 'cosine'"),
        (("AdamW", "cosine"), "the recipe 'cosine' needs its peak rate"),
        (("AdamW", Constant(0.0), 0.1), "rate is 0 throughout"),
    ],
)
def test_a_strategy_of_names_that_say_too_little_is_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Strategy.of(*arguments)


def test_a_policy_that_is_made_takes_no_settings_of_a_recipe():
    with pytest.raises(ParameterError, match="made already takes no 'warmup'"):
        Strategy.of("AdamW", cosine(0.1), warmup="10%")


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("rule", [AdamW(), Momentum()])
def test_a_family_is_a_rule_and_a_shape_at_any_rate_under_any_name(rule, name):
    strategy = Strategy.of(rule, name, 0.1)
    others = [
        strategy.at(0.0123456),
        Strategy.of(replace(rule, lr=3.0), name, 0.00731),
        Strategy(rule, RECIPES[name](1.7).only(rule.hyperparameters), "run 1"),
        strategy.scaled(3.3),
    ]
    assert {each.family for each in others} == {strategy.family}
    assert str(strategy.family) == f"{rule.title} {name}"


@pytest.mark.parametrize(
    "other",
    [
        Strategy.of("AdamW", "cosine", 0.1),
        Strategy.of("Adam", "one_cycle", 0.1),
        Strategy.of(AdamW(weight_decay=0.1), "one_cycle", 0.1),
        Strategy.of("AdamW", "one_cycle", 0.1, warmup="31%"),
        Strategy.of("AdamW", "one_cycle", 0.1, momentum=(0.8, 0.95)),
        Strategy.of(ClipNorm(AdamW()), "one_cycle", 0.1),
    ],
)
def test_another_rule_shape_or_momentum_is_another_family(other):
    assert other.family != Strategy.of("AdamW", "one_cycle", 0.1, name=other.name).family


def test_recipes_of_one_shape_are_one_family():
    names = {Strategy.of("AdamW", name, 0.1).family: name for name in RECIPES}
    assert len(RECIPES) - len(names) == 1
    assert Strategy.of("AdamW", "noam", 0.1).family == Strategy.of("AdamW", "inverse_sqrt", 0.3).family


def test_a_rate_is_rounded_to_three_digits_where_a_strategy_goes_to_it():
    found = Strategy.of(AdamW(weight_decay=0.1), "cosine", 0.01).at(0.0215443)
    assert (found.name, found.rate) == ("AdamW(weight_decay=0.1) cosine 0.0215", 0.0215)
    assert found.peak == pytest.approx(0.0215, rel=1e-15)
    assert Strategy(SGD(), cosine(0.1), "mine").at(0.2).name == "SGD Cosine 0.2"


def test_a_strategy_is_what_it_was_after_it_was_saved(tmp_path):
    for strategy in (Strategy.of("AdamW", "one_cycle", 0.01), Strategy(SGD(), cosine(0.1), "mine")):
        assert load(save(strategy, tmp_path / "strategy.json")) == strategy


def test_a_strategy_that_was_saved_without_its_recipe_opens():
    data = json.loads(dumps(Strategy(AdamW(), cosine(0.01), "AdamW cosine 0.01")))
    del data["value"]["recipe"], data["value"]["rate"]
    found = loads(json.dumps(data), Strategy)
    assert (found.recipe, found.family) == (None, Strategy.of("AdamW", "cosine", 0.3).family)


def test_equal_strategies_are_refused_and_others_of_one_name_numbered():
    field = [Strategy(SGD(), cosine(rate), name) for rate, name in ((0.1, "a"), (0.2, "a"), (0.3, "a (2)"), (0.4, "a"))]
    assert [each.name for each in distinguish(field)] == ["a", "a (3)", "a (2)", "a (4)"]
    with pytest.raises(ParameterError, match="'a' is given 2 times"):
        distinguish([*field, field[0]])


@pytest.mark.parametrize(
    ("policy", "peak"),
    [(Linear(0, 0.5, 2000) >> Constant(0.1), 0.49975), (Linear(0, 0.5, 2000) >> Linear(0.5, 0.0), 0.5)],
)
def test_a_policy_and_its_strategy_have_one_peak(policy, peak):
    """`jobs.peak` could not read it off a run of 1000 steps, and said BudgetError."""
    assert Policy(lr=policy).peak == Strategy(SGD(), Policy(lr=policy)).peak == peak


def test_what_is_bound_already_keeps_its_length():
    policy = Policy(lr=Linear(0.1, 0.0, 100), momentum=Cosine(0.9, 0.8))
    bound = policy.bound_to(400)
    assert bound == Policy(lr=Linear(0.1, 0.0, 100), momentum=Cosine(0.9, 0.8, 400))
    assert Strategy(Momentum(), policy, "mine").bound_to(400) == Strategy(Momentum(), bound, "mine")
    assert Triangular(0.1, 0.3, "10%", steps=500).bound_to(9) == Triangular(0.1, 0.3, 50, steps=500)


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
    shrinking = RECIPES["exp_range"](0.3).only(["lr"])
    assert Strategy(SGD(), shrinking).peak == shrinking.over(1000)["lr"].table(0, 1000).max()


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


def test_the_outline_of_a_scaled_schedule_is_that_of_the_schedule():
    assert (0.5 * Cosine(0.1, 0.0)).outline == "Cosine"
    assert (0.5 * (Linear(0, 1, "5%") >> Cosine(1, 0))).outline == "Linear >> Cosine"
