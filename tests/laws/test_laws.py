"""Laws that hold for every schedule, drawn at random from all kinds and all ways to combine them."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stepsize import schedules
from stepsize.results.io import CATALOGUE, dumps, loads
from stepsize.schedules import (
    Chain,
    Constant,
    Cosine,
    Exponential,
    ExpRange,
    Linear,
    Polynomial,
    Scaled,
    Schedule,
    Staircase,
    Sum,
    Triangular,
    Triangular2,
)
from stepsize.testing import check_schedule

values = st.floats(0, 10, allow_subnormal=False)
above = st.floats(1e-6, 10)
shares = st.integers(1, 30).map(lambda n: f"{n}%")
lengths = st.integers(1, 40)
periods = lengths | shares

MAKERS = {
    Constant: st.builds(Constant, values),
    Linear: st.builds(Linear, values, values),
    Polynomial: st.builds(Polynomial, values, values, power=st.floats(0.1, 6)),
    Exponential: st.builds(Exponential, above, above),
    Cosine: st.builds(Cosine, values, values),
    Staircase: st.builds(Staircase, values, st.floats(0.01, 1.2), periods),
    Triangular: st.builds(Triangular, values, values, periods, fall=st.none() | periods),
    Triangular2: st.builds(Triangular2, values, values, periods, fall=st.none() | periods),
    ExpRange: st.builds(ExpRange, values, values, periods, fall=st.none() | periods, gamma=st.floats(0.5, 1)),
}
"""How to draw each kind that is not made of others, with the length "rest"."""

atoms = st.one_of(*MAKERS.values())


def of_length(schedule, steps):
    """The same schedule with another length."""
    data = schedule.spec_fields() | {"steps": steps}
    return type(schedule)(**data)


factors = st.floats(0, 4, allow_subnormal=False)
"""Chains of up to three parts: lengths in steps or in shares, which leave room for the last, "rest"."""
heads = st.lists(st.builds(of_length, atoms, lengths | shares), max_size=2)
chains = st.builds(lambda head, last: Chain((*head, last)), heads, atoms)
terms = atoms | chains
schedules_of_any_kind = st.one_of(
    atoms,
    chains,
    st.builds(Scaled, atoms, factors),
    st.builds(Scaled, st.builds(Scaled, atoms, factors), factors),
    st.builds(Sum, terms, terms),
    st.builds(Sum, st.builds(Sum, atoms, atoms), st.builds(Scaled, atoms, factors)),
    st.builds(lambda sum_, last: sum_ >> last, st.builds(Sum, st.builds(of_length, atoms, lengths), atoms), atoms),
    st.builds(lambda chain, factor: factor * chain, chains, factors),
    st.builds(Scaled, chains, factors),
)
runs = st.integers(240, 500)


def test_every_kind_of_the_catalogue_is_drawn():
    combined = {Chain, Scaled, Sum}
    assert set(CATALOGUE.of(Schedule).values()) == set(MAKERS) | combined


@pytest.mark.parametrize("kind", list(MAKERS), ids=lambda kind: kind.__name__)
@settings(max_examples=15)
@given(data=st.data(), run=runs)
def test_each_kind_keeps_every_law(kind, data, run):
    check_schedule(data.draw(MAKERS[kind]), steps=run, libraries=("array_api_strict", "torch"))


@given(schedule=schedules_of_any_kind, run=runs)
def test_every_combination_keeps_every_law(schedule, run):
    check_schedule(schedule, steps=run, libraries=("array_api_strict", "torch"))


@given(a=terms, b=terms, c=terms)
def test_then_is_associative(a, b, c):
    assert (a >> b) >> c == a >> (b >> c)


@given(schedule=schedules_of_any_kind)
def test_json_through_results_io_is_equal(schedule):
    assert loads(dumps(schedule)) == schedule
    assert loads(dumps(schedule, indent=2), Schedule) == schedule


@given(schedule=schedules_of_any_kind)
def test_repr_evaluates_with_the_public_names_alone(schedule):
    assert eval(repr(schedule), vars(schedules).copy()) == schedule  # noqa: S307  (that is the law)


@given(chain=chains, run=runs)
def test_the_parts_of_a_chain_add_up_to_the_run_exactly(chain, run):
    bound = chain.over(run)
    assert sum(part.steps for part in bound.parts) == bound.steps == run


@given(chain=chains, run=runs)
def test_each_step_of_a_chain_is_its_parts_own_step(chain, run):
    """Parts are half-open: a part owns its steps 0..n-1, and the next begins at its step 0."""
    bound = chain.over(run)
    pieces = [part.table(0, part.steps) for part in bound.parts]
    assert np.array_equal(bound.table(0, run), np.concatenate(pieces))


@given(chain=chains, factor=factors, run=runs)
def test_a_factor_distributes_over_a_chain(chain, factor, run):
    assert factor * chain == chain * factor == Chain(tuple(factor * part for part in chain.parts))
    whole = Scaled(chain, factor).over(run).table(0, run + 5)
    np.testing.assert_array_equal((factor * chain).over(run).table(0, run + 5), whole)


@given(first=terms, second=terms, run=runs)
def test_a_sum_is_the_sum_of_the_values(first, second, run):
    together = (first + second).over(run).table(0, run + 5)
    np.testing.assert_array_equal(together, first.over(run).table(0, run + 5) + second.over(run).table(0, run + 5))


@given(schedule=schedules_of_any_kind, run=runs, seed=st.integers(0, 99))
def test_an_array_of_steps_in_any_order_and_shape_gives_the_rows(schedule, run, seed):
    bound = schedule.over(run)
    asked = np.random.default_rng(seed).permutation(2 * run).reshape(2, run)
    np.testing.assert_allclose(bound(asked), bound.table(0, 2 * run)[asked], rtol=1e-14, atol=0)


@given(cycle=st.one_of(MAKERS[Triangular], MAKERS[Triangular2]), run=runs)
def test_a_cycle_goes_on_past_the_horizon(cycle, run):
    assume(cycle.base != cycle.peak)
    bound = cycle.over(run)
    period = bound.half_cycle + (bound.fall or bound.half_cycle)
    start = -(-run // period) * period
    shrink = 0.5 if isinstance(cycle, Triangular2) else 1.0
    first, second = (bound.table(begin, begin + period) - cycle.base for begin in (start, start + period))
    np.testing.assert_allclose(second, shrink * first, rtol=1e-9, atol=1e-12 * max(cycle.base, cycle.peak))


@given(schedule=schedules_of_any_kind, run=runs)
def test_over_leaves_the_given_schedule_as_it_was(schedule, run):
    before = dumps(schedule)
    schedule.over(run)
    assert dumps(schedule) == before
