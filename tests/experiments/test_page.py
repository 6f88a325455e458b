"""The page is what the committed records make of it, and every experiment has one."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from experiments import page
from experiments.catalogue import EXPERIMENTS

from stepsize.kernel.errors import FormatError

PAGE = page.PAGE.read_text(encoding="utf-8")
KEYS = set(re.findall(r"@\w+\{(\w+),", (page.ROOT / "docs" / "references.bib").read_text(encoding="utf-8")))


def test_the_page_is_up_to_date():
    assert page.page() == PAGE, "run: python -m experiments.page"


def test_every_experiment_has_its_record_and_its_picture_and_nothing_else_lies_there():
    wanted = {f"{name}.{end}" for name in EXPERIMENTS for end in ("json", "svg")}
    assert {file.name for file in page.FOLDER.iterdir()} == wanted


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_record_is_of_a_full_run_of_the_claim_as_it_stands(name):
    record = page.read(page.FOLDER / f"{name}.json")
    assert not record.quick
    assert (record.name, record.claim, record.source) == (name, EXPERIMENTS[name].claim, EXPERIMENTS[name].source)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_picture_is_small_and_well_formed(name):
    file = page.FOLDER / f"{name}.svg"
    assert file.stat().st_size < 150_000
    assert ET.fromstring(file.read_text(encoding="utf-8")).tag.endswith("svg")  # noqa: S314  (our own text)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_source_is_known(name):
    cited = set(re.findall(r"\b[a-z]+\d{4}[a-z0-9]+\b", EXPERIMENTS[name].source))
    assert cited <= KEYS
    assert cited or EXPERIMENTS[name].source.startswith("article")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_row_has_the_verdict_and_the_command(name):
    record = page.read(page.FOLDER / f"{name}.json")
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"(#{name})" in line]
    assert f"**[{record.verdict}](#{name})** | `python -m experiments {name} --out docs/experiments`" in row
    assert f"\n## {name}\n" in PAGE


def test_a_missing_record_says_how_to_make_it():
    with pytest.raises(FormatError, match="run python -m experiments nothing"):
        page.read(Path("nothing.json"))
