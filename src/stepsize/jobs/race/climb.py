"""A race under way, rung by rung: who runs, who goes on, and what the standings are in the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from stepsize.execution.runner import Runner
from stepsize.jobs.paired_statistics import CONFIDENCE, kendall, standings
from stepsize.jobs.race.budget import Budget
from stepsize.jobs.race.rungs import RungPlan, best_rates, check_field, on_rung, runnable, survivors
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.text import count
from stepsize.results import Curves, Race, Rung, Standing
from stepsize.results.race import Selection, View
from stepsize.strategy import Strategy, Trial, distinguish

SCORES = 20
"""How often the last rung is scored along the way, for the learning curves; every rung, to select the best."""


class Climb:
    """A race that gives every rung when it is done, and is sent who runs on the next one.

    ::

        climb = Climb(runner, strategies, horizon, plans)
        for rung in climb:                              # once; whoever does not send lets the survivors go on
            climb.send(climb.survivors[:4])
        record = climb.record()

    strategies: who runs on the first rung. plans: of the rungs, the last at the full `horizon` (optimizer updates).
    judging: seeds on which the best rate of every family runs after the rungs. budget: what may be spent, on more seeds
        too. stage: what progress calls a rung. margin: a difference in score that no seeds are bought for.
    spent, waited: full trainings and seconds before the first rung, which the record counts and the budget does not.
    rungs: what is done. curves: the record of the last rung. survivors: who goes on from it, best first.

    Raises BudgetError when there is nothing to compare, ParameterError when two strategies are equal or the last rung
    is not the full horizon, LengthError for a schedule that a rung is too short for.
    """

    def __init__(
        self,
        runner: Runner,
        strategies: Iterable[Strategy],
        horizon: int,
        plans: Sequence[RungPlan],
        *,
        judging: tuple[int, ...] = (),
        view: View = "retimed",
        selection: Selection = "last",
        budget: Budget | None = None,
        stage: str = "rung",
        margin: float = 0.0,
        spent: float = 0.0,
        waited: float = 0.0,
    ) -> None:
        self.survivors = distinguish(strategies)
        check_field(len(self.survivors))
        if not plans or plans[-1].steps != horizon:
            last = plans[-1].steps if plans else 0
            raise ParameterError(f"the last rung must have the full horizon of {horizon} steps, not {last}.")
        runnable(self.survivors, plans, horizon, view)
        self._runner, self._horizon, self._plans, self._judging = runner, horizon, tuple(plans), judging
        self._view, self._selection, self._budget, self._margin = view, selection, budget, margin
        self._stage, self._spent, self._waited = stage, spent, waited
        self._trials = self._extensions = 0
        self._standings: tuple[Standing, ...] = ()
        self._began, self._before = time.perf_counter(), runner.updates
        self.rungs: list[Rung] = []
        self.curves: Curves

    def __iter__(self) -> Iterator[Rung]:
        for number, plan in enumerate(self._plans):
            entries = self.survivors
            if number and self._budget is not None:
                entries = fitting(entries, len(plan.seeds) * plan.steps / self._horizon, self._left(self._budget))
            rung = self._climb(entries, plan, last=number == len(self._plans) - 1)
            self.survivors = survivors(rung, plan.keep, shapes=number == 0)
            yield rung
        if self._judging:
            yield self._climb(best_rates(self.rungs[-1]), RungPlan(self._horizon, self._judging), last=True)
        yield from self._separate()

    def send(self, strategies: Iterable[Strategy]) -> None:
        """Say who runs on the next rung, instead of the survivors of the last one, best first."""
        self.survivors = list(strategies)

    def finish(self) -> Race:
        """Climb all rungs and return the record."""
        for _ in self:
            pass
        return self.record()

    def record(self) -> Race:
        """Return the record of a race that has climbed all its rungs."""
        task, rungs = self._runner.task, self.rungs
        return Race(
            task=task.source or task.name,
            steps=self._horizon,
            rungs=tuple(rungs),
            standings=self._standings,
            curves=self.curves,
            agreement=tuple(kendall(rung, _judge(rung, rungs)) for rung in rungs[:-1]),
            cost=self._cost + self._spent,
            engine=self._runner.why,
            executor=self._runner.executor.label,
            seconds=self._seconds + self._waited,
            view=self._view,
            selection=self._selection,
            tuned=len(self._plans) if self._judging else 0,
            extensions=self._extensions,
            scored=task.scored,
        )

    @property
    def _cost(self) -> float:
        """What the rungs cost so far, in full trainings."""
        return (self._runner.updates - self._before) / self._horizon

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    def _left(self, budget: Budget) -> float:
        return budget.left(self._cost, self._seconds, self._trials)

    def _climb(self, entries: Sequence[Strategy], plan: RungPlan, *, last: bool) -> Rung:
        """Run one rung and keep it."""
        rung, self.curves = self._run(entries, plan, f"{self._stage} {len(self.rungs) + 1}", last=last)
        self.rungs.append(rung)
        return rung

    def _run(self, entries: Sequence[Strategy], plan: RungPlan, stage: str, *, last: bool) -> tuple[Rung, Curves]:
        """Run strategies as this race's view has them on a rung of this length."""
        runners = [on_rung(strategy, self._horizon, plan.steps, self._view) for strategy in entries]
        trials = [Trial(strategy, seed) for strategy in runners for seed in plan.seeds]
        self._trials += len(trials)
        title = f"{stage}: {count(len(entries), 'strategy', 'strategies')}, {plan.steps} steps"
        often = max(1, plan.steps // SCORES) if last or self._selection == "best" else None
        curves = self._runner.run(title, trials, plan.steps, score_every=often)
        table = scores(curves, self._selection).reshape(len(entries), len(plan.seeds))
        return Rung(steps=plan.steps, strategies=tuple(entries), seeds=plan.seeds, scores=table), curves

    def _separate(self) -> Iterator[Rung]:
        """Add seeds for the leaders as long as the budget buys them, and set the standings.

        Every time that the standings are judged has its own part of the 5 % (`alpha_of`).
        """
        alpha = 1 - CONFIDENCE
        if self._budget is None:
            self._standings = standings(self.rungs[-1], alpha)
            return
        separated: list[Standing] = []
        while True:
            rung = self.rungs[-1]
            ranked = standings(rung, alpha_of(self._extensions + 1, alpha))
            leaders = undecided(ranked, self._margin)
            more = more_seeds(len(leaders), len(rung.seeds), self._left(self._budget))
            if not more:
                self._standings = _joined(ranked, separated)
                return
            separated = [standing for standing in ranked if standing not in leaders] + separated
            yield self._add_seeds([standing.strategy.name for standing in leaders], more)
            self._extensions += 1

    def _add_seeds(self, names: Sequence[str], more: int) -> Rung:
        """Run the strategies called `names` on `more` new seeds, and keep them with all their seeds as a rung."""
        rung, curves = self.rungs[-1], self.curves
        rows = sorted(row for row, strategy in enumerate(rung.strategies) if strategy.name in set(names))
        first = 1 + max(seed for earlier in self.rungs for seed in earlier.seeds)
        fresh = tuple(range(first, first + more))
        entries = tuple(rung.strategies[row] for row in rows)
        added, new = self._run(entries, RungPlan(rung.steps, fresh), f"{self._stage}, more seeds", last=True)
        old = len(rung.seeds)
        columns = np.arange(len(rung.strategies) * old).reshape(-1, old)[rows]
        both = Curves.join([curves.select(columns.ravel()), new])
        kept = np.arange(columns.size).reshape(-1, old)
        runs = np.arange(columns.size, len(both.trials)).reshape(-1, more)
        self.curves = both.select(np.concatenate([kept, runs], axis=1).ravel())
        table = np.concatenate([rung.scores[rows], added.scores], axis=1)
        self.rungs.append(Rung(steps=rung.steps, strategies=entries, seeds=(*rung.seeds, *fresh), scores=table))
        return self.rungs[-1]


def undecided(standings: Sequence[Standing], margin: float = 0.0) -> list[Standing]:
    """Return the best, and those who may still turn out better than it by `margin`."""
    best, *others = standings
    rivals = [other for other in others if other.tied and other.behind is not None and -other.behind.low >= margin]
    return [best, *rivals]


def more_seeds(leaders: int, seeds: int, left: float) -> int:
    """Return how many seeds so many undecided strategies should run besides the `seeds` that they have.

    Half as many again, as far as `left` full trainings pay for them; 0 when the best stands alone.
    """
    if leaders < 2:
        return 0
    return max(0, min(max(1, seeds // 2), math.floor(left / leaders)))


def fitting(ranked: Sequence[Strategy], cost: float, left: float) -> list[Strategy]:
    """Return the best of `ranked` that `left` full trainings pay for, at `cost` a strategy; two at least."""
    return list(ranked[: max(2, math.floor(min(left / cost, len(ranked))))])


def alpha_of(analysis: int, alpha: float) -> float:
    """Return which part of `alpha` may be spent on analysis number n, from 1: `alpha / (n (n + 1))`.

    Standings that are judged again with every new seed tell strategies apart by luck sooner or later; the parts add up
    to `alpha` over any number of analyses.
    """
    return alpha / (analysis * (analysis + 1))


def scores(curves: Curves, selection: Selection) -> Floats:
    """Return what each trial is scored by, (trials,): its last score or its lowest; inf for one that diverged."""
    if selection == "last":
        return curves.final
    return np.where(np.isfinite(curves.final), np.fmin.reduce(curves.scores, axis=0), np.inf)


def _joined(leaders: Sequence[Standing], separated: Sequence[Standing]) -> tuple[Standing, ...]:
    """Return the last standings and, after them, who was separated before, best first: their chances add up to 1."""
    rest = 1 - sum(standing.chance for standing in separated)
    others = sorted(separated, key=lambda standing: standing.score.mean)
    return (*(replace(standing, chance=standing.chance * rest) for standing in leaders), *others)


def _judge(rung: Rung, rungs: Sequence[Rung]) -> Rung:
    """Return the rung that says how right `rung` was: the first at the full horizon, which has the most strategies.

    Of a rung that has the full horizon itself, it is the last.
    """
    full = rungs[-1].steps
    return rungs[-1] if rung.steps == full else next(other for other in rungs if other.steps == full)
