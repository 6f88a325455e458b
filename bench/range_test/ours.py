"""What stepsize suggests for a problem: the only file of the benchmark that knows how."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from tasks import Problem

from stepsize.jobs import advise, range_test, suggest

BLOCK = 1000
"""Each seed of the benchmark owns a block of trial seeds; none of them meets one of truth.py's."""

WAYS: dict[str, float | None] = {
    "stepsize, budget 2.5": 2.5,
    "stepsize, one training": 1.0,
    "stepsize, nothing run": 0.0,
    "stepsize, a ramp alone": None,
}
"""How it is asked: the search within so many full trainings, what a look at the model says, and a range test alone."""


def suggest_all(
    problem: Problem, schedules: Sequence[str], seed: int, budget: float | None, ramp: int | None = None
) -> tuple[dict[str, float | None], int]:
    """Return the peak rate for each schedule, None for no clear answer, and how many updates one of them took.

    The search of `advise` for the problem's rule and one schedule, within `budget` full trainings; without a budget
    what a single ramp says, of `ramp` steps or 40 a decade.
    """
    if budget is None:
        wanted = {schedule: problem.strategy(schedule, 1.0) for schedule in schedules}
        record = range_test(problem.task, problem.rule, steps=ramp, seeds=[BLOCK * (seed + 1)], curvature=False)
        found = {name: suggest(record, strategy) for name, strategy in wanted.items()}
        return {name: each.lr.value if each.lr is not None else None for name, each in found.items()}, record.cost
    advice = {
        schedule: advise(problem.task, rules=[problem.rule], policies=[schedule], budget=budget, seed=seed + 1)
        for schedule in schedules
    }
    cost = fmean(each.cost for each in advice.values())
    return {name: each.strategy.peak for name, each in advice.items()}, round(cost * problem.task.steps)
