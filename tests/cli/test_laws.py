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
        (("refine", "cosine.csv"), "no column 'grad_norm', nor any .*; it has 'loss', 'lr', 'step'"),
        (("refine", "norms.csv", "--norm-column", "gnorm"), "no column 'gnorm'; it has 'grad_norm', 'step'"),
        (("refine", "norms.csv", "--steps", 4000), "ends at step 396 of 4000"),
        (("refine", "norms.csv", "--steps", 100), "beyond a run of 100"),
        (("refine", "few.csv"), "3 gradient norms are too few"),
        (("refine", "negative.csv"), "a gradient norm is -1"),
        (("refine", "norms.csv", "--norm", "l3"), "'l3' is not one of"),
        (("refine", "norms.csv", "--plot", "a.xyz"), "a.xyz"),
        (("refine", "digitz"), "no task is called 'digitz'"),
        (("refine", "../tiny.py", "--strategy", "SGD cosine"), "a strategy is a rule, a policy and a peak rate"),
        (("predict", "nowhere.csv"), "cannot read nowhere.csv"),
        (("predict", "norms.csv"), "no column 'lr', nor any .*; it has 'grad_norm', 'step'"),
        (("predict", "constant.csv"), "falls in none of these runs"),
        (("predict", "cosine.csv", "--laws", "anealing"), "Did you mean 'annealing'"),
        (("predict", "cosine.csv", "--schedules", "cosin"), "no policy is called 'cosin'. Did you mean 'cosine'"),
        (("predict", "cosine.csv", "--schedules", "triangular"), "rises again after it fell"),
        (("predict", "cosine.csv", "--schedules", "drop.csv", "--steps", 900), "rates up to step 399, and 900 steps"),
        (("predict", "cosine.csv", "--schedules", "advice.json"), "advice.json"),
        (("predict", "short.csv"), "too few to fit a law to"),
        (("predict", "cosine.csv", "digits"), "or one task, and not 'digits' beside 'cosine.csv'"),
        (("predict", "digits", "digits-cnn"), "give one task, or logs"),
        (("predict", "state.json"), "cannot read state.json"),
        (("refine", "again.csv"), "falls back from 39 to 0 .* by --step-column|falls back from 39 to 0"),
        (("refine", "two.csv", "--run-column", "run"), "there are 2 runs, 'a' of 40 updates, .* say which by --run"),
        (("predict", "cosine.csv", "--steps", 3_000_000_000), r"3e\+09 updates, and a table of at most 10000000"),
        (("predict", "samples.csv"), "samples or tokens, say how many of them one update takes: --per-update"),
        (("predict", "rising.csv"), "rises again after it fell, .* look whether it holds one run"),
        (("refine", "norms.csv", "--per-update", 0), "0.0 is not in the range"),
        (("predict", "cosine.csv", "--warmup", 400), "warmup of 400 updates does not fit a run of 400"),
        (("predict",), "Missing argument"),
    ],
)
def test_wrong_input_is_one_line(refused, logs, norms, arguments, message):
    Path("empty.csv").write_text("")
    write("again.csv", ("step", "grad_norm"), [(i % 40, 1.0) for i in range(80)])
    write("two.csv", ("run", "step", "grad_norm"), [(run, i, 1.0) for run in "ab" for i in range(40)])
    write("samples.csv", ("step", "lr", "loss"), [(i * 10**8, 1.0, 2.0) for i in range(1, 40)])
    write("rising.csv", ("step", "lr", "loss"), [(i, abs(i - 20) + i / 10, 2.0) for i in range(60)])
    write("few.csv", ("step", "grad_norm"), [(i, 1.0) for i in range(3)])
    write("negative.csv", ("step", "grad_norm"), [(i, -1.0) for i in range(30)])
    write("short.csv", ("step", "lr", "loss"), [(i, 0.1 - 0.01 * i, 2.0) for i in range(8)])
    assert re.search(message, refused(*arguments))


def test_rows_without_numbers_are_noted(stepsize, logs):
    with Path("cosine.csv").open("a") as file:
        file.write("400,0.0,nan\n")
    done = stepsize("predict", *logs, *FAST)
    assert "Note: 'cosine': 1 number left out, not finite or beside no step" in done.err


def test_one_file_has_one_length_for_both_commands(stepsize, folder):
    """Counted from 1, as transformers does, and from 0, as Lightning does; each in a run of 1000 updates."""
    for first in (9, 10):
        rows = [(step, 1e-3 * (1 - step / 1001), 1.0, 2 + 5 * (step + 1) ** -0.3) for step in range(first, 1001, 10)]
        write("log.csv", ("step", "lr", "grad_norm", "loss"), rows)
        refined = loads(stepsize("refine", "log.csv", "--json").out)
        given = loads(stepsize("refine", "log.csv", "--steps", 1000, "--json").out)
        predicted = loads(stepsize("predict", "log.csv", "--schedules", "constant", *FAST, "--json").out)
        assert refined.steps == given.steps == predicted.steps == len(predicted.runs[0].rates) == 1000
        rates = refined.policy.over(1000)["lr"].table(0, 1000)
        assert rates[-1] == pytest.approx(rates.max() / 1000)  # the fall to zero is reached by the next


def test_two_runs_in_one_file_are_two_runs(stepsize, logs):
    """A script in append mode that was started again: as from the logs apart, not half of one and half of the other."""
    cosine = Path("cosine.csv").read_text().splitlines(keepends=True)
    Path("short.csv").write_text("".join(cosine[:26]))
    Path("appended.csv").write_text(Path("constant.csv").read_text() + "".join(cosine[:26]))
    options = ("--schedules", "cosine,constant", *FAST, "--json")
    together = loads(stepsize("predict", "appended.csv", "drop.csv", *options).out)
    apart = loads(stepsize("predict", "constant.csv", "short.csv", "drop.csv", *options).out)
    assert [len(run.rates) for run in together.runs] == [400, 200, 400]
    assert [each.final.value for each in together.forecasts] == [each.final.value for each in apart.forecasts]


def test_schedules_of_one_name_are_all_asked_about(stepsize, logs):
    save(linear_to_zero(0.01), "cosine.json")
    found = loads(stepsize("predict", *logs, "--schedules", "cosine,cosine.json,cosine.csv", *FAST, "--json").out)
    assert {each.name for each in found.forecasts} == {"cosine", "cosine (2)", "cosine (3)"}


def test_a_rate_that_was_rounded_has_no_warmup(stepsize, logs):
    """The largest of the numbers of a constant rate comes late, by rounding; nothing before it is a warmup."""
    rows = Path("constant.csv").read_text().replace("351,0.01,", "351,0.010000001,")
    assert "0.010000001" in rows
    plain = loads(stepsize("predict", *logs, *FAST, "--json").out)
    Path("constant.csv").write_text(rows)
    rounded = loads(stepsize("predict", *logs, *FAST, "--json").out)
    assert rounded.error == pytest.approx(plain.error, rel=0.01)
