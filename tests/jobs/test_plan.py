"""Plans: what they cost is what the jobs then run, and more money never buys less."""

import itertools

import pytest

from stepsize.jobs.plans import FOR_PROBES, larger, least, plan, plans, probing
from stepsize.kernel.errors import BudgetError

GRID = list(itertools.product((1, 2, 3, 8), (1, 2, 4, 11), (40, 41, 150, 400, 3000)))


@pytest.mark.parametrize(("rules", "policies", "steps"), GRID)
def test_a_plan_costs_no_more_than_what_is_left_and_more_buys_no_less(rules, policies, steps):
    cheapest = plans(rules, policies, steps, 0)[0]
    before = None
    for left in (12, 20, 40, 70, 100, 200, 500, 2000):
        found = plan(left, rules, policies, steps, 0)
        assert found.cost <= left or found == cheapest
        assert [rung.steps for rung in found.rungs] == [steps // 4, steps // 2, steps]
        if before is not None:
            assert found.cost >= before.cost
        before = found


@pytest.mark.parametrize(("rules", "policies", "steps"), GRID)
def test_every_size_costs_more_than_the_one_before(rules, policies, steps):
    costs = [each.cost for each in plans(rules, policies, steps, 0)]
    assert costs == sorted(costs)


@pytest.mark.parametrize(("budget", "rules", "families"), [(30, 2, 3), (60, 3, 6), (120, 4, 8)])
def test_small_budgets_still_race_several_rules(budget, rules, families):
    """What a small budget leaves out is the best of every shape of schedule on the second rung."""
    for steps in (200, 300, 500):
        left = budget - 8 * probing(budget, 8, steps, 0).updates / steps
        found = plan(left, 8, 11, steps, 0)
        assert (found.size.rules, found.size.families) == (rules, families)
        assert (found.size.shapes > 0) == (budget == 120)


def test_runs_are_a_limit_too():
    found = plan(1e9, 8, 11, 400, 0, trials=150)
    assert found.trials <= 150 < larger(found, 8, 11).trials
    assert larger(plan(1e9, 8, 11, 400, 0), 8, 11) is None


def test_deep_probes_take_a_share_of_the_budget_at_most():
    for budget in (20, 40, 60, 120, 1000):
        depth = probing(budget, 8, 400, 0)
        assert len(depth.lengths) == 1 or 8 * depth.updates / 400 <= FOR_PROBES * budget
    assert len(probing(1000, 8, 400, 0).lengths) == 2


@pytest.mark.parametrize("steps", [1, 39])
def test_a_horizon_too_short_for_rungs_is_refused(steps):
    with pytest.raises(BudgetError, match=f"{steps} steps are too short.*at least 40"):
        least(1, 1, steps)


def test_the_seeds_of_a_search_and_its_fresh_seeds_never_meet():
    used = []
    for seed in range(4):
        found = plan(300, 3, 10, 400, seed)
        search = {s for rung in found.rungs for s in rung.seeds} | set(probing(300, 3, 400, seed).seeds)
        fresh, confirming = set(found.fresh), set(found.confirming)
        assert not search & fresh
        assert not (search | fresh) & confirming
        used.append(search | fresh | confirming | {found.confirming[-1] + 1})
    assert sum(map(len, used)) == len(set().union(*used))
