"""How wide the good rates of a family are: interpolated, open at the edges of the grid, silent where it diverged."""

import math

import numpy as np
import pytest

from stepsize.results import Rung
from stepsize.results.io import dumps, loads
from stepsize.results.sensitivity import sensitivities
from stepsize.schedules import Linear
from stepsize.strategy import Strategy


def rung(scores, rates, rule="SGD"):
    field = tuple(Strategy.of(rule, "constant", rate) for rate in rates)
    return Rung(10, field, (0,), np.array(scores, dtype=np.float64)[:, None])


def test_the_width_is_where_the_straight_lines_leave_five_per_cent():
    (found,) = sensitivities(rung([2.0, 1.0, 1.1, 3.0], [0.01, 0.1, 1.0, 10.0]))
    assert found.family == "SGD constant"
    assert found.best == 0.1
    assert math.log10(found.low) == pytest.approx(-1 - 0.05)
    assert math.log10(found.high) == pytest.approx(-1 + 0.5)
    assert found.decades == pytest.approx(0.55)
    assert str(found) == "0.55 decades"
    assert (found.at_least, found.edge) == (False, "")
    assert loads(dumps(found)) == found


def test_the_width_of_a_parabola_is_nearly_its_own():
    """Against the formula: `1 + x**2` is within 5 % of 1 for |x| below the root of .05, x in decades."""
    x = np.linspace(-1, 1, 41)
    (found,) = sensitivities(rung(1 + x**2, 10**x))
    assert found.decades == pytest.approx(2 * math.sqrt(0.05), rel=0.02)


def test_rates_may_come_in_any_order():
    order = [2, 0, 3, 1]
    scores, rates = np.array([2.0, 1.0, 1.1, 3.0]), np.array([0.01, 0.1, 1.0, 10.0])
    assert sensitivities(rung(scores[order], rates[order])) == sensitivities(rung(scores, rates))


@pytest.mark.parametrize(
    ("scores", "edge", "at_least"),
    [
        ([1.0, 2.0, 3.0], "lowest", True),
        ([3.0, 2.0, 1.0], "highest", True),
        ([1.02, 1.0, 2.0], "", True),
        ([2.0, 1.0, 2.0], "", False),
    ],
)
def test_the_edge_of_the_grid_is_named(scores, edge, at_least):
    (found,) = sensitivities(rung(scores, [0.01, 0.1, 1.0]))
    assert (found.edge, found.at_least) == (edge, at_least)
    assert str(found).startswith("at least") == at_least


def test_next_to_a_rate_that_diverged_the_last_good_one_is_the_end():
    (found,) = sensitivities(rung([1.2, 1.0, math.inf], [0.01, 0.1, 1.0]))
    assert (found.high, found.at_least, found.edge) == (0.1, False, "")


def test_a_hill_between_two_valleys_bounds_the_width():
    (found,) = sensitivities(rung([1.0, 5.0, 1.0, 1.0], [0.01, 0.1, 1.0, 10.0]))
    assert found.high < 0.1


def test_a_score_below_zero_has_its_five_per_cent_too():
    (found,) = sensitivities(rung([0.0, -1.0, 0.0], [0.1, 1.0, 10.0]))
    assert found.limit == pytest.approx(-0.95)
    assert found.decades == pytest.approx(0.1)


def test_families_come_best_first_and_those_that_all_diverged_not_at_all():
    a, b, c = (rung([s, 2 * s], [0.1, 1.0], name) for s, name in ((2.0, "SGD"), (1.0, "Lion"), (math.inf, "Adam")))
    parts = (a, b, c)
    joined = Rung(
        10, sum((part.strategies for part in parts), ()), (0,), np.concatenate([part.scores for part in parts])
    )
    assert [each.family for each in sensitivities(joined)] == ["Lion constant", "SGD constant"]


def test_a_single_rate_says_nothing_of_an_edge():
    (found,) = sensitivities(rung([1.0], [0.1]))
    assert (found.edge, str(found), found.decades) == ("", "one rate", 0.0)


def test_families_of_one_name_are_numbered():
    """Both are called "SGD Linear >> Linear", and differ in their warmup."""
    shapes = [Linear(0.0, 1.0, warmup) >> Linear(1.0, 0.0) for warmup in ("10%", "20%")]
    field = tuple(Strategy.of("SGD", shape, rate) for shape in shapes for rate in (0.1, 0.3))
    found = sensitivities(Rung(10, field, (0,), np.array([[1.0], [2.0], [3.0], [4.0]])))
    assert [(each.family, each.rates) for each in found] == [
        ("SGD Linear >> Linear", (0.1, 0.3)),
        ("SGD Linear >> Linear (2)", (0.1, 0.3)),
    ]
    assert [each.strategy for each in found] == [field[0], field[2]]
