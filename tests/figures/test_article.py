"""The article's page: it shows every figure, its links lead somewhere, and its code runs."""

import doctest
import re
from pathlib import Path

import pytest

from stepsize.figures import FIGURES
from stepsize.policies import RECIPES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "article.md").read_text(encoding="utf-8")
COMMANDS = " ".join(re.findall(r"stepsize figures --only ([\w,]+)", PAGE)).replace(",", " ").split()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_shown_described_and_made_by_a_command(name):
    assert re.search(rf"!\[.{{60,}}\]\(figures/{name}\.svg\)", PAGE)
    assert name in COMMANDS
    assert (DOCS / "figures" / f"{name}.svg").stat().st_size < 150_000


def test_there_are_no_other_figures():
    assert {file.name for file in (DOCS / "figures").iterdir()} == {f"{name}.svg" for name in FIGURES}
    assert set(COMMANDS) == set(FIGURES)


@pytest.mark.parametrize("page", [DOCS / "article.md", DOCS / "README.md", DOCS.parent / "README.md"], ids=str)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]


def test_what_the_page_prints_is_what_is_printed():
    done = doctest.testfile(str(DOCS / "article.md"), module_relative=False)
    assert done.attempted > 8
    assert done.failed == 0


def test_the_programs_of_the_page_run():
    for program in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        exec(program, {})  # noqa: S102  (our own page)


def test_every_policy_that_the_page_names_in_a_command_is_there():
    for arguments in re.findall(r"`stepsize show ([^`]*)`", PAGE):
        names = [name for name in arguments.partition("--")[0].split() if "=" not in name]
        assert names
        assert set(names) <= set(RECIPES)
