"""Races: strategies at equal budget, on the same weights and the same batches, and who won, by how much, how sure.

A race climbs rungs. On a rung below the last, every schedule runs *whole* in a shortened horizon, its rate moved by
the last-iterate
bound (docs/adr/0007): a schedule that is cut in the middle is not a short schedule. The strategies are ranked by
their mean over paired seeds, all of them together, and the first rung keeps the best of every family of schedules.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np

from stepsize.engines import Engine
from stepsize.jobs.base import Progress, Runner
from stepsize.jobs.journal import Journal
from stepsize.jobs.statistics import kendall, standings
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.kernel.spec import Bound, Spec
from stepsize.policies import LR
from stepsize.problems import Task
from stepsize.results import Curves, Race, Rung
from stepsize.schedules import Schedule
from stepsize.strategy import Strategy, Trial
from stepsize.theory import shift

Count = Annotated[int, Bound("at least 1", low=1)]

Widen = Callable[[Rung], list[Strategy]]
"""Looks at the first rung, and returns more strategies to run on it, such as rates beyond an edge; or none."""

WIDENINGS = 2
"""How often a first rung may be widened."""

SCORES = 20
"""How often the last rung is scored along the way, for the learning curves."""


@dataclass(frozen=True)
class RungPlan(Spec):
    """What one rung runs.

    steps: the length of its runs, optimizer updates. seeds: the paired seeds. keep: how many strategies go on; all
        when not given.
    """

    steps: Count
    seeds: tuple[int, ...]
    keep: int | None = None

    def validate(self) -> None:
        """Refuse an empty rung."""
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ParameterError(f"RungPlan.seeds must be distinct, at least one, not {self.seeds!r}.")


def race(
    task: Task,
    strategies: Iterable[Strategy],
    *,
    steps: int | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    rungs: Sequence[RungPlan] | None = None,
    engine: Engine | None = None,
    journal: Journal | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
    stage: str = "rung",
    widen: Widen | None = None,
) -> Race:
    """Race `strategies` on `task` and return the record.

    steps: the full horizon, optimizer updates; the task's own when not given. seeds: paired: every strategy trains
        from the same
        weights on the same batches. rungs: how to get there; one rung of all strategies at the full horizon when not
        given.
    journal: keeps every finished wave, so that the same call goes on after an interruption.
    runner: to share an engine and a journal with other jobs. stage: what progress calls a rung.
    widen: asked after the first of several rungs for strategies that should have run on it too; see `Widen`.

    Raises BudgetError when there is nothing to compare, ParameterError when the last rung is not the full horizon.
    """
    began = time.perf_counter()
    runner = runner or Runner(task, engine=engine, journal=journal, progress=progress)
    horizon = task.steps if steps is None else steps
    plans = [RungPlan(horizon, tuple(seeds))] if rungs is None else list(rungs)
    field = _distinct(strategies)
    _check(field, plans, horizon)
    before, done = runner.updates, []
    for number, plan in enumerate(plans):
        last = number == len(plans) - 1
        rung, curves = _run(runner, field, plan, horizon, f"{stage} {number + 1}", last=last)
        if number == 0 and widen is not None and not last:
            rung = _widened(runner, rung, widen, plan, horizon)
        done.append(rung)
        field = _survivors(rung, plan.keep, families=number == 0)
    agreement = tuple(kendall(first, second) for first, second in pairwise(done))
    cost = (runner.updates - before) / horizon
    seconds = time.perf_counter() - began
    name = task.source or task.name
    return Race(name, horizon, tuple(done), standings(done[-1]), curves, agreement, cost, runner.why, seconds)


def _check(field: Sequence[Strategy], plans: Sequence[RungPlan], horizon: int) -> None:
    if len(field) < 2:
        raise BudgetError(f"a race needs at least two strategies, not {len(field)}; add policies, rules or rates.")
    if not plans or plans[-1].steps != horizon:
        last = plans[-1].steps if plans else 0
        raise ParameterError(f"the last rung must have the full horizon of {horizon} steps, not {last}.")


def _distinct(strategies: Iterable[Strategy]) -> list[Strategy]:
    field = list(strategies)
    names = [strategy.name for strategy in field]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ParameterError(f"two strategies are called {twice[0]!r}; give each a name of its own.")
    return field


def _run(
    runner: Runner, field: Sequence[Strategy], plan: RungPlan, horizon: int, stage: str, *, last: bool
) -> tuple[Rung, Curves]:
    """Run one rung; a shorter one with every schedule whole in its horizon, the rate moved by the bound."""
    runners = [retimed(strategy, horizon, plan.steps) for strategy in field]
    trials = [Trial(strategy, seed) for strategy in runners for seed in plan.seeds]
    told = f"{stage}: {len(field)} strategies, {plan.steps} steps"
    curves = runner.run(told, trials, plan.steps, score_every=max(1, plan.steps // SCORES) if last else None)
    return Rung(plan.steps, tuple(field), plan.seeds, curves.final.reshape(len(field), len(plan.seeds))), curves


def _widened(runner: Runner, rung: Rung, widen: Widen, plan: RungPlan, horizon: int) -> Rung:
    """Return a rung with the strategies that `widen` asks for, run on the same seeds."""
    for _ in range(WIDENINGS):
        more = widen(rung)
        if not more:
            break
        added, _ = _run(runner, more, plan, horizon, "rung 1, widened", last=False)
        scores = np.concatenate([rung.scores, added.scores])
        rung = Rung(rung.steps, (*rung.strategies, *added.strategies), rung.seeds, scores)
    return rung


def retimed(strategy: Strategy, horizon: int, steps: int) -> Strategy:
    """Return `strategy`, tuned for `horizon` steps, as it runs in `steps`: whole, its rate moved by the bound."""
    if steps == horizon:
        return strategy
    schedule = strategy.policy[LR]
    return strategy.scaled(shift(_shape(schedule, horizon), _shape(schedule, steps)))


def _shape(schedule: Schedule, steps: int) -> Floats:
    return schedule.over(steps).table(0, steps)


def _survivors(rung: Rung, keep: int | None, *, families: bool) -> list[Strategy]:
    """Return who goes on, best first: the best `keep`, and with `families` the best of each family of schedules too."""
    ranked = [rung.strategies[i] for i in rung.order if math.isfinite(rung.means[i])]
    if keep is None or not ranked:
        return ranked or list(rung.strategies)
    kept, seen = [], set()
    for place, strategy in enumerate(ranked):
        if place < keep or (families and strategy.family not in seen):
            kept.append(strategy)
        seen.add(strategy.family)
    return kept
