"""Where a schedule takes several numbers, it takes an array of them, and is the same value."""

import array

import numpy as np
import pytest
import torch

from stepsize.kernel.errors import ParameterError
from stepsize.policies.dialects.pytorch import MultiStepLR
from stepsize.schedules import Interpolated, MultiStep, Table

ARRAYS = {"numpy": np.array, "torch": torch.tensor, "array": lambda values: array.array("d", values)}


@pytest.mark.parametrize("made", ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_as_good_as_a_list(made):
    assert Interpolated(at=made([0.0, 2.0, 4.0]), values=made([0.0, 1.0, 0.5])) == Interpolated((0, 2, 4), (0, 1, 0.5))
    assert Table(made([0.5, 0.25])) == Table((0.5, 0.25))


@pytest.mark.parametrize("made", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_an_array_of_steps_is_one_of_lengths(made):
    assert MultiStep(0.1, 0.5, at=made([3, 5])) == MultiStep(0.1, 0.5, at=(3, 5))
    assert MultiStep(0.1, 0.5, at=np.array(["30%", "60%"])) == MultiStep(0.1, 0.5, at=("30%", "60%"))
    assert MultiStepLR(0.1, made([3, 5])) == MultiStepLR(0.1, [3, 5])


@pytest.mark.parametrize(
    "given", [np.array(3.0), np.array([[1.0]]), np.array([np.nan]), np.ma.masked_invalid([np.nan])]
)
def test_an_array_of_something_else_is_refused(given):
    with pytest.raises(ParameterError, match=r"Table\.values.* must be"):
        Table(given)
