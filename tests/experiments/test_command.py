"""The command lists, runs, writes, and refuses what it does not know."""

import json

import pytest
from click.testing import CliRunner
from experiments.__main__ import main
from experiments.catalogue import EXPERIMENTS


def test_without_a_name_it_lists_every_claim():
    said = CliRunner().invoke(main, []).output
    for name, experiment in EXPERIMENTS.items():
        assert name in said
        assert experiment.claim in said


def test_it_tells_the_verdict_and_writes_the_record_and_the_picture(tmp_path):
    result = CliRunner().invoke(main, ["reddi", "--quick", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "reddi: holds (quick: it means nothing)" in result.output
    assert json.loads((tmp_path / "reddi.json").read_text())["value"]["verdict"] == "holds"
    assert (tmp_path / "reddi.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["redi"], "Did you mean 'reddi'"), (["reddi", "--seed", "-1"], "--seed"), (["reddi", "--slow"], "--slow")],
)
def test_wrong_input_is_refused(arguments, message):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.output
