"""For doctests and tests alike: Keras runs on torch, and a module whose framework is missing is no doctest."""

import gc
import importlib.util
import os
import re
from pathlib import Path

import pytest

from stepsize.kernel import extensions

os.environ.setdefault("KERAS_BACKEND", "torch")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many tests as cores run at once, so a thread each is enough
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ADAPTERS = Path(__file__).parent / "src" / "stepsize" / "adapters"
NEEDED = re.compile(r"""= need\(["'](\w+)""")


def _missing(module: Path) -> bool:
    """Whether an adapter needs a package, as it is imported, that is not installed."""
    packages = NEEDED.findall(module.read_text(encoding="utf-8"))
    return any(importlib.util.find_spec(package) is None for package in packages)


collect_ignore_glob = ["tests/loops/*_loop.py"]  # test_conformance.py imports those whose framework is there
collect_ignore = [str(module) for module in sorted(ADAPTERS.rglob("*.py")) if _missing(module)]


@pytest.fixture(autouse=True)
def _leaves_the_catalogue_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test, or the example of a docstring, registers."""
    kept = {group: dict(kinds) for group, kinds in extensions.REGISTERED.items()}
    monkeypatch.setattr(extensions, "REGISTERED", kept)


def pytest_collection_finish() -> None:
    """Have no later collection of garbage look through a million objects of the tests that were collected."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Nor through what the files before have imported, and keep."""
    if nextitem is None or item.path != nextitem.path:
        gc.collect()
        gc.freeze()
