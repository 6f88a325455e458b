"""The grid: many learning rates, each in a short run of its own, and at which of them the runs end lowest.

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
from stepsize.jobs.lengths import in_task_updates, short_run
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.kernel.numeric import numeric
from stepsize.kernel.text import count
from stepsize.policies import Policy, constant
from stepsize.problems import Task, Trainable
from stepsize.results import Curves, RateGrid
from stepsize.results.range_test import is_little
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy, Trial
from stepsize.theory.range_test import LEAST_DROP, LEAST_RUN

TAIL = 10
"""The training loss of a run is the mean over its last tenth."""


VALLEY = 0.25
"""The least share of what the training loss has fallen that a validation loss has fallen which says something."""


@numeric
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
    length = short_run(task, steps, parts=8)
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


def lowest_rates(grid: RateGrid) -> tuple[Floats, str]:
    """Return the rate at which the runs of a grid end lowest, one for each seed, and what is wrong with it, if any.

    It is the vertex of the parabola through the lowest point and its neighbours, in the log of the rate.
    """
    losses = grid.final_losses
    means = losses.mean(axis=1)
    if not np.isfinite(means).any():
        return floats([]), "every run of the grid diverged: begin at smaller rates"
    if grid.before is not None and float(means.min()) >= float(grid.before.mean()):
        trouble = "no run of the grid ends below where it began: the rates are too small, or nothing is learned"
        return floats([]), trouble
    side = _edge(grid)
    if side:
        which, rate = ("smallest", grid.rates[0]) if side < 0 else ("largest", grid.rates[-1])
        return floats([]), f"the optimum is at the edge: it lies beyond the {which} rate of the grid, {rate:.2g}"
    x = np.log10(floats(grid.rates))
    return 10 ** floats([vertex(x, column) for column in losses.T]), ""


def _edge(grid: RateGrid) -> int:
    """Return on which side of a grid its best rate lies: -1 for smaller ones, 1 for larger ones, 0 for in between.

    Where the best run has learned next to nothing, the rates are too small, unless the largest has done harm. And where
    the validation loss has hardly fallen while the training loss still falls at the largest rate, there may be a
    second, deeper valley: factorisations learn by heart before they learn.
    """
    means = grid.final_losses.mean(axis=1)
    best, last = int(means.argmin()), len(means) - 1
    if grid.before is not None and np.isfinite(means[best]):
        start = float(grid.before.mean())
        if is_little(start - means[best], start) and means[last] - start < LEAST_DROP * abs(start):
            return 1
        training = np.where(np.isfinite(grid.losses), grid.losses, np.inf).mean(axis=1)
        if training.argmin() == last and start - means[best] < VALLEY * (start - training[last]):
            return 1
    return -1 if best == 0 else int(best == last)


def vertex(x: Floats, y: Floats) -> float:
    """Return where the parabola through the lowest of `y` and its neighbours has its vertex; at an edge, the edge."""
    low = int(y.argmin())
    if low in (0, len(x) - 1):
        return float(x[low])
    if not np.isfinite(y[low + 1]):  # the best is beside a cliff, which other seeds may fall off
        return float(x[low - 1] + x[low]) / 2
    near = slice(low - 1, low + 2)
    level = np.log(y[near]) if (y[near] > 0).all() else y[near]
    level = np.minimum(level, level[1] + 1.0)  # a loss that is far above says no more than that
    curve = np.polyfit(x[near] - x[low], level, 2)
    if not np.isfinite(curve).all() or curve[0] <= 0:
        return float(x[low])
    return float(np.clip(x[low] - curve[1] / (2 * curve[0]), x[low - 1], x[low + 1]))
