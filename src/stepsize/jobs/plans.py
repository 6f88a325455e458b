"""How advice spends its budget: how many rates per rule and policy, which rungs, how many fresh seeds.

The budget is counted in full trainings: runs of one model over the full horizon. Everything is paid from it, the
range tests included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stepsize.jobs.races import WIDENINGS, RungPlan
from stepsize.jobs.range_tests import ramp_steps
from stepsize.kernel.errors import BudgetError
from stepsize.theory.ramps import HIGH, LOW

LEAST_HORIZON = 40
"""The shortest run whose quarter is still a run."""

LEAST_RAMP = 70
"""The shortest range test, where the horizon is shorter still: ten steps a decade."""

RATES = (1, 3, 5, 7)
"""How many rates per rule and policy are worth having; more lie closer than the noise tells apart."""

FRESH_SEED, CONFIRMING_SEED, BLOCK = 500, 600, 1000
"""Each `seed` owns a block of 1 000 trial seeds: the search has its start, and these are where the others begin."""


class Size(NamedTuple):
    """How thorough a search is.

    short, full: seeds on the rungs below the full horizon, and on it. ramp: seeds of a range test.
    finalists: how many run again, on `fresh` seeds; the winner then on as many others.
    """

    short: int
    full: int
    ramp: int
    finalists: int
    fresh: int


SIZES = (Size(1, 2, 2, 2, 3), Size(1, 3, 4, 3, 5), Size(2, 3, 4, 4, 5), Size(3, 4, 4, 5, 8))
"""From the least to the most thorough."""


@dataclass(frozen=True)
class Plan:
    """What a budget buys.

    ramp: steps of a range test. ramp_seeds: its seeds. rates: how many per rule and policy. rungs: of the search.
    finalists: how many are run again on `fresh` seeds, which choose the winner. confirming: the seeds that choose
        nothing, on which the winner shows what to expect of it.
    cost: in full trainings, at most.
    """

    ramp: int
    ramp_seeds: tuple[int, ...]
    rates: int
    rungs: tuple[RungPlan, ...]
    finalists: int
    fresh: tuple[int, ...]
    confirming: tuple[int, ...]
    cost: float


def plan(budget: float, rules: int, policies: int, steps: int, seed: int) -> Plan:
    """Return the most thorough plan for `rules` x `policies` that `budget` full trainings of `steps` updates pay for.

    Three rates come first, then more seeds, then more rates.

    Raises BudgetError when even the least one costs more, or when the horizon is too short to be cut into rungs.
    """
    if steps < LEAST_HORIZON:
        raise BudgetError(
            f"{steps} steps are too short a training to compare schedules in; give it at least {LEAST_HORIZON}."
        )
    found = [
        _plan(rates, size, rules=rules, policies=policies, steps=steps, seed=seed) for rates in RATES for size in SIZES
    ]
    affordable = [each for each in found if each.cost <= budget]
    if not affordable:
        raise BudgetError(
            f"a budget of {budget:g} full trainings is too small for {rules} rules x {policies} policies: "
            f"the least plan costs {min(each.cost for each in found):.1f}. "
            f"Raise the budget, or name fewer rules or policies."
        )
    return max(affordable, key=lambda each: (min(each.rates, 3), len(each.fresh), each.cost))


def _plan(rates: int, size: Size, *, rules: int, policies: int, steps: int, seed: int) -> Plan:
    first = seed * BLOCK
    field = rules * policies * rates
    middle, top = max(policies, field // 4), max(size.finalists, field // 12)
    short = tuple(range(first, first + size.short))
    rungs = (
        RungPlan(steps // 4, short, min(field, middle)),
        RungPlan(steps // 2, short, min(field, top)),
        RungPlan(steps, tuple(range(first, first + size.full))),
    )
    ramp = min(ramp_steps(LOW, HIGH), max(LEAST_RAMP, steps))
    # The first rung also keeps the best of every family, so up to `policies` more go on than it says.
    fields = (field, min(field, middle + policies), min(field, top))
    updates = sum(count * rung.steps * len(rung.seeds) for count, rung in zip(fields, rungs, strict=True))
    updates += rules * ramp * size.ramp
    if rates > 1:
        updates += WIDENINGS * rules * policies * rungs[0].steps * len(short)
    return Plan(
        ramp=ramp,
        ramp_seeds=tuple(range(first, first + size.ramp)),
        rates=rates,
        rungs=rungs,
        finalists=size.finalists,
        fresh=tuple(range(first + FRESH_SEED, first + FRESH_SEED + size.fresh)),
        confirming=tuple(range(first + CONFIRMING_SEED, first + CONFIRMING_SEED + size.fresh)),
        cost=updates / steps + (size.finalists + 2) * size.fresh,
    )
