"""The modules of a benchmark, which are no package: `test_range_test.py` tests the folder bench/range_test."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module", autouse=True)
def _found(request):
    """Let the modules of the folder find each other, and forget them afterwards: their names are plain words."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    modules, path = set(sys.modules), sys.path.copy()
    sys.path.insert(0, str(BENCH / request.path.stem.removeprefix("test_")))
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def module():
    """Import a module of the benchmark by name."""
    return import_module
