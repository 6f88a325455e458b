"""What stepsize suggests for a problem: the only file of the benchmark that knows how."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tasks import Problem

from stepsize.jobs import find_rate, range_test, suggest
from stepsize.results import Suggestion

BLOCK = 1000
"""Each seed of the benchmark owns a block of trial seeds; none of them meets one of truth.py's."""

WAYS: dict[str, float | None] = {"stepsize": 2.5, "stepsize, one training": 1.0, "stepsize, a ramp alone": None}
"""How it is asked: the search with its default budget, with a budget of one training, and a range test alone."""


def suggest_all(
    problem: Problem, schedules: Sequence[str], seed: int, budget: float | None, ramp: int | None = None
) -> tuple[dict[str, float | None], int]:
    """Return the peak rate for each schedule, None for no clear answer, and how many updates one of them took.

    The search of `find_rate` within `budget` full trainings, for each schedule by itself; without a budget what a
    single ramp says, of `ramp` steps or 40 a decade.
    """
    seeds = [BLOCK * (seed + 1)]
    wanted = {schedule: problem.strategy(schedule, 1.0) for schedule in schedules}
    if budget is None:
        record = range_test(problem.task, problem.rule, steps=ramp, seeds=seeds, curvature=False)
        return {name: rate_of(suggest(record, strategy)) for name, strategy in wanted.items()}, record.cost
    ask = partial(find_rate, problem.task, problem.rule, budget=budget, seeds=seeds)
    found = {name: ask(strategy) for name, strategy in wanted.items()}
    rates = {name: rate_of(suggest(sweep, wanted[name])) for name, sweep in found.items()}
    updates = sum(part.cost for sweep in found.values() for part in sweep.parts)
    return rates, round(updates / len(found))


def rate_of(found: Suggestion) -> float | None:
    return found.lr.value if found.clear and found.lr is not None else None
