"""Lanczos finds what `numpy.linalg.eigvalsh` finds, says how sure it is, and stops when it is asked to."""

import math

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import ParameterError
from stepsize.theory import largest_eigenpair


def symmetric(seed, size):
    drawn = np.random.default_rng(seed).standard_normal((size, size))
    return drawn + drawn.T


def times(matrix):
    return lambda v: matrix @ v


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 40))
def test_the_largest_eigenvalue_is_numpys_within_the_residual_asked_for(seed, size):
    matrix = symmetric(seed, size)
    start = np.random.default_rng(seed + 1).standard_normal(size)
    pair = largest_eigenpair(times(matrix), start, tolerance=1e-9)
    assert pair.converged
    assert pair.products <= size
    assert pair.value == pytest.approx(np.linalg.eigvalsh(matrix)[-1], abs=1e-7)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), size=st.integers(2, 60), tolerance=st.floats(1e-4, 0.5))
def test_the_residual_is_that_of_the_vector_and_holds_an_eigenvalue(seed, size, tolerance):
    matrix = symmetric(seed, size)
    pair = largest_eigenpair(times(matrix), np.ones(size), tolerance=tolerance)
    true = np.linalg.norm(matrix @ pair.vector - pair.value * pair.vector)
    assert pair.residual == pytest.approx(true, abs=1e-8)
    assert np.abs(np.linalg.eigvalsh(matrix) - pair.value).min() <= true + 1e-8
    assert np.linalg.norm(pair.vector) == pytest.approx(1.0)


def test_it_is_the_largest_and_not_the_one_of_largest_magnitude():
    spectrum = np.concatenate([[-100.0], np.linspace(-3, 4, 50)])
    assert largest_eigenpair(lambda v: spectrum * v, np.ones(51), tolerance=1e-6).value == pytest.approx(4.0)


def test_torch_vectors_stay_torch():
    matrix = torch.from_numpy(symmetric(0, 30)).float()
    pair = largest_eigenpair(times(matrix), torch.ones(30), tolerance=1e-4)
    assert pair.vector.dtype == torch.float32
    assert pair.value == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-4)


def test_it_stops_at_the_most_and_says_that_it_did_not_converge():
    spectrum = np.linspace(0, 1, 5000)
    pair = largest_eigenpair(lambda v: spectrum * v, np.ones(5000), tolerance=1e-9, most=5)
    assert (pair.products, pair.converged) == (5, False)
    assert pair.residual > 1e-9


def test_the_least_products_are_spent_even_where_fewer_would_do():
    spectrum = np.concatenate([np.linspace(0, 0.01, 500), [100.0]])
    few, more = (largest_eigenpair(lambda v: spectrum * v, np.ones(501), least=n).products for n in (1, 6))
    assert few < 6 == more


def test_a_start_that_is_an_eigenvector_and_a_matrix_of_zeros_end_at_once():
    assert largest_eigenpair(lambda v: 3.0 * v, np.ones(9), least=5)[:2] == (pytest.approx(3.0), pytest.approx(0.0))
    zero = largest_eigenpair(lambda v: 0.0 * v, np.ones(9))
    assert (zero.value, zero.residual, zero.converged) == (0.0, 0.0, True)


def test_a_matrix_that_is_not_finite_gives_nan_unconverged():
    pair = largest_eigenpair(lambda v: np.nan * v, np.ones(3))
    assert math.isnan(pair.value)
    assert not pair.converged


@pytest.mark.parametrize("start", [np.zeros(3), np.array([1.0, np.inf])])
def test_a_start_without_a_direction_is_refused(start):
    with pytest.raises(ParameterError, match="start must be finite and not 0"):
        largest_eigenpair(lambda v: v, start)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_eigenpair_of_scipys_eigsh(seed):
    matrix, start = symmetric(seed, 60), np.random.default_rng(seed).standard_normal(60)
    ours = largest_eigenpair(times(matrix), start, tolerance=1e-10)
    (value,), vectors = scipy.sparse.linalg.eigsh(matrix, k=1, which="LA", v0=start)
    assert ours.value == pytest.approx(value, rel=1e-10)
    assert abs(ours.vector @ vectors[:, 0]) == pytest.approx(1.0, abs=1e-8)
