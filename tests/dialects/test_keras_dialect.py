"""Keras's schedules by their own names, step by step, and each intended difference by name.

The tolerance is 1e-6 of the largest value, since Keras computes in float32.
"""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import LengthError, ParameterError
from stepsize.policies.dialects import keras as ours

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
theirs = keras.optimizers.schedules


def single(number):
    """The number that float32 holds in its place, since a power would multiply the difference."""
    return float(np.float32(number))


few = settings(max_examples=20, deadline=None)
rates = st.floats(1e-3, 10)
shares = st.floats(0, 1)
lengths = st.integers(1, 40)


def stepped(schedule, steps):
    return np.array([float(schedule(step)) for step in range(steps)])


def both(name, steps, skip=(), precision=1e-6, **settings):
    table = getattr(ours, name)(**settings).table(0, steps)["lr"]
    values = stepped(getattr(theirs, name)(**settings), steps)
    kept = np.setdiff1d(np.arange(steps), skip)
    np.testing.assert_allclose(table[kept], values[kept], rtol=0, atol=precision * max(table.max(), values.max()))


decays = {
    "initial_learning_rate": rates,
    "decay_steps": lengths,
    "decay_rate": st.floats(0.3, 1.05).map(single),
    "staircase": st.booleans(),
}


@few
@given(drawn=st.fixed_dictionaries(decays))
def test_exponential_decay(drawn):
    both("ExponentialDecay", 2 * drawn["decay_steps"] + 9, **drawn)


@few
@given(drawn=st.fixed_dictionaries(decays), decay_rate=st.just(0) | st.floats(1e-6, 9))
def test_inverse_time_decay(drawn, decay_rate):
    both("InverseTimeDecay", 2 * drawn["decay_steps"] + 9, **(drawn | {"decay_rate": decay_rate}))


polynomials = {
    "initial_learning_rate": rates,
    "decay_steps": lengths,
    "end_learning_rate": shares,
    "power": st.floats(0.5, 4),
}


@few
@given(drawn=st.fixed_dictionaries(polynomials))
def test_polynomial_decay(drawn):
    both("PolynomialDecay", 2 * drawn["decay_steps"], precision=2e-6, **drawn)


@few
@given(drawn=st.fixed_dictionaries(polynomials | {"power": st.floats(1, 4)}))
def test_polynomial_decay_that_cycles(drawn):
    drawn["end_learning_rate"] *= drawn["initial_learning_rate"]
    both("PolynomialDecay", 3 * drawn["decay_steps"] + 2, precision=2e-6, cycle=True, **drawn)


@few
@given(boundaries=st.lists(st.integers(0, 40), min_size=1, max_size=5), data=st.data())
def test_piecewise_constant_decay(boundaries, data):
    count = len(boundaries) + 1
    values = data.draw(st.lists(rates, min_size=count, max_size=count))
    both("PiecewiseConstantDecay", 60, boundaries=sorted(boundaries), values=values)


@few
@given(
    initial_learning_rate=rates,
    decay_steps=lengths,
    alpha=shares,
    warmup_target=st.none() | rates,
    warmup_steps=st.integers(0, 20),
)
def test_cosine_decay(**drawn):
    both("CosineDecay", 2 * drawn["decay_steps"] + drawn["warmup_steps"], **drawn)


def near_a_restart(first, stretch, steps):
    """The steps that lie so near to a restart that float32 may put them into the other cycle."""
    edges, edge, size = [], 0.0, float(first)
    while edge < 2 * steps:
        edge, size = edge + size, size * stretch
        edges.append(edge)
    return [step for step in range(steps) if min(abs(step - edge) / (1 + edge) for edge in edges) < 1e-4]


@few
@given(
    initial_learning_rate=rates,
    first_decay_steps=st.integers(2, 20),
    t_mul=st.sampled_from([1.0, 2.0, 3.0]) | st.floats(1.1, 3),
    m_mul=st.floats(0.3, 1.3),
    alpha=shares,
)
def test_cosine_decay_restarts_between_the_restarts(**drawn):
    steps = 4 * drawn["first_decay_steps"]
    skip = near_a_restart(drawn["first_decay_steps"], drawn["t_mul"], steps)
    both("CosineDecayRestarts", steps, skip, precision=3e-6, **drawn)


@pytest.mark.parametrize(("t_mul", "m_mul"), [(1, 1.0), (1, 0.5), (1, 1.5), (2, 1.0), (3, 0.5), (2, 1.5), (1.5, 0.7)])
def test_every_restart_is_at_its_peak(t_mul, m_mul):
    rate, edge, size, height = ours.CosineDecayRestarts(1.0, 16, t_mul, m_mul)["lr"], 0, 16, 1.0
    for _ in range(5):
        assert rate(int(edge)) == pytest.approx(height, rel=1e-12)
        assert rate(int(edge + size) - 1) < 0.1 * height
        edge, size, height = edge + size, size * t_mul, height * m_mul


@pytest.mark.parametrize("t_mul", [2, 3, 7, 10])
@pytest.mark.parametrize("first", [1, 2, 7, 10])
def test_difference_keras_finds_a_restart_by_a_logarithm_and_ours_is_exact(first, t_mul):
    """Which end of the cycle Keras has there is up to its rounding, and so to the processor."""
    peer, policy = (library.CosineDecayRestarts(1.0, first, float(t_mul)) for library in (theirs, ours))
    edges = [first * (t_mul**count - 1) // (t_mul - 1) for count in range(1, 7)]
    assert [policy.at(edge)["lr"] for edge in edges] == [1.0] * 6
    values = np.array([float(peer(edge)) for edge in edges])
    np.testing.assert_allclose(values, values.round(), atol=1e-3)


def test_every_default_is_keras():
    both("ExponentialDecay", 30, initial_learning_rate=0.3, decay_steps=7, decay_rate=0.5)
    both("InverseTimeDecay", 30, initial_learning_rate=0.3, decay_steps=7, decay_rate=0.5)
    both("PolynomialDecay", 30, initial_learning_rate=0.3, decay_steps=20)
    both("CosineDecay", 30, initial_learning_rate=0.3, decay_steps=20)
    skip = near_a_restart(5, 2, 60)
    both("CosineDecayRestarts", 60, skip, initial_learning_rate=0.3, first_decay_steps=5)


def test_values_that_keras_tests_for():
    """From the tables of its own tests: the value at and behind a boundary, cycles, warmups, restarts."""
    stairs = ours.PiecewiseConstantDecay([100, 110, 120], [1.0, 0.1, 0.01, 0.001])["lr"]
    assert [stairs(step) for step in (0, 100, 101, 110, 111, 120, 121, 999)] == [
        1,
        1,
        0.1,
        0.1,
        0.01,
        0.01,
        0.001,
        0.001,
    ]
    assert ours.PolynomialDecay(0.05, 10, 0.001, cycle=True).at(15)["lr"] == pytest.approx(
        (0.05 - 0.001) * 0.25 + 0.001
    )
    assert ours.PolynomialDecay(0.05, 10, 0.0, 0.5).at(5)["lr"] == pytest.approx(0.05 * 0.5**0.5)
    warm = ours.CosineDecay(0.0, 10, warmup_target=1.0, warmup_steps=5)["lr"]
    assert [warm(step) for step in (0, 1, 5, 15, 99)] == pytest.approx([0.0, 0.2, 1.0, 0.0, 0.0])
    assert ours.CosineDecayRestarts(1.0, 500, m_mul=0.9).at(500)["lr"] == pytest.approx(0.9)
    assert ours.CosineDecayRestarts(1.0, 500, t_mul=1.0).at(1000)["lr"] == pytest.approx(1.0)


def test_a_stair_is_one_step_later_than_torchs():
    assert ours.PiecewiseConstantDecay([3], [1.0, 0.1]).table(2, 5)["lr"].tolist() == [1.0, 1.0, 0.1]


def test_difference_no_boundary_is_a_constant_here():
    with pytest.raises(IndexError):
        theirs.PiecewiseConstantDecay([], [1.0])(3)
    assert ours.PiecewiseConstantDecay([], [1.0]).at(3)["lr"] == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ours.ExponentialDecay(1.0, 0, 0.5), "decay_steps is 0, and must be at least 1"),
        (lambda: ours.InverseTimeDecay(1.0, 5, -0.5), "above 0"),
        (lambda: ours.PolynomialDecay(1.0, 5, 2.0, cycle=True), "falls, and 1.0 to 2.0 rises"),
        (lambda: ours.PiecewiseConstantDecay([1, 2], [1.0, 0.1]), "2 boundaries for 2 values, and needs one less"),
        (lambda: ours.PiecewiseConstantDecay([5, 2], [1.0, 0.1, 0.01]), "must rise from 0, not [6, 3]"),
        (lambda: ours.CosineDecay(1.0, 5, warmup_target=2.0, warmup_steps=-1), "warmup_steps is -1"),
        (lambda: ours.CosineDecayRestarts(1.0, 5, t_mul=0.5), "t_mul is 0.5, and must be 1, or at least 1.01"),
        (lambda: ours.CosineDecayRestarts(1.0, 5, alpha=2.0), "alpha is 2.0, and must lie from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in str(caught.value)


def test_a_length_between_two_steps_is_refused():
    with pytest.raises(LengthError, match=r"decay_steps is a whole number of steps, not 2\.5; round it"):
        ours.ExponentialDecay(1.0, 2.5, 0.5)
