"""Advice for any budget on a task of a second: the same seed gives the same answer, and what is said of it is true."""

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import samples
import torch

from stepsize import FunctionTask, Task, load_task
from stepsize.engines import Ensemble
from stepsize.execution.status import read_status
from stepsize.jobs import Journal, Runner, advise, advise_batches, search
from stepsize.jobs.advise.final import CONFIRMING_SEED, FRESH_SEED
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError
from stepsize.results.io import dumps, load, save
from stepsize.rules import AdamW, Momentum
from stepsize.search_space import variants
from stepsize.strategy import Strategy, Trial, describe_rule

TINY = Path(__file__).parents[2] / "problems" / "tiny.py"
ASKED = {"steps": 64, "rules": (AdamW(), Momentum()), "policies": ("constant", "cosine", "one_cycle")}
LARGE = 24


@pytest.fixture(scope="module")
def task():
    return load_task(f"{TINY}:perceptron")


@pytest.fixture(scope="module")
def answers(task):
    return list(search(task, **ASKED, budget=6))


@pytest.fixture(scope="module")
def large(task):
    return advise(task, **ASKED, budget=LARGE)


def numbers(record, *but):
    """Everything in a record but the wall time."""

    def without(value):
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items() if key not in {"seconds", *but}}
        return [without(each) for each in value] if isinstance(value, list) else value

    return without(json.loads(dumps(record)))


def test_the_same_seed_gives_the_same_advice(task, answers):
    assert numbers(advise(task, **ASKED, budget=6)) == numbers(answers[-1])


def test_another_seed_sees_other_runs(task, answers):
    other = advise(task, **ASKED, budget=6, seed=1)
    assert not {run.seed for run in other.runs} & {run.seed for run in answers[-1].runs}


def test_there_is_an_answer_before_anything_runs_and_after_every_run(answers):
    assert answers[0].runs == ()
    assert [len(each.runs) for each in answers] == sorted({len(each.runs) for each in answers})
    assert all(a.cost < b.cost for a, b in pairwise(answers))
    for before, after in pairwise(answers):
        assert after.runs[: len(before.runs)] == before.runs
    last = answers[-1].runs[-1]
    assert (last.answer.over(64), last.loses) == (answers[-1].strategy, answers[-1].loses)


@pytest.mark.parametrize("budget", [0, 0.5, 1, 2, 3, LARGE])
def test_any_budget_is_answered_and_kept(task, budget):
    found = advise(task, **ASKED, budget=budget)
    looks = advise(task, **ASKED, budget=0).cost
    assert found.cost <= budget + looks
    assert 0 < found.strategy.peak < 100
    assert 0 <= found.loses <= found.worst
    assert bool(found.runs) == (budget >= 1)  # half a training of 64 steps is spent on looking at the model


def test_nothing_is_spent_on_nothing(task):
    found = advise(task, **ASKED, budget=0)
    assert found.runs == ()
    assert not any(each.holds for each in found.insurances)
    assert "nothing has run" in " ".join(found.reasons).lower()


def test_an_answer_that_ran_to_its_end_is_never_above_what_ran_longest(answers):
    for each in answers:
        longest = max((run.steps for run in each.runs), default=0)
        rates = [
            run.strategy.peak for run in each.runs
            if run.steps == longest and run.strategy.family == each.strategy.bound_to(64).family
        ]  # fmt: skip
        if rates:
            assert each.strategy.peak <= max(rates) * 1.001


def test_without_a_budget_it_ends_by_itself(task):
    found = advise(task, **ASKED)
    assert 1 < found.cost <= 11
    assert found.budget == ""


def test_a_large_budget_ends_with_a_final_on_fresh_seeds(task, large):
    best = large.final.standings[0]
    assert large.strategy == best.strategy.over(64)
    chose = {run.seed for run in large.runs} | {seed for rung in large.final.rungs for seed in rung.seeds}
    assert not chose & set(large.scored_on)
    assert min(large.scored_on) % 1000 == CONFIRMING_SEED
    assert {seed % 1000 >= FRESH_SEED for seed in large.final.rungs[0].seeds} == {True}
    again = Ensemble().run(task, [Trial(large.strategy, seed) for seed in large.scored_on], 64).final
    assert large.score.mean == pytest.approx(again.mean(), rel=1e-5)
    assert large.score.low >= large.promise.low >= 0  # no cross-entropy lies below 0
    assert large.score.high < large.promise.high


def test_what_the_user_has_now_runs_beside_it_on_the_same_seeds(task, large):
    assert large.baseline.strategy == Strategy.of("AdamW", "warmup_linear", 0.001)
    assert not large.baseline.named
    assert large.baseline.seeds == large.scored_on
    assert large.baseline.better.mean == pytest.approx(np.mean(large.baseline.scores) - large.score.mean)
    named = advise(task, **ASKED, budget=4, baseline="SGD constant 0.01")
    assert (named.baseline.strategy.name, named.baseline.named) == ("SGD constant 0.01", True)
    assert named.baseline.better.mean == pytest.approx(named.baseline.scores[0] - named.baseline.answer[0])
    assert advise(task, **ASKED, budget=3).baseline is None


def test_a_baseline_that_diverges_is_said_to(task):
    found = advise(task, **ASKED, budget=3, baseline="SGD constant 1e38")
    assert not math.isfinite(found.baseline.scores[0])
    assert any("diverged, so no difference" in sentence for sentence in found.warnings)


def test_a_task_may_bring_its_baseline(task):
    x, y = torch.randn(64, 4), torch.randint(0, 2, (64,))
    own = Task(
        lambda: torch.nn.Linear(4, 2), torch.nn.functional.cross_entropy, (x, y), (x, y), 8, 64,
        baseline="AdamW cosine 0.01",
    )  # fmt: skip
    assert advise(own, budget=4, rules=(AdamW(),), policies=("one_cycle",)).baseline.named


def test_the_advice_survives_its_file(large, answers, tmp_path):
    for answer in (large, answers[0], answers[-1]):
        save(answer, tmp_path / "advice.json")
        again = load(tmp_path / "advice.json")
        assert dumps(again) == dumps(answer)
        assert again.policy["lr"](0) == answer.policy["lr"](0)


def test_the_promise_holds_for_the_pasted_script(large, tmp_path):
    (tmp_path / "train.py").write_text("import torch\ntorch.set_num_threads(1)\n" + large.code())
    done = subprocess.run(
        [sys.executable, "-W", "error", "train.py"], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    loss = float(re.fullmatch(r"validation loss (\d+\.\d{4})\n", done.stdout)[1])
    assert loss in large.promise


def test_the_pasted_script_trains_on_a_seed_that_nothing_has_seen(large):
    seeds = {int(seed) for seed in re.findall(r"seed=(\d+)", large.code())}
    used = {run.seed for run in large.runs} | set(large.final.rungs[-1].seeds) | set(large.scored_on)
    assert len(seeds) == 1
    assert not seeds & used


def test_an_interrupted_search_goes_on_and_gives_the_same_advice(task, answers, tmp_path):
    done = 0

    def interrupt(stage, updates):
        nonlocal done
        done += updates
        if done > 3 * 64:
            raise KeyboardInterrupt

    with Journal(tmp_path / "j") as journal, pytest.raises(KeyboardInterrupt):
        advise(task, **ASKED, budget=6, journal=journal, progress=interrupt)
    ran = []

    class Watched(Ensemble):
        def run(self, task, trials, steps, **options):
            ran.append(len(trials) * steps)
            return super().run(task, trials, steps, **options)

    with Journal(tmp_path / "j") as journal:
        assert len(journal) > 0
        resumed = advise(task, **ASKED, budget=6, engine=Watched(), journal=journal)
    assert sum(ran) < sum(run.steps for run in resumed.runs)
    assert numbers(resumed, "engine") == numbers(answers[-1], "engine")  # "as asked" where an engine was given


def test_whoever_watches_the_journal_reads_the_answer_so_far(task, tmp_path):
    with Journal(tmp_path / "j") as journal:
        found = advise(task, **ASKED, budget=1, journal=journal)
    assert read_status(tmp_path / "j").answer == str(found)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"steps": 20}, BudgetError, "20 steps are too short"),
        ({"rules": ()}, BudgetError, "at least one rule"),
        ({"rules": (AdamW(), AdamW())}, BudgetError, "AdamW is named twice"),
        ({"budget": "soon"}, ParameterError, "a time, such as 20min.*not 'soon'"),
        ({"budget": -1}, ParameterError, "a time, such as 20min.*not -1"),
        ({"policies": ()}, BudgetError, "at least one rule and one policy"),
        ({"policies": ("cosin",)}, ParameterError, "no policy is called 'cosin'. Did you mean 'cosine'"),
        ({"baseline": "AdamW"}, ParameterError, "AdamW"),
        ({"baseline": "AdamW cosine 0.1 0.2"}, ParameterError, "a baseline is one strategy"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_anything_runs(task, changes, error, message):
    def ran(stage, updates):
        pytest.fail("something ran")

    with pytest.raises(error, match=message):
        advise(task, **{**ASKED, **changes}, progress=ran)


def test_a_task_whose_loss_is_nan_gets_no_advice():
    with pytest.raises(TaskError, match="no learning rate can train it"):
        advise(load_task(f"{TINY}:nan_loss"), **ASKED)


def test_where_nothing_can_be_learned_nothing_is_recommended():
    source = torch.Generator().manual_seed(0)
    x, y = torch.randn(400, 6, generator=source), torch.randint(0, 3, (400,), generator=source)
    noise = Task(
        lambda: torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)),
        torch.nn.functional.cross_entropy, (x[:200], y[:200]), (x[200:], y[200:]), 16, 64,
    )  # fmt: skip
    found = advise(noise, budget=3, rules=(AdamW(),), policies=("one_cycle", "cosine"))
    assert not found.learned
    assert "No run is better than what needs no model" in found.warnings[0]


def test_a_constant_loss_is_nothing_learned():
    x = torch.zeros(64, 2)
    flat = Task(lambda: torch.nn.Linear(2, 1), lambda out, y: (out * 0).sum() + 1.0, (x, x), (x, x), 8, 64)
    found = advise(flat, budget=2, rules=(AdamW(),), policies=("one_cycle",))
    assert not found.learned


def test_a_model_that_cannot_be_vectorised_gets_advice_too():
    found = advise(
        load_task(f"{TINY}:branching"), steps=40, budget=3, rules=(AdamW(),), policies=("one_cycle", "cosine")
    )
    assert "cannot be vectorised" in found.engine


def test_momentum_alone_is_found():
    """Held to a grid of full runs."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(256, 6, generator=source) * torch.tensor([1.0, 3.0, 10.0, 1.0, 1.0, 30.0])
    y = torch.tanh(x @ torch.randn(6, 1, generator=source) / 10)
    task = Task(lambda: torch.nn.Linear(6, 1), torch.nn.functional.mse_loss, (x, y), (x, y), 16, 64)
    found = advise(task, steps=64, budget=3, rules=(Momentum(),), policies=("cosine",))
    rates = 10 ** np.arange(-6, 1.01, 0.25)
    grid = [Trial(Strategy.of("Momentum", "cosine", rate), seed) for rate in rates for seed in range(3)]
    scores = Ensemble().run(task, grid, 64).final.reshape(len(rates), 3).mean(axis=1)
    own = Ensemble().run(task, [Trial(found.strategy, seed) for seed in range(3)], 64).final.mean()
    assert own - scores.min() < 0.1 * (found.start - scores.min())


def test_variants_of_a_rule_are_tried_as_rules_of_their_own(task):
    rules = variants((AdamW(),), "weight_decay", (0.0, 0.5))
    found = advise(task, steps=64, budget=8, rules=rules, policies=("constant", "cosine"))
    ran = {run.strategy.name.split()[0] for run in found.runs}
    assert ran == {describe_rule(rule) for rule in rules}


def test_a_budget_may_be_time_or_runs(task):
    few = advise(task, **ASKED, budget="4 trials")
    assert len(few.runs) <= 4
    some = advise(task, **ASKED, budget="2s")
    assert some.budget == "2s"
    assert some.strategy.peak > 0


def test_time_that_does_not_pay_for_one_run_gives_the_answer_of_a_look(task):
    assert advise(task, **ASKED, budget="0.001s").runs == ()


def closed_box(rule=None):
    def train(trial):
        torch.manual_seed(trial.seed)
        model = torch.nn.Linear(6, 1)
        optimizer = trial.optimizer(model.parameters())
        source = torch.Generator().manual_seed(trial.seed)
        for _ in trial:
            trial.apply(optimizer)
            x = torch.randn(16, 6, generator=source)
            loss = ((model(x) - x.sum(dim=1, keepdim=True)) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            trial.report(loss)

    return FunctionTask(train, steps=64, rule=rule)


def test_a_training_function_gets_advice_for_few_trainings():
    found = advise(closed_box(), budget=3, policies=("one_cycle", "cosine"))
    assert found.function
    assert found.learned
    assert "first gradient" in found.belief.source
    assert found.best_score < 0.5 * found.start


def test_a_runner_is_shared(task):
    runner = Runner(task)
    found = advise(task, **ASKED, budget=1, runner=runner)
    assert runner.updates == sum(run.steps for run in found.runs)


def proportional(task, rule):
    return 1e-3 * task.batch_size


def test_batch_sizes_train_for_as_long_and_share_the_budget(task):
    asked = {"rules": (AdamW(),), "policies": ("constant", "cosine")}
    size = task.batch_size
    found = advise_batches(task, (size, size // 2), steps=64, budget=6, seconds_of=proportional, **asked)
    assert sorted(each.steps for each in found) == [64, 128]
    assert found[0].best_score <= found[1].best_score
    alone = advise(task, steps=64, budget=3, **asked)
    own, half = (next(each for each in found if each.steps == steps) for steps in (64, 128))
    assert (own.strategy, own.command, own.batch_size) == (alone.strategy, alone.command, None)
    assert half.batch_size == size // 2
    assert half.command.endswith(f"--batch-size {size // 2}")
    assert f"replace(load_task({json.dumps(half.task)}), batch_size={size // 2})" in half.code()


def test_batch_sizes_without_a_whole_run_come_last_as_they_were_asked_for(task, monkeypatch):
    scores = {8: math.nan, 4: 0.5, 16: 0.2, 2: math.nan}

    advice = samples.advice()

    def answer(task, **_):
        return replace(advice, score=replace(advice.score, mean=scores[task.batch_size]))

    monkeypatch.setattr(sys.modules[advise_batches.__module__], "advise", answer)
    found = advise_batches(replace(task, batch_size=8), (8, 4, 16, 2), steps=128, seconds_of=proportional)
    assert [each.batch_size for each in found] == [16, 4, None, 2]


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((), ParameterError, "not .."),
        ((8, 8), ParameterError, "distinct"),
        ((64,), BudgetError, "too few; raise the steps"),
    ],
)
def test_batch_sizes_that_cannot_be_compared_are_refused(task, sizes, error, message):
    with pytest.raises(error, match=message):
        advise_batches(task, sizes, steps=40, seconds_of=proportional)


def test_the_baseline_of_a_training_function_is_of_its_rule():
    box = closed_box(Momentum())
    with pytest.raises(
        ParameterError, match=r"follows Momentum, and the baseline 'AdamW cosine 0\.01' has another rule"
    ):
        advise(box, budget=3, baseline="AdamW cosine 0.01")
    found = advise(box, budget=11, policies=("one_cycle", "cosine"))
    assert isinstance(found.baseline.strategy.rule, Momentum)


def test_a_validation_that_costs_more_than_the_pilot_runs_leaves_an_answer():
    source = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 4, generator=source)
    y = x.sum(dim=1, keepdim=True)
    loss = torch.nn.functional.mse_loss
    heavy = Task(lambda: torch.nn.Linear(4, 1), loss, (x[:200], y[:200]), (x[200:], y[200:]), 16, 64)
    assert advise(heavy, budget=3, rules=(AdamW(),), policies=("one_cycle", "cosine")).learned
