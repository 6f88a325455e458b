"""The state of a search: what it knows, what it has spent, what it would answer now, and what would be worth running.

`stages` decides what runs; this says what is known.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepsize.jobs.advise import field as fields
from stepsize.jobs.advise.belief.anchor import anchors
from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.evidence import Run
from stepsize.jobs.advise.belief.worlds import draw
from stepsize.jobs.advise.belief.worth import full_runs, worth
from stepsize.jobs.advise.locate import least_lost
from stepsize.jobs.advise.spending import Account, validation_updates
from stepsize.jobs.race.budget import Budget
from stepsize.problems import Task, Trainable
from stepsize.problems.trivial import learned_below
from stepsize.strategy import Strategy, round_rate

BLOCK = 1000
"""Each `seed` owns so many trial seeds: the pilot runs have the first."""

FULL_SEED = 100
"""Where the seeds of the full runs begin in the block."""

BELOW_DEATH = 0.25
"""How far below a rate that diverged an answer stays, in decades."""

APART = 0.15
"""How far another rate of a family lies from those that have run over the full horizon, in decades."""

HOPELESS = 0.06
"""Families that lose more than this on the tasks of the prior, in the mean, are left for when they are all there is."""


@dataclass(frozen=True)
class Proposal:
    """Runs of one length that are made together, and why, in words."""

    strategies: tuple[Strategy, ...]
    seeds: tuple[int, ...]
    steps: int
    stage: str


class Search:
    """What a search for the best strategy of a field knows.

    task: what is trained. field: one strategy of every family, at any rate. horizon: steps. seed: of the search.
    budget: None where there is none.
    primary: the family that is located first. account: what was spent. belief: about rates.
    stages, answers: why each run was made, and what was answered after it and expected to lose, in the order of
    `belief.runs`. engine: how and where trials are computed, in words.

    It runs nothing: whoever does tells it the finished runs (`learn`).
    """

    def __init__(
        self, task: Trainable, field: Sequence[Strategy], horizon: int, seed: int, budget: Budget | None
    ) -> None:
        self.task, self.horizon, self.seed, self.field = task, horizon, seed, tuple(field)
        self.primary = fields.primary(self.field)
        self.account = Account(budget, horizon, validation_updates(task))
        groups = list(dict.fromkeys(fields.group_of(each.rule) for each in self.field))
        found, updates = anchors(task, groups, self.first_seed, horizon)
        self.account.inspect(updates)
        start = start_of(task, self.first_seed)
        alike = isinstance(task, Task) and task.metric is None
        self.belief = Belief(horizon, start, found, training_start=start if alike else math.nan, epoch=epoch_of(task))
        self.stages: list[str] = []
        self.answers: list[tuple[Strategy, float]] = []
        self.engine = ""
        self._ranked: list[tuple[Strategy, float]] | None = None

    @functools.cached_property
    def learned_below(self) -> float:
        """The score below which a run has learned something."""
        return learned_below(self.task, self.belief.start)

    @property
    def first_seed(self) -> int:
        """The seed of the first pilot runs."""
        return self.seed * BLOCK

    def pilot_seed(self, steps: int) -> int:
        """Return the seed of the pilot runs of a length: one for all rates, and another for every length.

        What a rate owes to the luck of one seed the next length does not repeat.
        """
        lengths = list(dict.fromkeys(run.steps for run in self.belief.runs if run.steps < self.horizon))
        return self.first_seed + (lengths.index(steps) if steps in lengths else len(lengths))

    def learn(self, runs: Sequence[Run], stage: str) -> None:
        """Count finished runs, and learn from them."""
        for run in runs:
            self.account.pay(run.updates)
        self._ranked = None
        self.stages += [stage] * len(runs)
        self.belief.learn(runs)

    def fresh_seed(self, strategy: Strategy) -> int:
        """Return the first seed of the full runs on which a strategy has not run."""
        ran = {run.seed for run in full_runs(self.belief) if run.strategy.name == strategy.name}
        return next(seed for seed in range(self.first_seed + FULL_SEED, self.first_seed + BLOCK) if seed not in ran)

    def note_answer(self, strategy: Strategy, loses: float) -> None:
        """Note what was answered after the last runs, and what that is expected to lose."""
        self.answers += [(strategy, loses)] * (len(self.belief.runs) - len(self.answers))

    # the answer

    def answer(self) -> Strategy:
        """Return the strategy to train with by what is known now: the best of those that ran to the end, if any did."""
        ran = self.ran()
        if not ran:
            return self.least(self.primary)
        return ran[int(worth(self.belief, ran).mean.argmin())]

    def ran(self) -> list[Strategy]:
        """Return the strategies of the field that have run over the full horizon; a baseline may be of none of it."""
        families = {each.family for each in self.field}
        own = (run.strategy for run in full_runs(self.belief) if run.strategy.family in families)
        return list({each.name: each for each in own}.values())

    def least(self, family: Strategy) -> Strategy:
        """Return a family at the rate of the least expected loss at the horizon, not above what ran longest so far."""
        top = self._highest(family)
        x = least_lost(self.belief, family, self.horizon, within=(-math.inf, top))
        return family.at(round_rate(10 ** (top if x is None else x)))

    def _highest(self, family: Strategy) -> float:
        """Return log10 of the largest rate that a family may be answered with."""
        runs = self.belief.of(family)
        longest = max((run.steps for run in runs), default=0)
        lived = [run.x for run in runs if run.steps == longest and not self.belief.did_harm(run)]
        dead = [run.x - BELOW_DEATH for run in runs if self.belief.did_harm(run)]
        return min(max(lived, default=math.inf), min(dead, default=math.inf))

    # what to run

    def next_full(self) -> tuple[Strategy, float]:
        """Return the strategy of which one more full run gains most, and what share of the gain that is expected to be.

        Before any full run it is the answer, and nothing is known of what it gains.
        """
        if not self.ran():
            return self.least(self.primary), math.nan
        return self._worth_running()[0]

    def next_runs(self, count: int, least: float) -> tuple[Strategy, ...]:
        """Return up to `count` strategies of different families, of which one more full run gains most.

        least: the smallest gain, a share, that is worth a run.
        """
        chosen: dict[object, Strategy] = {}
        for strategy, gain in self._worth_running():
            if gain >= least and len(chosen) < count:
                chosen.setdefault(strategy.family, strategy)
        return tuple(chosen.values())

    def _worth_running(self) -> list[tuple[Strategy, float]]:
        """Return what may run next over the full horizon and what that gains, the most first; worked out once a run."""
        if self._ranked is None:
            found = self.ran()
            ran = len(found)
            found += [each for family in self.contenders() for each in self._others(family)]
            next_seeds = list(map(self.fresh_seed, found))
            worlds = draw(self.belief, found, self.families_with(found), self.seed, next_seeds)
            gains = worlds.gains(np.arange(len(found)) < ran)
            order = np.argsort(-gains, kind="stable")
            self._ranked = [(found[index], float(gains[index])) for index in order]
        return self._ranked

    def _others(self, family: Strategy) -> list[Strategy]:
        """Return a family at rates that have not run to the end: the best below and above the best that has."""
        ran = self.belief.of(family, self.horizon)
        if not ran:
            return [self.least(family)]
        best = min(ran, key=lambda run: run.score).x
        sides = ((-math.inf, best), (best, math.inf))
        found = [least_lost(self.belief, family, self.horizon, apart=APART, within=side) for side in sides]
        return [family.at(round_rate(10**x)) for x in found if x is not None]

    def aside(self, family: Strategy) -> Strategy | None:
        """Return a family at the best rate that lies as far from all that ran to the end as the best one may lie."""
        x = least_lost(self.belief, family, self.horizon, apart=self.belief.centre(family)[1])
        return None if x is None else family.at(round_rate(10**x))

    def families_with(self, strategies: Sequence[Strategy]) -> list[Strategy]:
        """Return the contenders, and the families of strategies that are none, such as a baseline's."""
        families = {each.family: each for each in (*self.contenders(), *strategies)}
        return list(families.values())

    def contenders(self) -> list[Strategy]:
        """Return the families that may turn out best."""
        hopeful = [each for each in self.field if self.belief.prior_of(each).loses.mean() <= HOPELESS]
        return hopeful or list(self.field)


def start_of(task: Trainable, seed: int) -> float:
    """Return the score before any training."""
    return task.score(task.build(seed)) if isinstance(task, Task) else float(getattr(task, "start", math.nan))


def epoch_of(task: Trainable) -> float:
    """Return after how many updates samples come again: inf for a stream without an end, 0 where it is not known."""
    if not isinstance(task, Task):
        return 0.0
    if task.samples_per_epoch is not None:
        return task.samples_per_epoch / task.update_size
    return math.inf if task.train.batches is None else task.train.batches / task.accumulate
