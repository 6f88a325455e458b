"""The modules of bench/range_test, which are no package: a folder that Python runs."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "bench" / "range_test"


@pytest.fixture(scope="module", autouse=True)
def _found():
    """Let the modules find each other, and forget them afterwards: their names are plain words."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def module():
    """Import a module of the benchmark by name."""
    return import_module
