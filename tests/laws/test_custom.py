"""A function of yours keeps the laws that a function can keep, and says clearly which it cannot."""

import numpy as np
import pytest
import torch

from stepsize.kernel.errors import ParameterError, SpecError
from stepsize.results.io import CATALOGUE, dumps
from stepsize.schedules import Custom, Linear, Repeat, Schedule
from stepsize.testing.schedules import endless


def inverse(step):
    return 1.0 / (1 + step)


def test_its_table_is_the_function_step_by_step():
    schedule = Custom(inverse).over(50)
    table = schedule.table(0, 60)
    assert table.tolist() == [1.0 / (1 + step) for step in range(60)]
    np.testing.assert_array_equal(schedule.table(7, 20), table[7:20])
    np.testing.assert_array_equal(schedule(np.arange(60)), table)
    assert schedule(3) == 0.25


def test_a_function_that_takes_whole_steps_alone_gets_them():
    assert Custom(lambda step: [0.1, 0.2, 0.3][step]).table(0, 3).tolist() == [0.1, 0.2, 0.3]


def test_a_function_of_one_whole_step_may_be_asked_for_an_array_and_stand_in_an_operator():
    """Only the table went step by step; an array, or a Repeat around it, gave the function all steps at once."""
    falls = Custom(lambda step: [0.3, 0.2, 0.1][step], 3)
    assert falls(np.array([[0, 2], [1, 1]])).tolist() == [[0.3, 0.1], [0.2, 0.2]]
    assert Repeat(falls).table(0, 7).tolist() == [0.3, 0.2, 0.1, 0.3, 0.2, 0.1, 0.3]


def test_another_library_asks_the_function_for_its_own_arrays():
    torch.testing.assert_close(Custom(inverse)(torch.arange(3)), torch.tensor([1.0, 0.5, 1 / 3], dtype=torch.float64))


def test_it_is_a_part_like_any_other():
    schedule = (Linear(0.0, 1.0, 2) >> Custom(inverse, 2) >> Linear(1.0, 0.0, 2)).over(6)
    assert schedule.table(0, 7).tolist() == [0.0, 0.5, 1.0, 0.5, 1.0, 0.5, 0.0]


def test_one_function_is_one_value():
    assert Custom(inverse) == Custom(inverse)
    assert hash(Custom(inverse)) == hash(Custom(inverse))
    assert Custom(inverse) != Custom(lambda step: 1.0 / (1 + step))


@pytest.mark.parametrize("schedule", [Custom(inverse), Repeat(Custom(inverse, 5)), 0.5 * Custom(inverse)])
def test_it_cannot_be_saved_and_says_what_to_save_instead(schedule):
    with pytest.raises(SpecError, match=r"holds a function, and a file holds no functions\. Save its values instead"):
        dumps(schedule)


@pytest.mark.parametrize("function", ["os.system", None, 3])
def test_no_file_makes_one(function):
    data = {"stepsize": 1, "value": {"kind": "Custom", "function": function}}
    with pytest.raises(SpecError, match=r"at \$\.value: Custom\.function must be a function of the step, not"):
        CATALOGUE.open(data, Schedule)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(ParameterError, match=r"Custom\.function must be a function of the step, not 0\.1"):
        Custom(0.1)


def test_nobody_knows_where_it_stops():
    assert endless(Custom(inverse))
    assert endless(Linear(0.0, 1.0, 3) >> Custom(inverse))
