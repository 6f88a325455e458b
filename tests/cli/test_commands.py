"""Every command on a tiny task: what it prints, what it writes, and that --json parses."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import samples
from teacher import teacher

from stepsize import load
from stepsize.cli.range_test import _say_largest
from stepsize.policies import RECIPES, Policy, one_cycle
from stepsize.results import Advice, Race, RangeTestRecord, Suggestion
from stepsize.results.io import CATALOGUE, loads, save
from stepsize.rules import AdamW, Momentum
from stepsize.schedules import Cosine, Schedule
from stepsize.strategy import Strategy

ADVISE = ("advise", "../tiny.py", "--steps", 240, "--budget", 22, "--rules", "SGD", "--policies", "constant,cosine")
FEW = tuple(4 if word == 22 else word for word in ADVISE)
"""A search that ends before it confirms anything, where what is done with the answer is what counts."""

RACE = ("race", "../tiny.py", "--steps", 40, "--rules", "SGD,AdamW", "--policies", "cosine,constant", "--rates", "0.01")


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_advise_prints_the_recommendation_and_keeps_its_runs_for_a_larger_budget(stepsize, folder):
    done = stepsize(*ADVISE)
    assert done.code == 0
    assert "recommendation" in done.out
    assert "policy = group_policy(task, model, strategy.policy)\n" in done.out
    assert "for step in drive(optimizer, policy, steps=240):" in done.out
    asked = "stepsize advise ../tiny.py --steps 240 --seed 0 --budget 22 --rules SGD --policies constant,cosine"
    assert asked in done.out.splitlines()
    assert "[x] a second seed" in done.out
    assert re.search(r"^ *(80|90|100)%  confirming", done.err, re.MULTILINE)
    assert re.search(r"^SGD c[a-z]+ [0-9.]+: loses ", done.err, re.MULTILINE)
    assert {name.split("/")[0] for name in files(folder)} == {".stepsize"}


def test_advise_prints_the_code_for_another_framework(stepsize):
    done = stepsize(*FEW, "--code", "optax")
    assert "optimizer = transformation(strategy, steps=240)" in done.out


def test_an_advice_that_a_framework_has_no_code_for_is_printed_all_the_same(stepsize):
    done = stepsize(*(word if word != "SGD" else "Lion" for word in FEW), "--code", "optax")
    assert done.code == 0
    assert "recommendation" in done.out
    assert "does not run in optax: optax's parts do not make Lion" in done.out
    assert "The code to paste" not in done.out


def test_advise_writes_what_it_was_asked_for(stepsize, folder):
    done = stepsize(*ADVISE, "--save", "out/advice.json", "--report", "out/page.html", "--json", "--journal", "kept")
    answer = loads(done.out)
    assert isinstance(answer, Advice)
    assert load("out/advice.json").strategy == answer.strategy
    assert "<html" in Path("out/page.html").read_text()
    assert files(folder) >= {"out/advice.json", "out/page.html", "kept/journal.sqlite"}
    assert not any(".stepsize" in name for name in files(folder))


def test_a_kept_journal_saves_the_second_run(stepsize, monkeypatch):
    first = loads(stepsize(*ADVISE, "--json", "--journal", "kept").out)
    monkeypatch.setattr(
        "stepsize.engines.vectorised.ensemble.Ensemble.run", lambda *_, **__: pytest.fail("a trial ran again")
    )
    again = loads(stepsize(*ADVISE, "--json", "--journal", "kept").out)
    assert again.score == first.score


def test_race_prints_the_standings(stepsize, folder):
    done = stepsize(*RACE, "--save", "race.json", "--report", "race.html")
    assert done.code == 0
    for name in ("SGD cosine 0.01", "AdamW constant 0.01"):
        assert name in done.out
    assert "Cost: 12.0 full trainings" in done.out
    assert isinstance(load("race.json"), Race)
    assert files(folder) == {"race.json", "race.html"}


def test_race_finds_its_own_rates(stepsize):
    done = stepsize("race", "../tiny.py", "--steps", 40, "--seeds", 2, "--rules", "AdamW", "--json")
    record = loads(done.out)
    assert [len(rung.strategies) for rung in record.rungs] == [3]
    assert len(record.rungs[0].seeds) == 2


RANGE = ("range-test", "../tiny.py", "--rule", "SGD", "--seeds", 2)


def test_range_test_prints_both_bounds_or_why_not(stepsize):
    done = stepsize(*RANGE)
    assert done.code == 0
    assert "SGD on ../tiny.py, 2 seeds:" in done.out
    assert ("min_lr" in done.out) == ("no clear answer" not in done.out)
    assert "full trainings" in done.out


def test_range_test_writes_what_it_was_asked_for(stepsize, folder):
    done = stepsize(
        *RANGE, "--low", "1e-4", "--high", "1e6", "--steps", 60, "--json", "--save", "sweep.json", "--plot", "sweep.png"
    )
    assert isinstance(loads(done.out), Suggestion)
    sweep = load("sweep.json")
    assert isinstance(sweep, RangeTestRecord)
    assert sweep.losses.shape == (60, 2)
    assert Path("sweep.png").read_bytes().startswith(b"\x89PNG")
    assert files(folder) == {"sweep.json", "sweep.png"}


SEARCH = (*RANGE[:4], "--for")


def test_range_test_finds_the_rate_of_a_policy(stepsize, folder):
    done = stepsize(*SEARCH, "linear_to_zero", "--horizon", 200, "--save", "answer.json", "--plot", "answer.png")
    answer = load("answer.json")
    assert isinstance(answer, Advice)
    assert answer.cost <= 1
    assert {run.strategy.family for run in answer.runs} == {Strategy.of("SGD", "linear_to_zero", 1.0).family}
    assert f"lr      {answer.strategy.peak:.2g}   to use; the best one lies in " in done.out
    assert f"{answer.belief.low:.2g} to {answer.belief.high:.2g} with 90 %" in done.out
    assert "expected to lose" in done.out
    assert f"Use it as: {answer.policy!r}" in done.out
    assert f"Cost: {answer.cost:.3g} full training" in done.out
    assert files(folder) == {"answer.json", "answer.png"}


def test_range_test_prints_the_answer_for_a_policy_as_json(stepsize):
    answer = loads(stepsize(*SEARCH, "cosine", "--budget", "3 trials", "--json").out)
    assert isinstance(answer, Advice)
    assert len(answer.runs) <= 3
    assert answer.budget == "3 trials"


def test_range_test_without_a_run_has_no_rate_to_use(stepsize):
    done = stepsize(*SEARCH, "cosine", "--budget", 0)
    assert done.code == 0
    assert re.match(r"No rate to use: none of 0 runs|lr +[\d.e-]+ +to use", done.out)


@pytest.mark.parametrize("kind", [Policy, Strategy])
def test_range_test_takes_the_policy_of_a_file_and_another_horizon(stepsize, kind):
    strategy = Strategy(Momentum(), one_cycle(0.3).only({"lr", "momentum"}))
    save(strategy if kind is Strategy else strategy.policy, "kept.json")
    answer = loads(stepsize(*SEARCH, "kept.json", "--budget", 0.5, "--horizon", 80, "--json").out)
    rates = answer.policy["lr"].table(0, 80)
    assert (answer.steps, set(answer.policy)) == (80, {"lr"})
    assert rates / rates.max() == pytest.approx(one_cycle(1.0).over(80)["lr"].table(0, 80))


def test_range_test_tests_something_else_at_a_given_rate(stepsize):
    done = stepsize(*RANGE[:2], "--rule", "Momentum", "--seeds", 2, "--of", "momentum", "--lr", 0.1, "--steps", 10)
    assert done.code == 0
    assert "runs of 10 steps end lowest at momentum" in done.out or "no clear answer" in done.out


def test_range_test_takes_held_out_data_and_a_momentum_that_falls(stepsize):
    done = stepsize(
        *RANGE[:2], "--held-out", "--momentum", "0.95,0.85", "--seeds", 2, "--steps", 60, "--save", "a.json"
    )
    assert "validation loss while the rate climbs" in done.out
    assert load("a.json").momentum == (0.95, 0.85)
    assert load("a.json").taken.any()


def test_range_tests_are_compared_in_one_picture(stepsize, folder):
    rules = "rule=SGD,AdamW(weight_decay=0.1)"
    done = stepsize(*RANGE[:2], "--compare", rules, "--seeds", 2, "--steps", 60, "--save", "a.json", "--plot", "a.png")
    assert load("a.json").names == ("SGD", "AdamW(weight_decay=0.1)")
    assert re.search(r"rule +from +to +seeds +best loss", done.out)
    assert stepsize("report", "a.json", "--out", "a.html").code == 0
    assert "Range tests" in (folder / "a.html").read_text()


def test_four_steps_explains_each_and_says_what_they_come_to(stepsize, folder, monkeypatch):
    asked = {}
    monkeypatch.setattr("stepsize.jobs.four_steps", lambda *_, **options: asked.update(options) or samples.four_steps())
    done = stepsize(
        "four-steps", "../tiny.py", "--sizes", "8,16", "--seeds", 1, "--save", "a.json", "--report", "a.html"
    )
    assert (asked["sizes"], asked["seeds"], asked["policy"]) == ([8, 16], range(1), "one_cycle")
    assert [line[:2] for line in done.out.splitlines() if line[:1].isdigit()] == ["1.", "2."]
    assert "   Held out: signs of underfitting." in done.out
    assert "Use AdamW one_cycle 0.01 with batches of 64, for 400 steps." in done.out
    assert load("a.json").batch_size == 64
    assert "2. Momentum" in (folder / "a.html").read_text()


def test_range_test_compares_batch_sizes_and_finds_the_largest(stepsize):
    done = stepsize(*RANGE, "--of", "batch_size", "--values", "8,16", "--steps", 20, "--save", "sizes.json")
    assert "in the same running time" in done.out
    assert load("sizes.json").values.tolist() == [8.0, 16.0]
    done = stepsize("range-test", "../tiny.py", "--of", "batch_size", "--largest")
    assert re.search(r"The largest batch of \S+ that fits, in a training with AdamW: \d+ samples; all of its", done.out)


@pytest.mark.parametrize(("fewer", "why"), [(0, "all of its training samples"), (1, "more run out of memory")])
def test_the_largest_batch_says_what_stops_it_where_an_update_has_several(monkeypatch, capsys, fewer, why):
    task = replace(teacher(), accumulate=3)
    most = task.samples_per_epoch // 3
    monkeypatch.setattr("stepsize.jobs.largest_batch", lambda *_: most - fewer)
    _say_largest(task, AdamW(), as_json=False)
    assert capsys.readouterr().out.endswith(f"{most - fewer} samples; {why}.\n")


@pytest.mark.parametrize("name", RECIPES)
def test_show_prints_every_policy(stepsize, name):
    done = stepsize("show", name, "peak=0.5", "--steps", 50, "--table")
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert lines[0][:2] == ["step", "lr"]
    assert [row[0] for row in lines[1:]] == [str(step) for step in range(50)]
    table = RECIPES[name](0.5).over(50).table(0, 50)["lr"]
    assert [float(row[1]) for row in lines[1:]] == pytest.approx(table.tolist(), rel=1e-8)


def test_show_draws_in_the_terminal(stepsize):
    done = stepsize("show", "one_cycle", "peak=0.1")
    assert done.code == 0
    assert "Area under the learning rate" in done.out
    assert "momentum" in done.out


def test_show_takes_a_schedule_with_its_fields(stepsize):
    policy = loads(stepsize("show", "Cosine", "start=0.1", "end=0", "--json").out)
    assert policy["lr"] == Cosine(0.1, 0.0)


@pytest.mark.parametrize(
    "value", [one_cycle(0.3), one_cycle(0.3)["lr"], one_cycle(0.3).over(77)], ids=["policy", "schedule", "bound policy"]
)
def test_show_takes_a_file(stepsize, value):
    save(value, "value.json")
    policy = loads(stepsize("show", "value.json", "--steps", 77, "--json").out)
    assert policy["lr"] == one_cycle(0.3).over(77)["lr"]


def test_show_draws_into_a_file(stepsize, folder):
    assert stepsize("show", "cosine", "--plot", "a.svg").out.strip() == "Wrote a.svg"
    assert "<svg" in Path("a.svg").read_text()


def test_show_and_report_take_what_advise_saved(stepsize, folder):
    stepsize(*FEW, "--save", "advice.json")
    policy = loads(stepsize("show", "advice.json", "--steps", 240, "--json").out)
    assert policy == load("advice.json").policy
    assert stepsize("report", "advice.json", "--out", "page.html").code == 0
    assert "<html" in Path("page.html").read_text()
    assert {name.split("/")[0] for name in files(folder)} == {".stepsize", "advice.json", "page.html"}


def test_list_names_everything(stepsize):
    found = json.loads(stepsize("list", "--json").out)
    assert set(found["schedules"]) == set(CATALOGUE.of(Schedule))
    assert set(found["policies"]) == set(RECIPES)
    assert {"digits", "stdlib-text"} <= set(found["tasks"])
    assert all(line for family in found.values() for line in family.values())
    words = stepsize("list").out
    assert all(name in words for family in found.values() for name in family)


def test_the_version_is_printed(stepsize):
    assert "version" in stepsize("--version").out
