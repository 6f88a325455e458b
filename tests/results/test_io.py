"""Files: whole or not at all, every kind there and back, and a foreign file is a FormatError with its name."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stepsize.kernel.errors import FormatError, SpecError
from stepsize.kernel.spec import Spec, encode
from stepsize.policies import RECIPES, Clock, Groups, Policy, one_cycle
from stepsize.problems.landscapes import Booth, Landscape
from stepsize.problems.noise import Gaussian, Noise
from stepsize.results import (
    Advice,
    Baseline,
    Curves,
    Descent,
    Estimate,
    Forecast,
    HyperparameterSweep,
    Insurance,
    Interval,
    LawFit,
    LossCurve,
    Outcome,
    Prediction,
    Race,
    RangeTestRecord,
    RateBelief,
    RateGrid,
    Refinement,
    Rung,
    SearchRun,
    Sensitivity,
    Sharpness,
    Standing,
    Suggestion,
    io,
    load,
    save,
)
from stepsize.rules import SGD, AdamW, Rule
from stepsize.schedules import Cosine, Feedback, Linear, Schedule
from stepsize.strategy import Strategy, Trial

STRATEGIES = (Strategy(AdamW(), one_cycle(0.01)).over(40), Strategy(SGD(), Policy(lr=Cosine(0.1, 0.0)), "plain"))
TRIALS = tuple(Trial(strategy, seed) for strategy in STRATEGIES for seed in (1, 2))
CURVES = Curves(
    TRIALS, 3,
    np.array([[2, 2, 2, 2], [1, 1, np.nan, 3], [0.5, 1, np.nan, np.inf]], dtype=np.float32),
    np.array([1, 3]), np.array([[1.0, 1, 1, 1], [0.4, 0.9, np.nan, np.inf]]), 1.5, "loop on cpu",
)  # fmt: skip
INTERVAL = Interval(0.65, -math.inf, math.nan)
RUNG = Rung(3, STRATEGIES, (1, 2), np.array([[0.4, 0.9], [np.inf, np.inf]]))
STANDINGS = (
    Standing(strategy=STRATEGIES[0], score=INTERVAL, behind=None, diverged=0, tied=False),
    Standing(
        strategy=STRATEGIES[1],
        score=Interval(math.inf, math.inf, math.inf),
        behind=Interval(0.1, 0.0, 0.2),
        diverged=2,
        tied=True,
    ),
)
RACE = Race(
    task="digits",
    steps=3,
    rungs=(RUNG, RUNG),
    standings=STANDINGS,
    curves=CURVES,
    agreement=(0.5, math.nan),
    cost=2.5,
    engine="loop: why",
    seconds=9.0,
)
RUNS = {
    "task": "digits", "rule": SGD(), "losses": np.full((6, 2), np.nan, dtype=np.float32), "seeds": (1, 2),
    "seconds": 0.5, "steps": 6, "cost": 12,
}  # fmt: skip
RANGE_TEST = RangeTestRecord(rates=np.geomspace(1e-5, 10, 6), planned=9, memory=3, **RUNS)
GRID = RateGrid(rates=np.geomspace(1e-5, 10, 6), policy=Policy(lr=1.0), **RUNS)
SWEEP = HyperparameterSweep(hyperparameter="momentum", values=np.arange(6.0), policy=Policy(lr=1.0), **RUNS)
CLEAR = Suggestion(
    min_lr=Estimate(1e-3, 1e-4, 1e-2), max_lr=Estimate(0.1, 0.05, math.inf), clear=True, reason="a", smooth=np.eye(2)
)
UNCLEAR = Suggestion(clear=False, reason="it never fell", smooth=np.full((2, 1), np.nan))
RUN = SearchRun(
    strategy=STRATEGIES[0],
    steps=10,
    seed=7,
    score=math.inf,
    stage="locating",
    cost=0.3,
    answer=STRATEGIES[1],
    loses=0.2,
)
BELIEF = RateBelief(
    family="AdamW one_cycle", rates=np.array([0.1, 1.0]), density=np.array([0.25, 0.75]), before=np.full(2, 0.5),
    low=0.1, high=2.0, source="one gradient",
)  # fmt: skip
INSURANCES = tuple(Insurance(name="a second seed", holds=holds, because="so") for holds in (True, False, None))
BASELINE = Baseline(
    strategy=STRATEGIES[1], named=True, steps=40, seeds=(3, 4), scores=(math.inf, 0.5), answer=(0.4, 0.3),
    better=Interval(math.nan, -math.inf, math.inf), share=math.nan,
)  # fmt: skip
ADVICE = Advice(
    task="digits",
    steps=40,
    seed=0,
    strategy=STRATEGIES[0],
    learned=True,
    loses=0.01,
    worst=math.inf,
    next_run="a second seed",
    next_gain=math.nan,
    insurances=INSURANCES,
    scored="validation loss",
    score=INTERVAL,
    promise=INTERVAL,
    reasons=("because",),
    warnings=(),
    runs=(RUN,),
    belief=BELIEF,
    baseline=BASELINE,
    final=RACE,
    cost=12.5,
    seconds=60.0,
    budget="20 full trainings",
    versions=(("stepsize", "0.1"), ("torch", "2.13")),
    more="more",
    start=2.3,
    scored_on=(3, 4),
    command="stepsize advise digits",
)
DESCENT = Descent(
    landscape=Booth(),
    noise=Gaussian(0.1),
    steps=5,
    seed=0,
    strategies=STRATEGIES,
    starts=np.ones((2, 2)),
    home=np.array([0, -2]),
    last=np.full((2, 2, 2), np.inf),
    basins=np.array([[0, -1], [-2, 0]]),
    entered=np.array([[3, -1], [-1, -1]]),
    died_at=np.array([[-1, 4], [-1, -1]]),
    path_steps=np.array([0, 5]),
    paths=np.zeros((2, 2, 1, 2)),
    seconds=0.1,
)
OUTCOME = Outcome(
    strategy=STRATEGIES[0], share=INTERVAL, escape=None, time=Interval(math.inf, 3.0, math.inf), trapped=0, diverged=2
)
REFINED = Refinement(
    name="log",
    steps=4,
    norm="l2",
    recorded=np.arange(2.0),
    norms=np.ones(2),
    smooth=np.ones(4),
    shape=1 - np.arange(4) / 4,
    policy=Policy(lr=0.1).over(4),
    original=np.empty(0),
    gain=1.0,
    strategy=STRATEGIES[1],
    race=RACE,
    warnings=("careful",),
)
LOSSES = LossCurve("run", np.full(3, 0.1), np.arange(1.0, 4), np.ones(3))
LAW = LawFit(law="annealing", parameters=(("L0", 1.0),), error=0.1, curve_error=math.nan, final_error=math.inf)
TOLD = Forecast(
    name="x", policy=Policy(lr=0.1).over(3), at=np.arange(1.0, 4), losses=np.ones((1, 3)), final=CLEAR.min_lr, tied=True
)
PREDICTED = Prediction(
    name="log",
    steps=3,
    runs=(LOSSES,),
    held_out=(),
    fits=(LAW,),
    forecasts=(TOLD,),
    error=math.inf,
    verdict="no ranking",
)

VALUES = [
    REFINED, LOSSES, LAW, TOLD, PREDICTED,
    CURVES, INTERVAL, RUNG, *STANDINGS, RACE, RANGE_TEST, GRID, SWEEP, CLEAR, UNCLEAR,
    CLEAR.min_lr, ADVICE, replace(ADVICE, score=None, promise=None, baseline=None, final=None),
    RUN, BELIEF, *INSURANCES, BASELINE, *STRATEGIES, TRIALS[0],
    Sharpness(math.nan, math.inf, 8, 17, "double backward", converged=False),
    Sensitivity(
        family="AdamW cosine", strategy=Strategy.of("AdamW", "cosine", 0.1), rates=(0.1, 1.0), scores=(0.5, math.inf),
        best=0.1, low=0.1, high=0.2, at_least=True, edge="lowest",
    ),
    DESCENT, OUTCOME,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_every_kind_of_result_comes_back_with_its_infinities(value, tmp_path):
    """Equal as data: arrays are compared bit for bit through their .npy form."""
    path = save(value, tmp_path / "deep" / "er" / "result.json")
    back = load(path, type(value))
    assert type(back) is type(value)
    assert encode(back) == encode(value)
    assert load(path, Spec).spec_fields().keys() == value.spec_fields().keys()


def test_every_kind_of_the_catalogue_that_is_a_result_was_tried():
    families = (Schedule, Feedback, Rule, Policy, Groups, Clock, Landscape, Noise)
    results = {kind for kind in io.CATALOGUE.of(Spec).values() if not issubclass(kind, families)}
    assert results == {type(value) for value in VALUES}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_comes_back_equal(name, tmp_path):
    policy = RECIPES[name](0.1)
    assert load(save(policy, tmp_path / "policy.json")) == policy
    assert load(save(policy.over(100), tmp_path / "policy.json"), Policy) == policy.over(100)


def test_a_file_is_text_that_a_person_can_read_and_edit(tmp_path):
    path = save(Linear(0.1, 0.0, "10%"), tmp_path / "schedule.json")
    text = path.read_text()
    assert text.endswith("}\n")
    assert json.loads(text)["value"] == {"kind": "Linear", "start": 0.1, "end": 0.0, "steps": "10%"}
    path.write_text(text.replace("10%", "20%"))
    assert load(path) == Linear(0.1, 0.0, "20%")


OLD, NEW = Linear(0.1, 0.0), Cosine(0.2, 0.0)


class Killed(BaseException):
    """As a signal would do it: no `except Exception` sees it."""


@pytest.mark.parametrize("function", ["fsync", "replace", "fdopen"])
@pytest.mark.parametrize("error", [Killed, OSError, KeyboardInterrupt])
def test_a_save_that_dies_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, function, error):
    path = save(OLD, tmp_path / "schedule.json")

    def dies(*args, **kwargs):
        raise error

    monkeypatch.setattr(os, function, dies)
    with pytest.raises(FormatError if error is OSError else error):
        save(NEW, path)
    monkeypatch.undo()
    assert load(path) == OLD
    assert [file.name for file in tmp_path.iterdir()] == ["schedule.json"]


def test_a_value_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = save(OLD, tmp_path / "schedule.json")
    monkeypatch.setattr(Cosine, "spec_fields", lambda _: {"start": object()})
    with pytest.raises(TypeError):
        save(NEW, path)
    assert load(path) == OLD
    assert len(list(tmp_path.iterdir())) == 1


def test_a_saved_file_has_the_rights_that_any_new_file_has(tmp_path):
    """Not the 0600 of a temporary file."""
    plain = tmp_path / "plain"
    plain.write_text("")
    assert save(OLD, tmp_path / "ours.json").stat().st_mode == plain.stat().st_mode


def test_saving_over_a_folder_or_under_a_file_is_a_format_error(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "folder", tmp_path / "file" / "x.json"):
        with pytest.raises(FormatError, match=r"cannot write .*(folder|x\.json)"):
            save(OLD, path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


FOREIGN = {
    "binary.json": (bytes(range(128, 256)), "is not text"),
    "half.json": (b'{"stepsize": 1, "val', "this is not JSON"),
    "empty.json": (b"", "this is not JSON"),
    "other.json": (b'{"lr": 0.1}', "this is not a stepsize file"),
    "newer.json": (b'{"stepsize": 99, "value": {}}', "Update stepsize"),
    "model.pt": (b"PK\x03\x04\x80\xff", "is not text"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_a_format_error_with_its_name(tmp_path, name):
    content, words = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=words) as caught:
        load(tmp_path / name)
    assert name in str(caught.value)


def test_a_missing_file_and_a_folder_are_format_errors_with_their_names(tmp_path):
    with pytest.raises(FormatError, match=r"cannot read .*gone\.json: No such file"):
        load(tmp_path / "gone.json")
    with pytest.raises(FormatError, match=f"cannot read {tmp_path}: Is a directory"):
        load(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = save(OLD, tmp_path / "large.json")
    monkeypatch.setattr(io, "LARGEST", 10)
    with pytest.raises(FormatError, match=r"large\.json has \d+ bytes, more than the 10"):
        load(path)


def test_a_mistake_in_a_file_names_the_file_and_the_place(tmp_path):
    path = save(OLD, tmp_path / "mine.json")
    path.write_text(path.read_text().replace("Linear", "Linar"))
    with pytest.raises(SpecError, match=r"mine\.json: at \$\.value: .* Did you mean 'Linear'\?"):
        load(path)


def test_a_file_of_another_family_is_refused(tmp_path):
    path = save(OLD, tmp_path / "schedule.json")
    with pytest.raises(SpecError, match="no policy is called 'Linear'"):
        load(path, Policy)


def test_a_path_may_be_text(tmp_path):
    assert load(str(save(OLD, str(tmp_path / "x.json")))) == OLD
    assert isinstance(save(OLD, str(tmp_path / "x.json")), Path)
