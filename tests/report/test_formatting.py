"""Numbers and schedules as text."""

import numpy as np
import pytest

from stepsize.policies import RECIPES
from stepsize.report import formatting
from stepsize.results import Interval
from stepsize.schedules import Constant, Cosine, Linear


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("constant", "constant 0.1"),
        ("step_decay", "0.1, times 0.1 every 34%"),
        ("exponential_decay", "exponential from 0.1 to 0.001 over the rest"),
        ("triangular2", "triangular2 between 0.025 and 0.1, half a cycle in 12.5%"),
        ("exp_range", "exp range between 0.025 and 0.1, half a cycle in 12.5%"),
        ("one_cycle", "cosine from 0.004 to 0.1 over 30%, then cosine from 0.1 to 4e-7 over the rest"),
    ],
)
def test_recipes_are_described_by_their_schedules(name, phrase):
    assert formatting.describe(RECIPES[name](0.1)["lr"]) == phrase


def test_sums_and_scaled_schedules_are_described_by_their_parts():
    assert formatting.describe(0.5 * Constant(2.0)) == "0.5 times (constant 2)"
    phrase = formatting.describe(Cosine(1, 0, 1) + Linear(1, 0, 1))
    assert phrase == "(cosine from 1 to 0 over 1 step) + (linear from 1 to 0 over 1 step)"


def test_the_rate_is_named_first():
    facts = formatting.policy_facts(RECIPES["one_cycle"](0.1))
    assert [name for name, _ in facts] == ["Learning rate", "Momentum"]


def test_what_is_not_known_is_a_dash():
    lost, alone = Interval(np.inf, np.inf, np.inf), Interval(0.5, np.nan, np.nan)
    assert formatting.mean_and_span(lost) == formatting.NONE == formatting.difference(None) == formatting.span(lost)
    assert formatting.mean_and_span(alone) == formatting.difference(alone) == "0.5"


def test_differences_have_three_digits():
    assert formatting.difference(Interval(0.0024871, -0.0000475, 0.00502)) == "0.00249 (-4.75e-5 to 0.00502)"
