"""docs/parity.md names tests that exist, where it says that they are, and every dialect and difference is on it."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from stepsize.policies import dialects

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(test_\w+)`", PAGE)
FILES = {file.relative_to(ROOT).as_posix(): file for file in sorted((ROOT / "tests").rglob("test_*.py"))}
TESTS = {
    path: {
        node.name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    for path, file in FILES.items()
}
ALL = set().union(*TESTS.values())
COLUMNS = {
    "torch": dialects.pytorch,
    "optax": dialects.optax,
    "Keras": dialects.keras,
    "transformers": dialects.transformers,
    "timm": dialects.timm,
    "fastai": dialects.fastai,
}


def rows():
    """The cells of the table of forms and frameworks."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| form | torch |")]
    (head,) = lines
    table = PAGE[PAGE.index(head) :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table if not line.startswith("|---")]


def sections():
    """The file in each heading, and the names that its list begins with."""
    found = {}
    for part in re.split(r"^(?=#)", PAGE, flags=re.MULTILINE):
        path = re.match(r"### .*`(tests/\S+)`\n", part)
        if path:
            found.setdefault(path[1], []).extend(re.findall(r"^- `(test_\w+)`", part, re.MULTILINE))
    return found


def test_every_test_that_the_page_names_exists():
    assert NAMED
    assert not sorted(set(NAMED) - ALL)


@pytest.mark.parametrize(("path", "names"), sections().items(), ids=sections())
def test_a_list_names_tests_of_the_file_in_its_heading(path, names):
    assert names
    assert not sorted(set(names) - TESTS[path])


def test_every_file_that_the_page_names_exists():
    paths = re.findall(r"`(tests/[\w/.]+)`", PAGE)
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def test_every_difference_that_is_tested_stands_on_the_page():
    held = {
        name
        for path, names in TESTS.items()
        if path.startswith(("tests/dialects/", "tests/parity/"))
        for name in names
        if name.startswith("test_difference_")
    }
    assert held
    assert not sorted(held - set(NAMED))


def test_every_dialect_has_a_column():
    modules = {name: module for name, module in vars(dialects).items() if inspect.ismodule(module)}
    assert {name for name in modules if name != "shared"} == {
        module.__name__.rpartition(".")[2] for module in COLUMNS.values()
    }
    assert rows()[0] == ["form", *COLUMNS]


@pytest.mark.parametrize("peer", COLUMNS)
def test_every_function_of_a_dialect_stands_in_its_column(peer):
    module, place = COLUMNS[peer], 1 + list(COLUMNS).index(peer)
    found = {
        name
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }
    column = {word for row in rows()[1:] for word in re.findall(r"`(\w+)`", row[place])}
    assert not sorted(found - column)


def test_every_cell_of_a_form_names_a_test_or_says_that_there_is_none():
    for form, *cells in rows()[1:]:
        assert len(cells) == len(COLUMNS), form
        for cell in cells:
            assert cell in {"-", "not tested"} or re.search(r"`test_\w+` ", cell), (form, cell)
