"""How long an update takes on this machine, and how many updates of other batch sizes take as long as a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from stepsize import engines
from stepsize.engines.base import with_two_validation_samples
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.policies import constant
from stepsize.problems import Task, Trainable
from stepsize.rules import Rule
from stepsize.strategy import Strategy, Trial

SecondsOf = Callable[[Task, Rule], float]
"""Returns the seconds of an update of a task under a rule."""

UPDATES, ROUNDS = 12, 3
"""Of a timing, and timings of each batch size, in turn; of a round the median counts, and of the rounds the fastest."""

GRAIN = 4
"""Ratios of times are rounded to the so-manieth root of two: another timing on a busy machine mostly gives the same."""


def seconds_per_update(task: Task, rule: Rule, *, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds that an update of one training takes in a plain loop, the median over some of them.

    clock: a time in seconds.
    """
    marks: list[float] = []
    trial = Trial(Strategy(rule, constant(rule.lr)), 0)
    small = with_two_validation_samples(task)
    engines.Loop().run(small, [trial], UPDATES + 2, progress=lambda _: marks.append(clock()))
    return float(np.median(np.diff(marks[:-1])))  # the first is warm, and the last has a score


def check_batch_sizes(task: Trainable, sizes: Sequence[int]) -> Task:
    """Return `task`, whose batches may be of these sizes; raise ParameterError for sizes that are none."""
    if not isinstance(task, Task):
        raise ParameterError(f"the batch size of {task.name!r} is its training function's own affair; change it there.")
    whole = all(size >= 1 and size == int(size) for size in sizes)
    if not sizes or not whole or len(set(sizes)) < len(sizes):
        raise ParameterError(f"batch sizes are distinct whole numbers of at least 1, not {list(sizes)!r}.")
    samples = task.samples_per_epoch
    if samples is not None and max(sizes) * task.accumulate > samples:
        raise ParameterError(
            f"a batch size of {max(sizes)} is more than the {samples} training samples of {task.name!r}; give at most "
            f"{samples // task.accumulate}."
        )
    return task


def updates_at_equal_time(
    task: Task, sizes: Sequence[int], steps: int, rule: Rule, *, least: int, seconds_of: SecondsOf = seconds_per_update
) -> tuple[dict[int, int], dict[int, float]]:
    """Return how many updates of each batch size take as long as `steps` of the task's own, and the seconds of one.

    `n = steps * t(own) / t(size)`, with the ratio of times rounded to a quarter of a power of two.

    Raises BudgetError for a size that has fewer than `least`.
    """
    every = sorted({*sizes, task.batch_size})
    variants = {size: replace(task, batch_size=size) for size in every}
    rounds = [{size: seconds_of(variant, rule) for size, variant in variants.items()} for _ in range(ROUNDS)]
    seconds = {size: min(each[size] for each in rounds) for size in every}
    own = seconds[task.batch_size]
    ratios = {size: 2.0 ** (round(GRAIN * math.log2(own / seconds[size])) / GRAIN) for size in sizes}
    updates = {size: max(1, round(steps * ratio)) for size, ratio in ratios.items()}
    short = min(updates, key=lambda size: updates[size])
    if updates[short] < least:
        raise BudgetError(
            f"with batches of {short}, the time of {steps} steps of {task.batch_size} samples is that of "
            f"{updates[short]} updates, too few; raise the steps to {math.ceil(least / ratios[short])} or more."
        )
    return updates, seconds
