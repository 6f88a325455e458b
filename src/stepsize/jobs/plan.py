"""How advice spends its budget: how many rates per rule and policy, which rungs, how many fresh seeds.

The budget is counted in full trainings: runs of one model over the full horizon. Everything is paid from it, the range tests included.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.jobs.race import RungPlan
from stepsize.jobs.range_test import HIGH, LOW, ramp_steps
from stepsize.kernel.errors import BudgetError

LEAST_HORIZON = 40
"""The shortest run whose quarter is still a run."""

MOST_RATES = 7
"""More rates per rule and policy than this lie closer than the noise tells apart."""

SIZES = ((1, 2, 2, 3), (1, 3, 3, 5), (2, 3, 4, 5), (3, 4, 5, 8))
"""Seeds on the short rungs, seeds on the full one, finalists, fresh seeds: from the least to the most thorough."""

FIRST_SEED, FRESH_SEED, BLOCK = 0, 500, 1000
"""Where the seeds of the search and the fresh ones begin, inside the block of 1 000 seeds that belongs to one `seed`."""


@dataclass(frozen=True)
class Plan:
    """What a budget buys.

    ramp: steps of a range test. ramp_seeds: its seeds. rates: how many per rule and policy. rungs: of the search.
    finalists: how many are run again on `fresh` seeds, which choose the winner and say what to expect of it.
    cost: in full trainings, at most.
    """

    ramp: int
    ramp_seeds: tuple[int, ...]
    rates: int
    rungs: tuple[RungPlan, ...]
    finalists: int
    fresh: tuple[int, ...]
    cost: float


def plan(budget: float, rules: int, policies: int, steps: int, seed: int) -> Plan:
    """Return the most thorough plan for `rules` x `policies` that `budget` full trainings of `steps` updates pay for.

    Raises BudgetError when even the least one costs more, or when the horizon is too short to be cut into rungs.
    """
    if steps < LEAST_HORIZON:
        raise BudgetError(f"{steps} steps are too short a training to compare schedules in; give it at least {LEAST_HORIZON}.")
    affordable = [found for rates in range(1, MOST_RATES + 1, 2) for found in _plans(rates, rules, policies, steps, seed)]
    least = min(affordable, key=lambda found: found.cost)
    affordable = [found for found in affordable if found.cost <= budget]
    if not affordable:
        raise BudgetError(
            f"a budget of {budget:g} full trainings is too small for {rules} rules x {policies} policies: the least plan costs "
            f"{least.cost:.0f}. Raise the budget, or name fewer rules or policies."
        )
    return max(affordable, key=lambda found: (min(found.rates, 3), len(found.fresh), found.rates, found.cost))


def _plans(rates: int, rules: int, policies: int, steps: int, seed: int) -> list[Plan]:
    return [_plan(rates, rules, policies, steps, seed, *size) for size in SIZES]


def _plan(
    rates: int, rules: int, policies: int, steps: int, seed: int, first: int, last: int, finalists: int, fresh: int
) -> Plan:
    """Return the plan with `first` seeds on the short rungs, `last` on the full one, and so many finalists on fresh seeds."""
    size = rules * policies * rates
    begin = seed * BLOCK + FIRST_SEED
    seeds = tuple(range(begin, begin + max(first, last)))
    middle, top = max(policies, size // 4), max(finalists, size // 12)
    rungs = (
        RungPlan(max(1, steps // 4), seeds[:first], min(size, middle)),
        RungPlan(max(1, steps // 2), seeds[:first], min(size, top)),
        RungPlan(steps, seeds[:last], None),
    )
    ramp, ramp_seeds = min(ramp_steps(LOW, HIGH), max(70, steps)), seeds[: max(2, first)] if first == 1 else _first(seeds, 4)
    sizes = (size, min(size, middle + policies), min(size, top))
    search = sum(count * rung.steps * len(rung.seeds) for count, rung in zip(sizes, rungs, strict=True)) / steps
    cost = search + rules * ramp * len(ramp_seeds) / steps + (finalists + 1) * fresh
    fresh_seeds = tuple(seed * BLOCK + FRESH_SEED + i for i in range(fresh))
    return Plan(ramp, ramp_seeds, rates, rungs, finalists, fresh_seeds, cost)


def _first(seeds: tuple[int, ...], count: int) -> tuple[int, ...]:
    return tuple(range(seeds[0], seeds[0] + count))
