"""Bisecting the exponent, against what the paper does by hand."""

import math

import numpy as np
import pytest

from stepsize.theory import middle_exponent

VALUES = np.array([0.0, 1e-5, 1e-4, 1e-3])


@pytest.mark.parametrize(
    ("losses", "pair"),
    [
        ((4, 3, 1, 2), (1e-4, 1e-3)),
        ((4, 2, 1, 3), (1e-5, 1e-4)),
        ((4, 3, 2, 1), (1e-4, 1e-3)),
        ((2, 1, 3, 4), (1e-5, 1e-4)),  # 0 has no exponent
        ((4, 3, 1, math.inf), (1e-5, 1e-4)),
        ((4, math.nan, 1, 2), (1e-4, 1e-3)),
    ],
)
def test_the_next_value_is_the_geometric_mean_of_the_best_and_its_better_neighbour(losses, pair):
    found = middle_exponent(VALUES, np.array(losses, dtype=float))
    assert found == pytest.approx(math.sqrt(pair[0] * pair[1]), rel=1e-12)


def test_smiths_own_steps_from_four_values():
    """1e-4 is best, then 10**-3.5, then 10**-3.25 or 10**-3.75: each step halves the exponent's interval."""
    values, losses = VALUES, np.array([1.0, 0.8, 0.5, 0.6])
    for exponent, loss in ((-3.5, 0.4), (-3.75, 0.45)):
        found = middle_exponent(values, losses)
        assert math.log10(found) == pytest.approx(exponent, abs=1e-12)
        order = np.argsort([*values, found])
        values, losses = np.array([*values, found])[order], np.array([*losses, loss])[order]


@pytest.mark.parametrize("losses", [(1, 2, 3, 4), (math.inf,) * 4])
def test_there_is_none_beside_zero_or_where_all_diverged(losses):
    assert middle_exponent(VALUES, np.array(losses, dtype=float)) is None


def test_a_value_alone_has_no_neighbour():
    assert middle_exponent(np.array([0.0, 1e-3]), np.array([2.0, 1.0])) is None
