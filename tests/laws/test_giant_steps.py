"""Steps up to 2**40 are counted as whole numbers, and every restart up to a million is where it belongs."""

import numpy as np
import pytest

from stepsize.schedules import Cosine, ExpRange, Linear, Repeat, Staircase, Stepped, Triangular, Triangular2

GIANT = 2**40


@pytest.mark.parametrize("first", range(1, 13))
def test_equal_cycles_restart_at_every_restart_up_to_a_million(first):
    values = Repeat(Cosine(1.0, 0.0, first)).table(0, 10**6)
    assert (values[::first] == 1.0).all()
    if first > 1:
        inside = np.delete(values, np.arange(0, 10**6, first))
        assert (inside < 1.0).all()


@pytest.mark.parametrize("offset", [-1, 0, 1, 999, 1000, 1001])
@pytest.mark.parametrize("half_cycle", [7, 1000, 2**20 + 1])
def test_a_triangle_far_out_is_the_triangle_at_the_remainder(half_cycle, offset):
    wave = Triangular(0.1, 1.0, half_cycle=half_cycle)
    assert wave(GIANT + offset) == wave((GIANT + offset) % (2 * half_cycle))


def test_halving_cycles_count_them_as_whole_numbers():
    wave = Triangular2(0.0, 1.0, half_cycle=2**34)
    peak = 15 * 2**35 + 2**34
    assert wave(peak) == 0.5**15
    assert wave(peak + 2**34) == 0.0


def test_a_staircase_far_out_falls_at_the_very_step():
    stairs = Staircase(1.0, 0.5, every=2**38)
    assert [stairs(k) for k in (GIANT - 1, GIANT, GIANT + 1)] == [0.125, 0.0625, 0.0625]


def test_a_line_of_two_giants_is_half_way_at_one():
    assert Linear(1.0, 0.0, 2 * GIANT)(GIANT) == 0.5
    assert Linear(1.0, 0.0, 2 * GIANT)(GIANT + 1) < 0.5


def test_a_stepped_schedule_far_out_asks_for_the_last_stair():
    line = Linear(1.0, 0.0, 2 * GIANT)
    assert Stepped(line, every=1000)(GIANT) == line(GIANT // 1000 * 1000)


def test_exp_range_far_out_is_finite_and_at_its_base():
    assert ExpRange(0.1, 1.0, half_cycle=1000, gamma=0.9999)(GIANT + 500) == 0.1
