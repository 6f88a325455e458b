"""A valley is known by comparing: where runs say that it is, and how much they say."""

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from stepsize.jobs.advise.belief import prior, valley
from stepsize.jobs.advise.belief.valley import DISTANCES, Losses, at_distance, log_likelihood, monotone, shape_of
from stepsize.kernel.arrays import floats

SHAPES = prior.shapes("adaptive")
CENTRES = floats(np.arange(-4, 0.01, 0.05))


def posterior(x, gains, dead=(), noise=0.01):
    found = log_likelihood(SHAPES, CENTRES, Losses(floats(x), floats(gains), floats(dead), noise))
    p = np.exp(found - found.max()).sum(axis=0)
    return p / p.sum()


def test_shapes_are_valleys():
    bottom = int(np.abs(DISTANCES).argmin())
    for shape in SHAPES:
        assert shape[bottom] == 0
        assert (np.diff(shape[: bottom + 1]) <= 1e-9).all()
        assert (np.diff(shape[bottom:]) >= -1e-9).all()
        assert shape.max() <= 1


def test_a_single_run_says_nothing_of_where_the_best_rate_is():
    p = posterior([-2.0], [1.0])
    assert p.max() == pytest.approx(p.min())


def test_runs_on_both_sides_of_the_best_point_between_them():
    p = posterior([-3.0, -2.5, -2.0, -1.5, -1.0], [0.6, 0.9, 1.0, 0.9, 0.2])
    mean = p @ CENTRES
    assert -2.5 < mean < -1.6
    assert np.sqrt(p @ (CENTRES - mean) ** 2) < 0.35


def test_a_valley_of_the_library_is_found_where_it_lies():
    for shape in SHAPES:
        x = floats([-2.6, -2.2, -1.8, -1.4])
        lost = at_distance(shape[None], x - (-2.1))[0]
        gains = 1 - lost
        p = posterior(x, gains / gains.max(), noise=0.005)
        assert abs(p @ CENTRES + 2.1) < 0.3


def test_the_best_rate_lies_below_one_that_diverged():
    p = posterior([-2.0, -1.5], [1.0, 0.95], dead=[-1.0])
    assert p[CENTRES > -1.05].sum() < 0.05


def test_far_worse_runs_count_by_order_alone():
    near = posterior([-2.0, -1.0], [1.0, 0.5])
    far = posterior([-2.0, -1.0], [1.0, 0.1])
    np.testing.assert_allclose(near, far)


def test_a_shape_is_read_off_losses_and_goes_on_rising_beyond_them():
    shape = shape_of(floats([-3, -2.5, -2, -1.5]), floats([0.3, 0.05, 0.0, 0.4]), -2.0)
    assert shape[np.abs(DISTANCES + 0.5).argmin()] == pytest.approx(0.05)
    assert shape[np.abs(DISTANCES - 0.5).argmin()] == pytest.approx(0.4)
    assert shape[0] == 1
    assert shape[-1] == 1


@pytest.mark.parametrize("seed", range(5))
def test_pooling_gives_the_nearest_rising_sequence(seed):
    """Held to SciPy's isotonic regression."""
    values = floats(np.random.default_rng(seed).normal(size=12))
    np.testing.assert_allclose(monotone(values), isotonic_regression(values).x, atol=1e-12)


def test_between_two_points_a_shape_is_a_straight_line():
    shape = floats(np.arange(len(DISTANCES)))[None]
    middle = DISTANCES[3] + valley.STEP / 4
    assert at_distance(shape, floats([middle]))[0, 0] == pytest.approx(3.25)
