"""The search for one rate: a coarse range test says where, short whole runs say which, longer ones make sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.range_test.bounds import read_bounds
from stepsize.jobs.range_test.final_losses import edge
from stepsize.jobs.range_test.range_test import HIGHEST, LOWEST, range_test
from stepsize.jobs.range_test.rate_grid import join_grids, rate_grid
from stepsize.jobs.range_test.suggest import from_range_test, normalise_policy, suggest
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.policies import Policy
from stepsize.problems import Trainable
from stepsize.results import RangeTestRecord, RateGrid
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy
from stepsize.theory.range_test import HIGH, LEAST_RUN, LOW, PER_DECADE

# The constants below were chosen on the dev half of bench/range_test: what they cost against what the rates lose.

BUDGET = 2.5
"""The budget when none is given, in full trainings for each seed."""

SHARE_OF_RANGE_TEST, LEAST_PER_DECADE = 0.25, 10
"""What the range test may cost, in full trainings, and its fewest steps a decade."""

FIRST, LONGEST = 8, 2
"""The first grid runs an eighth of the horizon, the longest a half."""

COARSE, FINE = 0.5, 1 / 3
"""The spacing of the rates of the first grid and of the others, in decades."""

BELOW_DIVERGENCE = 0.1
"""Where the search begins when a range test shows divergence alone, as a share of the last rate before it."""

MOST_MORE = 12
"""How many rates are added to a grid whose best is at an edge, at most."""

STILL = 0.1
"""An answer that moves by less, in decades, when runs become longer, holds still."""


def find_rate(
    task: Trainable,
    rule: Rule | None = None,
    policy: str | Policy | Strategy = "constant",
    *,
    horizon: int | None = None,
    budget: float = BUDGET,
    seeds: Sequence[int] = (0,),
    low: float = LOW,
    high: float = HIGH,
    curvature: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> RateGrid | RangeTestRecord:
    """Search for the rate to use with `policy`, and return the last grid, for `suggest` to read.

    A range test of few steps finds the region. Three whole runs of `policy`, each an eighth of the horizon long, stand
    around what it points to, and more where the best of them is at an edge. Then three runs closer together, at least
    twice as long and as long as the budget pays for, up to half of the horizon; and so on until the answer holds still.
    The last grid has the range test and the shorter grids with it.

    rule: AdamW with its defaults when not given; that of `policy`, where it is a strategy. horizon: how long the
        training in question is (optimizer updates); the task's own when not given. budget: in full trainings, for each
        seed. seeds: paired; they give the answer its spread, and each costs as much as the first. low, high: the range
        of the range test.
    curvature: also measure the largest stable rate by the curvature.

    A range test that shows nothing is returned by itself.

    Raises BudgetError when the budget does not pay for the range test and the first grid.
    """
    if isinstance(policy, Strategy):
        rule = policy.rule if rule is None else rule
    rule = AdamW() if rule is None else rule
    shape = normalise_policy(policy, rule)
    horizon = task.steps if horizon is None else horizon
    decades = math.log10(high / low)
    per_decade = min(max(SHARE_OF_RANGE_TEST * horizon / decades, LEAST_PER_DECADE), PER_DECADE)
    length, test_steps = max(LEAST_RUN, horizon // FIRST), round(per_decade * decades)
    least = (test_steps + 3 * length) / horizon
    if least > budget:
        raise BudgetError(
            f"a budget of {budget:g} full trainings is too small: a range test of {test_steps} steps and three runs of "
            f"{length} cost {least:.2g} trainings of {horizon}. Raise it, or test a narrower range."
        )
    runner = runner or Runner(task, engine=engine, progress=progress)
    record = range_test(
        task, rule, low=low, high=high, steps=test_steps, seeds=seeds, curvature=curvature, runner=runner
    )  # fmt: skip
    record = replace(record, horizon=horizon)
    centre = centre_of(record, shape, length)
    if centre is None:
        return record
    allowed = int(budget * horizon) * len(seeds)
    return _search(GridSearch(runner, rule, shape, tuple(seeds)), record, centre, length, allowed)


def estimate_rate(
    task: Trainable, rule: Rule | None = None, policy: str | Policy | Strategy = "constant", **options: Any
) -> float:
    """Return the peak rate to use with `policy` that a range test alone points to, to two digits.

    It is what other jobs run at when no rate is given. options: as `range_test` takes them.

    Raises ParameterError where the range test has no clear answer.

    Watch out: it is rougher than the answer of `find_rate`, which trains at several rates.
    """
    suggestion = suggest(range_test(task, rule, **options), policy)
    if suggestion.lr is None:
        raise ParameterError(
            f"there is no rate to run at: {suggestion.reason}. Give one (range-test: --lr, predict: --peak)."
        )
    return float(f"{suggestion.lr.value:.2g}")


def centre_of(record: RangeTestRecord, policy: Policy, steps: int) -> float | None:
    """Return the rate that a range test points to for runs of `policy`; None where it is flat.

    It is a tenth of the rate where the test diverged, where it shows nothing else.
    """
    bounds = read_bounds(record)
    if bounds.flaw == "too fast":
        return None
    if bounds.flaw == "no drop":
        lived = int(np.isfinite(bounds.smooth).all(axis=1).sum())
        return None if lived == len(record.rates) else float(record.rates[lived - 1]) * BELOW_DIVERGENCE
    rates, _ = from_range_test(record, bounds.highs, policy, steps)
    return float(np.median(rates))


def _search(search: GridSearch, record: RangeTestRecord, centre: float, length: int, allowed: int) -> RateGrid:
    """Return the last of the grids, each around the answer of the one before it."""
    horizon = record.horizon or length
    shorter: tuple[RateGrid, ...] = ()
    spacing, before, spent = COARSE, math.nan, record.cost
    while True:
        grid = replace(search.around(centre, spacing, length), horizon=horizon, range_test=record, shorter=shorter)
        spent += grid.cost
        answer = suggest(grid, search.policy).lr
        longer = min(horizon // LONGEST, (allowed - spent) // (3 * len(search.seeds)))
        if answer is None or longer < 2 * length:
            return grid
        if abs(math.log10(answer.value / before)) < STILL:
            return grid
        there = suggest(grid, search.policy, longer).lr
        centre = answer.value if there is None else there.value
        spacing, length, before = FINE, longer, answer.value
        shorter = (*shorter, replace(grid, range_test=None, shorter=()))


@dataclass(frozen=True)
class GridSearch:
    """Grids of one rule and one policy on the same seeds.

    most_more: how many rates are added beyond an edge, at most.
    """

    runner: Runner
    rule: Rule
    policy: Policy
    seeds: tuple[int, ...]
    most_more: int = MOST_MORE

    def around(self, centre: float, spacing: float, steps: int) -> RateGrid:
        """Return a grid of three rates around `centre`, and as many more as it takes until the best is between two."""
        grid = self._at([centre * 10 ** (spacing * i) for i in (-1, 0, 1)], steps)
        for _ in range(self.most_more):
            side = edge(grid)
            if side == 0:
                break
            beyond = float(grid.rates[0 if side < 0 else -1]) * 10 ** (spacing * side)
            if not LOWEST < beyond < HIGHEST:
                break
            grid = join_grids(grid, self._at([beyond], steps))
        return grid

    def _at(self, rates: list[float], steps: int) -> RateGrid:
        rounded = [float(f"{rate:.4g}") for rate in rates]
        return rate_grid(
            self.runner.task, self.rule, rounded, policy=self.policy, steps=steps, seeds=self.seeds, runner=self.runner
        )
