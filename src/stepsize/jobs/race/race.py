"""Races: strategies at equal budget, on the same weights and the same batches, and who won, by how much, how sure.

A race climbs rungs (`jobs.rungs`). The strategies are ranked by their mean over paired seeds, all of them together, and
the first rung keeps the best of every shape of schedule. Rates may be tuned on seeds of their own before the race, and
what is left of a budget afterwards buys seeds for those who are tied for the best.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.journal import Journal
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.paired_statistics import CONFIDENCE, kendall, standings
from stepsize.jobs.race.budget import Budget, alpha_of, fitting, more_seeds, undecided
from stepsize.jobs.race.rungs import RungPlan, best_rates, checked, on_rung, runnable, survivors
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import BudgetError, ParameterError, check_name
from stepsize.kernel.text import count
from stepsize.problems import Trainable
from stepsize.results import Curves, Race, Rung, Standing
from stepsize.results.race import Selection, View
from stepsize.strategy import Strategy, Trial, distinguish

Between = Callable[[Rung, list[Strategy]], list[Strategy]]
"""Told of a rung that is done and of who goes on from it, best first; returns who does, such as other rates too."""

Listen = Callable[[Rung, Curves], None]
"""Told of every rung that is done."""

SCORES = 20
"""How often the last rung is scored along the way, for the learning curves; every rung, to select the best."""

SELECTIONS: tuple[Selection, ...] = ("last", "best")


def race(
    task: Trainable,
    strategies: Iterable[Strategy],
    *,
    steps: int | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    tune_seeds: Sequence[int] = (),
    rungs: Sequence[RungPlan] | None = None,
    view: View = "retimed",
    selection: Selection = "last",
    budget: Budget | float | str | None = None,
    engine: Engine | None = None,
    journal: Journal | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
    stage: str = "rung",
    between: Between | None = None,
    margin: float = 0.0,
    listen: Listen | None = None,
) -> Race:
    """Race `strategies` on `task` and return the record.

    steps: the full horizon, optimizer updates; the task's own when not given. seeds: paired: every strategy trains
        from the same weights on the same batches.
    tune_seeds: other seeds, which choose the best rate of every family (a rule with a policy); only that is raced on
        `seeds`, so that the luck that chose it is no part of its score.
    rungs: how to get there; one rung of all strategies at the full horizon when not given (see `halving`). With
        `tune_seeds` they are where the rates are chosen, on their own seeds.
    view: what a shorter rung runs: "retimed", whole schedules in fewer steps, or "prefix", the first part of the long
        run. selection: what a run is scored by: its "last" iterate, or the "best" of 20 checkpoints.
    budget: for everything: full trainings (30), time ("20min") or runs ("800 trials"). Where it does not pay for the
        next rung, fewer strategies go on. Once the rungs are done, it buys seeds for those who are tied for the best,
        until they separate or it ends.
    journal: keeps every finished batch of trials, so that the same call goes on after an interruption.
    runner: to share an engine and a journal with other jobs. stage: what progress calls a rung.
    between: asked after every rung but the last who goes on, such as the survivors at more rates; see `Between`.
    margin: a difference in score that no seeds are bought for.
    listen: told of every rung that is done.

    Raises BudgetError when there is nothing to compare, or the rungs alone cost more than the budget; ParameterError
    when the last rung is not the full horizon, or seeds choose and judge; LengthError for a schedule that a rung is too
    short for.

    Watch out: the best of 20 checkpoints flatters noisy runs, all the more without a test set of its own. A budget in
    time is looked at between rungs, so the first of them may overrun it; and another machine may stop elsewhere.
    """
    horizon = task.steps if steps is None else steps
    tuning = _tuning(horizon, seeds, tune_seeds, rungs)
    plans = tuning or ([RungPlan(horizon, tuple(seeds))] if rungs is None else list(rungs))
    entries = distinguish(strategies)
    _check(entries, plans, horizon, selection)
    runnable(entries, plans, horizon, checked(view))
    allowed = None if budget is None else Budget.of(budget)
    affordable(allowed, len(entries), plans, tuple(seeds) if tuning else (), horizon)
    runner = runner or Runner(task, engine=engine, journal=journal, progress=progress)
    climb = _Climb(runner, horizon, view, selection, stage, between, listen)
    climb.up(entries, plans, allowed)
    if tuning:
        climb.rung(best_rates(climb.rungs[-1]), RungPlan(horizon, tuple(seeds)), last=True)
    places, looks = _looks(climb, allowed, margin)
    done = climb.rungs
    return Race(
        task.source or task.name, horizon, tuple(done), places, climb.curves,
        tuple(kendall(rung, _judge(rung, done)) for rung in done[:-1]), climb.cost, runner.why, climb.seconds,
        view, selection, len(tuning), looks, task.scored, runner.executor.label,
    )  # fmt: skip


def _tuning(
    horizon: int, seeds: Sequence[int], tune_seeds: Sequence[int], rungs: Sequence[RungPlan] | None
) -> list[RungPlan]:
    """Return the rungs that choose the rates; none where the rates are given."""
    if not tune_seeds:
        return []
    plans = [RungPlan(horizon, tuple(tune_seeds))] if rungs is None else list(rungs)
    shared = sorted({seed for plan in plans for seed in plan.seeds} & set(seeds))
    if shared:
        raise ParameterError(f"seed {shared[0]} both chooses the rates and judges them; take other seeds for one.")
    return plans


def _check(entries: Sequence[Strategy], plans: Sequence[RungPlan], horizon: int, selection: str) -> None:
    if len(entries) < 2:
        raise BudgetError(f"a race needs at least two strategies, not {len(entries)}; add policies, rules or rates.")
    if not plans or plans[-1].steps != horizon:
        last = plans[-1].steps if plans else 0
        raise ParameterError(f"the last rung must have the full horizon of {horizon} steps, not {last}.")
    check_name(selection, SELECTIONS, "selection")


def affordable(
    budget: Budget | None, count: int, plans: Sequence[RungPlan], fresh: Sequence[int], horizon: int
) -> None:
    """Raise BudgetError for a budget in trainings that does not pay for the rungs of `count` strategies.

    fresh: the seeds that judge after the rungs. `keep` is a lower bound of who goes on.
    """
    if budget is None or budget.trainings is None:
        return
    cost = 0.0
    for plan in plans:
        cost += count * len(plan.seeds) * plan.steps / horizon
        count = count if plan.keep is None else min(count, plan.keep)
    cost += min(count, 1) * len(fresh)
    if cost > budget.trainings:
        raise BudgetError(
            f"a budget of {budget.trainings:g} full trainings is too small: the rungs alone cost {cost:.1f}. "
            "Raise it, or take fewer seeds, strategies or rates."
        )


def _judge(rung: Rung, done: Sequence[Rung]) -> Rung:
    """Return the rung that says how right `rung` was: the first at the full horizon, which has the most strategies.

    Of a rung that has the full horizon itself, it is the last.
    """
    full = done[-1].steps
    return done[-1] if rung.steps == full else next(each for each in done if each.steps == full)


@dataclass
class _Climb:
    """The rungs of one race as they are run."""

    runner: Runner
    horizon: int
    view: View
    selection: Selection
    stage: str
    between: Between | None
    listen: Listen | None
    rungs: list[Rung] = field(default_factory=list)
    trials: int = 0
    curves: Curves = field(init=False)

    def __post_init__(self) -> None:
        self._began, self._before = time.perf_counter(), self.runner.updates

    @property
    def cost(self) -> float:
        """Return what was spent so far, in full trainings."""
        return (self.runner.updates - self._before) / self.horizon

    @property
    def seconds(self) -> float:
        """Return the wall time so far."""
        return time.perf_counter() - self._began

    def up(self, entries: Sequence[Strategy], plans: Sequence[RungPlan], budget: Budget | None) -> None:
        """Run the planned rungs, each with those who went on from the one before, as far as the budget pays."""
        for number, plan in enumerate(plans):
            if number and budget is not None:
                each = len(plan.seeds) * plan.steps / self.horizon
                entries = fitting(entries, each, budget.left(self.cost, self.seconds, self.trials))
            last = number == len(plans) - 1
            self.rung(entries, plan, last=last)
            kept = survivors(self.rungs[-1], plan.keep, shapes=number == 0)
            entries = kept if last or self.between is None else self.between(self.rungs[-1], kept)

    def rung(self, entries: Sequence[Strategy], plan: RungPlan, *, last: bool) -> None:
        """Run one rung and keep it."""
        rung, curves = self.run(entries, plan, f"{self.stage} {len(self.rungs) + 1}", last=last)
        self.keep(rung, curves)

    def keep(self, rung: Rung, curves: Curves) -> None:
        """Keep a rung that was run, and tell of it."""
        self.rungs.append(rung)
        self.curves = curves
        if self.listen is not None:
            self.listen(rung, curves)

    def run(self, entries: Sequence[Strategy], plan: RungPlan, stage: str, *, last: bool) -> tuple[Rung, Curves]:
        """Run strategies as this race's view has them on a rung of this length."""
        runners = [on_rung(strategy, self.horizon, plan.steps, self.view) for strategy in entries]
        trials = [Trial(strategy, seed) for strategy in runners for seed in plan.seeds]
        self.trials += len(trials)
        told = f"{stage}: {count(len(entries), 'strategy', 'strategies')}, {plan.steps} steps"
        often = max(1, plan.steps // SCORES) if last or self.selection == "best" else None
        curves = self.runner.run(told, trials, plan.steps, score_every=often)
        table = scores(curves, self.selection).reshape(len(entries), len(plan.seeds))
        return Rung(plan.steps, tuple(entries), plan.seeds, table), curves


def scores(curves: Curves, selection: Selection) -> Floats:
    """Return what each trial is scored by, (trials,): its last score or its lowest; inf for one that diverged."""
    if selection == "last":
        return curves.final
    return np.where(np.isfinite(curves.final), np.fmin.reduce(curves.scores, axis=0), np.inf)


def _looks(climb: _Climb, budget: Budget | None, margin: float) -> tuple[tuple[Standing, ...], int]:
    """Return the standings, after as many more seeds for the leaders as the budget buys, and how often it bought any.

    Every look at the standings has its own part of the 5 % (`alpha_of`).
    """
    alpha = 1 - CONFIDENCE
    if budget is None:
        return standings(climb.rungs[-1], alpha), 0
    told_apart: list[Standing] = []
    look = 1
    while True:
        rung = climb.rungs[-1]
        places = standings(rung, alpha_of(look, alpha))
        open_ones = undecided(places, margin)
        more = more_seeds(len(open_ones), len(rung.seeds), budget.left(climb.cost, climb.seconds, climb.trials))
        if not more:
            return _joined(places, told_apart), look - 1
        told_apart = [standing for standing in places if standing not in open_ones] + told_apart
        _add_seeds(climb, [standing.strategy.name for standing in open_ones], more)
        look += 1


def _joined(leaders: Sequence[Standing], told_apart: Sequence[Standing]) -> tuple[Standing, ...]:
    """Return the last standings and, after them, who was told apart before, best first: their chances add up to 1."""
    rest = 1 - sum(standing.chance for standing in told_apart)
    others = sorted(told_apart, key=lambda standing: standing.score.mean)
    return (*(replace(standing, chance=standing.chance * rest) for standing in leaders), *others)


def _add_seeds(climb: _Climb, names: Sequence[str], more: int) -> None:
    """Run the strategies called `names` on `more` new seeds, and keep them with all their seeds as a rung."""
    rung, curves = climb.rungs[-1], climb.curves
    place = {strategy.name: index for index, strategy in enumerate(rung.strategies)}
    leaders = sorted(place[name] for name in names)
    first = 1 + max(seed for each in climb.rungs for seed in each.seeds)
    fresh = tuple(range(first, first + more))
    entries = tuple(rung.strategies[index] for index in leaders)
    added, new = climb.run(entries, RungPlan(rung.steps, fresh), f"{climb.stage}, more seeds", last=True)
    old = len(rung.seeds)
    columns = np.arange(len(rung.strategies) * old).reshape(-1, old)[leaders]
    both = Curves.join([curves.select(columns.ravel()), new])
    kept, runs = np.arange(columns.size).reshape(-1, old), np.arange(columns.size, len(both.trials)).reshape(-1, more)
    table = np.concatenate([rung.scores[leaders], added.scores], axis=1)
    joined = Rung(rung.steps, entries, (*rung.seeds, *fresh), table)
    climb.keep(joined, both.select(np.concatenate([kept, runs], axis=1).ravel()))
