"""The how-to pages, and others that are programs: every `python` block of a page runs, in order, in one namespace."""

import re
from pathlib import Path

import forked
import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [
    *sorted((DOCS / "how-to").glob("*.md")),
    DOCS / "race.md",
    DOCS / "refine.md",
    DOCS / "predict.md",
    DOCS / "first-hour.md",
]
PAGES.remove(DOCS / "how-to" / "task.md")  # its blocks are files, one by one: tests/problems/test_task_page.py
PAGES.remove(DOCS / "how-to" / "command-line.md")  # it has no program: tests/cli/test_streams.py, test_environment.py
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN = re.compile(r"^<!-- run: (.*) -->")
ADAPTERS = Path(__file__).parents[2] / "src" / "stepsize" / "adapters"
NEEDS = {
    "cluster": "ray",
    "optimizers": "pytorch_optimizer",
    **{adapter.stem: adapter.stem for adapter in ADAPTERS.iterdir()},
}
"""What a page needs, by its name: the page of an adapter is called as the framework is."""


SLOW = {"race"}
"""A page whose program takes half a minute, being a whole race; what it calls has tests of its own."""


def _each(page):
    return pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in SLOW else [])


@pytest.mark.parametrize("page", [_each(page) for page in PAGES])
def test_a_page_runs(page, tmp_path):
    """In a process of its own: frameworks set process-wide things, and a reader starts with none of them."""
    if page.stem in NEEDS:
        pytest.importorskip(NEEDS[page.stem])
    text = page.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert blocks, "the page has no program"
    settings = dict(pair.split("=", 1) for pair in RUN.match(text)[1].split()) if RUN.match(text) else {}
    script = tmp_path / f"{page.stem}_page.py"
    script.write_text("\n\n".join(blocks), encoding="utf-8")
    (done,) = forked.run([script], tmp_path, settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip(), "a program that prints nothing shows nothing"
