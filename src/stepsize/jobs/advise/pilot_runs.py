"""Pilot runs: what advice asks of every rule before it races any of them: which rate, and how far it gets with it.

A coarse ramp says where; whole runs of one policy, an eighth of the horizon long and then a quarter, stand around
that. Where the second of them ends says how good a rule is, and its best rate, moved by the last-iterate bound, is the
rate of every policy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stepsize.execution.runner import Runner
from stepsize.jobs.advise.search_space import pilot_policy, policies_of
from stepsize.jobs.range_test.range_test import range_test
from stepsize.jobs.range_test.search import COARSE, FINE, GridSearch, centre_of
from stepsize.jobs.range_test.suggest import normalise_policy, suggest
from stepsize.results import RangeTestRecord, RateGrid, Suggestion
from stepsize.rules import Rule
from stepsize.strategy import Strategy, round_rate

EDGES = 3
"""How many rates are added to a grid whose best is at an edge, at most."""


@dataclass(frozen=True)
class Depth:
    """How a rule is given pilot runs.

    ramp: steps of its ramp. lengths: of the grids, rising (steps, optimizer updates). seeds: paired.
    """

    ramp: int
    lengths: tuple[int, ...]
    seeds: tuple[int, ...]

    @property
    def updates(self) -> int:
        """What it costs, in updates, when no grid has to look further."""
        return len(self.seeds) * (self.ramp + 3 * sum(self.lengths))


@dataclass(frozen=True, eq=False)
class PilotRun:
    """What was found of one rule.

    sweep: the last grid, with what led to it. found: what it suggests for its own policy at the full horizon.
    score: the mean validation loss that the best run of the last grid ended with; inf when none is known.
    """

    rule: Rule
    sweep: RangeTestRecord | RateGrid
    found: Suggestion
    score: float

    def strategies(self, policies: Sequence[str], horizon: int) -> list[Strategy]:
        """Return the strategies of this rule, one a policy, each at the rate that the pilot run points to."""
        return [self.strategy(name, horizon) for name in policies_of(self.rule, policies)]

    def strategy(self, policy: str, horizon: int) -> Strategy:
        """Return this rule with the policy of that name at the rate that the pilot run points to."""
        found = suggest(self.sweep, policy, horizon)
        if found.lr is None:
            return Strategy.of(self.rule, policy, round_rate(self.fallback))
        base: dict[str, Any] = {}
        if found.base is not None:
            base["base"] = float(f"{found.base.value / found.lr.value:.2g}")
        return Strategy.of(self.rule, policy, round_rate(found.lr.value), **base)

    @property
    def fallback(self) -> float:
        """The rate to begin with where the pilot run has no clear answer: the best of its grid, or the rule's own."""
        return best_of(self.sweep) if isinstance(self.sweep, RateGrid) and math.isfinite(self.score) else self.rule.lr


def run_pilot(runner: Runner, rule: Rule, policies: Sequence[str], depth: Depth, horizon: int) -> PilotRun:
    """Return what a range test and grids of `depth` say of `rule`, for runs of `horizon` steps."""
    name = pilot_policy(rule, policies)
    policy = normalise_policy(name, rule)
    record: RangeTestRecord | None = None
    shorter: tuple[RateGrid, ...] = ()
    centre = rule.lr
    if not rule.facts.parameter_free:
        record = range_test(
            runner.task, rule, steps=depth.ramp, seeds=depth.seeds, curvature=False, runner=runner
        )  # fmt: skip
        record = replace(record, horizon=horizon)
        found = centre_of(record, policy, depth.lengths[0])
        if found is None:
            return PilotRun(rule, record, suggest(record, name, horizon), math.inf)
        centre = found
    grids = GridSearch(runner, rule, policy, depth.seeds, most_more=EDGES)
    for length, spacing in zip(depth.lengths, (COARSE, FINE), strict=False):
        sweep = replace(grids.around(centre, spacing, length), horizon=horizon, range_test=record, shorter=shorter)
        following = min((each for each in depth.lengths if each > length), default=length)
        aim = suggest(sweep, policy, following).lr
        centre = best_of(sweep) if aim is None else aim.value
        shorter = (*shorter, replace(sweep, range_test=None, shorter=()))
    return PilotRun(rule, sweep, suggest(sweep, name, horizon), score_of(sweep))


def best_of(grid: RateGrid) -> float:
    """Return the rate whose runs end lowest; the smallest where all diverged."""
    return float(grid.rates[int(grid.final_losses.mean(axis=1).argmin())])


def score_of(grid: RateGrid) -> float:
    """Return the mean validation loss that the best run of a grid ended with."""
    means = np.where(np.isfinite(grid.judged), grid.judged, np.inf).mean(axis=1)
    return float(means.min())
