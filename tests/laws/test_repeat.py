"""Restarts are where whole numbers say they are, from the first to the 2**40th step."""

from fractions import Fraction
from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.schedules import Cosine, Linear, Repeat

FAR = 2**40


def begins(first, stretch, last):
    """The first step of every cycle up to step `last`, in whole numbers."""

    def endless():
        begin, size = 0, first
        while True:
            yield begin
            begin, size = begin + size, size * stretch

    return list(takewhile(lambda begin: begin <= last, endless()))


def by_hand(schedule, step):
    """The value at `step` with whole numbers and fractions alone, up to the formula of the cycle."""
    first, number, begin, size = schedule.schedule.steps, 0, 0, schedule.schedule.steps
    if schedule.stretch == 1:
        number, place = divmod(step, first)
        place = Fraction(place)
    else:
        while begin + size <= step:
            begin, size, number = begin + size, size * schedule.stretch, number + 1
        place = Fraction(step - begin, schedule.stretch**number)
    value = schedule.schedule(np.array([float(place)]))[0]
    return value * schedule.scale**number


@pytest.mark.parametrize("first", range(1, 13))
@pytest.mark.parametrize("stretch", range(1, 11))
def test_every_restart_up_to_a_million_is_at_its_whole_number(first, stretch):
    """The falling line is at its top only where a cycle begins."""
    schedule = Repeat(Linear(1.0, 0.0, first), stretch=stretch)
    starts = np.array(begins(first, stretch, 10**6))
    some = starts if len(starts) < 1000 else np.append(starts[:: max(1, len(starts) // 5000)], starts[-3:])
    assert (schedule(some) == 1.0).all()
    before = some[some > 0] - 1
    if first > 1:
        assert (schedule(before) < 1.0).all()


@pytest.mark.parametrize(("first", "stretch"), [(1, 2), (3, 1), (7, 2), (10, 3), (11, 1), (12, 10)])
def test_no_other_step_of_the_first_hundred_thousand_is_a_restart(first, stretch):
    table = Repeat(Linear(1.0, 0.0, first), stretch=stretch).table(0, 100_001)
    assert np.flatnonzero(table == 1.0).tolist() == begins(first, stretch, 100_000)


@given(
    first=st.integers(1, 5000),
    stretch=st.integers(1, 10),
    scale=st.floats(0.5, 1.0),
    step=st.integers(0, FAR),
)
def test_a_giant_step_has_the_value_of_whole_numbers(first, stretch, scale, step):
    schedule = Repeat(Cosine(1.0, 0.1, first), stretch=stretch, scale=scale)
    assert schedule(step) == pytest.approx(by_hand(schedule, step), rel=1e-12, abs=0)


@given(first=st.integers(1, 12), stretch=st.integers(2, 10), place=st.integers(0, 40), off=st.integers(-2, 2))
def test_around_a_giant_restart_the_value_is_that_of_whole_numbers(first, stretch, place, off):
    schedule = Repeat(Linear(1.0, 0.1, first), stretch=stretch)
    starts = begins(first, stretch, FAR)
    step = max(0, starts[place % len(starts)] + off)
    assert schedule(step) == by_hand(schedule, step)


@given(first=st.integers(1, 12), turn=st.integers(0, FAR // 12), off=st.integers(0, 11))
def test_equal_cycles_stay_in_step_for_ever(first, turn, off):
    schedule = Repeat(Linear(1.0, 0.0, first))
    assert schedule(turn * first + off % first) == schedule(off % first)
