"""`-`: a value or a log from standard input, and any one file to standard output."""

import io
import json
import sys

import pytest

from stepsize.policies import one_cycle
from stepsize.results import Refinement
from stepsize.results.io import loads

LOG = "step,lr,loss,grad_norm\n" + "".join(f"{i},0.1,{9 / (i + 1)},1\n" for i in range(99))


@pytest.fixture
def typed(monkeypatch):
    """Put a text on standard input."""

    def put(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return put


def test_what_show_prints_is_shown(stepsize, typed):
    typed(stepsize("show", "one_cycle", "peak=0.1", "--json").out)
    assert stepsize("show", "-", "--code").out == f"{one_cycle(0.1)!r}\n"


def test_a_log_is_refined_and_the_result_is_alone_on_standard_output(stepsize, typed, folder):
    typed(LOG)
    done = stepsize("refine", "-", "--save", "-")
    assert isinstance(loads(done.out), Refinement)
    assert "It rises for" in done.err
    assert "Wrote" not in done.err
    typed(done.out)
    assert "Area under the learning rate" in stepsize("show", "-").out
    assert not list(folder.iterdir())


def test_a_page_of_what_is_typed_goes_to_standard_output(stepsize, typed):
    typed(LOG)
    saved = stepsize("refine", "-", "--json").out
    typed(saved)
    page = stepsize("report", "-", "--out", "-")
    assert page.out.startswith("<!doctype html>")
    assert page.err == ""


def test_a_strategy_is_transferred_from_one_stream_to_the_other(stepsize, typed):
    typed(stepsize("transfer", "AdamW one_cycle 0.01", "--from", "400", "--to", "800", "--json").out)
    done = stepsize("transfer", "-", "--from", "800", "--to", "1600", "--save", "-")
    assert loads(done.out).peak == pytest.approx(0.01 * 4**-0.2, rel=0.01)


def test_a_picture_goes_to_standard_output(stepsize):
    assert "<svg" in stepsize("show", "cosine", "--plot", "-").out


@pytest.mark.parametrize(
    "line",
    ["show - -", "show cosine --plot - --json", "refine - --save - --plot -", "refine - --save - --json", "show -"],
)
def test_what_cannot_be_is_refused_in_one_line(refused, typed, line):
    typed("no value")
    assert len(refused(*line.split())) < 300


def test_a_command_that_fails_writes_nothing(refused, typed):
    typed(json.dumps({"stepsize": 1}))
    refused("show", "-", "--plot", "-")
