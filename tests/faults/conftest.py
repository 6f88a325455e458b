"""One thread: the models of these tests are tiny, and threads that wait for each other are slow on a shared machine."""

import pytest
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Mark what lies here, so that `-m faults` selects it."""
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.faults)
