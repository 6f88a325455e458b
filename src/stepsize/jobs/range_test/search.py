"""The search for one rate: a coarse ramp says where, short whole runs around it say which, longer ones make sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.range_test.bounds import read
from stepsize.jobs.range_test.final_losses import edge
from stepsize.jobs.range_test.grid import LEAST_RUN, fan, joined
from stepsize.jobs.range_test.ramp import HIGHEST, LOWEST, range_test
from stepsize.jobs.range_test.suggest import from_ramp, suggest, wanted_policy
from stepsize.kernel.errors import BudgetError
from stepsize.policies import Policy
from stepsize.problems import Task
from stepsize.results import Sweep
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy
from stepsize.theory.range_test import HIGH, LOW, PER_DECADE

BUDGET = 2.5
"""The budget when none is given, in full trainings for each seed."""

RAMP_SHARE, LEAST_PER_DECADE = 0.25, 10
"""What the ramp may cost, in full trainings, and its fewest steps a decade."""

FIRST, LONGEST = 8, 2
"""The first fan runs an eighth of the horizon, the longest a half."""

COARSE, FINE = 0.5, 1 / 3
"""The spacing of the rates of the first fan and of the others, in decades."""

BELOW_DIVERGENCE = 0.1
"""Where the best rate is looked for when a ramp shows divergence alone, as a share of the last rate before it."""

MOST_MORE = 12
"""How many rates are added to a fan whose best is at an edge, at most."""

STILL = 0.1
"""An answer that moves by less, in decades, when runs become longer, holds still."""


def find_rate(
    task: Task,
    rule: Rule | None = None,
    for_: str | Policy | Strategy = "constant",
    *,
    steps: int | None = None,
    budget: float = BUDGET,
    seeds: Sequence[int] = (0,),
    low: float = LOW,
    high: float = HIGH,
    curvature: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> Sweep:
    """Search for the rate to use with `for_`, and return the last fan, for `suggest` to read.

    Its `earlier` hold what led to it.

    A ramp of few steps finds the region. Three whole runs of `for_`, each an eighth of the horizon long, stand around
    what it points to, and more where the best of them is at an edge. Then three runs closer together, at least twice as
    long and as long as the budget pays for, up to half of the horizon; and so on until the answer holds still.

    rule: AdamW with its defaults when not given; that of `for_`, where it is a strategy. steps: the horizon (steps,
        optimizer updates); the task's own when not given. budget: in full trainings, for each seed. seeds: paired; they
        give the answer its spread, and each costs as much as the first. low, high: the range of the ramp.
    curvature: also measure the largest stable rate by the curvature.

    A ramp that shows nothing is returned by itself.

    Raises BudgetError when the budget does not pay for the ramp and the first fan.
    """
    if isinstance(for_, Strategy):
        rule = for_.rule if rule is None else rule
    rule = AdamW() if rule is None else rule
    policy = wanted_policy(for_, rule)
    horizon = task.steps if steps is None else steps
    decades = math.log10(high / low)
    per_decade = min(max(RAMP_SHARE * horizon / decades, LEAST_PER_DECADE), PER_DECADE)
    length, ramp_steps = max(LEAST_RUN, horizon // FIRST), round(per_decade * decades)
    least = (ramp_steps + 3 * length) / horizon
    if least > budget:
        raise BudgetError(
            f"a budget of {budget:g} full trainings is too small: a ramp of {ramp_steps} steps and three runs of "
            f"{length} cost {least:.2g} trainings of {horizon}. Raise it, or test a narrower range."
        )
    runner = runner or Runner(task, engine=engine, progress=progress)
    ramp = range_test(
        task, rule, low=low, high=high, steps=ramp_steps, seeds=seeds, curvature=curvature, runner=runner
    )  # fmt: skip
    ramp = replace(ramp, horizon=horizon)
    centre = centre_of(ramp, policy, length)
    if centre is None:
        return ramp
    allowed = int(budget * horizon) * len(seeds)
    return _search(Fans(runner, rule, policy, tuple(seeds)), ramp, centre, length, allowed)


def centre_of(ramp: Sweep, policy: Policy, steps: int) -> float | None:
    """Return where to look after a ramp: what it points to, or a tenth of where it diverged, or None if it is flat."""
    bounds = read(ramp)
    if bounds.flaw == "too fast":
        return None
    if bounds.flaw == "no drop":
        lived = int(np.isfinite(bounds.smooth).all(axis=1).sum())
        return None if lived == len(ramp.rates) else float(ramp.rates[lived - 1]) * BELOW_DIVERGENCE
    rates, _ = from_ramp(ramp, bounds.highs, policy, steps)
    return float(np.median(rates))


def _search(run: Fans, ramp: Sweep, centre: float, length: int, allowed: int) -> Sweep:
    """Return the last of the fans, each around the answer of the one before it."""
    earlier: tuple[Sweep, ...] = (ramp,)
    spacing, before, spent = COARSE, math.nan, ramp.cost
    while True:
        found = run.around(centre, spacing, length)
        spent += found.cost
        found = replace(found, horizon=ramp.horizon, earlier=earlier)
        answer = suggest(found, run.policy).lr
        longer = min(ramp.horizon // LONGEST, (allowed - spent) // (3 * len(run.seeds)))
        if answer is None or longer < 2 * length:
            return found
        if abs(math.log10(answer.value / before)) < STILL:
            return found
        there = suggest(found, run.policy, longer).lr
        centre = answer.value if there is None else there.value
        spacing, length, before, earlier = FINE, longer, answer.value, (*earlier, replace(found, earlier=()))


@dataclass(frozen=True)
class Fans:
    """Fans of one rule and one policy on the same seeds; `more` is how many rates are added beyond an edge, at most."""

    runner: Runner
    rule: Rule
    policy: Policy
    seeds: tuple[int, ...]
    more: int = MOST_MORE

    def around(self, centre: float, spacing: float, steps: int) -> Sweep:
        """Return a fan of three rates around `centre`, and as many more as it takes until the best is between two."""
        found = self._at([centre * 10 ** (spacing * place) for place in (-1, 0, 1)], steps)
        for _ in range(self.more):
            side = edge(found)
            if side == 0:
                break
            beyond = float(found.rates[0 if side < 0 else -1]) * 10 ** (spacing * side)
            if not LOWEST < beyond < HIGHEST:
                break
            found = joined(found, self._at([beyond], steps))
        return found

    def _at(self, rates: list[float], steps: int) -> Sweep:
        rounded = [float(f"{rate:.4g}") for rate in rates]
        return fan(
            self.runner.task, self.rule, rounded, policy=self.policy, steps=steps, seeds=self.seeds, runner=self.runner
        )
