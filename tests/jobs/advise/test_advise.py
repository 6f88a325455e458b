"""Advice on a task of a second: the same seed gives the same numbers, and the pasted script keeps the promise."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stepsize import load_task
from stepsize.engines import Ensemble
from stepsize.jobs import Journal, advise, advise_batches
from stepsize.jobs.advise.plan import CONFIRMING_SEED
from stepsize.jobs.advise.search_space import variants
from stepsize.jobs.race.entrants import at_suggestion
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError
from stepsize.results import Suggestion
from stepsize.results.io import dumps, load, save
from stepsize.rules import SGD, AdamW, Momentum
from stepsize.strategy import Trial, describe_rule

TINY = Path(__file__).parents[2] / "problems" / "tiny.py"
ASKED = {"steps": 60, "budget": 40, "rules": (AdamW(), Momentum()), "policies": ("constant", "cosine", "one_cycle")}


@pytest.fixture(scope="module")
def task():
    return load_task(f"{TINY}:perceptron")


@pytest.fixture(scope="module")
def answer(task):
    return advise(task, **ASKED)


def numbers(record, *but):
    """Everything in a record but the wall time."""

    def without(value):
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items() if key not in {"seconds", *but}}
        return [without(each) for each in value] if isinstance(value, list) else value

    return without(json.loads(dumps(record)))


def test_the_same_seed_gives_the_same_advice(task, answer):
    assert numbers(advise(task, **ASKED)) == numbers(answer)


def test_another_seed_sees_other_runs(task, answer):
    other = advise(task, **ASKED, seed=1)
    assert not set(other.final.rungs[-1].seeds) & set(answer.final.rungs[-1].seeds)
    assert other.score.mean != answer.score.mean


def test_the_advice_is_the_best_of_the_finalists(answer):
    best = answer.final.standings[0]
    assert answer.strategy == best.strategy.over(60)
    assert best.score.mean == min(standing.score.mean for standing in answer.final.standings)
    name, score = best.strategy.name, next(each for each in answer.reasons if "lowest mean" in each)
    assert score.startswith(f"{name} has the lowest mean validation loss, {best.score}")


def test_the_promise_comes_from_seeds_that_chose_nothing(task, answer):
    confirming = range(CONFIRMING_SEED, CONFIRMING_SEED + len(answer.final.rungs[0].seeds))
    chose = {seed for rung in (*answer.search.rungs, *answer.final.rungs) for seed in rung.seeds}
    assert not chose & set(confirming)
    again = Ensemble().run(task, [Trial(answer.strategy, seed) for seed in confirming], 60).final
    assert answer.score.mean == pytest.approx(again.mean(), rel=1e-5)
    assert answer.score.low > answer.promise.low
    assert answer.score.high < answer.promise.high


def test_a_constant_rate_is_among_the_finalists(answer):
    assert "constant" in {standing.strategy.recipe for standing in answer.final.standings}


def test_the_finalists_ran_on_seeds_that_chose_nothing(answer):
    chosen_on = {seed for rung in answer.search.rungs for seed in rung.seeds} | {
        s for w in answer.sweeps for s in w.seeds
    }
    assert not chosen_on & set(answer.final.rungs[-1].seeds)


@pytest.mark.parametrize("budget", [30, 40, 80])
def test_the_cost_is_within_the_budget(task, budget):
    found = advise(task, **{**ASKED, "budget": budget})
    assert found.cost <= budget


def test_the_advice_survives_its_file(answer, tmp_path):
    save(answer, tmp_path / "advice.json")
    again = load(tmp_path / "advice.json")
    assert again.warnings == answer.warnings
    assert [standing.strategy for standing in again.final.standings] == [s.strategy for s in answer.final.standings]
    np.testing.assert_array_equal(again.final.curves.losses, answer.final.curves.losses)
    np.testing.assert_array_equal(again.sweeps[0].losses, answer.sweeps[0].losses)
    assert again.strategy == answer.strategy
    assert again.policy["lr"](0) == answer.policy["lr"](0)


def test_equal_advice_has_equal_files(answer, tmp_path):
    save(answer, tmp_path / "advice.json")
    assert dumps(load(tmp_path / "advice.json")) == dumps(answer)


def test_the_promise_holds_for_the_pasted_script(answer, tmp_path):
    (tmp_path / "train.py").write_text("import torch\ntorch.set_num_threads(1)\n" + answer.code())
    done = subprocess.run(
        [sys.executable, "-W", "error", "train.py"], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    loss = float(re.fullmatch(r"validation loss (\d+\.\d{4})\n", done.stdout)[1])
    assert loss in answer.promise


def test_the_pasted_script_is_short_and_says_nothing_of_this_machine(answer):
    code = answer.code()
    assert len(code.splitlines()) <= 30
    assert "second" not in code
    assert f"steps={answer.steps}" in code
    seeds = {int(seed) for seed in re.findall(r"seed=(\d+)", code)}
    used = {*answer.final.rungs[-1].seeds, *answer.search.rungs[-1].seeds, *answer.scored_on}
    assert len(seeds) == 1
    assert not seeds & used
    assert min(answer.scored_on) % 1000 == CONFIRMING_SEED


def test_a_file_that_held_its_code_goes_on_loading(answer, tmp_path):
    old = json.loads(dumps(answer))
    old["value"] = {**old["value"], "code": "import torch\n"}
    del old["value"]["scored_on"], old["value"]["command"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    found = load(tmp_path / "old.json")
    assert found.strategy == answer.strategy
    assert (found.scored_on, found.command) == ((), "")
    assert found.code().startswith("from stepsize import ")


def test_an_interrupted_search_goes_on_and_gives_the_same_advice(task, answer, tmp_path):
    told = 0

    def interrupt(stage, updates):
        nonlocal told
        told += updates
        if told > 15 * 60:
            raise KeyboardInterrupt

    with Journal(tmp_path / "j.sqlite") as journal, pytest.raises(KeyboardInterrupt):
        advise(task, **ASKED, journal=journal, progress=interrupt)
    updates, replicas = [], []

    class Watched(Ensemble):
        def run(self, task, trials, steps, **options):
            replicas.append(len(trials) * steps)
            return super().run(task, trials, steps, **options)

    with Journal(tmp_path / "j.sqlite") as journal:
        assert len(journal) > 0
        resumed = advise(
            task, **ASKED, engine=Watched(), journal=journal, progress=lambda stage, done: updates.append(done)
        )
    assert sum(replicas) < sum(updates) == round(answer.cost * 60)
    told = ("engine", "reasons")  # "as asked" where an engine was given
    assert numbers(resumed, *told) == numbers(answer, *told)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"budget": 2}, BudgetError, "budget of 2 full trainings is too small for 2 rules x 3 policies.*costs"),
        ({"steps": 20}, BudgetError, "20 steps are too short"),
        ({"rules": ()}, BudgetError, "at least one rule"),
        ({"rules": (AdamW(), AdamW())}, BudgetError, "AdamW is named twice"),
        ({"budget": "soon"}, ParameterError, "a time, such as 20min.*not 'soon'"),
        ({"policies": ()}, BudgetError, "at least one rule and one policy"),
        ({"policies": ("cosin",)}, ParameterError, "no policy is called 'cosin'. Did you mean 'cosine'"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_anything_runs(task, changes, error, message):
    def told(stage, updates):
        pytest.fail("something ran")

    with pytest.raises(error, match=message):
        advise(task, **{**ASKED, **changes}, progress=told)


def test_a_task_whose_loss_is_nan_gets_no_advice():
    with pytest.raises(TaskError, match="no learning rate can train it"):
        advise(load_task(f"{TINY}:nan_loss"), **ASKED)


def test_a_model_that_cannot_be_vectorised_gets_advice_too():
    asked = {"steps": 40, "budget": 26, "rules": (SGD(),), "policies": ("constant", "cosine")}
    found = advise(load_task(f"{TINY}:branching"), **asked)
    assert "cannot be vectorised" in found.final.engine
    assert math.isfinite(found.score.mean)


def test_without_a_clear_range_test_a_strategy_has_the_rate_of_its_rule():
    unclear = Suggestion(clear=False, reason="no clear answer: no drop", smooth=np.ones((3, 1)))
    assert at_suggestion(AdamW(), "constant", unclear, 100).peak == pytest.approx(AdamW().lr, rel=1e-2)


def test_one_rule_with_one_policy_is_enough(task):
    found = advise(task, steps=40, budget=26, rules=(SGD(),), policies=("cosine",))
    assert found.strategy.rule == SGD()


def test_variants_of_a_rule_are_tried_as_rules_of_their_own(task):
    rules = variants((AdamW(),), "weight_decay", (0.0, 0.5))
    found = advise(task, steps=40, budget=40, rules=rules, policies=("constant", "cosine"))
    raced = {strategy.name.split()[0] for strategy in found.search.rungs[0].strategies}
    assert raced == {describe_rule(rule) for rule in rules} == {"AdamW(weight_decay=0.0)", "AdamW(weight_decay=0.5)"}


def test_a_budget_may_be_time_or_runs(task):
    asked = {"steps": 40, "rules": (AdamW(),), "policies": ("constant", "cosine")}
    few = advise(task, **asked, budget="60 trials")
    many = advise(task, **asked, budget="6000 trials")
    assert len(few.final.standings) < len(many.final.standings)
    assert advise(task, **asked, budget="1s").cost < many.cost


def test_the_alternatives_are_named(answer):
    names = [standing.strategy.name for standing in answer.final.standings]
    tied = {strategy.name for strategy in answer.indistinguishable}
    assert names[0] in tied
    assert {answer.simplest.name, answer.least_sensitive.name} <= tied
    assert set(answer.losses) == set(names[1:])
    gain = answer.start - answer.score.mean
    second = answer.final.standings[1]
    assert answer.losses[second.strategy.name] == pytest.approx(second.behind.mean / gain)


def test_more_seeds_are_bought_only_while_they_could_change_the_answer(task):
    found = advise(task, steps=60, budget=400, rules=(AdamW(),), policies=("constant", "cosine", "one_cycle"))
    assert found.cost < 400
    assert found.more


def test_batch_sizes_train_on_as_many_samples_and_share_the_budget(task):
    asked = {"rules": (AdamW(),), "policies": ("constant", "cosine")}
    size = task.batch_size
    found = advise_batches(task, (size, size // 2), steps=60, budget=60, **asked)
    assert sorted(each.steps for each in found) == [60, 120]
    assert found[0].score.mean <= found[1].score.mean
    assert all(each.cost <= 30 for each in found)
    alone = advise(task, steps=60, budget=30, **asked)
    own, half = (next(each for each in found if each.steps == steps) for steps in (60, 120))
    assert (own.strategy, own.command, own.batch_size) == (alone.strategy, alone.command, None)
    assert half.batch_size == size // 2
    assert half.command.endswith(f"--batch-size {size // 2}")
    assert "--steps 60 --budget 30 " in half.command
    assert f"replace(load_task({json.dumps(half.task)}), batch_size={size // 2})" in half.code()
    printed = []
    exec(half.code(), {"print": printed.append})  # noqa: S102  (it is to be pasted)
    assert float(printed[0].split()[-1]) in half.promise


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
        advise_batches(task, sizes, steps=40)
