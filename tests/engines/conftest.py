"""One thread: the models of these tests are tiny, and threads that wait for each other are slow on a shared machine."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def one_thread():
    """One thread, and afterwards as many as before: for what runs on one alone, after tests that set more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
