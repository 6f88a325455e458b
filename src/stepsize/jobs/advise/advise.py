"""Advice: which update rule, which schedule and which learning rate, measured on the task itself.

Every rule is given pilot runs: which rate, and how far it gets. The best of them meet every policy on a short rung;
the best of those run at several rates on one twice as long, and the best again over the full horizon. The finalists
run on fresh seeds, which choose the winner; and the winner runs once more, on seeds that chose nothing, so that what is
expected of it is not the luck that made it win.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.journal import Journal
from stepsize.execution.runner import Progress, Runner
from stepsize.execution.workers import Workers
from stepsize.jobs.advise import explain
from stepsize.jobs.advise.command_line import command
from stepsize.jobs.advise.pilot_runs import PilotRun, run_pilot
from stepsize.jobs.advise.plan import Plan, larger, least, pilot_depth, plan
from stepsize.jobs.advise.search_space import POLICIES, SPACING, policies_of, usual_rules
from stepsize.jobs.paired_statistics import prediction_interval, t_interval
from stepsize.jobs.race.budget import Budget
from stepsize.jobs.race.climb import Climb
from stepsize.jobs.race.rungs import RungPlan
from stepsize.jobs.range_test.final_losses import vertex
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import BudgetError, TaskError
from stepsize.kernel.text import count
from stepsize.policies import LR, recipe
from stepsize.problems import Task, Trainable, data_warnings
from stepsize.results import Advice, Race, RateGrid, Rung
from stepsize.rules import Rule
from stepsize.schedules import Constant
from stepsize.strategy import Strategy, Trial, describe_rule

BUDGET = 120.0
"""The budget when none is given, in full trainings."""

APART = 0.1
"""Rates that are closer, in decades, are the same."""

ENOUGH = 0.01
"""What no more seeds are bought for: differences below this share of what training gains."""

HASTE = 0.8
"""The share of what is left of a budget in time that is planned for."""


def advise(
    task: Trainable,
    *,
    steps: int | None = None,
    budget: Budget | float | str = BUDGET,
    seed: int = 0,
    rules: Sequence[Rule] | None = None,
    policies: Sequence[str] = POLICIES,
    engine: Engine | None = None,
    journal: Journal | None = None,
    progress: Progress | None = None,
    workers: Workers = 1,
    runner: Runner | None = None,
) -> Advice:
    """Return the strategy to train `task` with, and what it rests on.

    steps: the horizon to advise for, optimizer updates; the task's own when not given. budget: for everything: full
        trainings (`120`), wall time (`"20min"`) or runs of any length (`"800 trials"`).
    seed: of the whole search; the same seed gives the same advice. rules: what to try; the default ones when not given,
        or the rule that a training function follows. One rule in several variants counts as several (see `variants`).
    policies: names of recipes.
    journal: keeps every finished batch of trials, so that the same call goes on after an interruption.
    workers: see `Runner`.
    runner: to share an engine and a journal with other jobs.

    It stops early when more seeds could not change the answer by more than 1 % of what training gains.

    Raises BudgetError when the budget or the horizon is too small, TaskError when nothing trains.

    Watch out: it holds for this model, this data, this batch size and this horizon. With a budget in time, another
    machine may find something else.
    """
    horizon = task.steps if steps is None else steps
    rules = usual_rules(task) if rules is None else rules
    allowed = Budget.of(budget)
    askable(allowed, rules, policies, horizon)
    runner = runner or Runner(task, engine=engine, journal=journal, progress=progress, workers=workers)
    search = _Search(runner, tuple(rules), tuple(policies), horizon, seed, allowed)
    return search.answer()


def askable(budget: Budget, rules: Sequence[Rule], policies: Sequence[str], horizon: int) -> None:
    """Refuse what cannot be answered before anything runs."""
    if not rules or not policies:
        raise BudgetError("advice needs at least one rule and one policy to try.")
    for name in policies:
        recipe(name)
    names = [describe_rule(rule) for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BudgetError(f"the rule {twice} is named twice; name every rule once.")
    cost = least([len(policies_of(rule, policies)) for rule in rules], horizon)
    if budget.trainings is not None and cost > budget.trainings:
        raise BudgetError(
            f"a budget of {budget.trainings:g} full trainings is too small for {count(len(rules), 'rule')} x "
            f"{count(len(policies), 'policy', 'policies')}: the least search costs {cost:.1f}. Raise the budget, or "
            "name fewer rules or policies."
        )


@dataclass
class _Search:
    """One search for advice, stage by stage."""

    runner: Runner
    rules: tuple[Rule, ...]
    policies: tuple[str, ...]
    horizon: int
    seed: int
    budget: Budget

    def __post_init__(self) -> None:
        self.began, self.before = time.perf_counter(), self.runner.updates

    @property
    def cost(self) -> float:
        """What was spent so far, in full trainings."""
        return (self.runner.updates - self.before) / self.horizon

    def answer(self) -> Advice:
        """Carry out all stages."""
        pilots = self.pilots()
        plans = self.plan(pilots)
        search = self.search(pilots, plans)
        start = _start(pilots)
        margin = _margin(start, search)
        final = self.final(search, plans, margin)
        strategy, scores = self.confirmed(final, plans)
        found = explain.Findings(final, search, strategy, scores, tuple(pilots), start)
        return Advice(
            task=final.task,
            steps=self.horizon,
            seed=self.seed,
            strategy=strategy.over(self.horizon),
            score=t_interval(scores),
            promise=prediction_interval(scores),
            reasons=explain.reasons(found),
            warnings=(*data_warnings(self.runner.task), *explain.warnings(found)),
            more=explain.more(found, plans, larger(plans, self.takes(pilots)), margin),
            start=start,
            scored_on=plans.confirming,
            command=self.command(final.task),
            function=not isinstance(self.runner.task, Task),
            sweeps=tuple(each.sweep for each in pilots),
            suggestions=tuple(each.found for each in pilots),
            search=search,
            final=final,
            cost=self.cost,
            seconds=time.perf_counter() - self.began,
            versions=explain.versions(),
            untried_rules=explain.untried_rules(found),
            untried_policies=explain.untried_policies(found),
        )

    def command(self, task: str) -> str:
        """Return the command line that asks for the same."""
        return command(
            task, steps=self.horizon, budget=self.budget, seed=self.seed, rules=self.rules, policies=self.policies
        )

    def pilots(self) -> list[PilotRun]:
        """Return the pilot runs of all rules, the best first."""
        depth = pilot_depth(self.budget.trainings or 0.0, len(self.rules), self.horizon, self.seed)
        found = [run_pilot(self.runner, rule, self.policies, depth, self.horizon) for rule in self.rules]
        return sorted(found, key=lambda each: each.score)

    def plan(self, pilots: Sequence[PilotRun]) -> Plan:
        """Return what is left to do, as far as the budget goes."""
        left, trials = math.inf, math.inf
        if self.budget.trainings is not None:
            left = self.budget.trainings - self.cost
        if self.budget.seconds is not None:
            left = HASTE * self.budget.left(self.cost, time.perf_counter() - self.began, 0)
        if self.budget.trials is not None:
            trials = self.budget.trials - sum(_runs(each) for each in pilots)
        return plan(left, self.takes(pilots), self.horizon, self.seed, trials=trials)

    def takes(self, pilots: Sequence[PilotRun]) -> list[int]:
        """Return how many policies each rule takes."""
        return [len(policies_of(each.rule, self.policies)) for each in pilots]

    def search(self, pilots: Sequence[PilotRun], plans: Plan) -> Race:
        """Race the best rules with every policy, rung by rung; the second rung adds rates, and so does the last."""
        raced = pilots[: plans.rules]
        field = [strategy for each in raced for strategy in each.strategies(self.policies, self.horizon)]
        if len(field) < 2:
            field += neighbours(field)
        climb = Climb(self.runner, field, self.horizon, plans.rungs)
        for rung in climb:
            if rung.steps < self.horizon:
                climb.send(join_rates(plans, rung, climb.survivors))
        return climb.record()

    def final(self, search: Race, plans: Plan, margin: float) -> Race:
        """Run the finalists on fresh seeds: the best of the search, and the best constant rate to compare with."""
        ranked = [standing.strategy for standing in search.standings if not standing.diverged] or [search.best]
        field = ranked[: plans.size.finalists]
        reference = _best_constant(search.rungs)
        if reference is not None and reference.name not in {strategy.name for strategy in field}:
            field.append(reference)
        if len(field) < 2:
            field += [s for s in search.rungs[0].strategies if s.name != field[0].name][:1] or neighbours(field)[:1]
        least_cost = len(field) * len(plans.fresh)
        budget = self._left(least_cost, len(plans.confirming))
        rungs = (RungPlan(self.horizon, plans.fresh),)
        return Climb(
            self.runner, field, self.horizon, rungs, budget=budget, stage="finalists", margin=margin
        ).finish()  # fmt: skip

    def _left(self, least_cost: int, reserve: int) -> Budget:
        """Return what the finalists may cost, at least what they must."""
        spent = time.perf_counter() - self.began
        if self.budget.trainings is not None:
            return Budget(trainings=max(least_cost, self.budget.trainings - self.cost - reserve))
        if self.budget.seconds is not None:
            return Budget(seconds=max(1e-3, HASTE * (self.budget.seconds - spent)))
        return Budget(trainings=least_cost)

    def confirmed(self, final: Race, plans: Plan) -> tuple[Strategy, Floats]:
        """Return the best of the finalists that no confirming seed sees diverge, and its scores on those seeds."""
        alive = [standing.strategy for standing in final.standings if not standing.diverged]
        if not alive:
            raise TaskError(
                f"no strategy trained {self.runner.task.name!r} to the end without diverging; look at its data, model "
                "and loss."
            )
        for strategy in alive:
            confirming = [Trial(strategy.over(self.horizon), seed) for seed in plans.confirming]
            scores = self.runner.run("confirming the winner", confirming, self.horizon).final
            if np.isfinite(scores).all():
                return strategy, scores
        return alive[0], scores


def _start(pilots: Sequence[PilotRun]) -> float:
    """Return the validation loss before any update; NaN when no pilot run knows it."""
    starts = [
        float(each.sweep.before.mean())
        for each in pilots
        if isinstance(each.sweep, RateGrid) and each.sweep.before is not None
    ]
    return max(starts, default=math.nan)


def _margin(start: float, search: Race) -> float:
    """Return the difference in loss that no more seeds are bought for."""
    gain = start - search.standings[0].score.mean
    return ENOUGH * gain if gain > 0 and math.isfinite(gain) else 0.0


def _runs(found: PilotRun) -> int:
    return sum(len(part.seeds) * (len(part.x) if isinstance(part, RateGrid) else 1) for part in found.sweep.parts)


def join_rates(plans: Plan, rung: Rung, kept: list[Strategy]) -> list[Strategy]:
    """Return who runs on the rung after `rung`: those whom the plan has room for, and new rates of the best families.

    After the first rung a rate below and one above; after the second the vertex of the parabola through three rates.
    """
    if rung.steps == plans.rungs[0].steps:
        more = neighbours(kept[: plans.size.families])
        kept = kept if plans.size.shapes else kept[: plans.size.families]
    else:
        leaders = {strategy.family: strategy for strategy in reversed(kept)}
        best = sorted(leaders.values(), key=kept.index)[: plans.size.tuned]
        more = [found for strategy in best if (found := tuned(strategy, rung)) is not None]
    names = {strategy.name for strategy in rung.strategies} | {strategy.name for strategy in kept}
    return kept + [strategy for strategy in more if strategy.name not in names]


def neighbours(strategies: Sequence[Strategy]) -> list[Strategy]:
    """Return each strategy at the rate below its own and at the one above."""
    return [each.at(each.peak * factor) for each in strategies for factor in (1 / SPACING, SPACING)]


def tuned(strategy: Strategy, rung: Rung) -> Strategy | None:
    """Return a strategy at the rate that its family's scores on `rung` point to; None where that one has run.

    It is the vertex of a parabola; at an edge, the next rate beyond it.
    """
    members = [i for i, each in enumerate(rung.strategies) if each.family == strategy.family]
    members.sort(key=lambda i: rung.strategies[i].peak)
    x = np.log10([rung.strategies[i].peak for i in members])
    means = rung.means[members]
    lowest = int(means.argmin())
    aim = vertex(x, means)
    if len(members) > 1 and lowest in (0, len(members) - 1):
        aim += math.log10(SPACING) * (-1 if lowest == 0 else 1)
    return None if np.abs(x - aim).min() < APART else strategy.at(10**aim)


def _best_constant(rungs: Sequence[Rung]) -> Strategy | None:
    """Return the constant rate that got furthest in the search, and there was best."""
    for rung in reversed(rungs):
        for index in rung.order:
            if isinstance(rung.strategies[index].policy[LR], Constant) and np.isfinite(rung.means[index]):
                return rung.strategies[index]
    return None
