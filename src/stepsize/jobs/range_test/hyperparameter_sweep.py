"""Smith's other tests: momentum and weight decay, by short runs at fixed values [smith2018disciplined].

A rate can climb within a run, since a run forgets a rate that was too small. Momentum and weight decay cannot: letting
momentum climb finds no optimum, and the best decay depends on the rate that it goes with [smith2018disciplined,
sec. 4]. So each value has a run of its own, on the same weights and the same samples: a grid of something else than
the rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.lengths import short_run
from stepsize.jobs.paired_statistics import t_interval
from stepsize.jobs.range_test.rate_grid import run_fields
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import BudgetError, ParameterError, suggestion
from stepsize.kernel.numeric import numeric
from stepsize.kernel.text import count
from stepsize.policies import LR, Policy
from stepsize.problems import Task, Trainable
from stepsize.problems.base import with_data
from stepsize.results import BatchSizeSweep, Curves, Estimate, HyperparameterSweep, Suggestion
from stepsize.results.range_test import BATCH_SIZE, OF_GROUP
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy, Trial, round_rate
from stepsize.theory import middle_exponent

VALUES: dict[str, tuple[float, ...]] = {
    "momentum": (0.9, 0.95, 0.97, 0.99), "weight_decay": (0.0, 1e-5, 1e-4, 1e-3),
}  # fmt: skip
"""What is tried when no values are given: Smith's own."""

BISECTED, BISECTIONS = ("weight_decay",), 2
"""What is bisected around the best of Smith's values, in the exponent, and how often."""

GROUP_VALUES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""What is tried of the rate of a parameter group."""


@numeric
def sweep_hyperparameter(
    task: Trainable,
    hyperparameter: str,
    values: Sequence[float] = (),
    *,
    policy: Policy,
    rule: Rule | None = None,
    steps: int | str | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> HyperparameterSweep:
    """Return where short runs of `task` end with different values of one hyperparameter, all else the same.

    hyperparameter: one of the rule's, or "rate of head": what the rate of the parameter group that
        `Task.groups` calls "head" is multiplied by. values: of it; Smith's when not given, or a tenth to ten times. His
        weight decays, 0, 1e-5, 1e-4 and 1e-3, are then bisected in the exponent, twice, around the best one.
        policy: what every run follows, with its rate; what it says of the hyperparameter in question is left out.
        rule: AdamW with its defaults when not given. steps: how long each run is (optimizer updates); a quarter of the
        task's own when not given.
    seeds: paired.

    Raises ParameterError for a hyperparameter that the rule does not have, or a value that it may not have.

    Watch out: the best weight decay goes with the rate. Test again after moving it.

    Source: [smith2018disciplined, sec. 4].
    """
    rule = AdamW() if rule is None else rule
    known = {*rule.hyperparameters, *_of_groups(task, hyperparameter)}
    if hyperparameter not in known or hyperparameter == LR:
        elsewhere = {LR: "is found by range_test", BATCH_SIZE: "is compared by compare_batch_sizes"}
        what = elsewhere.get(hyperparameter, f"is no hyperparameter of {rule.title}")
        raise ParameterError(f"{hyperparameter!r} {what}. {suggestion(hyperparameter, known - {LR})}")
    usual = GROUP_VALUES if hyperparameter.startswith(OF_GROUP) else VALUES.get(hyperparameter, ())
    tried = sorted(set(values or usual))
    if len(tried) < 2:
        raise ParameterError(f"a test of {hyperparameter} needs at least two values to compare, not {list(values)!r}.")
    if not seeds:
        raise BudgetError("a sweep needs at least one seed.")
    length = short_run(task, steps)
    shape = policy.only((set(policy) & set(rule.hyperparameters)) - {hyperparameter})
    runner = runner or Runner(task, engine=engine, progress=progress)
    if hyperparameter.startswith(OF_GROUP):
        trials = [Trial(Strategy(rule, shape, rule.title), seed) for seed in seeds]
        runs = _run_groups(runner, trials, length, hyperparameter, tried)
    else:
        run = partial(_run_values, runner, Strategy(rule, shape), hyperparameter, steps=length, seeds=seeds)
        runs = [run(tried)]
        for _ in range(BISECTIONS if hyperparameter in BISECTED and not values else 0):
            middle = _middle(tried, runs)
            if middle is not None and middle not in tried:
                tried, runs = [*tried, middle], [*runs, run([middle])]
    order, fields = np.argsort(tried), run_fields(task, seeds, runs)
    fields |= {name: fields[name][order] for name in ("losses", "held_out")}
    return HyperparameterSweep(
        task=task.source or task.name, rule=rule, hyperparameter=hyperparameter, values=floats(tried)[order],
        policy=shape, steps=length, horizon=task.steps, cost=len(tried) * len(seeds) * length, **fields,
    )  # fmt: skip


def _run_values(
    runner: Runner, like: Strategy, of: str, values: Sequence[float], *, steps: int, seeds: Sequence[int]
) -> Curves:
    """Return the runs of each value, seed by seed."""
    strategies = [Strategy(like.rule.having(**{of: value}), like.policy, f"{of} {value:g}") for value in values]
    trials = [Trial(strategy, seed) for strategy in strategies for seed in seeds]
    return runner.run(f"test of {of}: {count(len(values), 'value')}", trials, steps)


def _middle(values: Sequence[float], runs: Sequence[Curves]) -> float | None:
    """Return the value to try next, between the exponents where the runs end lowest, to three digits."""
    means = np.concatenate([curves.final for curves in runs]).reshape(len(values), -1).mean(axis=1)
    order = np.argsort(values)
    middle = middle_exponent(floats(values)[order], floats(means)[order])
    return None if middle is None else round_rate(middle)


def suggest_value(sweep: HyperparameterSweep) -> Suggestion:
    """Return the value of another hyperparameter at which runs end lowest, and which others do as well.

    A value does as well when the paired t-interval of its difference to the best reaches 0.
    """
    losses = sweep.final_losses
    means = losses.mean(axis=1)
    if not np.isfinite(means).any():
        return _nothing(sweep, "every run diverged: test at a smaller rate")
    best = int(means.argmin())
    ties = [i for i in range(len(means)) if i != best and _ties(losses[i], losses[best])]
    if len(ties) == len(means) - 1:
        seeds = count(len(sweep.seeds), "seed")
        return _nothing(sweep, f"the values cannot be distinguished on {seeds}; give more seeds or steps")
    values, name = floats(sweep.values), sweep.hyperparameter
    reason = _where_lowest(sweep, best)
    if ties:
        reason += f"; as good, as far as the seeds tell: {', '.join(f'{values[i]:g}' for i in ties)}"
    of_seeds = values[losses.argmin(axis=0)]
    edge = best in (0, len(means) - 1)
    return Suggestion(
        clear=True, reason=reason, smooth=losses,
        lr=Estimate(float(values[best]), float(of_seeds.min()), float(of_seeds.max())),
        policy=sweep.policy.scaled(float(sweep.rates[best])) if isinstance(sweep, BatchSizeSweep) else None,
        warnings=(f"the best {name} is at the edge of the values; try some beyond it",) if edge else (),
    )  # fmt: skip


def _where_lowest(sweep: HyperparameterSweep, best: int) -> str:
    """Return which value is best, and what the runs have in common."""
    value = f"{sweep.hyperparameter} {sweep.values[best]:g}"
    if isinstance(sweep, BatchSizeSweep):
        own = f"with a rate of {sweep.rates[best]:g}"
        return f"runs of equal time, each size at its own rate, end lowest at {value}, {own}"
    return f"runs of {sweep.steps} steps end lowest at {value}"


def _ties(losses: Floats, best: Floats) -> bool:
    difference = losses - best
    return bool(np.isfinite(difference).all()) and t_interval(difference).low <= 0


def _nothing(sweep: HyperparameterSweep, why: str) -> Suggestion:
    return Suggestion(clear=False, reason=f"no clear answer: {why}", smooth=floats(sweep.judged))


def _of_groups(task: Trainable, asked: str) -> list[str]:
    """Return what can be tested of the groups of a task; raise ParameterError where that is asked of none."""
    groups = task.parameter_groups(task.build(0)) if isinstance(task, Task) and task.groups is not None else []
    names = [f"{OF_GROUP}{group.called}" for group in groups if group.called is not None]
    if asked.startswith(OF_GROUP) and not names:
        what = (
            "has no parameter groups with names" if isinstance(task, Task) else "keeps its parameter groups to itself"
        )
        raise ParameterError(
            f"{task.name!r} {what}, so no {asked!r} can be tested. Give Task.groups a function that returns dicts with "
            "a 'name', such as {'name': 'head', 'params': ...}."
        )
    return names


def _run_groups(
    runner: Runner, trials: Sequence[Trial], length: int, of: str, factors: Sequence[float]
) -> list[Curves]:
    """Return the runs of each factor of the rate of a parameter group."""
    task, name = with_data(runner.task), of.removeprefix(OF_GROUP)
    variants = [replace(task, group_rates={**task.group_rates, name: factor}) for factor in factors]
    stages = [f"test of {of}: {factor:g}" for factor in factors]
    return [runner.on(each).run(stage, trials, length) for each, stage in zip(variants, stages, strict=True)]
