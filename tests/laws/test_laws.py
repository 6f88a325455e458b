"""Laws that hold for every schedule, drawn at random from all kinds and all ways to combine them."""

import pickle
from dataclasses import fields

import numpy as np
import pytest
from drawn import (
    COMBINED,
    MAKERS,
    chains,
    factors,
    nested,
    parts,
    runs,
    schedules_of_any_kind,
    terms,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stepsize import schedules
from stepsize.results.io import CATALOGUE, dumps, loads
from stepsize.schedules import Chain, Custom, Scaled, Schedule, Triangular, Triangular2, Until
from stepsize.testing import check_schedule

LIBRARIES = ("array_api_strict", "torch")


def test_every_kind_of_the_catalogue_is_drawn():
    assert set(CATALOGUE.of(Schedule).values()) == {*MAKERS, *COMBINED, Custom}


@pytest.mark.parametrize("kind", list(MAKERS), ids=lambda kind: kind.__name__)
@settings(max_examples=15)
@given(data=st.data(), run=runs)
def test_each_kind_keeps_every_law(kind, data, run):
    check_schedule(data.draw(MAKERS[kind]), steps=run, libraries=LIBRARIES)


@pytest.mark.parametrize("kind", list(COMBINED), ids=lambda kind: kind.__name__)
@settings(max_examples=15)
@given(data=st.data(), run=runs)
def test_each_operator_keeps_every_law(kind, data, run):
    check_schedule(data.draw(COMBINED[kind]), steps=run, libraries=LIBRARIES)


@settings(max_examples=30)
@given(schedule=nested, run=runs)
def test_operators_of_operators_keep_every_law(schedule, run):
    check_schedule(schedule, steps=run, libraries=LIBRARIES)


@given(part=parts, last=terms, run=runs)
def test_an_operator_may_be_a_part(part, last, run):
    check_schedule(part >> last, steps=run, libraries=())


@given(schedule=schedules_of_any_kind, run=runs)
def test_every_combination_keeps_every_law(schedule, run):
    check_schedule(schedule, steps=run, libraries=LIBRARIES)


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


@given(schedule=schedules_of_any_kind)
def test_equal_values_hash_equally_and_survive_pickle(schedule):
    again = pickle.loads(pickle.dumps(schedule))  # noqa: S301  (made here)
    assert again == schedule
    assert len({again, schedule}) == 1


@given(schedule=schedules_of_any_kind, run=runs)
def test_no_length_is_left_open_by_over(schedule, run):
    bound = schedule.over(run)
    assert bound.over(run) == bound
    assert not [text for text in _lengths(bound) if isinstance(text, str)]


def _lengths(value):
    """Every length in a schedule: the fields called steps, every, half_cycle, fall and at."""
    for each in fields(value):
        inside = getattr(value, each.name)
        for item in inside if isinstance(inside, tuple) else (inside,):
            if isinstance(item, Schedule):
                yield from _lengths(item)
            elif each.name in {"steps", "every", "half_cycle", "fall", "at"}:
                yield item


@given(schedule=schedules_of_any_kind, run=runs, data=st.data())
def test_until_a_step_is_the_schedule_and_then_its_value(schedule, run, data):
    bound, stop = schedule.over(run), data.draw(st.integers(1, run))
    table = Until(bound, stop).table(0, run + 20)
    np.testing.assert_array_equal(table[: stop + 1], bound.table(0, stop + 1))
    assert (table[stop:] == bound(stop)).all()


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
