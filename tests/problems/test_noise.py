"""Noise is a pure function of seed, step and place, and has the distribution that it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stepsize.kernel.errors import ParameterError
from stepsize.problems.noise import Gaussian, Multiplicative, Noise, StudentT
from stepsize.results.io import CATALOGUE
from stepsize.testing import check_value

KINDS = [Gaussian(0.5), StudentT(0.5, 3.0), Multiplicative(0.5)]
kinds = pytest.mark.parametrize("noise", KINDS, ids=repr)


@kinds
@given(first=st.integers(0, 200), rows=st.integers(1, 50), columns=st.integers(1, 7), step=st.integers(0, 10**9))
def test_a_row_of_noise_does_not_depend_on_the_block_it_is_drawn_in(noise, first, rows, columns, step):
    whole = noise.draw(3, step, 0, first + rows, columns)
    assert (noise.draw(3, step, first, rows, columns) == whole[first:]).all()


@kinds
def test_seeds_and_steps_are_independent(noise):
    draws = [noise.draw(seed, step, 0, 500, 2).ravel() for seed in (0, 1) for step in (0, 1, 2)]
    assert np.abs(np.corrcoef(stats.rankdata(draws, axis=1)) - np.eye(6)).max() < 0.15
    assert np.isfinite(draws).all()


def test_normal_noise_is_normal():
    drawn = Gaussian(0.5).draw(0, 7, 0, 20_000, 2)
    assert stats.kstest(drawn.ravel() / 0.5, "norm").pvalue > 0.01
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03


@pytest.mark.parametrize("freedom", [1.0, 2.0, 5.0, 1e6])
def test_students_noise_is_students(freedom):
    drawn = StudentT(1.0, freedom).draw(0, 7, 0, 20_000, 1)
    assert stats.kstest(drawn.ravel(), stats.t(freedom).cdf).pvalue > 0.01


def test_every_kind_is_a_value_and_in_the_catalogue():
    for noise in KINDS:
        check_value(noise)
    assert set(CATALOGUE.of(Noise)) == {"Gaussian", "Multiplicative", "StudentT"}


def test_a_scale_below_zero_is_refused():
    with pytest.raises(ParameterError, match=r"Gaussian\.scale must be a number of at least 0"):
        Gaussian(-1.0)
