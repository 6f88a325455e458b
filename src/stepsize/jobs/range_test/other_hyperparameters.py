"""Smith's other tests: momentum, weight decay and batch size, by short runs at fixed values [smith2018disciplined].

A rate can climb within a run, since a run forgets a rate that was too small. Momentum and weight decay cannot: letting
momentum climb finds no optimum, and the best decay depends on the rate that it goes with [smith2018disciplined,
sec. 4]. So each value has a run of its own, on the same weights and the same samples: a fan of something else than the
rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.paired_statistics import t_interval
from stepsize.jobs.range_test.grid import LEAST_RUN, before, tails
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import BudgetError, ParameterError, suggestion
from stepsize.kernel.text import count
from stepsize.policies import Policy
from stepsize.problems import Task
from stepsize.results import Curves, Estimate, Suggestion, Sweep
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy, Trial

BATCH_SIZE = "batch_size"

VALUES: dict[str, tuple[float, ...]] = {
    "momentum": (0.9, 0.95, 0.97, 0.99), "weight_decay": (0.0, 1e-5, 1e-4, 1e-3), BATCH_SIZE: (16, 32, 64, 128),
}  # fmt: skip
"""What is tried when no values are given: Smith's own, and of the batch size powers of two."""


def value_test(
    task: Task,
    of: str,
    values: Sequence[float] = (),
    *,
    policy: Policy,
    rule: Rule | None = None,
    steps: int | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> Sweep:
    """Return where short runs of `task` end with different values of one hyperparameter, all else the same.

    of: a hyperparameter of the rule, or "batch_size". values: Smith's when not given. policy: what every run follows,
        with its rate; what it says of the hyperparameter in question is left out. rule: AdamW with its defaults when
        not given. steps: how long each run is (steps, optimizer updates); a quarter of the task's own when not given.
        Runs of other batch sizes see as many samples, so larger batches make fewer updates.
    seeds: paired.

    Raises ParameterError for a hyperparameter that the rule does not have, or a value that it may not have.

    Watch out: the best weight decay and batch size go with the rate. Test again after moving it.

    Source: [smith2018disciplined, sec. 4].
    """
    rule = AdamW() if rule is None else rule
    known = {**rule.hyperparameters, BATCH_SIZE: 0.0}
    if of not in known or of == "lr":
        what = "is found by range_test" if of == "lr" else f"is no hyperparameter of {rule.title}"
        raise ParameterError(f"{of!r} {what}. {suggestion(of, set(known) - {'lr'})}")
    tried = sorted(set(values or VALUES.get(of, ())))
    if len(tried) < 2:
        raise ParameterError(f"a test of {of} needs at least two values to compare, not {list(values)!r}.")
    length = max(LEAST_RUN, task.steps // 4) if steps is None else steps
    shape = policy.only((set(policy) & set(rule.hyperparameters)) - {of})
    runner = runner or Runner(task, engine=engine, progress=progress)
    if of == BATCH_SIZE:
        runs = _batches(runner, Strategy(rule, shape, rule.title), tried, length, seeds)
    else:
        strategies = [Strategy(replace(rule, **{of: value}), shape, f"{of} {value:g}") for value in tried]
        trials = [Trial(each, seed) for each in strategies for seed in seeds]
        runs = [runner.run(f"test of {of}: {len(tried)} values", trials, length)]
    table = (len(tried), len(seeds))
    return Sweep(
        task.source or task.name, rule, floats(tried), np.concatenate([tails(each) for each in runs]).reshape(table),
        tuple(seeds), sum(each.seconds for each in runs), steps=length, policy=shape,
        held_out=np.concatenate([each.final for each in runs]).reshape(table), before=before(task, seeds),
        horizon=task.steps, of=of,
    )  # fmt: skip


def suggest_value(sweep: Sweep) -> Suggestion:
    """Return the value of another hyperparameter at which runs end lowest, and which others do as well.

    A value does as well when the paired t-interval of its difference to the best reaches 0.
    """
    ends = floats(sweep.judged)
    ends = np.where(np.isfinite(ends), ends, np.inf)
    means = ends.mean(axis=1)
    if not np.isfinite(means).any():
        return _nothing(sweep, "every run diverged: test at a smaller rate")
    best = int(means.argmin())
    ties = [i for i in range(len(means)) if i != best and _ties(ends[i], ends[best])]
    if len(ties) == len(means) - 1:
        seeds = count(len(sweep.seeds), "seed")
        return _nothing(sweep, f"the values cannot be told apart on {seeds}; give more seeds or steps")
    tied = ", ".join(f"{sweep.rates[i]:g}" for i in ties)
    reason = f"runs of {sweep.steps} steps end lowest at {sweep.of} {sweep.rates[best]:g}"
    each = floats(sweep.rates)[ends.argmin(axis=0)]
    edge = best in (0, len(means) - 1)
    warnings = (f"the best {sweep.of} is at the edge of the values; try some beyond it",) if edge else ()
    return Suggestion(
        None, None, clear=True, reason=reason + (f"; as good, as far as the seeds tell: {tied}" if tied else ""),
        smooth=ends, lr=Estimate(float(sweep.rates[best]), float(each.min()), float(each.max())), warnings=warnings,
    )  # fmt: skip


def _ties(ends: Floats, best: Floats) -> bool:
    difference = ends - best
    return bool(np.isfinite(difference).all()) and t_interval(difference).low <= 0


def _nothing(sweep: Sweep, why: str) -> Suggestion:
    return Suggestion(None, None, clear=False, reason=f"no clear answer: {why}", smooth=floats(sweep.judged))


def _batches(
    runner: Runner, strategy: Strategy, sizes: Sequence[float], length: int, seeds: Sequence[int]
) -> list[Curves]:
    """Return the runs of each batch size, with as many samples."""
    task, found = runner.task, []
    if task.opaque:
        raise ParameterError(f"the batch size of {task.name!r} is its training function's own affair; change it there.")
    for size in sizes:
        if size != int(size):
            raise ParameterError(f"a batch size is a whole number, not {size!r}.")
        steps = max(1, round(length * task.batch_size / size))
        if steps < LEAST_RUN:
            raise BudgetError(
                f"with batches of {size:g}, {length} steps of {task.batch_size} samples make {steps} updates, too few; "
                f"raise the steps to {round(LEAST_RUN * size / task.batch_size)} or more."
            )
        other = runner.on(replace(task, batch_size=int(size)))
        stage = f"test of batch size: {size:g}"
        found.append(other.run(stage, [Trial(strategy, seed) for seed in seeds], steps))
        runner.updates += other.updates
    return found
