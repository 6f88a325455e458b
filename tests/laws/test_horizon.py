"""Another horizon: every length in proportion, and the jump that it would cause."""

import math

import numpy as np
import pytest
from drawn import MAKERS, chains, runs, schedules_of_any_kind
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import ParameterError
from stepsize.schedules import (
    Chain,
    Clipped,
    Constant,
    Cosine,
    ExpRange,
    Linear,
    PowerLaw,
    Repeat,
    Segment,
    Stretched,
    Table,
    Triangular,
    jump,
    with_horizon,
)
from stepsize.testing import check_schedule

segments = st.one_of(*[maker for kind, maker in MAKERS.items() if issubclass(kind, Segment)])
clocks = st.one_of(*[maker for kind, maker in MAKERS.items() if not issubclass(kind, Segment)])


@given(schedule=schedules_of_any_kind, run=runs, total=st.integers(240, 2000))
def test_a_new_horizon_is_exact_and_lawful(schedule, run, total):
    longer = with_horizon(schedule.over(run), total)
    assert longer.steps == total
    assert longer.over(total) == longer


@settings(max_examples=20)
@given(schedule=schedules_of_any_kind, run=runs, total=st.integers(240, 700))
def test_a_schedule_of_a_new_horizon_keeps_every_law(schedule, run, total):
    check_schedule(with_horizon(schedule.over(run), total), libraries=())


@given(schedule=schedules_of_any_kind, run=runs)
def test_the_same_horizon_changes_nothing(schedule, run):
    bound = schedule.over(run)
    assert with_horizon(bound, run) == bound


@given(schedule=segments | clocks, run=runs, times=st.integers(2, 5))
def test_a_multiple_of_the_horizon_is_the_same_curve_drawn_wider(schedule, run, times):
    bound = schedule.over(run)
    wide = with_horizon(bound, times * run).table(0, times * run + 1)[::times]
    np.testing.assert_allclose(wide, bound.table(0, run + 1), rtol=1e-9, atol=1e-9)


@given(schedule=segments | chains, run=runs, times=st.integers(2, 5))
def test_there_and_back_is_where_it_was(schedule, run, times):
    bound = schedule.over(run)
    back = with_horizon(with_horizon(bound, times * run), run).table(0, run + 1)
    np.testing.assert_allclose(back, bound.table(0, run + 1), rtol=1e-9, atol=1e-12)


def test_the_fall_of_a_cycle_grows_too():
    longer = with_horizon(Triangular(0.1, 1.0, 10, fall=20).over(90), 180)
    assert longer == Triangular(0.1, 1.0, 20, steps=180, fall=40)


def test_a_formula_with_a_clock_of_its_own_is_stretched():
    for schedule in (PowerLaw(1.0), ExpRange(0.1, 1.0, 10, gamma=0.99)):
        bound = schedule.over(100)
        assert with_horizon(bound, 200)(120) == pytest.approx(bound(60), rel=1e-12)


def test_there_and_back_a_table_is_itself():
    """What is stretched was stretched a second time inside, and landed between its steps."""
    bound = Table((0.0, 0.0, 0.0, 0.0, 0.0, 1.0), 11) >> Constant(0.0, 229)
    assert with_horizon(with_horizon(bound, 480), 240).parts[0] == Stretched(bound.parts[0], 11)


def test_the_parts_inside_an_operator_still_add_up():
    inner = Chain((Linear(0.0, 1.0, 3), Linear(1.0, 0.0, 4)))
    schedule = Clipped(inner, low=0.1) >> Repeat(inner, steps=20) >> Constant(0.1, 3)
    for total in range(5, 200):
        longer = with_horizon(schedule.over(30), total)
        assert longer.over(total) == longer
        assert np.isfinite(longer.table(0, total)).all()


def test_what_is_not_bound_has_no_horizon_to_change():
    with pytest.raises(ParameterError, match=r"is not bound yet; bind it to the new horizon: schedule\.over\(20\)"):
        with_horizon(Cosine(1.0, 0.0), 20)


@given(schedule=schedules_of_any_kind, run=runs, at=st.integers(0, 600))
def test_a_schedule_does_not_jump_to_itself(schedule, run, at):
    assert jump(schedule.over(run), schedule.over(run), at) == 1.0


@given(first=segments, second=segments, run=runs, at=st.integers(0, 600))
def test_a_jump_takes_the_one_value_to_the_other(first, second, run, at):
    before, after = first.over(run), second.over(run)
    factor = jump(before, after, at)
    if math.isinf(factor):
        assert before(at) < 1e-300 or after(at) / before(at) == math.inf
    else:
        assert before(at) * factor == pytest.approx(after(at), rel=1e-12)


def test_a_jump_from_nothing_is_infinite_and_from_nothing_to_nothing_is_none():
    assert jump(Constant(0.0), Constant(1.0), 3) == math.inf
    assert jump(Constant(0.0), Constant(0.0), 3) == 1.0
