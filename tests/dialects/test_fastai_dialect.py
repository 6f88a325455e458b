# ruff: noqa: PLR0917  (drawn parameters come as keywords)
"""fastai's fit methods by their own argument names, against its formulas as its documentation words them.

fastai is not installed here; the formulas are written out again, one position at a time.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import ParameterError
from stepsize.policies.dialects import fastai as ours

few = settings(max_examples=30, deadline=None)
rates = st.floats(1e-4, 10)


def half_cosine(start, end, position):
    return start + (1 + math.cos(math.pi * (1 - position))) * (end - start) / 2


def two_halves(pct, start, middle, end, position):
    """The second half begins at the share `pct` of the run."""
    if position < pct:
        return half_cosine(start, middle, position / pct)
    return half_cosine(middle, end, (position - pct) / (1 - pct))


def same(schedule, formula, steps):
    values = np.array([formula(step / steps) for step in range(steps)])
    np.testing.assert_allclose(schedule.table(0, steps), values, rtol=0, atol=1e-12 * values.max())
    assert schedule.table(steps, 2 * steps).tolist() == [schedule(steps)] * steps


@few
@given(
    epochs=st.integers(1, 4),
    batches=st.integers(1, 15),
    lr=rates,
    div=st.floats(1, 50),
    final=st.floats(1, 1e5),
    pct=st.just(0.0) | st.floats(1e-6, 0.99),
)
def test_fit_one_cycle(epochs, batches, lr, div, final, pct):
    policy = ours.fit_one_cycle(epochs, lr, n_iter=batches, div=div, div_final=final, pct_start=pct)
    steps = epochs * batches
    same(policy["lr"], lambda index: two_halves(pct, lr / div, lr, lr / final, index), steps)
    same(policy["momentum"], lambda index: two_halves(pct, 0.95, 0.85, 0.95, index), steps)


@few
@given(epochs=st.integers(1, 4), batches=st.integers(1, 15), lr=rates, pct=st.just(0.0) | st.floats(1e-6, 0.99))
def test_fit_flat_cos(epochs, batches, lr, pct):
    policy = ours.fit_flat_cos(epochs, lr, n_iter=batches, pct_start=pct)
    same(policy["lr"], lambda index: two_halves(pct, lr, lr, lr / 1e5, index), epochs * batches)


@few
@given(
    cycles=st.integers(1, 4), epochs=st.integers(1, 3), batches=st.integers(1, 5), longer=st.integers(1, 3), lr=rates
)
def test_fit_sgdr(lr, cycles, epochs, batches, longer):
    schedule = ours.fit_sgdr(cycles, epochs, lr, n_iter=batches, cycle_mult=longer)["lr"]
    values = [
        half_cosine(lr, 0.0, step / size)
        for size in [epochs * batches * longer**cycle for cycle in range(cycles)]
        for step in range(size)
    ]
    np.testing.assert_allclose(schedule.table(0, len(values)), values, rtol=0, atol=1e-12 * lr)
    assert schedule(len(values) + 5) == 0


def test_documented_values():
    """A quarter up from a 25th, three quarters down to a 100 000th; the peak is at the turn itself."""
    policy = ours.fit_one_cycle(2, 1.0, n_iter=50)
    assert [policy.at(step)["lr"] for step in (0, 25, 100)] == pytest.approx([0.04, 1.0, 1e-5], rel=1e-12)
    assert [policy.at(step)["momentum"] for step in (0, 25, 100)] == pytest.approx([0.95, 0.85, 0.95], rel=1e-12)
    flat = ours.fit_flat_cos(1, 1.0, n_iter=100)["lr"]
    assert flat.table(0, 76).tolist() == [1.0] * 76
    assert flat(100) == pytest.approx(1e-5)


def test_a_climb_or_a_descent_of_no_length_is_left_out():
    assert ours.fit_one_cycle(1, 1.0, n_iter=8, pct_start=0.0).at(0) == {"lr": 1.0, "momentum": 0.85}
    assert ours.fit_one_cycle(1, 1.0, n_iter=8, pct_start=1.0).at(7)["lr"] > 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ours.fit_one_cycle(0, 1.0, n_iter=5), "n_epoch is 0, and must be at least 1"),
        (lambda: ours.fit_one_cycle(1, 1.0, n_iter=0), "n_iter is 0"),
        (lambda: ours.fit_one_cycle(1, 1.0, n_iter=5, pct_start=25), "pct is 25, and must lie from 0 to 1"),
        (lambda: ours.fit_sgdr(0, 1, 1.0, n_iter=5), "n_cycles is 0"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in str(caught.value)
