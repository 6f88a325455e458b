"""Races: strategies at equal budget, on the same weights and the same batches, and who won, by how much, how sure.

The strategies climb rungs (`jobs.race.rungs`): they are ranked by their mean over paired seeds, all of them together,
and the first rung keeps the best of every shape of schedule. Rates may be tuned on seeds of their own before, and what
is left of a budget afterwards buys seeds for those who are tied for the best.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepsize.execution.journal import Journal
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.race.budget import Budget
from stepsize.jobs.race.entrants import Entrants
from stepsize.jobs.race.plan import NamedRungs, RaceOptions, plan_race
from stepsize.jobs.race.rungs import RungPlan
from stepsize.problems import Trainable
from stepsize.results import Race
from stepsize.results.race import Selection, View
from stepsize.strategy import Strategy


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
