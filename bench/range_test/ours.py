"""What stepsize suggests for a problem: the only file of the benchmark that knows how."""

from __future__ import annotations

from collections.abc import Sequence

from tasks import Problem

from stepsize.jobs import range_test, suggest

BLOCK, SEEDS = 1000, 4
"""Each seed of the benchmark owns a block of trial seeds; none of them meets one of truth.py's."""


def suggest_all(
    problem: Problem, schedules: Sequence[str], seed: int, ramp: int | None = None
) -> tuple[dict[str, float | None], int]:
    """Return the peak rate for each schedule, None for no clear answer, and how many updates the answer took.

    seed: another seed is another set of replicas. ramp: the length of the ramp, steps; the default when not given.
    """
    first = BLOCK * (seed + 1)
    sweep = range_test(problem.task, problem.rule, steps=ramp, seeds=range(first, first + SEEDS))
    found = suggest(sweep)
    rate = None if found.max_lr is None else found.max_lr.value
    return dict.fromkeys(schedules, rate), sweep.losses.size
