"""`stepsize refine` and `stepsize predict`: what they print and write, and wrong input in one line."""

import re
from pathlib import Path

import numpy as np
import pytest

from stepsize import load
from stepsize.policies import cosine, linear_to_zero
from stepsize.results import Prediction, Refinement
from stepsize.results.io import loads, save
from stepsize.rules import SGD
from stepsize.strategy import Strategy
from stepsize.theory import Annealing

RIGHT = [2.0, 0.3, 0.5, 0.4, 50.0]
FAST = ("--laws", "annealing")


def write(name, columns, rows):
    Path(name).write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")


@pytest.fixture
def logs(folder):
    """constant.csv, cosine.csv and drop.csv of 400 steps, and both in runs.csv."""
    t = np.arange(400)
    shapes = {
        "constant": np.ones(400), "cosine": (1 + np.cos(np.pi * t / 400)) / 2, "drop": np.where(t < 220, 1.0, 0.3),
    }  # fmt: skip
    everything = []
    for name, shape in shapes.items():
        rates, at = 0.01 * shape, np.arange(8, 401, 8)
        rows = list(zip(at - 1, rates[at - 1], Annealing()(RIGHT, rates, at), strict=True))
        write(f"{name}.csv", ("step", "lr", "loss"), rows)
        everything += [(name, *row) for row in rows]
    write("runs.csv", ("run", "it", "rate", "train"), everything)
    return [f"{name}.csv" for name in shapes]


@pytest.fixture
def norms(folder):
    """norms.csv, of 400 steps, whose norms fall first."""
    rows = [(step, f"{1 + 4 * np.exp(-step / 20):.6f}") for step in range(0, 400, 4)]
    write("norms.csv", ("step", "grad_norm"), rows)


def test_refine_reads_a_log(stepsize, norms):
    done = stepsize("refine", "norms.csv", "--save", "r.json", "--plot", "r.svg", "--report", "r.html")
    assert done.code == 0, done
    assert "Refined from 96 L2 norms of norms.csv, 400 steps." in done.out
    assert "Watch out: no learning rate was recorded" in " ".join(done.out.split())
    found = load("r.json")
    assert isinstance(found, Refinement)
    assert found.warmup > 0
    assert "<svg" in Path("r.svg").read_text()
    assert "Refined schedule" in Path("r.html").read_text()


def test_refine_prints_json_and_a_policy_that_can_be_shown(stepsize, norms):
    found = loads(stepsize("refine", "norms.csv", "--norm", "l1", "--steps", 400, "--json").out)
    assert (found.norm, found.steps) == ("l1", 400)
    save(found.policy, "policy.json")
    assert stepsize("show", "policy.json").code == 0


def test_refine_records_a_task_and_races(stepsize):
    done = stepsize("refine", "../tiny.py", "--steps", 40, "--strategy", "SGD cosine 0.1", "--race")
    assert done.code == 0, done
    assert "original" in done.out
    assert "refined" in done.out
    assert "Cost of the race: 30 trainings." in done.out


def test_refine_finds_a_rate_of_its_own(stepsize):
    done = stepsize("refine", "../tiny.py", "--steps", 40, "--json")
    assert "Recorded AdamW linear_to_zero" in done.err
    assert loads(done.out).norm == "l1"


def test_predict_reads_logs(stepsize, logs):
    done = stepsize(
        "predict", *logs, "--schedules", "linear_to_zero,constant", *FAST, "--save", "p.json", "--plot", "p.png",
        "--report", "p.html",
    )  # fmt: skip
    assert done.code == 0, done
    assert re.search(r"linear_to_zero\W+[\d.]+", done.out)
    assert "Verdict:" in done.out
    found = load("p.json")
    assert isinstance(found, Prediction)
    assert [run.name for run in found.runs] == ["constant", "cosine", "drop"]
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    assert "Predicted loss curves" in Path("p.html").read_text()


def test_predict_reads_several_runs_of_one_file_under_other_names(stepsize, logs):
    done = stepsize(
        "predict", "runs.csv", "--run-column", "run", "--step-column", "it", "--lr-column", "rate",
        "--loss-column", "train", *FAST, "--json",
    )  # fmt: skip
    found = loads(done.out)
    assert len(found.runs) == 3
    assert found.forecasts[-1].name == "constant"


def test_predict_takes_schedules_from_files(stepsize, logs):
    save(cosine(0.01), "mine.json")
    save(Strategy(SGD(), linear_to_zero(0.01)), "strategy.json")
    done = stepsize(
        "predict", *logs[:2], "--schedules", "mine.json,strategy.json,drop.csv", "--held-out", "drop.csv", *FAST,
        "--json",
    )  # fmt: skip
    found = loads(done.out)
    assert {each.name for each in found.forecasts} == {"mine", "strategy", "drop"}
    (drop,) = [each for each in found.forecasts if each.name == "drop"]
    assert found.measured(drop).name == "drop"
    assert abs(drop.final.value - found.measured(drop).final) < 0.01


def test_predict_records_a_task_and_checks(stepsize):
    done = stepsize(
        "predict", "../tiny.py", "--rule", "SGD", "--peak", 0.1, "--steps", 60, "--schedules", "linear_to_zero",
        "--check", *FAST,
    )  # fmt: skip
    assert done.code == 0, done
    assert "recorded" in done.out
    assert "linear_to_zero is predicted to end at" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("refine", "nowhere.csv"), "cannot read nowhere.csv"),
        (("refine", "empty.csv"), "empty.csv is empty"),
        (("refine", "cosine.csv"), "no column 'grad_norm'; it has 'step', 'lr', 'loss'"),
        (("refine", "norms.csv", "--norm-column", "gnorm"), "no column 'gnorm'; it has 'step', 'grad_norm'"),
        (("refine", "norms.csv", "--steps", 4000), "ends at step 396 of 4000"),
        (("refine", "norms.csv", "--steps", 100), "beyond a run of 100"),
        (("refine", "few.csv"), "3 gradient norms are too few"),
        (("refine", "negative.csv"), "a gradient norm is -1"),
        (("refine", "norms.csv", "--norm", "l3"), "'l3' is not one of"),
        (("refine", "norms.csv", "--plot", "a.xyz"), "a.xyz"),
        (("refine", "digitz"), "no task is called 'digitz'"),
        (("refine", "../tiny.py", "--strategy", "SGD cosine"), "a strategy is a rule, a policy and a peak rate"),
        (("predict", "nowhere.csv"), "cannot read nowhere.csv"),
        (("predict", "norms.csv"), "no column 'lr'; it has 'step', 'grad_norm'"),
        (("predict", "constant.csv"), "falls in none of these runs"),
        (("predict", "cosine.csv", "--laws", "anealing"), "Did you mean 'annealing'"),
        (("predict", "cosine.csv", "--schedules", "cosin"), "no policy is called 'cosin'. Did you mean 'cosine'"),
        (("predict", "cosine.csv", "--schedules", "triangular"), "rises again after it fell"),
        (("predict", "cosine.csv", "--schedules", "drop.csv", "--steps", 900), "rates up to step 399, and 900 steps"),
        (("predict", "cosine.csv", "--schedules", "advice.json"), "advice.json"),
        (("predict", "short.csv"), "too few to fit a law to"),
        (("predict", "cosine.csv", "digits"), "end in .csv, or one task"),
        (("predict", "cosine.csv", "--warmup", 400), "warmup of 400 updates does not fit a run of 400"),
        (("predict",), "Missing argument"),
    ],
)
def test_wrong_input_is_one_line(refused, logs, norms, arguments, message):
    Path("empty.csv").write_text("")
    write("few.csv", ("step", "grad_norm"), [(i, 1.0) for i in range(3)])
    write("negative.csv", ("step", "grad_norm"), [(i, -1.0) for i in range(30)])
    write("short.csv", ("step", "lr", "loss"), [(i, 0.1 - 0.01 * i, 2.0) for i in range(8)])
    assert re.search(message, refused(*arguments))


def test_rows_without_numbers_are_noted(stepsize, logs):
    with Path("cosine.csv").open("a") as file:
        file.write("400,0.0,nan\n")
    done = stepsize("predict", *logs, *FAST)
    assert "Note: 1 rows without a number" in done.err
