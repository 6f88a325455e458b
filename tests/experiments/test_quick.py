"""Every experiment runs in its quick form; those whose numbers are exact are held to them."""

from functools import cache
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from experiments.base import Setup
from experiments.catalogue import EXPERIMENTS
from experiments.figures import svg
from experiments.records import RECORDS, Record

from stepsize.kernel.spec import envelope


@cache
def run(name):
    said = []
    record, figure = EXPERIMENTS[name].run(Setup(quick=True, tell=lambda stage, updates: said.append((stage, updates))))
    return record, figure, said


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_runs_and_leaves_a_whole_record_and_a_small_picture_with_labels(name):
    record, figure, said = run(name)
    assert (record.name, record.quick, record.seed) == (name, True, 0)
    assert record.rows
    assert len({check.says for check in record.checks}) == len(record.checks)
    assert RECORDS.open(envelope(record), Record) == record
    assert said or name in {"cycles", "one-cycle-momentum", "decay", "small-rate", "large-rate"}  # these share a run
    drawn = svg(figure)
    assert ET.fromstring(drawn).tag.endswith("svg")  # noqa: S314  (our own text)
    assert len(drawn) < 150_000
    assert drawn.count("<text") > 4


def test_adam_goes_to_the_worst_point_and_amsgrad_to_the_best():
    record, _, _ = run("reddi")
    last = {row.what: row.value for row in record.rows if row.quantity == "x at the end"}
    assert last["Adam"].low == pytest.approx(0.9998, abs=1e-4)
    assert last["AMSGrad"].high == pytest.approx(-0.9998, abs=1e-4)
    assert record.verdict == "holds"


def test_the_sharpness_is_held_at_two_over_the_rate():
    record, _, _ = run("edge-of-stability")
    assert record.checks[0].measured.mean == pytest.approx(1.0, abs=0.03)


def test_the_same_seed_gives_the_same_record_and_picture():
    first, second = (EXPERIMENTS["reddi-1010"].run(Setup(quick=True)) for _ in range(2))
    assert first[0] == second[0]
    assert svg(first[1]) == svg(second[1])  # drawn once each: a second drawing of one figure moves its layout


def test_another_seed_gives_other_numbers():
    record, _ = EXPERIMENTS["horizon"].run(Setup(seed=1, quick=True))
    assert np.any([a.value != b.value for a, b in zip(record.rows, run("horizon")[0].rows, strict=True)])
