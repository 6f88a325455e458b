"""optax's schedules by their own names, at every step, and each intended difference by name.

The tolerance is 1e-6 of the largest value, since optax computes in float32.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax as theirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import LengthError, ParameterError
from stepsize.policies.dialects import optax as ours


def single(number):
    """The number that float32 holds in its place, since a power would multiply the difference."""
    return float(np.float32(number))


few = settings(max_examples=20, deadline=None)
rates = st.floats(1e-3, 10)
shares = st.floats(0, 1)
lengths = st.integers(1, 40)
begins = st.integers(0, 20)
scales = st.just(0.0) | st.floats(1e-3, 1.5)  # what float32 does not flush to 0
STEPS = 120
COUNT = jnp.arange(STEPS)


def same(policy, schedule, stairs=(), precision=1e-6):
    """Equal at every step; at those of `stairs` the peer may still have the value before."""
    table = policy.table(0, STEPS)["lr"]
    values = np.broadcast_to(np.asarray(schedule(COUNT), np.float64), table.shape)
    tolerance = precision * max(table.max(), values.max())
    off = np.flatnonzero(np.abs(values - table) > tolerance)
    assert not np.setdiff1d(off, stairs).size
    np.testing.assert_allclose(values[off], table[off - 1], rtol=0, atol=tolerance)


def both(name, stairs=(), **settings):
    same(getattr(ours, name)(**settings), getattr(theirs, name)(**settings), stairs)


def falls(every, begin=0):
    """The steps at which a staircase falls: in float32 it may come one late, as the division rounds."""
    return np.arange(begin, STEPS, every)


def mapped(schedule):
    """A schedule that takes one step at a time, at all of them."""
    return jax.jit(jax.vmap(schedule))


@given(value=rates)
@few
def test_constant_schedule(value):
    both("constant_schedule", value=value)


@few
@given(init_value=rates, end_value=rates, power=st.floats(0.5, 4), transition_steps=lengths, transition_begin=begins)
def test_polynomial_schedule(**drawn):
    both("polynomial_schedule", **drawn)


@few
@given(init_value=rates, end_value=rates, transition_steps=lengths, transition_begin=begins)
def test_linear_schedule(**drawn):
    both("linear_schedule", **drawn)


decays = {
    "transition_steps": lengths,
    "decay_rate": st.floats(0.3, 1.05).map(single),
    "transition_begin": begins,
    "staircase": st.booleans(),
    "end_value": st.none() | rates,
}


@few
@given(drawn=st.fixed_dictionaries({"init_value": rates} | decays))
def test_exponential_decay(drawn):
    stairs = falls(drawn["transition_steps"], drawn["transition_begin"]) if drawn["staircase"] else ()
    both("exponential_decay", stairs, **drawn)


@few
@given(
    init_value=rates,
    boundaries_and_scales=st.none() | st.dictionaries(st.integers(0, 60), scales, max_size=5),
)
def test_piecewise_constant_schedule(**drawn):
    both("piecewise_constant_schedule", **drawn)


@few
@given(
    init_value=rates,
    decay_steps=lengths,
    alpha=shares,
    exponent=st.sampled_from([0.5, 1.0, 1, 1.5, 2.0, 3, 4.7]) | st.floats(0.5, 5),
)
def test_cosine_decay_schedule(**drawn):
    both("cosine_decay_schedule", **drawn)


@few
@given(init_value=rates, peak_value=rates, warmup_steps=begins)
def test_warmup_constant_schedule(init_value, peak_value, warmup_steps):
    settings = {"init_value": init_value, "peak_value": peak_value, "warmup_steps": max(1, warmup_steps)}
    both("warmup_constant_schedule", **settings)


@few
@given(
    init_value=rates,
    peak_value=rates,
    warmup_steps=begins,
    decay=lengths,
    end_value=shares,
    exponent=st.sampled_from([1.0, 2.0, 2.5]),
)
def test_warmup_cosine_decay_schedule(decay, **drawn):
    drawn["end_value"] *= drawn["peak_value"]
    both("warmup_cosine_decay_schedule", decay_steps=drawn["warmup_steps"] + decay, **drawn)


@few
@given(
    drawn=st.fixed_dictionaries({"init_value": rates, "peak_value": rates, "warmup_steps": begins} | decays),
)
def test_warmup_exponential_decay_schedule(drawn):
    begin = drawn["warmup_steps"] + drawn["transition_begin"]
    stairs = falls(drawn["transition_steps"], begin) if drawn["staircase"] else ()
    both("warmup_exponential_decay_schedule", stairs, **drawn)


@few
@given(
    kind=st.sampled_from(["linear", "cosine"]),
    init_value=rates,
    drawn=st.dictionaries(st.integers(1, 60), scales, min_size=1, max_size=4),
)
def test_piecewise_interpolate_schedule(kind, init_value, drawn):
    theirs_too = mapped(theirs.piecewise_interpolate_schedule(kind, init_value, drawn))
    same(ours.piecewise_interpolate_schedule(kind, init_value, drawn), theirs_too)


@few
@given(steps=st.integers(4, 60), peak=rates, pct=st.floats(0, 1), div=st.floats(1, 50), final=st.floats(1, 1e4))
def test_cosine_onecycle_schedule(steps, peak, pct, div, final):
    if int(pct * steps) == steps:  # two of optax's dictionary keys are one
        pct = 0.5
    arguments = (steps, peak, pct, div, final)
    same(ours.cosine_onecycle_schedule(*arguments), mapped(theirs.cosine_onecycle_schedule(*arguments)))


@few
@given(steps=st.integers(7, 60), peak=rates, pct=st.floats(0, 0.8), div=st.floats(1, 50), final=st.floats(1, 1e4))
def test_linear_onecycle_schedule(steps, peak, pct, div, final):
    last = 0.85
    if int(pct * steps) == int(last * steps):
        pct = 0.3
    arguments = (steps, peak, pct, last, div, final)
    same(ours.linear_onecycle_schedule(*arguments), mapped(theirs.linear_onecycle_schedule(*arguments)))


cycles = st.fixed_dictionaries(
    {"init_value": rates, "peak_value": rates, "warmup_steps": st.integers(0, 9), "decay_steps": st.integers(10, 30)}
)


@few
@given(cosine_kwargs=st.lists(cycles, min_size=1, max_size=4))
def test_sgdr_schedule(cosine_kwargs):
    both("sgdr_schedule", cosine_kwargs=cosine_kwargs)


@few
@given(peak=rates, steps=lengths, edges=st.lists(lengths, min_size=2, max_size=2), decay=st.floats(0.5, 1).map(single))
def test_join_schedules(peak, steps, edges, decay):
    def joined(library):
        parts = [
            library.linear_schedule(0.1, peak, steps),
            library.cosine_decay_schedule(peak, steps),
            library.exponential_decay(peak, 3, decay),
        ]
        return library.join_schedules(parts, [edges[0], sum(edges)])

    same(joined(ours), joined(theirs))


def test_every_default_is_optaxs():
    both("exponential_decay", init_value=0.3, transition_steps=7, decay_rate=0.5)
    both("cosine_decay_schedule", init_value=0.3, decay_steps=50)
    both("warmup_cosine_decay_schedule", init_value=0.0, peak_value=0.3, warmup_steps=5, decay_steps=50)
    for name in ("cosine_onecycle_schedule", "linear_onecycle_schedule"):
        same(getattr(ours, name)(100, 0.3), mapped(getattr(theirs, name)(100, 0.3)))


def test_two_boundaries_of_no_distance_are_a_jump():
    scales = {0: 2.0, 5: 0.5}
    policy = ours.piecewise_interpolate_schedule("linear", 1.0, scales)
    same(policy, mapped(theirs.piecewise_interpolate_schedule("linear", 1.0, scales)))
    assert policy.table(0, 6)["lr"].tolist() == pytest.approx([2.0, 1.8, 1.6, 1.4, 1.2, 1.0])


def test_a_giant_step_is_exact_here_and_rounded_in_float32_there():
    half = 2**25 + 1
    policy = ours.polynomial_schedule(1.0, 0.0, 1.0, 2**26)
    assert policy.at(half)["lr"] == 1 - half / 2**26
    assert float(theirs.polynomial_schedule(1.0, 0.0, 1.0, 2**26)(jnp.int32(half))) == 0.5


def test_a_schedule_as_a_learning_rate_of_an_optimizer():
    """An optax optimizer is given our schedule itself."""
    rate = ours.warmup_cosine_decay_schedule(0.0, 1.0, 2, 6)["lr"]
    optimizer = theirs.sgd(rate)
    weight = jnp.zeros(())
    state, later = optimizer.init(weight), []
    for _ in range(7):
        update, state = optimizer.update(jnp.ones(()), state)
        later.append(-float(update))
    np.testing.assert_allclose(later, rate.table(0, 7), atol=1e-6)


def test_difference_a_staircase_falls_at_its_edge_where_optax_may_fall_one_late():
    """XLA may divide by 55 as it multiplies by float32(1/55), of which 55 times is below 1."""
    settings = {"init_value": 1.0, "transition_steps": 55, "decay_rate": 0.5, "staircase": True}
    assert ours.exponential_decay(**settings).at(55)["lr"] == 0.5
    assert float(theirs.exponential_decay(**settings)(COUNT)[55]) in {0.5, 1.0}


def test_difference_a_short_onecycle_loses_a_phase_in_optax_where_two_keys_are_one():
    """What optax has in its place is a value of a later phase, and was no number in optax 0.2.5."""
    values = mapped(theirs.linear_onecycle_schedule(1, 1.0))(COUNT)
    assert float(values[0]) != pytest.approx(0.04)
    assert ours.linear_onecycle_schedule(1, 1.0).at(0)["lr"] == pytest.approx(0.04)
    assert float(mapped(theirs.cosine_onecycle_schedule(4, 1.0, 1.0))(COUNT)[3]) < 0.04
    assert ours.cosine_onecycle_schedule(4, 1.0, 1.0).at(3)["lr"] > 0.8


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_onecycle_without_a_climb_starts_at_its_peak_as_in_optax(steps):
    assert ours.cosine_onecycle_schedule(steps, 1.0).at(0)["lr"] == 1.0
    same(ours.cosine_onecycle_schedule(steps, 1.0), mapped(theirs.cosine_onecycle_schedule(steps, 1.0)))


def test_difference_a_schedule_without_a_boundary_is_dropped_in_optax_and_refused_here():
    parts = [theirs.constant_schedule(value) for value in (1.0, 2.0, 3.0)]
    assert float(theirs.join_schedules(parts, [5])(COUNT)[-1]) == 2.0
    with pytest.raises(ParameterError, match="boundaries holds 1 steps for 3 schedules, and needs 2"):
        ours.join_schedules([ours.constant_schedule(1.0)] * 3, [5])


@pytest.mark.parametrize(
    "make",
    [
        lambda library: library.polynomial_schedule(1.0, 0.0, 2.0, 0),
        lambda library: library.linear_schedule(1.0, 0.0, 0),
        lambda library: library.exponential_decay(1.0, 0, 0.5),
        lambda library: library.exponential_decay(1.0, 5, 0.0),
    ],
)
def test_difference_a_decay_that_cannot_be_is_a_constant_in_optax_and_refused_here(make):
    assert make(theirs)(7) == 1.0
    with pytest.raises(ParameterError, match=r"transition_steps is 0|factor must be"):
        make(ours)


def test_difference_a_warmup_of_no_steps_begins_at_the_peak_here():
    """optax stays at the initial value for ever."""
    assert theirs.warmup_constant_schedule(0.1, 1.0, 0)(7) == 0.1
    assert ours.warmup_constant_schedule(0.1, 1.0, 0).at(7)["lr"] == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ours.cosine_decay_schedule(1.0, 0), "decay_steps is 0, and must be at least 1"),
        (lambda: ours.cosine_decay_schedule(1.0, 5, exponent=-1.0), "choose an exponent above 0"),
        (lambda: ours.warmup_cosine_decay_schedule(0.0, 1.0, 5, 5), "decay_steps - warmup_steps is 0"),
        (lambda: ours.linear_schedule(1.0, 0.0, 5, -1), "transition_begin is -1, and must be at least 0"),
        (lambda: ours.piecewise_constant_schedule(1.0, {3: -0.5}), "at least 0"),
        (lambda: ours.piecewise_constant_schedule(1.0, {-3: 0.5}), "a boundary is -3"),
        (lambda: ours.piecewise_interpolate_schedule("cos", 1.0, {3: 0.5}), "Did you mean 'cosine'?"),
        (lambda: ours.cosine_onecycle_schedule(0, 1.0), "transition_steps is 0"),
        (lambda: ours.cosine_onecycle_schedule(10, 1.0, 30), "must lie from 0 to 1"),
        (lambda: ours.linear_onecycle_schedule(10, 1.0, 0.9, 0.5), "must begin at 0 and not fall"),
        (lambda: ours.sgdr_schedule([]), "no cycle"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in str(caught.value)


def test_lengths_that_are_whole_floats_are_lengths():
    assert ours.cosine_decay_schedule(1.0, 1e2) == ours.cosine_decay_schedule(1.0, 100)
    with pytest.raises(LengthError, match=r"decay_steps is a whole number of steps, not 99\.5"):
        ours.cosine_decay_schedule(1.0, 99.5)
