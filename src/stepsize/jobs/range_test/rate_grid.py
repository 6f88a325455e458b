"""The grid: many learning rates, each in a short run of its own, all of them at once.

A range test shows every rate for a moment, in a training that earlier rates have shaped. A run of its own has no such
past, and is long enough to show an instability that builds up. What is compared is where the whole schedule in question
ends in a shortened horizon, so the answer has only to be rescaled from a short run to a long one, not from a moment to
a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.lengths import in_task_updates, updates_of
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.kernel.text import count
from stepsize.policies import Policy, constant
from stepsize.problems import Task, Trainable
from stepsize.results import Curves, RateGrid
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy, Trial
from stepsize.theory.range_test import LEAST_RUN

TAIL = 10
"""The training loss of a run is the mean over its last tenth."""


def rate_grid(
    task: Trainable,
    rule: Rule | None = None,
    rates: Sequence[float] = (),
    *,
    policy: Policy | None = None,
    steps: int | str | None = None,
    seeds: Sequence[int] = (0,),
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> RateGrid:
    """Return where runs of `task` under `rule` end, one for each of the peak rates `rates` and each seed.

    rule: AdamW with its defaults when not given. policy: what every run follows, whole, at a peak of 1; a constant rate
        when not given. steps: how long each run is, optimizer updates or "1 epoch"; an eighth of the task's own when
        not given. seeds: paired: all rates start from the same weights and see the same batches.
    runner: to share an engine and a journal with other jobs.

    Raises ParameterError for rates that do not rise from above 0, BudgetError for runs that are too short.
    """
    rule = AdamW() if rule is None else rule
    length = max(LEAST_RUN, task.steps // 8) if steps is None else updates_of(task, steps)
    if length < LEAST_RUN:
        raise BudgetError(f"runs of {length} steps are too short to be compared; give them at least {LEAST_RUN}.")
    peaks = floats(rates)
    if not peaks.size or not np.isfinite(peaks).all() or not (np.diff(peaks, prepend=0.0) > 0).all():
        raise ParameterError(f"the rates of a grid rise, from above 0, not {list(rates)!r}.")
    if not seeds:
        raise BudgetError("a grid needs at least one seed.")
    shape = (constant(1.0) if policy is None else in_task_updates(policy, task)).only(rule.hyperparameters)
    runner = runner or Runner(task, engine=engine, progress=progress)
    strategies = [Strategy(rule, shape.scaled(peak), f"{rule.title} {peak:.4g}") for peak in peaks.tolist()]
    stage = f"grid of {rule.title}: {count(len(peaks), 'rate')}, {length} steps"
    curves = runner.run(stage, [Trial(strategy, seed) for strategy in strategies for seed in seeds], length)
    return RateGrid(
        task=task.source or task.name, rule=rule, rates=peaks, policy=shape, steps=length, horizon=task.steps,
        **run_fields(task, seeds, [curves]), cost=len(peaks) * len(seeds) * length,
    )  # fmt: skip


def run_fields(task: Trainable, seeds: Sequence[int], runs: Sequence[Curves]) -> dict[str, Any]:
    """Return what the records of grids hold of their runs, whose trials are one point after the other, seed by seed."""
    return {
        "seeds": tuple(seeds),
        "losses": np.concatenate([_last_losses(curves) for curves in runs]).reshape(-1, len(seeds)),
        "held_out": np.concatenate([curves.final for curves in runs]).reshape(-1, len(seeds)),
        # a task that is a training function of the user's own shows no loss before its first update
        "before": first_scores(task, seeds),
        "scored": task.scored,
        "seconds": sum(curves.seconds for curves in runs),
    }


def _last_losses(curves: Curves) -> Floats:
    """Return the mean training loss over the last tenth of each run, (trials,); NaN for one that diverged."""
    last = max(1, curves.steps // TAIL)
    means = np.asarray(curves.losses[-last:], dtype=np.float64).mean(axis=0)
    return np.where(curves.died_at < 0, means, np.nan)


def first_scores(task: Trainable, seeds: Sequence[int]) -> Floats | None:
    """Return the score of the initial weights of each seed, (seeds,); None of a training function."""
    return floats([task.score(task.build(seed)) for seed in seeds]) if isinstance(task, Task) else None
