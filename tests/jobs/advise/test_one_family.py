"""A search for the rate of one rule with one policy, on tasks whose best rate is known."""

import numpy as np
import pytest
from teacher import teacher

from stepsize.engines import Ensemble
from stepsize.jobs import Budget, Runner, advise, rate_grid
from stepsize.jobs.advise.field import families
from stepsize.jobs.advise.search import Search
from stepsize.policies import RECIPES, Policy
from stepsize.rules import SGD, AdamW, Momentum
from stepsize.schedules import Constant, Linear


@pytest.mark.parametrize("rule", [SGD(), AdamW(), Momentum()], ids=lambda rule: rule.title)
def test_its_rate_trains_as_well_as_the_best_of_a_grid(rule):
    """Against 19 rates over six decades at the full horizon, on a seed that no search has seen."""
    task, engine = teacher(), Ensemble()
    answer = advise(task, rules=[rule], policies=["cosine"], budget=1.0, engine=engine)
    whole = {"policy": RECIPES["cosine"](1.0), "steps": 120, "seeds": (7,), "engine": engine}
    grid = rate_grid(task, rule, np.geomspace(1e-5, 10, 19), **whole)
    ours = rate_grid(task, rule, [answer.strategy.peak], **whole)
    best, before = np.nanmin(grid.held_out), grid.before.mean()
    assert answer.learned
    assert ours.held_out.mean() - best < 0.05 * (before - best)
    assert answer.belief.low <= answer.strategy.peak <= answer.belief.high
    assert answer.strategy.rule == rule


def test_it_costs_what_it_says_and_no_more_than_was_allowed():
    runner = Runner(teacher(), engine=Ensemble())
    answer = advise(runner.task, rules=[SGD()], policies=["cosine"], budget=1.0, runner=runner)
    assert runner.updates <= answer.cost * 120 <= 120
    assert answer.runs[-1].cost == pytest.approx(answer.cost)


def test_a_look_at_the_model_is_counted_before_anything_runs():
    search = Search(teacher(), families([SGD()], ["cosine"]), 120, 3, Budget(trainings=1.0))
    assert search.account.spent == search.account.inspected > 0


def test_more_pilot_runs_leave_a_narrower_range():
    task = teacher()
    wide, narrow = (advise(task, rules=[SGD()], policies=["cosine"], budget=budget).belief for budget in (0, 1.0))
    assert narrow.high / narrow.low < wide.high / wide.low


def test_a_policy_of_ones_own_keeps_its_shape():
    own = Policy(lr=Constant(1.0) >> Linear(1.0, 0.0, "30%"))
    answer = advise(teacher(), rules=[SGD()], policies=[own], budget=0.5)
    rates = answer.policy["lr"].table(0, 120)
    np.testing.assert_allclose(rates / rates.max(), own.over(120)["lr"].table(0, 120), rtol=1e-12)
