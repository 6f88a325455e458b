"""The learning rate range test: let the rate climb, and watch the loss [smith2017cyclical, sec. 3.3]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.range_test.bounds import read
from stepsize.jobs.range_test.stability_limit import stable_rates
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.policies import Policy
from stepsize.problems import Task
from stepsize.results import Sweep
from stepsize.rules import AdamW, Rule
from stepsize.schedules import Exponential, Linear
from stepsize.strategy import Strategy, Trial
from stepsize.theory.range_test import HIGH, LEAST_STEPS, LOW, PER_DECADE

WIDENINGS, WIDER = 3, 1e3
"""How often a range is widened, and by which factor."""

LOWEST, HIGHEST = 1e-15, 1e9
"""Rates beyond these are not tried."""


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
    spacing: Literal["exponential", "linear"] = "exponential",
    seeds: Sequence[int] = (0, 1, 2, 3),
    widen: bool = True,
    curvature: bool = True,
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> Sweep:
    """Return the losses of `task` under `rule` while the rate climbs from `low` to `high`, once per seed: a ramp.

    rule: AdamW with its defaults when not given. low, high: the ends of the ramp. steps: of the ramp, optimizer
        updates; 40 a decade when not given. spacing: how it climbs; Smith's own is linear, and shows little of the
        small rates. seeds: replicas with their own weights and batches, trained at once.
    widen: run again over a wider range, up to 3 times, where the loss does not rise at the end or no rate is small
        enough. curvature: also measure the largest stable rate by the curvature of the initial weights, where
        they can be looked at.
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
    climb = Exponential if spacing == "exponential" else Linear
    sweep = _ramp(runner, rule, climb(low, high), length, seeds)
    for _ in range(WIDENINGS * widen):
        ends = _wider(sweep)
        if ends is None:
            break
        longer = round(length * math.log(ends[1] / ends[0]) / math.log(high / low))
        again = _ramp(runner, rule, climb(*ends), longer, seeds)
        sweep = replace(again, cost=sweep.cost + again.cost, seconds=sweep.seconds + again.seconds)
    look = curvature and not task.opaque
    return replace(sweep, limits=stable_rates(task, rule, seeds)) if look else sweep


def _ramp(runner: Runner, rule: Rule, climb: Exponential | Linear, length: int, seeds: Sequence[int]) -> Sweep:
    strategy = Strategy(rule, Policy(lr=climb), f"{rule.title} ramp")
    stage = f"range test of {rule.title} up to {climb.end:.2g}"
    curves = runner.run(stage, [Trial(strategy, seed) for seed in seeds], length)
    rates = strategy.over(length).policy["lr"].table(0, length)
    task = runner.task
    return Sweep(task.source or task.name, rule, rates, curves.losses, tuple(seeds), curves.seconds, horizon=task.steps)


def _wider(sweep: Sweep) -> tuple[float, float] | None:
    """Return the ends of a wider range, where this one was too narrow to show both bounds."""
    low, high = float(sweep.rates[0]), float(sweep.rates[-1])
    found = read(sweep)
    lived = np.isfinite(found.smooth[-1]).all() and np.ptp(sweep.losses) > 0
    if found.flaw in ("no rise", "no drop") and lived and high < HIGHEST:
        return low, high * WIDER
    if found.flaw == "too fast" and low > LOWEST:
        return low / WIDER, high
    return None
