"""`stepsize race` and `stepsize watch`: strategies from a file, seeds that tune, rungs, budgets, and what is shown."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import samples
from rich.console import Console
from rich.progress import Progress

from stepsize import load
from stepsize.cli import race_display, watch
from stepsize.execution.status import Stage, Status
from stepsize.results.io import loads
from stepsize.strategy import find_rule

FIELD = """
[[strategies]]
rule = "SGD"
policy = "cosine"
lrs = [0.1, 0.3]

[[strategies]]
rule = "AdamW"
policy = "one_cycle"
lrs = [0.003, 0.01]
"""


@pytest.fixture
def field(folder):
    (folder / "field.toml").write_text(FIELD)
    return ("race", "../tiny.py", "--steps", 90, "--strategies", "field.toml")


def test_a_file_of_strategies_is_tuned_on_other_seeds_than_it_is_judged_on(stepsize, field):
    record = loads(stepsize(*field, "--seeds", 2, "--json").out)
    assert [(len(rung.strategies), rung.seeds) for rung in record.rungs] == [(4, (1000, 1001)), (2, (0, 1))]
    assert record.tuned == 1
    assert record.cost == 4 * 2 + 2 * 2


NESTEROV = "torch.optim.SGD(momentum=0.9, nesterov=True)"


@pytest.mark.parametrize(
    "who",
    [
        ("--strategies", f"{NESTEROV} cosine 0.1, SGD cosine 0.1"),
        ("--rules", f"{NESTEROV},SGD", "--policies", "cosine", "--rates", "0.1"),
    ],
)
def test_a_class_of_torch_races(stepsize, who):
    record = loads(stepsize("race", "../tiny.py", "--steps", 20, "--seeds", 1, "--json", *who).out)
    assert {standing.strategy.rule for standing in record.standings} == {find_rule(NESTEROV), find_rule("SGD")}


def test_a_class_that_is_not_installed_is_one_sentence(refused):
    said = refused("race", "../tiny.py", "--strategies", "not_here.Lion cosine 0.1, SGD cosine 0.1")
    assert "there is no module 'not_here' here. Install the package that has it" in said


def test_rungs_view_and_selection_are_as_asked(stepsize, field):
    done = stepsize(
        *field, "--seeds", 2, "--tune-seeds", 0, "--rungs", "screening", "--view", "prefix", "--selection", "best",
        "--json",
    )  # fmt: skip
    record = loads(done.out)
    first, last = record.rungs
    assert (first.steps, len(first.strategies), last.steps) == (10, 4, 90)
    assert {strategy.policy["lr"].outline for strategy in last.strategies} == {"Cosine", "Cosine >> Cosine"}
    assert len(last.strategies) in (2, 3)  # the better half, and the best of each shape
    assert (record.view, record.selection, record.tuned) == ("prefix", "best", 0)
    assert re.search(r"rung 1 is done, 4 strategies in 10 steps: .* leads, then ", done.err)


def test_many_strategies_begin_with_a_short_rung(stepsize):
    rates = ",".join(f"{0.01 * 2**power:g}" for power in range(8))
    arguments = (
        "race",
        "../tiny.py",
        "--seeds",
        1,
        "--rules",
        "SGD",
        "--policies",
        "cosine",
        "--rates",
        rates,
        "--json",
    )
    assert [rung.steps for rung in loads(stepsize(*arguments, "--steps", 90).out).rungs] == [10, 90]
    assert [rung.steps for rung in loads(stepsize(*arguments, "--steps", 80).out).rungs] == [80]


def test_a_budget_buys_seeds_and_counts_the_range_tests(stepsize):
    line = ("race", "../tiny.py", "--steps", 40, "--seeds", 2, "--rules", "SGD", "--policies", "cosine,linear_to_zero")
    record = loads(stepsize(*line, "--budget", 60, "--json").out)
    assert record.extensions > 0
    assert 40 < record.cost <= 60
    assert record.cost > sum(len(rung.strategies) * len(rung.seeds) for rung in record.rungs[:1])
    refused = stepsize(*line, "--budget", 5)
    assert refused.code == 2
    assert re.search("range tests alone cost [0-9.]+ full trainings of a budget of 5", refused.err)


def test_the_standings_are_printed_with_sentences_and_written_as_csv(stepsize, field):
    done = stepsize(*field, "--seeds", 3, "--csv", "out/table.csv", "--save", "race.json")
    record = load("race.json")
    for sentence in record.sentences:
        assert sentence in done.out
    assert max(map(len, done.out.splitlines()[:4])) <= 80
    rows = list(csv.DictReader(Path("out/table.csv").read_text().splitlines()))
    assert [row["strategy"] for row in rows] == [standing.strategy.name for standing in record.standings]
    assert float(rows[0]["score"]) == record.standings[0].score.mean
    assert {"chance", "tied", "decay", "seed_0", "seed_2", "behind_low"} <= set(rows[0])


def test_tensorboard_has_a_run_for_each_strategy(stepsize, field):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    record = loads(stepsize(*field, "--seeds", 2, "--tensorboard", "runs", "--json").out)
    assert len(list(Path("runs").iterdir())) == 4
    name = record.best.name.replace(" ", "-").replace(".", "-")
    events = accumulator.EventAccumulator(str(Path("runs") / name))
    events.Reload()
    assert {"rung 1/score", "rung 2/score", "rung 2/training loss", "rung 2/validation"} <= set(
        events.Tags()["scalars"]
    )
    (score,) = events.Scalars("rung 2/score")
    assert (score.step, score.value) == (90, pytest.approx(record.standings[0].score.mean, rel=1e-6))
    curve = events.Scalars("rung 2/validation")
    assert curve[-1].value == pytest.approx(score.value, rel=1e-6)


def test_the_board_shows_rungs_leaders_and_the_time_left():
    console = Console(file=io.StringIO(), width=100)
    race = samples.search()
    board = race_display.Board(1000, Progress(console=console))
    board.notify("rung 1: 90 strategies [100 steps]", 250)
    console.print(board)
    assert "25%" in console.file.getvalue()
    for rung in race.rungs:
        board.rungs.append(rung)
    board.notify("rung 3", 1000)
    console.print(board)
    shown = console.file.getvalue()
    best = race.rungs[-1].strategies[race.rungs[-1].order[0]].name
    assert shown.count(best) >= 2
    assert re.search(r"400 +│ +16 +│ +2 +│ +[0-9.]+", shown)
    assert "100%" in shown
    assert "rung 1: 90 strategies [100 steps]" in shown


def test_a_rung_in_which_all_diverged_is_described():
    rung = samples.final().rungs[0]
    lost = type(rung)(rung.steps, rung.strategies, rung.seeds, np.full(rung.scores.shape, np.inf))
    assert race_display.describe(1, lost) == "rung 1 is done, 6 strategies in 400 steps: every strategy diverged"


def test_a_journal_can_be_watched_after_the_race(stepsize, field):
    stepsize(*field, "--seeds", 2, "--journal", "kept")
    done = stepsize("watch", "kept")
    assert done.code == 0
    assert "rung 2: 2 strategies, 90 steps" in done.out
    assert "leads, then" in " ".join(done.out.split())
    assert "12 trials are finished" in done.out
    assert "not a journal" in stepsize("watch", "nowhere").err


@pytest.mark.parametrize(
    ("running", "now", "words"),
    [
        (True, 131.0, "7 trials are finished; about 0:20 left of this stage."),
        (None, 300.0, "7 trials are finished; about 0:20 left of this stage; no sign of life for 2:50."),
        (False, 300.0, "7 trials are finished; its process has ended."),
    ],
)
def test_watch_says_what_is_left_or_that_nothing_moves(running, now, words):
    found = Status((Stage("rung 1", 3, 5, 100.0, 130.0),), 7, (("SGD 0.1, seed 1", "it [hung]"),), running)
    assert watch.summarise(found, now) == words
    console = Console(file=io.StringIO(), width=100)
    console.print(watch.render(found, now))
    assert "3 of 5" in console.file.getvalue()
    assert "failed: SGD 0.1, seed 1: it [hung]" in console.file.getvalue()


def test_the_json_is_the_record_alone(stepsize, field):
    done = stepsize(*field, "--seeds", 1, "--json", "--csv", "a.csv")
    assert json.loads(done.out)["value"]["kind"] == "Race"
