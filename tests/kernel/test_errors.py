"""The exception tree, the near misses, and what a missing package says."""

import builtins
import tomllib
from pathlib import Path

import pytest

from stepsize.kernel import errors, notebook, optional
from stepsize.kernel.errors import MissingPackageError, brief, suggestion

ROOT = Path(__file__).parents[2]

TREE = {
    "ParameterError": ("StepsizeError", "ValueError"),
    "LengthError": ("ParameterError",),
    "UnboundError": ("StepsizeError", "RuntimeError"),
    "SpecError": ("StepsizeError", "ValueError"),
    "FormatError": ("SpecError",),
    "TaskError": ("StepsizeError", "ValueError"),
    "BudgetError": ("StepsizeError", "ValueError"),
    "DriveError": ("StepsizeError", "ValueError"),
    "PoolError": ("StepsizeError", "RuntimeError"),
    "PluginError": ("StepsizeError", "ImportError"),
    "JournalError": ("StepsizeError", "OSError"),
    "MissingPackageError": ("StepsizeError", "ImportError"),
}


@pytest.mark.parametrize("name", TREE)
def test_each_error_refines_ours_and_a_builtin(name):
    bases = tuple(base.__name__ for base in getattr(errors, name).__bases__)
    assert bases == TREE[name]


def test_the_tree_is_whole_and_drawn_in_the_docstring():
    found = {
        name for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.StepsizeError)
    }  # fmt: skip
    assert found == {*TREE, "StepsizeError"}
    assert all(name in errors.__doc__ for name in found)


def test_a_near_miss_is_suggested_whatever_its_case():
    assert suggestion("Linar", ["Linear", "Cosine"]) == "Did you mean 'Linear'?"
    assert suggestion("LR", ["lr", "momentum"]) == "Did you mean 'lr'?"


def test_without_a_near_miss_the_allowed_are_listed_in_order():
    assert suggestion("zzz", ["b", "a"]) == "Allowed: a, b."
    assert suggestion("zzz", [f"n{i:02}" for i in range(50)]).endswith("n38, n39, and 10 more (stepsize list).")


@pytest.mark.parametrize("value", ["x" * 10**6, 10**4000, list(range(10**5)), {"a": "b" * 10**5}])
def test_a_long_value_is_brief_in_a_message(value):
    assert len(brief(value)) < 200


def test_a_deep_value_is_brief_in_a_message():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert len(brief(deep)) < 100


def hidden(monkeypatch, *names):
    real = builtins.__import__
    monkeypatch.setattr(optional.importlib, "import_module", lambda name: _import(name, names, real))


def _import(name, names, real):
    if name.partition(".")[0] in names:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name)


@pytest.fixture(autouse=True)
def _extras_of_pyproject(monkeypatch):
    """The extras as they are written, whatever was installed last."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    lines = [f"{line}; extra == '{extra}'" for extra, lines in extras.items() for line in lines]
    monkeypatch.setattr(optional.metadata, "requires", lambda _: lines)


@pytest.mark.parametrize(
    ("package", "extra"),
    [
        ("torch", "torch"), ("scipy.stats", "report"), ("matplotlib.pyplot", "plot"), ("jinja2", "plot"),
        ("sklearn.datasets", "examples"), ("jax", "jax"), ("optax", "jax"), ("keras", "keras"), ("ray", "ray"),
    ],
)  # fmt: skip
def test_a_missing_package_says_which_extra_brings_it(monkeypatch, package, extra):
    root = package.partition(".")[0]
    hidden(monkeypatch, root)
    with pytest.raises(MissingPackageError, match=rf"the package '{root}', .* pip install 'stepsize\[{extra}\]'"):
        optional.need(package)


@pytest.mark.parametrize(
    ("packages", "command"),
    [
        (["torch", "scipy"], "'stepsize[torch]'"), (["jinja2", "matplotlib", "scipy"], "'stepsize[report]'"),
        (["torch", "scipy", "jinja2", "matplotlib"], "'stepsize[report,torch]'"), (["PIL"], "pillow"),
        (["scipy", "ray"], "'stepsize[ray,report]'"), (["sklearn", "pandas"], "'stepsize[examples]' pandas"),
    ],
)  # fmt: skip
def test_what_is_missing_is_installed_by_the_fewest_extras(packages, command):
    assert optional.installs(packages) == f"pip install {command}"


def test_a_module_of_ours_that_lacks_a_package_says_which(monkeypatch):
    def lacking(name):
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")

    monkeypatch.setattr(optional.importlib, "import_module", lacking)
    with pytest.raises(MissingPackageError, match=r"the package 'torch', .* pip install 'stepsize\[torch\]'"):
        optional.need("stepsize.problems.own_loss")


def test_a_package_that_is_there_but_lacks_its_own_is_not_called_missing(monkeypatch):
    def broken(name):
        raise ModuleNotFoundError("No module named 'inner'", name="inner")

    monkeypatch.setattr(optional.importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="inner") as caught:
        optional.need("torch")
    assert not isinstance(caught.value, MissingPackageError)


def test_installed_looks_without_importing():
    assert optional.installed("json")
    assert not optional.installed("no_such_package_of_ours")


def test_a_picture_needs_matplotlib(monkeypatch):
    hidden(monkeypatch, "matplotlib")
    with pytest.raises(MissingPackageError, match=r"stepsize\[plot\]"):
        notebook.picture("plot_schedule")
