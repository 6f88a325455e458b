"""How advice spends its budget: how deep the pilot runs, how many rules, which rungs, how many fresh seeds.

The budget is counted in full trainings: runs of one model over the full horizon. Everything is paid from it. The
pilot runs come first; what they leave decides on the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from stepsize.jobs.advise.pilot_runs import Depth
from stepsize.jobs.race.rungs import RungPlan
from stepsize.kernel.errors import BudgetError
from stepsize.theory.range_test import LEAST_RUN, range_test_steps

LEAST_HORIZON = 40
"""The shortest run whose quarter is still a run."""

LEAST_RAMP = 70
"""The shortest ramp, where a quarter of the horizon is shorter still: ten steps a decade."""

SHORT, HALF, PILOT = 4, 2, 8
"""The first rung runs a quarter of the horizon, the second a half; the first grid of a pilot run an eighth."""

FOR_PILOTS = 0.25
"""The share of a budget that deep pilot runs may cost; where they cost more, the pilot runs are shallow."""

FRESH_SEED, CONFIRMING_SEED, BLOCK = 500, 600, 1000
"""Each `seed` owns a block of 1 000 trial seeds: the search has its start, and these are where the others begin."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How thorough a search is.

    rules: how many are kept after the pilot runs (see `racing`). short, half, full: seeds on the three rungs. families:
    how many go on to the second rung at three rates each. shapes: whether the best of every other shape of schedule
    goes on to it too, at one rate. last: how many strategies go on to the full horizon. tuned: how many families have
    their rate set between the rates that ran, before it. finalists: how many run again, on `fresh` seeds; the winner
    then on as many others.
    """

    rules: int
    short: int
    families: int
    shapes: bool
    half: int
    last: int
    tuned: int
    full: int
    finalists: int
    fresh: int


SIZES = (
    Size(rules=1, short=1, families=2, shapes=False, half=1, last=2, tuned=1, full=1, finalists=2, fresh=2),
    Size(rules=2, short=1, families=3, shapes=False, half=1, last=3, tuned=1, full=1, finalists=2, fresh=2),
    Size(rules=3, short=1, families=4, shapes=False, half=1, last=4, tuned=1, full=1, finalists=2, fresh=3),
    Size(rules=3, short=1, families=6, shapes=False, half=1, last=4, tuned=2, full=2, finalists=3, fresh=3),
    Size(rules=3, short=1, families=6, shapes=True, half=1, last=6, tuned=2, full=2, finalists=3, fresh=4),
    Size(rules=4, short=1, families=8, shapes=True, half=1, last=8, tuned=3, full=2, finalists=4, fresh=5),
    Size(rules=4, short=2, families=10, shapes=True, half=2, last=8, tuned=3, full=3, finalists=4, fresh=6),
    Size(rules=6, short=3, families=16, shapes=True, half=2, last=12, tuned=4, full=4, finalists=6, fresh=10),
)
"""From the least to the most thorough."""


@dataclass(frozen=True)
class Plan:
    """What a budget buys, after the pilot runs.

    size: how thorough it is. rules: how many of them race. rungs: of the search. fresh: the seeds that the finalists
    run on, which choose the winner. confirming: the seeds that choose nothing, on which the winner shows what to expect
    of it.
    cost: in full trainings, at most. trials: how many runs, of any length, at most.
    """

    size: Size
    rules: int
    rungs: tuple[RungPlan, ...]
    fresh: tuple[int, ...]
    confirming: tuple[int, ...]
    cost: float
    trials: int


def pilot_depth(budget: float, rules: int, horizon: int, seed: int) -> Depth:
    """Return how deep the pilot runs go: by grids of an eighth and of a quarter of the horizon, or the first alone."""
    ramp = max(LEAST_RAMP, min(range_test_steps(), horizon // SHORT))
    first = max(LEAST_RUN, horizon // PILOT)
    lengths = (first, max(2 * first, horizon // SHORT))
    deep = Depth(ramp, lengths, (seed * BLOCK,))
    if rules * deep.updates <= FOR_PILOTS * budget * horizon:
        return deep
    return Depth(ramp, lengths[:1], deep.seeds)


def racing(rules: int, takes: Sequence[int]) -> int:
    """Return how many rules race: the best ones, until they have the strategies of `rules` rules with every policy.

    takes: how many policies each rule takes, the best rule first. One that takes a single policy, as Schedule-Free
    does, is in nobody's way.

    >>> racing(2, [11, 11, 1, 11]), racing(2, [1, 11, 11, 11])
    (2, 3)
    """
    room = rules * max(takes)
    return next((count for count, field in enumerate(accumulate(takes), 1) if field >= room), len(takes))


def least(takes: Sequence[int], horizon: int) -> float:
    """Return what the least search costs, in full trainings and with pilot runs, whichever rule turns out the best.

    takes: how many policies each rule takes. Raises BudgetError when the horizon is too short to be cut into rungs.
    """
    if horizon < LEAST_HORIZON:
        raise BudgetError(
            f"{horizon} steps are too short a training to compare schedules in; give it at least {LEAST_HORIZON}."
        )
    pilots = len(takes) * pilot_depth(0, len(takes), horizon, 0).updates / horizon
    return pilots + plans(sorted(takes), horizon, 0)[0].cost


def plan(left: float, takes: Sequence[int], horizon: int, seed: int, *, trials: float = math.inf) -> Plan:
    """Return the most thorough plan that `left` full trainings and `trials` runs pay for.

    takes: how many policies each rule takes, the best rule first. The least plan where nothing is paid for: whoever
    asks has made sure of that before the pilot runs, which may cost a little more than they should.
    """
    found = plans(takes, horizon, seed)
    return next((each for each in reversed(found) if each.cost <= left and each.trials <= trials), found[0])


def larger(found: Plan, takes: Sequence[int]) -> Plan | None:
    """Return the next more thorough plan; None after the most thorough."""
    horizon, seed = found.rungs[-1].steps, found.rungs[-1].seeds[0] // BLOCK
    sizes = SIZES[SIZES.index(found.size) + 1 :]
    return _plan(sizes[0], takes, horizon, seed) if sizes else None


def plans(takes: Sequence[int], horizon: int, seed: int) -> list[Plan]:
    """Return a plan of every size, from the least to the most thorough."""
    return [_plan(size, takes, horizon, seed) for size in SIZES]


def _plan(size: Size, takes: Sequence[int], horizon: int, seed: int) -> Plan:
    first = seed * BLOCK
    rules = racing(size.rules, takes)
    field = sum(takes[:rules])
    families = min(field, size.families)
    second = min(field, families + size.shapes * max(takes)) + 2 * families
    last = min(second, size.last) + size.tuned
    seeds = [tuple(range(first, first + count)) for count in (size.short, size.half, size.full)]
    rungs = (
        RungPlan(horizon // SHORT, seeds[0], families),
        RungPlan(horizon // HALF, seeds[1], min(second, size.last)),
        RungPlan(horizon, seeds[2]),
    )
    final = (min(size.finalists, last) + 1) * size.fresh
    runs = [count * len(rung.seeds) for count, rung in zip((field, second, last), rungs, strict=True)]
    updates = sum(count * rung.steps for count, rung in zip(runs, rungs, strict=True))
    return Plan(
        size=size,
        rules=rules,
        rungs=rungs,
        fresh=tuple(range(first + FRESH_SEED, first + FRESH_SEED + size.fresh)),
        confirming=tuple(range(first + CONFIRMING_SEED, first + CONFIRMING_SEED + size.fresh)),
        cost=updates / horizon + final + size.fresh,
        trials=sum(runs) + final + size.fresh,
    )
