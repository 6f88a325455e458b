"""Plans: what they cost is what the jobs then run, and more money never buys less."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.jobs.advise.plan import FOR_PILOTS, larger, least, pilot_depth, plan, plans, racing
from stepsize.kernel.errors import BudgetError

GRID = list(itertools.product((1, 2, 3, 8), (1, 2, 4, 11), (40, 41, 150, 400, 3000)))

USUAL = [11, 1, 11, 11, 11, 11, 11, 11]
"""The policies that each of the usual rules takes, where Schedule-Free is the second best of them."""


@pytest.mark.parametrize(("rules", "policies", "steps"), GRID)
def test_a_plan_costs_no_more_than_what_is_left_and_more_buys_no_less(rules, policies, steps):
    cheapest = plans([policies] * rules, steps, 0)[0]
    before = None
    for left in (12, 20, 40, 70, 100, 200, 500, 2000):
        found = plan(left, [policies] * rules, steps, 0)
        assert found.cost <= left or found == cheapest
        assert [rung.steps for rung in found.rungs] == [steps // 4, steps // 2, steps]
        if before is not None:
            assert found.cost >= before.cost
        before = found


@pytest.mark.parametrize(("rules", "policies", "steps"), GRID)
def test_every_size_costs_more_than_the_one_before(rules, policies, steps):
    costs = [each.cost for each in plans([policies] * rules, steps, 0)]
    assert costs == sorted(costs)


@pytest.mark.parametrize(("budget", "rules", "families"), [(30, 2, 3), (60, 3, 6), (120, 4, 8)])
def test_small_budgets_still_race_several_rules(budget, rules, families):
    """What a small budget leaves out is the best of every shape of schedule on the second rung."""
    for steps in (200, 300, 500):
        left = budget - 8 * pilot_depth(budget, 8, steps, 0).updates / steps
        found = plan(left, USUAL, steps, 0)
        assert (found.size.rules, found.size.families) == (rules, families)
        assert found.size.shapes == (budget == 120)


@given(st.integers(1, 6), st.lists(st.sampled_from([1, 2, 11]), min_size=1, max_size=8))
def test_a_rule_that_takes_one_policy_is_in_nobodys_way(rules, takes):
    """As many strategies race as `rules` rules with every policy make, or all there are, and not one rule more."""
    count = racing(rules, takes)
    room = rules * max(takes)
    assert sum(takes[:count]) >= min(room, sum(takes))
    assert sum(takes[: count - 1]) < room
    for found in plans(takes, 400, 0):
        assert found.rules == racing(found.size.rules, takes)


def test_the_least_search_pays_for_any_order_of_the_rules():
    for takes in itertools.permutations([1, 2, 11, 11]):
        depth = pilot_depth(0, 4, 400, 0)
        assert least([11, 1, 2, 11], 400) >= 4 * depth.updates / 400 + plans(takes, 400, 0)[0].cost


def test_runs_are_a_limit_too():
    found = plan(1e9, USUAL, 400, 0, trials=150)
    assert found.trials <= 150 < larger(found, USUAL).trials
    assert larger(plan(1e9, USUAL, 400, 0), USUAL) is None


def test_deep_pilot_runs_take_a_share_of_the_budget_at_most():
    for budget in (20, 40, 60, 120, 1000):
        depth = pilot_depth(budget, 8, 400, 0)
        assert len(depth.lengths) == 1 or 8 * depth.updates / 400 <= FOR_PILOTS * budget
    assert len(pilot_depth(1000, 8, 400, 0).lengths) == 2


@pytest.mark.parametrize("steps", [1, 39])
def test_a_horizon_too_short_for_rungs_is_refused(steps):
    with pytest.raises(BudgetError, match=f"{steps} steps are too short.*at least 40"):
        least([1], steps)


def test_the_seeds_of_a_search_and_its_fresh_seeds_never_meet():
    used = []
    for seed in range(4):
        found = plan(300, [10, 10, 10], 400, seed)
        search = {s for rung in found.rungs for s in rung.seeds} | set(pilot_depth(300, 3, 400, seed).seeds)
        fresh, confirming = set(found.fresh), set(found.confirming)
        assert not search & fresh
        assert not (search | fresh) & confirming
        used.append(search | fresh | confirming | {found.confirming[-1] + 1})
    assert sum(map(len, used)) == len(set().union(*used))
