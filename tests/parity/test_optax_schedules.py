"""Every schedule against optax's: 1e-6 of the largest value, since optax computes in float32."""

import jax.numpy as jnp
import numpy as np
import optax
from hypothesis import given
from hypothesis import strategies as st

from stepsize.schedules import Cosine, Exponential, Linear, Polynomial, Staircase

rates = st.floats(1e-3, 10)
lengths = st.integers(1, 60)


STEPS = jnp.arange(140)


def same(ours, schedule, steps):
    theirs = np.asarray(schedule(STEPS), dtype=np.float64)[:steps]
    table = ours.table(0, steps)
    np.testing.assert_allclose(table, theirs, rtol=0, atol=1e-6 * max(table.max(), theirs.max()))


@given(base=rates, alpha=st.floats(0, 1), steps=lengths)
def test_cosine_is_cosine_decay_schedule_also_past_its_end(base, alpha, steps):
    same(Cosine(base, alpha * base, steps), optax.cosine_decay_schedule(base, steps, alpha), steps + 20)


@given(start=rates, end=rates, steps=lengths)
def test_linear_is_linear_schedule_also_past_its_end(start, end, steps):
    same(Linear(start, end, steps), optax.linear_schedule(start, end, steps), steps + 20)


@given(start=rates, end=rates, steps=lengths, power=st.floats(1, 4))
def test_polynomial_is_polynomial_schedule_also_past_its_end(start, end, steps, power):
    """A power below 1 would magnify the rounding of float32 at the end: its slope there is infinite."""
    same(Polynomial(start, end, steps, power=power), optax.polynomial_schedule(start, end, power, steps), steps + 20)


@given(start=rates, factor=st.floats(0.125, 1.0, width=32), every=st.integers(1, 40))
def test_staircase_is_exponential_decay_with_staircase(start, factor, every):
    """By a factor that float32 holds, since 90 of them multiply the difference."""
    same(Staircase(start, factor, every), optax.exponential_decay(start, every, factor, staircase=True), 90)


def test_difference_a_staircase_falls_at_its_edge_where_optax_may_fall_one_late():
    """XLA may divide by 55 as it multiplies by float32(1/55), of which 55 times is below 1."""
    theirs = optax.exponential_decay(1.0, 55, 0.5, staircase=True)(STEPS)
    assert float(theirs[55]) in {0.5, 1.0}
    assert Staircase(1.0, 0.5, 55)(55) == 0.5
    assert float(Staircase(1.0, 0.5, 55)(STEPS)[55]) == 0.5


@given(start=rates, ratio=st.floats(0.05, 1.0), steps=lengths)
def test_exponential_is_exponential_decay_up_to_its_end(start, ratio, steps):
    same(Exponential(start, ratio * start, steps), optax.exponential_decay(start, steps, ratio), steps + 1)


@given(peak=rates, start=st.floats(0, 1), end=st.floats(0, 1), warmup=lengths, steps=lengths)
def test_warmup_then_cosine_is_warmup_cosine_decay_schedule(peak, start, end, warmup, steps):
    ours = Linear(start * peak, peak, warmup) >> Cosine(peak, end * peak, steps)
    theirs = optax.warmup_cosine_decay_schedule(start * peak, peak, warmup, warmup + steps, end * peak)
    same(ours, theirs, warmup + steps + 20)
