"""The learning rate range test: let the rate climb, and watch the loss [smith2017cyclical, sec. 3.3]."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stepsize.engines import Engine
from stepsize.jobs.base import Progress, Runner
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.policies import Policy
from stepsize.problems import Task
from stepsize.results import Sweep
from stepsize.rules import AdamW, Rule
from stepsize.schedules import Exponential
from stepsize.strategy import Strategy, Trial

LOW, HIGH = 1e-6, 10.0
"""The range that is swept when none is given."""

PER_DECADE = 40
"""Steps per decade of the rate: more matters more than any rule that reads the curve."""

LEAST_STEPS = 20
"""The shortest ramp whose curve can be smoothed."""


def ramp_steps(low: float = LOW, high: float = HIGH) -> int:
    """Return how many steps a ramp from `low` to `high` takes."""
    return max(LEAST_STEPS, round(PER_DECADE * math.log10(high / low)))


def range_test(
    task: Task,
    rule: Rule | None = None,
    *,
    low: float = LOW,
    high: float = HIGH,
    steps: int | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3),
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> Sweep:
    """Return the losses of `task` under `rule` while the rate climbs from `low` to `high`, once per seed.

    rule: AdamW with its defaults when not given. low, high: the ends of the exponential ramp. steps: of the ramp,
        optimizer updates;
        40 a decade when not given. seeds: replicas with their own weights and batches, trained at once.
    runner: to share an engine and a journal with other jobs.

    Raises ParameterError for an empty range, BudgetError for a ramp too short to be read.
    """
    if not 0 < low < high:
        raise ParameterError(f"a range test climbs from low to high, above 0, not from {low!r} to {high!r}.")
    length = ramp_steps(low, high) if steps is None else steps
    if length < LEAST_STEPS:
        raise BudgetError(f"a ramp of {length} steps is too short to be read; give it at least {LEAST_STEPS}.")
    if not seeds:
        raise BudgetError("a range test needs at least one seed; four show the spread.")
    rule = AdamW() if rule is None else rule
    runner = runner or Runner(task, engine=engine, progress=progress)
    strategy = Strategy(rule, Policy(lr=Exponential(low, high)), f"{type(rule).__name__} ramp")
    curves = runner.run(f"range test of {type(rule).__name__}", [Trial(strategy, seed) for seed in seeds], length)
    rates = strategy.over(length).policy["lr"].table(0, length)
    return Sweep(task.source or task.name, rule, rates, curves.losses, tuple(seeds), curves.seconds)
