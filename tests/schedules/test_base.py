"""The small print of schedules: what has no value yet, what is no step, and what the algebra refuses."""

import math

import numpy as np
import pytest
import torch

from stepsize.kernel.errors import LengthError, ParameterError, UnboundError
from stepsize.schedules import (
    Chain,
    Constant,
    Cosine,
    Exponential,
    ExpRange,
    Linear,
    Polynomial,
    Scaled,
    Staircase,
    Sum,
    Triangular,
)

UNBOUND = [
    (Cosine(0.1, 0.0), "Cosine has no value yet: its steps is 'rest' of a run"),
    (Linear(0.1, 0.0, "30%"), "its steps is '30%' of a run"),
    (Triangular(0.1, 1.0, "10%"), "Triangular has no value yet: its half_cycle is '10%'"),
    (Triangular(0.1, 1.0, 5, fall="10%"), "its fall is '10%'"),
    (Staircase(1.0, 0.5, "25%"), "its every is '25%'"),
    (Linear(0.0, 1.0, "5%") >> Cosine(1.0, 0.0), "Linear has no value yet"),
    (2 * Cosine(0.1, 0.0), "Cosine has no value yet"),
    (Constant(0.1) + Cosine(0.1, 0.0), "Cosine has no value yet"),
]


@pytest.mark.parametrize(("schedule", "message"), UNBOUND)
def test_a_value_asked_before_over_is_one_clear_error(schedule, message):
    for ask in (lambda: schedule(0), lambda: schedule.table(0, 5), lambda: schedule(np.arange(3))):
        with pytest.raises(UnboundError, match=f"{message}.*Bind it first: schedule.over"):
            ask()


@pytest.mark.parametrize("schedule", [Constant(0.1), Staircase(1.0, 0.5, 5), Triangular(0.1, 1.0, 5)])
def test_what_needs_no_horizon_has_a_value_at_once_and_for_ever(schedule):
    assert math.isfinite(schedule(10**6))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (-1, "counted from 0, so it cannot be -1"),
        (1.5, r"a whole number of optimizer updates, counted from 0, not 1\.5"),
        (True, "not True"),
        ("3", "not '3'"),
        (None, "not None"),
        ([1, 2], r"not \[1, 2\]"),
    ],
)
def test_what_is_no_step_is_refused(step, message):
    with pytest.raises(ParameterError, match=message):
        Constant(0.1)(step)
    with pytest.raises(ParameterError, match=message):
        Constant(0.1).table(step, 5)


@pytest.mark.parametrize("step", [7, np.int32(7), np.int64(7)])
def test_any_integer_is_a_step_and_gives_a_float(step):
    value = Linear(0.0, 1.0, 10)(step)
    assert value == pytest.approx(0.7)
    assert type(value) is float


@pytest.mark.parametrize("step", [np.array(7), torch.tensor(7)], ids=["numpy", "torch"])
def test_an_array_without_axes_is_an_array(step):
    value = Linear(0.0, 1.0, 10)(step)
    assert type(value) is not float
    assert value.shape == ()
    assert float(value) == pytest.approx(0.7)


def test_an_empty_or_reversed_table_is_empty():
    for start, stop in ((3, 3), (5, 3), (70, 70)):
        table = (Linear(0.0, 1.0, 10) >> Constant(1.0, 5)).table(start, stop)
        assert table.shape == (0,)
        assert table.dtype == np.float64


@pytest.mark.parametrize(
    ("total", "message"),
    [
        (0, "at least 1 step"),
        (-5, "at least 1 step"),
        (10.5, "a length is"),
        ("50%", "whole number of steps"),
        ("rest", "whole"),
    ],
)
def test_a_horizon_is_a_whole_number_of_at_least_one(total, message):
    with pytest.raises(ParameterError, match=message):
        Cosine(0.1, 0.0).over(total)


def test_a_run_of_one_step_uses_the_start_value():
    for schedule in (Cosine(0.1, 0.0), Linear(0.1, 0.0), Exponential(0.1, 0.01), Polynomial(0.1, 0.0)):
        bound = schedule.over(1)
        assert bound.table(0, 1).tolist() == [0.1]
        assert bound(1) == pytest.approx(schedule.end)


def test_a_bound_schedule_refuses_another_horizon():
    with pytest.raises(LengthError, match="100 add up to 100 steps, but the run has 200: make one part 'rest'"):
        Cosine(0.1, 0.0).over(100).over(200)


def test_a_warmup_as_long_as_the_run_is_a_pure_ramp_and_a_longer_one_is_refused():
    schedule = Linear(0.0, 1.0, 10) >> Cosine(1.0, 0.0)
    assert schedule.over(10).table(0, 10).tolist() == Linear(0.0, 1.0, 10).table(0, 10).tolist()
    with pytest.raises(LengthError, match="shorten a part, or train longer"):
        schedule.over(9)


def test_a_share_that_rounds_to_nothing_is_left_out_and_the_rest_stands():
    bound = (Linear(0.0, 1.0, "1%") >> Cosine(1.0, 0.0)).over(10)
    assert bound == Chain((Cosine(1.0, 0.0, 10),))
    assert bound.table(0, 10).tolist() == Cosine(1.0, 0.0, 10).table(0, 10).tolist()


def test_a_part_hands_over_at_its_end_without_a_gap_or_a_repeat():
    schedule = Linear(0.0, 1.0, 4) >> Linear(1.0, 0.0, 4)
    assert schedule.table(0, 9).tolist() == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]


def test_a_step_on_an_edge_belongs_to_the_next_part_one_by_one_in_a_table_and_in_an_array():
    jump = Constant(1.0, 3) >> Constant(5.0, 2) >> Constant(2.0)
    expected = [1, 1, 1, 5, 5, 2, 2, 2]
    bound = jump.over(7)
    assert bound.table(0, 8).tolist() == expected
    assert bound(np.arange(8)).tolist() == expected
    assert bound(torch.arange(8)).tolist() == expected
    assert [bound(step) for step in range(8)] == expected


def test_shares_inside_a_sum_or_a_scaled_part_are_of_the_whole_run():
    chain = Constant(1.0, 50) >> (Linear(0.0, 1.0, "10%") >> Constant(1.0)) + Constant(1.0)
    bound = chain.over(100)
    assert bound(50) == 1.0
    assert bound(55) == 1.5
    assert bound(60) == 2.0


def test_half_cycles_and_stairs_inside_a_chain_are_shares_of_the_whole_run():
    chain = Constant(1.0, "50%") >> Triangular(0.0, 1.0, "10%")
    assert chain.over(100).parts[1].half_cycle == 10
    chain = Constant(1.0, "50%") >> Staircase(1.0, 0.5, "10%")
    assert chain.over(100).parts[1].every == 10


def test_a_cycle_that_rises_and_falls_at_its_own_pace():
    cycle = Triangular(0.0, 1.0, 4, fall=2)
    assert cycle.table(0, 7).tolist() == [0, 0.25, 0.5, 0.75, 1, 0.5, 0]


def test_a_cycle_whose_base_is_the_larger_moves_the_other_way():
    assert Triangular(0.9, 0.8, 2).table(0, 5).tolist() == pytest.approx([0.9, 0.85, 0.8, 0.85, 0.9])


@pytest.mark.parametrize("factor", [0.5, 2, np.float32(0.5), np.float64(0.5), np.int64(2)])
def test_any_real_number_scales_from_either_side(factor):
    schedule = Cosine(0.1, 0.0)
    assert factor * schedule == schedule * factor == Scaled(schedule, float(factor))
    chain = Linear(0.0, 0.1, 5) >> schedule
    assert factor * chain == chain * factor == (factor * chain.parts[0]) >> (factor * chain.parts[1])


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda s: s * "2",
        lambda s: s + 1,
        lambda s: s >> 1,
        lambda s: (s >> s) * "2",
        lambda s: s * np.array([1.0, 2.0]),
        lambda s: np.array([1.0, 2.0]) * s,
    ],
)
def test_the_algebra_refuses_what_is_neither_a_schedule_nor_a_number(nonsense):
    with pytest.raises(TypeError, match=r"unsupported operand|can't multiply|does not support ufuncs"):
        nonsense(Cosine(0.1, 0.0))


def test_a_sum_runs_both_over_the_same_steps():
    with pytest.raises(ParameterError, match="over the same steps, not over"):
        Sum(Constant(1.0, 5), Constant(1.0, "50%"))
    together = (Constant(1.0, 20) + Linear(1.0, 0.0)).over(20)
    assert together.steps == 20
    assert together(10) == 1.5


def test_repr_is_code_with_the_brackets_that_it_needs():
    a, b = Constant(1.0, 2), Constant(2.0, 3)
    assert repr(a >> b) == "Constant(level=1.0, steps=2) >> Constant(level=2.0, steps=3)"
    assert repr(a + a >> b) == f"({a!r} + {a!r}) >> {b!r}"
    assert repr(0.5 * (a + a)) == f"0.5 * ({a!r} + {a!r})"
    assert repr(0.5 * (0.5 * a)) == f"0.5 * (0.5 * {a!r})"
    assert repr(Scaled(a >> b, 0.5)) == f"Scaled({a!r} >> {b!r}, 0.5)"
    assert repr(Chain((a,))) == f"Chain(({a!r},))"
    assert repr((a >> b) + (a >> b)) == f"({a!r} >> {b!r}) + ({a!r} >> {b!r})"


def test_exponential_multiplies_by_one_factor_a_step():
    table = Exponential(1.0, 1e-3, 30).table(0, 31)
    np.testing.assert_allclose(table[1:] / table[:-1], 1e-3 ** (1 / 30), rtol=1e-12)
    assert (table[0], table[30]) == (1.0, 1e-3)


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_exponential_refuses_a_zero_at_either_end(start, end):
    with pytest.raises(ParameterError, match=r"start and end must be above 0.* use Linear"):
        Exponential(start, end)


def test_exponential_rises_as_the_ramp_of_a_range_test():
    assert Exponential(1e-5, 10.0, 6)(3) == pytest.approx(1e-2, rel=1e-12)


def test_cosine_is_at_half_height_in_the_middle_and_symmetric_about_it():
    table = Cosine(1.0, 0.2, 10).table(0, 11)
    assert table[5] == pytest.approx(0.6, rel=1e-14)
    np.testing.assert_allclose(table + table[::-1], 1.2, rtol=1e-14)


def test_exp_range_keeps_its_base():
    cycle = ExpRange(0.1, 1.0, 2, gamma=0.5)
    assert [cycle(step) for step in (0, 4, 8, 400)] == [0.1] * 4
    assert ExpRange(0.1, 1.0, 2).gamma == 0.9999


def test_defaults_are_as_documented():
    assert Polynomial(1.0, 0.0).power == 2.0
    assert Cosine(1.0, 0.0).steps == "rest"
