"""Rungs: two views of a short run, who goes on, and plans that halve."""

from pathlib import Path

import numpy as np
import pytest

from stepsize import load_task
from stepsize.engines import Ensemble, Loop
from stepsize.jobs import RungPlan, halving
from stepsize.jobs.race.rungs import best_rates, on_rung, retime, runnable, screening, survivors, take_prefix
from stepsize.kernel.errors import BudgetError, LengthError, ParameterError
from stepsize.policies import RECIPES, Policy, constant, cosine, linear_to_zero, one_cycle, wsd
from stepsize.results import Rung
from stepsize.rules import SGD, Adagrad, AdamW, Momentum
from stepsize.schedules import Cosine, Linear
from stepsize.strategy import Strategy, Trial

TINY = Path(__file__).parents[2] / "problems" / "tiny.py"


def rung(means, names, policies=None):
    policies = policies or [constant(0.1)] * len(names)
    field = tuple(Strategy(SGD(), policy, name) for name, policy in zip(names, policies, strict=True))
    return Rung(10, field, (0,), np.array(means, dtype=np.float64)[:, None])


@pytest.mark.parametrize("name", RECIPES)
def test_a_prefix_has_the_values_of_the_long_run_in_every_hyperparameter(name):
    strategy = Strategy(Momentum(), RECIPES[name](0.1).only(Momentum().hyperparameters), name)
    long = strategy.over(900).table(0, 300)
    short = take_prefix(strategy, 900, 300).over(300).table(0, 300)
    assert {key: value.tolist() for key, value in short.items()} == {key: value.tolist() for key, value in long.items()}
    assert take_prefix(strategy, 900, 900) is strategy


@pytest.mark.parametrize("engine", [Ensemble(), Loop()], ids=["ensemble", "loop"])
def test_a_prefix_scores_what_the_long_run_scored_there(engine):
    task = load_task(f"{TINY}:perceptron")
    strategies = [Strategy(AdamW(), policy, "s") for policy in (one_cycle(0.05), cosine(0.05))]
    long = engine.run(task, [Trial(strategy, 3) for strategy in strategies], 30, score_every=10)
    short = engine.run(task, [Trial(take_prefix(strategy, 30, 10), 3) for strategy in strategies], 10)
    assert short.final.tolist() == long.scores[0].tolist()


def test_a_strategy_bound_to_the_horizon_has_a_prefix_and_cannot_be_retimed():
    bound = Strategy(SGD(), cosine(0.1).over(90), "bound")
    assert on_rung(bound, 90, 30, "prefix").over(30).table(0, 30)["lr"][-1] == bound.table(29, 30)["lr"][0]
    runnable([bound], [RungPlan(30, (0,))], 90, "prefix")
    with pytest.raises(LengthError, match=r"'bound' does not fit a run of 30 steps.*view='prefix'"):
        runnable([bound], [RungPlan(30, (0,))], 90, "retimed")
    with pytest.raises(LengthError, match="'bound' does not fit a run of 80 steps"):
        runnable([bound], [], 80, "prefix")


def test_a_long_warmup_is_refused_by_name_before_anything_runs():
    slow = Strategy(SGD(), Policy(lr=Linear(0.0, 0.1, 50) >> Cosine(0.1, 0.0)), "slow")
    with pytest.raises(LengthError, match="'slow' does not fit a run of 30 steps"):
        runnable([slow], [RungPlan(30, (0,))], 90, "retimed")


def test_a_rate_is_moved_by_about_the_root_of_the_lengths_for_every_rule():
    for rule in (SGD(), Adagrad(), AdamW()):
        assert retime(Strategy(rule, constant(0.1)), 900, 100).peak == pytest.approx(0.3, rel=0.2)


def test_a_halving_keeps_a_third_of_each_rung_and_two_at_least():
    assert [(rung.steps, rung.keep) for rung in halving(5, 900, (7,))] == [(100, 2), (300, 2), (900, None)]
    assert [(rung.steps, rung.keep) for rung in halving(30, 100, (7,), rungs=2)] == [(33, 10), (100, None)]
    assert halving(2, 900, (0, 1), rungs=1) == [RungPlan(900, (0, 1))]


@pytest.mark.parametrize(("steps", "rungs"), [(80, 3), (100, 0), (5, 1)])
def test_a_halving_into_nothing_is_refused(steps, rungs):
    with pytest.raises(BudgetError, match="take fewer"):
        halving(4, steps, (0,), rungs=rungs)


def test_the_survivors_are_the_best_and_one_of_each_shape():
    names, policies = ["a", "b", "c", "d"], [cosine(0.1), cosine(0.2), constant(0.1), constant(0.2)]
    found = rung([1.0, 2.0, np.inf, 3.0], names, policies)
    assert [s.name for s in survivors(found, 1, shapes=False)] == ["a"]
    assert [s.name for s in survivors(found, 1, shapes=True)] == ["a", "d"]
    assert [s.name for s in survivors(found, None, shapes=False)] == ["a", "b", "d"]


def test_the_best_rate_of_every_family_is_chosen():
    names = ["cosine 0.1", "mine", "wsd 0.1", "wsd 1", "constant", "linear"]
    policies = [cosine(0.1), cosine(1.0), wsd(0.1), wsd(1.0), constant(1.0), linear_to_zero(1.0)]
    found = rung([3.0, 2.0, np.inf, 4.0, 1.0, np.inf], names, policies)
    assert [s.name for s in best_rates(found)] == ["constant", "mine", "wsd 1"]


@pytest.mark.parametrize("fields", [{"seeds": ()}, {"seeds": (1, 1)}, {"steps": 0}, {"steps": 2.5}])
def test_a_rung_that_runs_nothing_is_refused(fields):
    with pytest.raises(ParameterError):
        RungPlan(**{"steps": 10, "seeds": (0,), **fields})


def test_a_screening_is_one_short_rung_from_which_half_goes_on():
    plans = screening(7, 900, (4, 5))
    assert [(plan.steps, plan.keep, plan.seeds) for plan in plans] == [(100, 4, (4, 5)), (900, None, (4, 5))]
    with pytest.raises(BudgetError, match="begin with 9"):
        screening(7, 89, (0,))


@pytest.mark.parametrize("wrong", [{"eta": 1}, {"keep": 1}, {"keep": 0}])
def test_a_halving_that_halves_nothing_is_refused(wrong):
    with pytest.raises(ParameterError, match="at least 2"):
        halving(9, 900, (0,), **wrong)
