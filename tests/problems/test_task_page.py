"""The page on tasks: each of its examples is a whole task file of at most 15 lines, which `stepsize advise` takes."""

import math
import re
import runpy
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from stepsize import load, load_task
from stepsize.cli.main import cli
from stepsize.engines import Ensemble, Loop
from stepsize.engines.vectorised.refusal import refusal
from stepsize.policies import constant
from stepsize.problems import data_warnings
from stepsize.rules import AdamW
from stepsize.strategy import Strategy, Trial
from stepsize.testing import check_task

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "task.md"
SECTIONS = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILES = {section.partition("\n")[0]: BLOCK.findall(section) for section in SECTIONS}
LEAKING = "What is looked at before anything runs"


@pytest.fixture
def file(request, tmp_path, monkeypatch):
    """The example of a section as a file, with the module that it imports beside it."""
    *others, text = FILES[request.param]
    for other in others:
        (tmp_path / other.partition("\n")[0].removeprefix("# ")).write_text(other)
    monkeypatch.delitem(sys.modules, "mytask", raising=False)
    monkeypatch.delitem(sys.modules, "mymodule", raising=False)
    path = tmp_path / "mytask.py"
    path.write_text(text)
    return path


every = pytest.mark.parametrize("file", FILES, indirect=True)


def test_the_page_has_an_example_in_each_section():
    assert len(FILES) == 10
    assert all(files for files in FILES.values())


@every
def test_an_example_is_a_task_of_at_most_15_lines(file):
    assert len(file.read_text().splitlines()) <= 15
    check_task(load_task(str(file)))


@pytest.mark.parametrize("file", [name for name in FILES if name != LEAKING], indirect=True)
def test_nothing_is_doubtful_in_an_example(file):
    assert data_warnings(load_task(str(file))) == ()


@pytest.mark.parametrize("file", [LEAKING], indirect=True)
def test_the_example_of_a_leak_says_so(file, capsys):
    runpy.run_path(str(file), run_name="__main__")
    assert "(100%) are training samples too" in capsys.readouterr().out


@every
def test_an_example_trains_and_its_score_falls(file):
    task = load_task(str(file))
    engine = Loop() if refusal(task) else Ensemble(device="cpu")
    curves = engine.run(task, [Trial(Strategy(AdamW(), constant(0.01)), seed) for seed in (0, 1)], 40)
    assert (curves.final < [task.score(task.build(seed)) for seed in (0, 1)]).all()


@pytest.mark.parametrize("file", ["A Lightning module", "A metric in place of the loss"], indirect=True)
def test_advise_takes_an_example(file, tmp_path):
    """It finds what is better than a guess at two classes; an accuracy is a negative score."""
    kept = tmp_path / "advice.json"
    words = [
        "--steps",
        "40",
        "--budget",
        "4",
        "--rules",
        "AdamW",
        "--policies",
        "constant,cosine",
        "--save",
        str(kept),
    ]
    done = CliRunner().invoke(cli, ["advise", str(file), "--save", str(kept), *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    advice = load(kept)
    if load_task(str(file)).mode == "max":
        assert -1 <= advice.best_score < -0.75
    else:
        assert 0 < advice.best_score < math.log(2)
