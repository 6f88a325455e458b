"""One thread: the models of these tests are tiny, and threads that wait for each other are slow on a shared machine."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="module")
def _speed(batch_is_faster):
    """No test depends on what is faster here."""
