"""Local regression against statsmodels' formula written out, and what it must keep and must forget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.theory import local_regression


def by_least_squares(x, y, width, place):
    """The line through the neighbours of one place, by NumPy's own least squares."""
    weight = np.clip(1 - np.abs((x - place) / width) ** 3, 0, None) ** 3
    root = np.sqrt(weight)
    design = np.column_stack([np.ones_like(x), x - place])
    return np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0][0]


def test_each_value_is_that_of_a_weighted_least_squares_line():
    noise = np.random.default_rng(0)
    x = np.sort(noise.uniform(0, 4, 80))
    y = np.sin(x) + 0.1 * noise.standard_normal(80)
    expected = [by_least_squares(x, y, 0.7, place) for place in x]
    np.testing.assert_allclose(local_regression(x, y, 0.7, robust=0), expected, rtol=1e-9)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.05, 2))
def test_a_straight_line_stays_a_straight_line(slope, start, width):
    x = np.linspace(-2, 2, 101)
    np.testing.assert_allclose(local_regression(x, start + slope * x, width), start + slope * x, atol=1e-9)


@pytest.mark.parametrize("wild", [50.0, -1e6, 1e12])
def test_an_outlier_moves_nothing(wild):
    x = np.linspace(0, 3, 200)
    noise = 0.05 * np.random.default_rng(1).standard_normal(200)
    clean = np.cos(x) + noise
    spoiled = clean.copy()
    spoiled[[40, 120]] = wild
    moved = np.abs(local_regression(x, spoiled, 0.3) - local_regression(x, clean, 0.3))
    assert moved.max() < 0.05
    assert np.abs(local_regression(x, spoiled, 0.3, robust=0) - clean)[40] > 1.0


def test_it_lags_behind_neither_side():
    """The minimum of a symmetric well stays where it is, which an average over the past moves to the right."""
    x = np.linspace(-2, 2, 401)
    well = x**2
    past = np.convolve(np.pad(well, (50, 0), mode="edge"), np.ones(51) / 51, "valid")
    assert x[local_regression(x, well, 0.5).argmin()] == pytest.approx(0.0, abs=1e-9)
    assert x[past.argmin()] > 0.2


def test_many_points_are_fitted_in_blocks_to_the_same_values():
    x = np.linspace(0, 1, 1300)
    y = np.sin(9 * x)
    whole = local_regression(x, y, 0.02, robust=0)
    assert whole[700] == pytest.approx(by_least_squares(x, y, 0.02, x[700]), rel=1e-9)


def test_points_on_one_spot_have_their_mean():
    assert local_regression(np.zeros(4), np.array([1.0, 2.0, 3.0, 6.0]), 1.0, robust=0).tolist() == [3.0] * 4
