"""The catalogue page is what its script makes of the code today, and nothing is missing from it."""

import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from stepsize.kernel.length import REST
from stepsize.policies import RECIPES
from stepsize.results.io import CATALOGUE
from stepsize.schedules import Schedule

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "catalogue"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
SCHEDULES = CATALOGUE.of(Schedule)


@pytest.fixture(scope="module")
def catalogue():
    """The script, which stands outside of the package; by its path, since others have a package of that name."""
    spec = importlib.util.spec_from_file_location("catalogue_script", ROOT / "scripts" / "catalogue.py")
    script = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec.loader.exec_module(script)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return script


def test_the_page_is_up_to_date(catalogue):
    assert catalogue.page() == PAGE, "run: python scripts/catalogue.py"


def test_the_pictures_are_those_of_the_page(catalogue):
    named = {name for name, _ in catalogue.drawings()}
    assert named == {file.name for file in FOLDER.glob("*.svg")}, "run: python scripts/catalogue.py"
    assert named == set(re.findall(r"\]\((\w+\.svg)\)", PAGE))


def test_pictures_are_small_and_well_formed(catalogue):
    for name, drawing in catalogue.drawings():
        assert ET.fromstring(drawing).tag.endswith("svg"), name  # noqa: S314  (our own text)
        assert "nan" not in drawing, name
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1_500_000


@pytest.mark.parametrize("name", [*RECIPES, *SCHEDULES])
def test_everything_with_a_name_is_listed(name):
    kind = "policy" if name in RECIPES else "schedule"
    assert f"\n### {name}\n" in PAGE
    assert f"[{name}](#{kind}-{name.lower()})" in PAGE
    assert f'<a id="{kind}-{name.lower()}"></a>' in PAGE


def test_every_link_inside_the_page_has_its_anchor():
    anchors = set(re.findall(r'<a id="([^"]+)">', PAGE))
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) == anchors


@pytest.mark.parametrize("name", SCHEDULES)
def test_an_example_shows_something_and_is_its_kind(name, catalogue):
    value, run = catalogue.example(SCHEDULES[name])
    assert type(value) is SCHEDULES[name]
    table = value.over(run).table(0, run)
    assert table.min() >= 0
    assert name == "Constant" or len(set(table.round(2))) > 2
    whole = [part for part in vars(value).values() if isinstance(part, Schedule) and part.steps == REST]
    assert not any(np.allclose(part.over(run).table(0, run), table) for part in whole)


def test_what_explains_fields_becomes_a_list(catalogue):
    text = catalogue._listed("a, b: the ends. c: the\n    length.\nThe rest follows.", ["a", "b", "c"])
    assert text == "- `a`, `b`: the ends.\n- `c`: the length.\n\nThe rest follows."


def test_names_in_latex_are_read(catalogue):
    assert catalogue._plain(r"H{\"a}gele, Doll{\'a}r, {\L}ukasz -- {SGDR}") == "Hägele, Dollár, Łukasz - SGDR"
