"""The learning rate range test of a task: let the rate climb, and watch the loss [smith2017cyclical, sec. 3.3]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.lengths import updates_of
from stepsize.jobs.range_test.bounds import read_bounds
from stepsize.jobs.range_test.stability_limit import stable_rates
from stepsize.jobs.range_test.suggest import suggest
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.policies import Policy
from stepsize.problems import Task, Trainable
from stepsize.results import RangeTestRecord
from stepsize.rules import AdamW, Rule
from stepsize.schedules import Exponential, Linear
from stepsize.strategy import Strategy, Trial
from stepsize.theory.range_test import HIGH, LEAST_STEPS, LOW, range_test_steps

WIDENINGS, WIDER = 3, 1e3
"""How often a range is widened, and by which factor."""

LOWEST, HIGHEST = 1e-15, 1e9
"""Rates beyond these are not tried."""


def range_test(
    task: Trainable,
    rule: Rule | None = None,
    *,
    low: float = LOW,
    high: float = HIGH,
    steps: int | str | None = None,
    spacing: Literal["exponential", "linear"] = "exponential",
    seeds: Sequence[int] = (0, 1, 2, 3),
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
    widen: run again over a wider range, up to 3 times, where the loss does not rise at the end or no rate is small
        enough. curvature: also measure the largest stable rate by the curvature of the initial weights, where
        they can be seen.
    runner: to share an engine and a journal with other jobs.

    Raises ParameterError for an empty range, BudgetError for a test too short to be read.
    """
    if not 0 < low < high:
        raise ParameterError(f"a range test climbs from low to high, above 0, not from {low!r} to {high!r}.")
    length = range_test_steps(low, high) if steps is None else updates_of(task, steps)
    if length < LEAST_STEPS:
        raise BudgetError(f"a range test of {length} steps is too short to be read; give it at least {LEAST_STEPS}.")
    if not seeds:
        raise BudgetError("a range test needs at least one seed; four show the spread.")
    rule = AdamW() if rule is None else rule
    runner = runner or Runner(task, engine=engine, progress=progress)
    climb = Exponential if spacing == "exponential" else Linear
    record = _run(runner, rule, climb(low, high), length, seeds)
    for _ in range(WIDENINGS * widen):
        wider = _wider_range(record)
        if wider is None:
            break
        longer = round(length * math.log(wider[1] / wider[0]) / math.log(high / low))
        again = _run(runner, rule, climb(*wider), longer, seeds)
        record = replace(again, cost=record.cost + again.cost, seconds=record.seconds + again.seconds)
    if not curvature or not isinstance(task, Task):
        return record
    return replace(record, limits=stable_rates(task, rule, seeds))


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


def _run(runner: Runner, rule: Rule, climb: Exponential | Linear, length: int, seeds: Sequence[int]) -> RangeTestRecord:
    strategy = Strategy(rule, Policy(lr=climb), f"{rule.title} ramp")
    stage = f"range test of {rule.title} up to {climb.end:.2g}"
    curves = runner.run(stage, [Trial(strategy, seed) for seed in seeds], length)
    return RangeTestRecord(
        task=runner.task.source or runner.task.name, rule=rule, rates=climb.over(length).table(0, length),
        losses=curves.losses, seeds=tuple(seeds), steps=length, cost=length * len(seeds), seconds=curves.seconds,
        horizon=runner.task.steps,
    )  # fmt: skip


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
