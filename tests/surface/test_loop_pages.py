"""docs/loops.md and docs/complaints.md name tests; those tests exist, and no complaint or loop is left out."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
NAMED = re.compile(r"`(test_\w+)`")
PROPERTIES = {
    "test_values_right_at_each_update",
    "test_resume_is_bit_identical",
    "test_accumulation",
    "test_skipped_steps",
    "test_two_processes",
    "test_saved_and_reloaded",
}


def names_in(folder):
    """The names of the test functions below a folder or in a file."""
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.py"))
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return {
        node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
        if node.name.startswith("test_")
    }  # fmt: skip


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["complaints.md", "loops.md"])
def test_a_page_names_tests_that_exist(name):
    named = set(NAMED.findall(page(name)))
    assert named
    assert named <= names_in(TESTS)


def test_every_test_of_a_complaint_stands_on_the_page():
    assert names_in(TESTS / "complaints") <= set(NAMED.findall(page("complaints.md")))


LOOPS = sorted((TESTS / "loops").glob("test_*.py"))


@pytest.mark.parametrize(
    "file", [file for file in LOOPS if file.stem not in {"test_how_to", "test_range_test"}], ids=lambda file: file.stem
)
def test_every_cell_of_a_loop_is_a_test_or_says_why_not(file):
    """A row of the table has one cell for each property: `yes` where there is the test of that name, else a reason."""
    framework = file.stem.removeprefix("test_")
    (row,) = [line for line in page("loops.md").splitlines() if line.startswith(f"| [{framework}]")]
    cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
    header = next(line for line in page("loops.md").splitlines() if line.startswith("| framework"))
    columns = NAMED.findall(header)
    assert set(columns) == PROPERTIES
    found = names_in(file)
    assert [cell.startswith("yes") for cell in cells] == [column in found for column in columns]
    assert all(cells)
    assert (ROOT / "docs" / "how-to" / f"{framework}.md").exists()
