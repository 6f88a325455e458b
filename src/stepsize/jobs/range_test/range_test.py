"""The learning rate range test of a task: let the rate climb, and watch the loss [smith2017cyclical, sec. 3.3].

Smith compares weight decays by a range test of each, in one picture: the best bears the largest rate at the lowest
loss [smith2018disciplined, sec. 4.4].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.batch_size.running_time import check_batch_sizes
from stepsize.jobs.lengths import updates_of
from stepsize.jobs.range_test.bounds import read_bounds
from stepsize.jobs.range_test.held_out import watched
from stepsize.jobs.range_test.rate_grid import first_scores
from stepsize.jobs.range_test.stability_limit import stable_rates
from stepsize.jobs.range_test.suggest import suggest
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import BudgetError, ParameterError, check_name
from stepsize.kernel.numeric import numeric
from stepsize.policies import LR, Policy
from stepsize.problems import Task, Trainable
from stepsize.results import Curves, RangeTestRecord, RangeTests
from stepsize.results.range_test import BATCH_SIZE, RULE
from stepsize.rules import AdamW, Rule
from stepsize.schedules import Exponential, Linear, Schedule
from stepsize.strategy import Strategy, Trial, describe_rule, find_rule
from stepsize.theory.range_test import HIGH, LEAST_STEPS, LOW, SCORES, range_test_steps

WIDENINGS, WIDER = 3, 1e3
"""How often a range is widened, and by which factor."""

LOWEST, HIGHEST = 1e-15, 1e9
"""Rates beyond these are not tried."""


@numeric
def range_test(
    task: Trainable,
    rule: Rule | None = None,
    *,
    low: float = LOW,
    high: float = HIGH,
    steps: int | str | None = None,
    spacing: Literal["exponential", "linear"] = "exponential",
    seeds: Sequence[int] = (0, 1, 2, 3),
    held_out: bool = False,
    metric: str | None = None,
    momentum: tuple[float, float] | None = None,
    widen: bool = True,
    curvature: bool = True,
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> RangeTestRecord:
    """Return the losses of `task` under `rule` while the rate climbs from `low` to `high`, once per seed.

    rule: AdamW with its defaults when not given. low, high: the first and the last rate. steps: of each run, optimizer
        updates or "1 epoch"; 40 a decade when not given. spacing: how the rate climbs; Smith's own is linear, and shows
        little of the small rates. seeds: replicas with their own weights and batches, trained at once.
    held_out: take the validation loss too, 70 times along the climb at most, each of which costs one pass over the
        validation data of each seed; the bounds are then read from it, and the gap to the training loss
        is [smith2018disciplined, sec. 3]. metric: take this in its place: "accuracy", as in the first paper, or the
        name of the task's own metric.
    momentum: from where to where the momentum goes meanwhile, in equal steps, such as (0.95, 0.85): with one that falls
        the rate may climb further [smith2018disciplined, sec. 4].
    widen: run again over a wider range, up to 3 times, where the loss does not rise at the end or no rate is small
        enough. curvature: also measure the largest stable rate by the curvature of the initial weights, where
        they can be seen.
    runner: to share an engine and a journal with other jobs.

    Raises ParameterError for an empty range, a metric that the task does not have and a momentum that the rule does not
    have, BudgetError for a test too short to be read, and TaskError where the validation data cannot be seen.

    Watch out: the gap says little where the climb has seen its training data less than once.
    """
    if not 0 < low < high < math.inf:
        raise ParameterError(f"a range test climbs from low to high, above 0, not from {low!r} to {high!r}.")
    length = range_test_steps(low, high) if steps is None else updates_of(task, steps)
    if length < LEAST_STEPS:
        raise BudgetError(f"a range test of {length} steps is too short to be read; give it at least {LEAST_STEPS}.")
    if not seeds:
        raise BudgetError("a range test needs at least one seed; four show the spread.")
    tested: Rule = AdamW() if rule is None else rule
    beside = _momentum(tested, momentum)
    judged = watched(task, metric) if held_out or metric is not None else None
    runner = runner or Runner(task, engine=engine, progress=progress)
    if judged is not None and judged is not runner.task:
        runner = runner.on(judged)
    kind = Exponential if spacing == "exponential" else Linear

    def climb(bottom: float, top: float) -> RangeTestRecord:
        points = round(length * math.log(top / bottom) / math.log(high / low))
        return _run(runner, tested, {"lr": kind(bottom, top), **beside}, points, seeds, scored=judged is not None)

    record = _widened(climb(low, high), climb) if widen else climb(low, high)
    if momentum is not None:
        record, tested = replace(record, momentum=momentum), tested.having(momentum=momentum[1])
    if not curvature or not isinstance(task, Task):
        return record
    return replace(record, limits=stable_rates(task, tested, seeds))


def estimate_rate(
    task: Trainable, rule: Rule | None = None, policy: str | Policy | Strategy = "constant", **options: Any
) -> float:
    """Return the peak rate to use with `policy` that a range test alone points to, to two digits.

    It is what other jobs run at when no rate is given. options: as `range_test` takes them.

    Raises ParameterError where the range test has no clear answer.

    Watch out: it is rougher than the answer of `advise`, which trains at several rates.
    """
    suggestion = suggest(range_test(task, rule, **options), policy)
    if suggestion.lr is None:
        raise ParameterError(
            f"there is no rate to run at: {suggestion.reason}. Give one (range-test: --lr, predict: --peak)."
        )
    return float(f"{suggestion.lr.value:.2g}")


def _widened(record: RangeTestRecord, climb: Callable[[float, float], RangeTestRecord]) -> RangeTestRecord:
    """Return the last of the climbs over wider and wider ranges, with the cost of all."""
    for _ in range(WIDENINGS):
        wider = _wider_range(record)
        if wider is None:
            break
        again = climb(*wider)
        record = replace(again, cost=record.cost + again.cost, seconds=record.seconds + again.seconds)
    return record


def _run(
    runner: Runner, rule: Rule, climb: dict[str, Schedule], length: int, seeds: Sequence[int], *, scored: bool
) -> RangeTestRecord:
    policy = Policy(**climb).over(length)
    rates = policy[LR].table(0, length)
    strategy = Strategy(rule, policy, f"{rule.title} ramp")
    stage = f"range test of {rule.title} up to {rates[-1]:.2g}"
    curves = runner.run(
        stage,
        [Trial(strategy, seed) for seed in seeds],
        length,
        score_every=math.ceil(length / SCORES) if scored else None,
    )
    return RangeTestRecord(
        task=runner.task.source or runner.task.name, rule=rule, rates=rates,
        losses=curves.losses, seeds=tuple(seeds), steps=length, cost=length * len(seeds), seconds=curves.seconds,
        horizon=runner.task.steps, held_out=_scores(curves, runner.task) if scored else None,
        scored=runner.task.scored,
    )  # fmt: skip


def _momentum(rule: Rule, between: tuple[float, float] | None) -> dict[str, Schedule]:
    """Return the schedule of a momentum that goes from one to another, or none."""
    if between is None:
        return {}
    if "momentum" not in rule.hyperparameters:
        raise ParameterError(
            f"{rule.title} has no momentum to go from {between[0]:g} to {between[1]:g}; test a rule that has one, "
            "such as Momentum or AdamW, or leave the momentum out."
        )
    first, last = (rule.having(momentum=end).hyperparameters["momentum"] for end in between)  # refuses what is none
    return {"momentum": Linear(first, last)}


def _scores(curves: Curves, task: Trainable) -> Floats:
    """Return the scores before the updates that they were taken at, (steps, seeds): NaN elsewhere, inf of the diverged.

    The one after the last update belongs to no rate.
    """
    scores = np.full(curves.losses.shape, np.nan)
    scores[curves.score_steps[:-1]] = np.where(np.isfinite(curves.scores[:-1]), curves.scores[:-1], np.inf)
    before = first_scores(task, [trial.seed for trial in curves.trials])
    if before is not None:
        scores[0] = before
    return floats(scores)


def _wider_range(record: RangeTestRecord) -> tuple[float, float] | None:
    """Return the first and the last rate of a wider range, where this one was too narrow to show both bounds."""
    low, high = float(record.rates[0]), float(record.rates[-1])
    bounds = read_bounds(record)
    lived = np.isfinite(bounds.smooth[-1]).all() and np.ptp(record.losses) > 0
    if bounds.flaw in ("no rise", "no drop") and lived and high < HIGHEST:
        return low, high * WIDER
    if bounds.flaw == "too fast" and low > LOWEST:
        return low / WIDER, high
    return None


@numeric
def compare_range_tests(
    task: Trainable,
    compared: str,
    values: Sequence[Any],
    rule: Rule | None = None,
    *,
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
    **options: Any,
) -> RangeTests:
    """Return a range test for each of several values of one thing, all else the same, with what each suggests.

    compared: a hyperparameter of the rule, "batch_size", or "rule", whose values are rules or their names, such as
        "AdamW(weight_decay=0.1)". values: at least two, distinct. rule: AdamW with its defaults when not given.
        options: what `range_test` takes: `low`, `high`, `steps`, `seeds`, `held_out`, `momentum` and more; no range is
        widened unless `widen=True`, so that all have the same.

    Raises ParameterError for what cannot be compared, or a value that it may not have, before any test runs.

    Watch out: tests of equal length are no trainings of equal time: larger batches have seen more samples.

    Source: [smith2018disciplined, sec. 4.4].
    """
    if len(values) < 2 or len(set(values)) < len(values):
        raise ParameterError(f"a comparison needs at least two distinct values of {compared}, not {list(values)!r}.")
    rule = AdamW() if rule is None else rule
    rules, tasks = [rule] * len(values), [task] * len(values)
    if compared == RULE:
        rules = [find_rule(value) if isinstance(value, str) else value for value in values]
        names = [describe_rule(each) for each in rules]
    elif compared == BATCH_SIZE:
        known = check_batch_sizes(task, values)
        tasks, names = [replace(known, batch_size=int(size)) for size in values], [f"{size:g}" for size in values]
    else:
        check_name(
            compared, sorted({*rule.hyperparameters, BATCH_SIZE, RULE} - {LR}), f"hyperparameter of {rule.title}"
        )
        if compared == "momentum" and options.get("momentum") is not None:
            raise ParameterError("the momentum is compared, so it cannot move too; leave one of the two out.")
        rules, names = [rule.having(**{compared: value}) for value in values], [f"{value:g}" for value in values]
    runner = runner or Runner(task, engine=engine, progress=progress)
    tests = [
        range_test(each, own, runner=runner if each is task else runner.on(each), **{"widen": False, **options})
        for each, own in zip(tasks, rules, strict=True)
    ]
    found = tuple(map(suggest, tests))
    return RangeTests(compared=compared, names=tuple(names), tests=tuple(tests), found=found)
