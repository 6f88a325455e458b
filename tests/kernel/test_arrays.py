"""What is one number, of any library."""

import numpy as np
import pytest
import torch

from stepsize.kernel.arrays import as_number
from stepsize.kernel.errors import TaskError


@pytest.mark.parametrize(
    "value",
    [2, 2.0, np.float32(2), np.array(2), np.array([[2.0]]), torch.tensor(2.0, requires_grad=True), torch.tensor([2])],
)
def test_one_number_of_any_library_is_a_float(value):
    assert as_number(value, "loss") == 2.0


@pytest.mark.parametrize("value", [None, "1.0", b"1", [1.0], {}, 1j, np.ones(3), torch.ones(1, 2), 10**400])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TaskError, match=r"a score is one number, not .*take its mean"):
        as_number(value, "score")


def test_a_number_of_jax_is_one_and_a_traced_one_is_not():
    jax = pytest.importorskip("jax")
    assert as_number(jax.numpy.asarray(2.0), "loss") == 2.0
    with pytest.raises(TaskError, match="outside of compiled code"):
        jax.jit(lambda x: as_number(x, "loss"))(1.0)
