"""Policies are names to schedules; recipes are a few words of the algebra."""

import numpy as np
import pytest

from stepsize.kernel.errors import LengthError, ParameterError
from stepsize.policies import RECIPES, Policy, cyclical, one_cycle, recipe, step_decay, warmup_cosine
from stepsize.policies import linear_to_zero as linear
from stepsize.schedules import Constant, Cosine, ExpRange, Linear, Polynomial, Staircase, Triangular, Triangular2


def test_a_number_is_a_constant_and_names_are_in_order():
    policy = Policy(momentum=0.9, lr=Cosine(0.1, 0.0), weight_decay=np.float32(0.5))
    assert list(policy) == ["lr", "momentum", "weight_decay"]
    assert policy["momentum"] == Constant(0.9)
    assert policy["weight_decay"] == Constant(0.5)
    assert len(policy) == 3
    assert "lr" in policy
    assert "beta2" not in policy


def test_the_order_of_the_names_does_not_matter():
    assert Policy(a=1.0, b=2.0) == Policy(b=2.0, a=1.0)
    assert hash(Policy(a=1.0, b=2.0)) == hash(Policy(b=2.0, a=1.0))


def test_a_policy_prints_as_code():
    policy = Policy(lr=Cosine(0.1, 0.0), momentum=0.9)
    assert eval(repr(policy)) == policy  # noqa: S307  (that is the law)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (dict, "a policy needs at least one schedule, such as"),
        (lambda: {"lr": "0.1"}, r"Policy\.lr must be a schedule or a number, not '0\.1'"),
        (lambda: {"lr": None}, r"Policy\.lr must be a schedule or a number"),
        (lambda: {"lr": True}, "must be a number, not True"),
        (lambda: {"lr": -0.1}, "at least 0"),
        (lambda: {"kind": 0.1}, "a policy cannot schedule 'kind'"),
        (lambda: {"weight decay": 0.1}, "a policy cannot schedule 'weight decay'"),
        (lambda: {"lambda": 0.1}, "a policy cannot schedule 'lambda'"),
        (lambda: {"": 0.1}, "a policy cannot schedule ''"),
    ],
)
def test_what_is_no_policy_is_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        Policy(**make())


def test_self_is_a_name_like_any_other():
    assert list(Policy(self=0.1)) == ["self"]


def test_a_name_that_is_not_scheduled_is_an_error_with_the_near_miss():
    with pytest.raises(ParameterError, match=r"does not schedule 'momentun'\. Did you mean 'momentum'"):
        Policy(lr=0.1, momentum=0.9)["momentun"]


def test_over_binds_every_schedule_and_table_and_at_agree():
    policy = Policy(lr=Cosine(0.1, 0.0), momentum=Linear(0.95, 0.85, "50%") >> Constant(0.85)).over(10)
    table = policy.table(2, 7)
    assert {name: values.shape for name, values in table.items()} == {"lr": (5,), "momentum": (5,)}
    assert policy.at(4) == {name: values[2] for name, values in table.items()}


def test_a_policy_that_does_not_fit_the_run_is_refused():
    with pytest.raises(LengthError, match="train longer"):
        Policy(lr=Linear(0.0, 0.1, 50) >> Cosine(0.1, 0.0)).over(20)
    with pytest.raises(ParameterError, match="whole number of steps"):
        Policy(lr=0.1).over("50%")


def test_scaled_moves_the_learning_rate_alone():
    policy = one_cycle(0.1).scaled(2.0).over(100)
    before = one_cycle(0.1).over(100)
    np.testing.assert_allclose(policy.table(0, 100)["lr"], 2 * before.table(0, 100)["lr"], rtol=1e-15)
    np.testing.assert_array_equal(policy.table(0, 100)["momentum"], before.table(0, 100)["momentum"])


def test_replace_exchanges_adds_and_keeps():
    policy = Policy(lr=0.1, momentum=0.9).replace(lr=0.2, weight_decay=0.01)
    assert policy == Policy(lr=0.2, momentum=0.9, weight_decay=0.01)


def test_only_keeps_what_is_named():
    assert Policy(lr=0.1, momentum=0.9).only(["lr", "beta2"]) == Policy(lr=0.1)
    with pytest.raises(ParameterError, match="needs at least one schedule"):
        Policy(lr=0.1).only(["momentum"])


PEAK = 0.3


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"exp_range", "exp_range_paper"}))
def test_every_recipe_but_exp_range_peaks_at_its_peak(name):
    rate = RECIPES[name](PEAK).over(240)["lr"].table(0, 241)
    assert rate.max() == pytest.approx(PEAK, rel=1e-12)


def test_exp_range_has_shrunk_already_when_it_first_comes_to_its_peak():
    """The height shrinks from the first step on, in every implementation; by default to a tenth in 1000 steps."""
    rate = RECIPES["exp_range"](PEAK).over(240)["lr"].table(0, 241)
    assert rate.max() == rate[30] == pytest.approx(0.25 * PEAK + 0.75 * PEAK * 0.1**0.03, rel=1e-12)


@pytest.mark.parametrize(("name", "first", "last"), [
    ("constant", 1, 1), ("step_decay", 1, 0.01), ("exponential_decay", 1, 0.01), ("polynomial_decay", 1, 0),
    ("linear_to_zero", 1, 0), ("cosine", 1, 0), ("warmup_cosine", 0.01, 0), ("warmup_linear", 0.01, 0),
    ("triangular", 0.25, 0.25),
    ("triangular2", 0.25, 0.25), ("exp_range", 0.25, 0.25), ("one_cycle", 0.04, 4e-6),
])  # fmt: skip
def test_every_recipe_starts_and_stops_where_its_docstring_says(name, first, last):
    rate = RECIPES[name](PEAK).over(240)["lr"]
    assert rate(0) == pytest.approx(first * PEAK, rel=1e-12)
    assert rate(240) == pytest.approx(last * PEAK, rel=1e-12, abs=1e-15)


def test_recipes_are_found_by_name_with_the_near_miss():
    assert recipe("cosine")(0.1) == Policy(lr=Cosine(0.1, 0.0))
    assert all(RECIPES[name].__name__ == name for name in RECIPES)
    with pytest.raises(ParameterError, match=r"no policy is called 'one_cicle'\. Did you mean 'one_cycle'"):
        recipe("one_cicle")


def test_recipes_print_the_schedules_they_are_made_of():
    assert linear(0.1, warmup=10) == Policy(lr=Linear(0.001, 0.1, 10) >> Linear(0.1, 0.0))
    assert warmup_cosine(0.5, warmup="10%", start=0.1, end=0.2) == Policy(
        lr=Linear(0.05, 0.5, "10%") >> Cosine(0.5, 0.1)
    )
    assert warmup_cosine(1.0) == Policy(lr=Linear(0.01, 1.0, "5%") >> Cosine(1.0, 0.0))
    assert RECIPES["polynomial_decay"](1.0) == Policy(lr=Polynomial(1.0, 0.0, power=2.0))
    assert step_decay(1.0) == Policy(lr=Staircase(1.0, 0.1, "34%"))
    assert cyclical(0.4, momentum=None) == Policy(lr=Triangular(0.1, 0.4, "12.5%"))
    assert cyclical(0.4, shape="triangular2", half_cycle=5)["momentum"] == Triangular2(0.9, 0.8, 5)
    assert cyclical(0.4, shape="exp_range", left=0.5)["lr"] == ExpRange(0.1, 0.4, "12.5%", gamma=0.5**0.001)


def test_step_decay_has_three_stairs_by_default():
    rate = step_decay(1.0).over(300)["lr"].table(0, 300)
    assert np.unique(rate.round(12)).tolist() == [0.01, 0.1, 1.0]


def test_one_cycle_moves_momentum_the_other_way_or_not_at_all():
    policy = one_cycle(1.0, warmup="25%", momentum=(0.8, 0.9), curve="linear").over(100)
    assert [policy["momentum"](step) for step in (0, 25, 100)] == pytest.approx([0.9, 0.8, 0.9])
    assert policy["lr"](25) == 1.0
    assert list(one_cycle(1.0, momentum=None)) == ["lr"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: one_cycle(0.1, curve="cos"), "curve cannot be 'cos'. Did you mean 'cosine'"),
        (lambda: cyclical(0.1, shape="sawtooth"), "shape cannot be 'sawtooth'. Allowed: exp_range, triangular"),
        (lambda: one_cycle(-0.1), "at least 0"),
    ],
)
def test_a_recipe_refuses_what_it_does_not_know(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
