"""Plans: what they cost is what the jobs then run, and more money never buys less."""

import itertools

import pytest

from stepsize.jobs.plans import plan
from stepsize.kernel.errors import BudgetError

GRID = list(itertools.product((1, 2, 3, 5), (1, 2, 4, 10), (40, 41, 150, 400, 3000)))


@pytest.mark.parametrize(("rules", "policies", "steps"), GRID)
def test_a_plan_costs_no_more_than_the_budget_and_more_budget_buys_no_less(rules, policies, steps):
    before = None
    for budget in (12, 20, 40, 70, 100, 200, 500, 2000):
        try:
            found = plan(budget, rules, policies, steps, 0)
        except BudgetError:
            assert before is None
            continue
        assert found.cost <= budget
        assert found.rungs[-1].steps == steps
        assert [rung.steps for rung in found.rungs] == sorted(rung.steps for rung in found.rungs)
        if before is not None:
            assert (min(found.rates, 3), len(found.fresh)) >= (min(before.rates, 3), len(before.fresh))
        before = found


def test_the_least_budget_that_the_error_names_is_enough():
    with pytest.raises(
        BudgetError, match=r"budget of 1 full trainings is too small for 3 rules x 10 policies"
    ) as error:
        plan(1, 3, 10, 400, 0)
    least = float(str(error.value).split("costs ")[1].split()[0].rstrip("."))
    assert plan(least + 0.1, 3, 10, 400, 0).cost <= least + 0.1
    with pytest.raises(BudgetError):
        plan(least - 0.2, 3, 10, 400, 0)


@pytest.mark.parametrize("steps", [1, 39])
def test_a_horizon_too_short_for_rungs_is_refused(steps):
    with pytest.raises(BudgetError, match=f"{steps} steps are too short.*at least 40"):
        plan(1000, 1, 1, steps, 0)


def test_the_seeds_of_a_search_and_its_fresh_seeds_never_meet():
    used = []
    for seed in range(4):
        found = plan(300, 3, 10, 400, seed)
        search = {s for rung in found.rungs for s in rung.seeds} | set(found.ramp_seeds)
        assert not search & set(found.fresh)
        used.append(search | set(found.fresh) | {found.fresh[-1] + 1})
    assert sum(map(len, used)) == len(set().union(*used))
