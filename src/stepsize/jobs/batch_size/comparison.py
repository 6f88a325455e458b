"""Smith's test of the batch size: at equal running time, each size at its own rate [smith2018disciplined, sec. 4.2].

At equal epochs small batches make more updates, at equal updates large ones see more samples: neither is fair. And a
larger batch bears a larger rate, so that a comparison at one rate is an answer about the rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.batch_size.running_time import (
    SecondsOf,
    check_batch_sizes,
    seconds_per_update,
    updates_at_equal_time,
)
from stepsize.jobs.lengths import short_run
from stepsize.jobs.range_test.range_test import range_test
from stepsize.jobs.range_test.rate_grid import rate_grid
from stepsize.jobs.range_test.suggest import normalise_policy, suggest
from stepsize.kernel.arrays import floats
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.kernel.numeric import numeric
from stepsize.policies import Policy
from stepsize.problems import Trainable
from stepsize.results import BatchSizeSweep, RateGrid
from stepsize.results.range_test import BATCH_SIZE
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy, round_rate
from stepsize.theory.range_test import LEAST_RUN

SIZES = (16, 32, 64, 128)
"""What is compared when no sizes are given."""

APART = 3.0
"""The factor between the rates that each size is tried at: what a range test points to, and its neighbours."""

WIDENINGS = 3
"""How many more rates are tried on the side where the best one lies at the edge."""


@numeric
def compare_batch_sizes(
    task: Trainable,
    sizes: Sequence[int] = SIZES,
    *,
    policy: str | Policy | Strategy = "constant",
    rule: Rule | None = None,
    steps: int | str | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    seconds_of: SecondsOf = seconds_per_update,
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> BatchSizeSweep:
    """Return where runs of `task` with several batch sizes end that all take the same time, each at its own rate.

    sizes: in samples. policy: what every run follows; its own rate does not matter. rule: AdamW with its defaults when
        not given. steps: how long a run with the task's own batch size is, optimizer updates or "1 epoch"; a quarter of
        the task's own when not given. A size gets as many updates as take that time here.
    seeds: paired. seconds_of: measures an update, `seconds_of(task, rule)`.
    A range test of each size points to a rate, and that, a third and three times of it run; more, where the best lies
    at the edge of these.

    Raises ParameterError for sizes that are none, and where no range test of a size has a clear answer; BudgetError for
    runs that are too short.

    Watch out: the answer is this machine's. A busy one, or one without the accelerator of the real training, favours
    other sizes.

    Source: [smith2018disciplined, sec. 4.2].
    """
    rule = AdamW() if rule is None else rule
    task = check_batch_sizes(task, sizes)
    if len(sizes) < 2:
        raise ParameterError(f"a test of {BATCH_SIZE} needs at least two values to compare, not {list(sizes)!r}.")
    if not seeds:
        raise BudgetError("a comparison of batch sizes needs at least one seed.")
    tried = sorted(map(int, sizes))
    length = short_run(task, steps)
    updates, seconds = updates_at_equal_time(task, tried, length, rule, least=LEAST_RUN, seconds_of=seconds_of)
    shape = normalise_policy(policy, rule)
    runner = runner or Runner(task, engine=engine, progress=progress)
    others = [runner.on(replace(task, batch_size=size)) for size in tried]
    grids = [
        _own_rates(other, rule, policy=shape, steps=updates[size], seeds=seeds)
        for other, size in zip(others, tried, strict=True)
    ]
    best = [int(grid.final_losses.mean(axis=1).argmin()) for grid in grids]
    return BatchSizeSweep(
        task=task.source or task.name, rule=rule, hyperparameter=BATCH_SIZE, values=floats(tried), policy=shape,
        steps=length, horizon=task.steps, seeds=tuple(seeds), scored=task.scored, before=grids[0].before,
        losses=np.stack([grid.losses[i] for grid, i in zip(grids, best, strict=True)]),
        held_out=np.stack([grid.judged[i] for grid, i in zip(grids, best, strict=True)]),
        rates=floats([grid.rates[i] for grid, i in zip(grids, best, strict=True)]),
        updates=tuple(updates[size] for size in tried), accumulate=task.accumulate,
        speeds=floats([size * task.accumulate / seconds[size] for size in tried]),
        cost=sum(grid.cost for grid in grids), seconds=sum(grid.seconds for grid in grids),
    )  # fmt: skip


def _own_rates(runner: Runner, rule: Rule, **runs: Any) -> RateGrid:
    """Return the runs of one batch size at several rates around the one that a range test of it points to.

    runner: of the task with that size. runs: policy, steps and seeds of all of them.
    """
    task: Any = runner.task
    tested = range_test(task, rule, seeds=runs["seeds"], curvature=False, runner=runner)
    found = suggest(tested, runs["policy"], runs["steps"])
    if found.lr is None:
        why = f"{found.reason}; leave that size out"
        raise ParameterError(f"there is no rate to compare batches of {task.batch_size} at: {why}.")
    rates = [round_rate(found.lr.value * factor) for factor in (1 / APART, 1.0, APART)]
    grid = rate_grid(task, rule, rates, runner=runner, **runs)
    for _ in range(WIDENINGS):
        best = int(grid.final_losses.mean(axis=1).argmin())
        if 0 < best < len(grid.rates) - 1:
            break
        beyond = round_rate(float(grid.rates[best]) * (APART if best else 1 / APART))
        new = rate_grid(task, rule, [beyond], runner=runner, **runs)
        grid = _joined(grid, new) if best else _joined(new, grid)
    return replace(grid, cost=tested.cost + grid.cost, seconds=tested.seconds + grid.seconds)


def _joined(low: RateGrid, high: RateGrid) -> RateGrid:
    """Return two grids whose rates lie one above the other as one."""
    return replace(
        low, rates=np.concatenate([low.rates, high.rates]), losses=np.vstack([low.losses, high.losses]),
        held_out=np.vstack([low.judged, high.judged]), cost=low.cost + high.cost, seconds=low.seconds + high.seconds,
    )  # fmt: skip
