"""Races: strategies at equal budget, on the same weights and the same batches, and who won, by how much, how sure.

What will run is planned before anything is run (`plan_race`): who races, the rungs, the seeds that tune and those that
judge. The strategies climb the rungs (`jobs.race.climb`): they are ranked by their mean over paired seeds, all of them
together, and the first rung keeps the best of every shape of schedule. What is left of a budget afterwards buys seeds
for those who are tied for the best.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from stepsize.execution.journal import Journal
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.lengths import updates_of
from stepsize.jobs.race.budget import Budget
from stepsize.jobs.race.climb import Climb
from stepsize.jobs.race.entrants import Entrants, Field, line_up
from stepsize.jobs.race.rungs import ETA, LEAST_RUNG, RungPlan, halving, screening
from stepsize.kernel.errors import BudgetError, ParameterError, brief, check_name
from stepsize.kernel.numeric import numeric
from stepsize.kernel.optional import need_all
from stepsize.problems import Trainable
from stepsize.results import Race
from stepsize.results.race import Selection, View
from stepsize.strategy import Strategy

SCREENED = 8
"""From so many strategies on, a race begins with a short rung."""

TUNING = 1000
"""The first of the seeds that choose the rates, where only their number is given; those that judge begin with 0."""

MAKERS = {"screening": screening, "halving": halving}

NamedRungs = Literal["none", "screening", "halving"]


@numeric
def race(
    task: Trainable,
    strategies: Entrants | Iterable[Strategy] | str | None = None,
    *,
    steps: int | str | None = None,
    seeds: int | Sequence[int] = 3,
    tune_seeds: int | Sequence[int] | None = None,
    rungs: NamedRungs | Sequence[RungPlan] | None = None,
    view: View = "retimed",
    selection: Selection = "last",
    budget: Budget | float | str | None = None,
    journal: Journal | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> Race:
    """Race strategies on `task` and return the record.

    ::

        race(task)                                                  # the usual rules and policies, after range tests
        race(task, "AdamW one_cycle 0.01 0.03, SGD cosine 0.1")     # or a .toml or .json file, or a list of Strategy
        race(task, Entrants(rules=["AdamW", "Lion"], policies=["cosine"]), seeds=8, budget="20min")
        race(task, strategies, rungs="halving", runner=Runner(task, workers=8, journal=Journal("kept")))

    strategies: who races: strategies, a file or a line of them, or `Entrants`, rules with policies whose rates may be
        left to range tests.
    steps: the full horizon, optimizer updates or "3 epochs"; the task's own when not given. seeds: how many, or which;
        paired: every strategy trains from the same weights on the same batches.
    tune_seeds: how many other seeds, or which, choose the best rate of every family (a rule with a policy); only that
        is raced on `seeds`, so that the luck that chose it is no part of its score. When not given as many as `seeds`,
        where there are several rates of several families and the rungs are not a list; 0 races every rate.
    rungs: short runs first: "screening", a ninth of the horizon, from which half go on; "halving", a ninth and a third,
        from which a third do; "none"; or a list of `RungPlan`. When not given screening, from 8 strategies on. With
        `tune_seeds` they are where the rates are chosen, on their own seeds.
    view: what a shorter rung runs: "retimed", whole schedules in fewer steps, or "prefix", the first part of the long
        run. selection: what a run is scored by: its "last" iterate, or the "best" of 20 checkpoints.
    budget: for everything: full trainings (30), time ("20min") or runs ("800 trials"). Where it does not pay for the
        next rung, fewer strategies go on. Once the rungs are done, it buys seeds for those who are tied for the best,
        until they separate or it ends.
    journal: keeps every finished trial, so that the same call goes on after an interruption. progress: called with the
        stage and the replica-steps that were done. runner: instead of the two, to choose an engine or an executor, or
        to share them with other jobs.

    Raises BudgetError when there is nothing to compare, or the rungs alone cost more than the budget; ParameterError
    when the last rung is not the full horizon, or seeds choose and judge; LengthError for a schedule that a rung is too
    short for; MissingPackageError without scipy.

    Watch out: the best of 20 checkpoints flatters noisy runs, all the more without a test set of its own. A budget in
    time is checked between rungs, so the first of them may overrun it; and another machine may stop elsewhere.
    """
    options = RaceOptions(
        seeds=seeds, tune_seeds=tune_seeds, rungs=rungs, view=view, selection=selection, budget=budget
    )  # fmt: skip
    plan = plan_race(task, strategies, steps, options)
    return plan.start(runner or Runner(task, journal=journal, progress=progress)).finish()


@dataclass(frozen=True, kw_only=True)
class RaceOptions:
    """How a race is run. The fields are arguments of `race`, which says what they mean."""

    seeds: int | Sequence[int] = 3
    tune_seeds: int | Sequence[int] | None = None
    rungs: NamedRungs | Sequence[RungPlan] | None = None
    view: View = "retimed"
    selection: Selection = "last"
    budget: Budget | float | str | None = None

    def __post_init__(self) -> None:
        check_name(self.view, get_args(View), "view of a rung")
        check_name(self.selection, get_args(Selection), "selection")
        if isinstance(self.rungs, str):
            check_name(self.rungs, get_args(NamedRungs), "list of rungs")
        if self.budget is not None:
            object.__setattr__(self, "budget", Budget.of(self.budget))


@dataclass(frozen=True, kw_only=True)
class RacePlan:
    """A race that can be started.

    field: who races. horizon: the full length, optimizer updates. rungs: in order. judging: the seeds that judge the
    best rate of every family after the rungs; empty where the rungs judge all of them.
    """

    field: Field
    horizon: int
    rungs: tuple[RungPlan, ...]
    judging: tuple[int, ...]
    view: View
    selection: Selection
    budget: Budget | None

    @property
    def updates(self) -> int:
        """About how many replica-steps it is, range tests included, without seeds that a budget may add."""
        rungs = sum(count * len(rung.seeds) * rung.steps for count, rung in _counts(self.field.count, self.rungs))
        return self.field.updates + rungs + self.field.families * len(self.judging) * self.horizon

    def start(self, runner: Runner) -> Climb:
        """Run the range tests, if there are any, and return the race, ready to climb its rungs.

        Raises BudgetError when the range tests leave too little of the budget for the rungs, and what `Climb` raises.
        """
        began, before = time.perf_counter(), runner.updates
        strategies = self.field.measured(runner, self.horizon)
        trainings, seconds = (runner.updates - before) / self.horizon, time.perf_counter() - began
        budget = None if self.budget is None else _rest(self.budget, trainings, seconds) if trainings else self.budget
        check_budget(budget, len(strategies), self.rungs, self.judging, self.horizon)
        return Climb(
            runner, strategies, self.horizon, self.rungs, judging=self.judging, view=self.view,
            selection=self.selection, budget=budget, spent=trainings, waited=seconds,
        )  # fmt: skip


def plan_race(
    task: Trainable, entrants: Entrants | Iterable[Strategy] | str | None, steps: int | str | None, options: RaceOptions
) -> RacePlan:
    """Return what a race on `task` will run; the arguments and the errors are those of `race`."""
    need_all(["scipy"])
    field = line_up(task, entrants)
    horizon = updates_of(task, task.steps if steps is None else steps)
    judging, tuning = _seeds(field, options)
    combined = entrants is None or isinstance(entrants, Entrants)
    if tuning and (field.families < 2 or (combined and field.count == field.families)):
        raise ParameterError(
            "seeds that tune choose among several rates of two or more policies, and there is nothing to choose; "
            "leave them away, or give more rates."
        )
    run = tuning or judging
    if options.rungs is None or isinstance(options.rungs, str):
        rungs = _named_rungs(options.rungs, field.count, horizon, run)
    else:
        rungs = tuple(options.rungs)
    shared = sorted({seed for rung in rungs for seed in rung.seeds} & set(judging)) if tuning else []
    if shared:
        raise ParameterError(f"seed {shared[0]} both chooses the rates and judges them; take other seeds for one.")
    budget = options.budget if isinstance(options.budget, Budget) else None  # `RaceOptions` has read it
    judging = judging if tuning else ()
    check_budget(budget, field.count, rungs, judging, horizon)
    return RacePlan(
        field=field, horizon=horizon, rungs=rungs, judging=judging, view=options.view, selection=options.selection,
        budget=budget,
    )  # fmt: skip


def _seeds(field: Field, options: RaceOptions) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the seeds that judge, and those that choose the rates; none where the rates are given."""
    seeds, tuning = options.seeds, options.tune_seeds
    judging = _counted_from(0, seeds, "seeds")
    if tuning is None:
        tunable = field.count > field.families > 1
        tuning = len(judging) if tunable and (options.rungs is None or isinstance(options.rungs, str)) else 0
    return judging, _counted_from(TUNING, tuning, "tune_seeds")


def _counted_from(first: int, seeds: int | Sequence[int], name: str) -> tuple[int, ...]:
    """Return seeds as they were given, or from `first` on where it is how many."""
    if not isinstance(seeds, int):
        return tuple(seeds)
    if not 0 <= seeds <= TUNING:
        raise ParameterError(
            f"{name} must be 0 or more, and at most {TUNING}, not {brief(seeds)}; or a list of those that are meant."
        )
    return tuple(range(first, first + seeds))


def _named_rungs(name: NamedRungs | None, count: int, horizon: int, seeds: tuple[int, ...]) -> tuple[RungPlan, ...]:
    if name is None:
        name = "screening" if count >= SCREENED and horizon >= LEAST_RUNG * ETA**2 else "none"
    return tuple(MAKERS[name](count, horizon, seeds)) if name in MAKERS else (RungPlan(horizon, seeds),)


def _counts(count: int, rungs: Iterable[RungPlan]) -> Iterable[tuple[int, RungPlan]]:
    """Give every rung with how many strategies run on it at least."""
    for rung in rungs:
        yield count, rung
        count = count if rung.keep is None else min(count, rung.keep)


def check_budget(
    budget: Budget | None, count: int, rungs: Sequence[RungPlan], judging: Sequence[int], horizon: int
) -> None:
    """Raise BudgetError for a budget in trainings that does not pay for the rungs of `count` strategies."""
    if budget is None or budget.trainings is None:
        return
    cost = sum(number * len(rung.seeds) * rung.steps / horizon for number, rung in _counts(count, rungs))
    cost += len(judging)  # of one strategy at least
    if cost > budget.trainings:
        raise BudgetError(
            f"a budget of {budget.trainings:g} full trainings is too small: the rungs alone cost {cost:.1f}. "
            "Raise it, or take fewer seeds, strategies or rates."
        )


def _rest(budget: Budget, trainings: float, seconds: float) -> Budget:
    """Return what the range tests have left of a budget; raise BudgetError when that is nothing."""
    amount, spent, unit = budget.trainings, trainings, "full trainings"
    if budget.seconds is not None:
        amount, spent, unit = budget.seconds, seconds, "seconds"
    if amount is None:  # in runs, of which a range test is none
        return budget
    if amount <= spent:
        raise BudgetError(f"the range tests alone cost {spent:.1f} {unit} of a budget of {amount:g}; give rates.")
    return replace(budget, **{"seconds" if budget.seconds is not None else "trainings": amount - spent})
