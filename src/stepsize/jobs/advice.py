"""Advice: which update rule, which schedule and which learning rate, measured on the task itself.

A range test per rule says where to look; around it stand the candidates, every rule with every policy at several
rates; a race in rungs
picks the finalists; the finalists run again on fresh seeds, which choose the winner; and the winner runs once more, on
seeds that chose nothing, so that what is expected of it is not the luck that made it win.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from stepsize.engines import Engine, FunctionTask
from stepsize.jobs import scripts, words
from stepsize.jobs.base import Progress, Runner
from stepsize.jobs.journal import Journal
from stepsize.jobs.places import Workers
from stepsize.jobs.plans import Plan, plan
from stepsize.jobs.races import RungPlan, race
from stepsize.jobs.range_tests import range_test
from stepsize.jobs.statistics import prediction_interval, t_interval
from stepsize.jobs.suggestions import suggest
from stepsize.kernel.errors import BudgetError, TaskError
from stepsize.policies import LR, recipe
from stepsize.problems import Task
from stepsize.results import Advice, Race, Rung, Suggestion
from stepsize.rules import AdamW, Momentum, RMSProp, Rule
from stepsize.strategy import Strategy, Trial
from stepsize.theory import shift

RULES: tuple[Rule, ...] = (AdamW(), Momentum(), RMSProp())
"""The rules that are tried when none are named."""

POLICIES = (
    "constant",
    "step_decay",
    "exponential_decay",
    "polynomial_decay",
    "linear_to_zero",
    "cosine",
    "triangular",
    "triangular2",
    "exp_range",
    "one_cycle",
)
"""The policies that are tried when none are named."""

BUDGET = 120.0
"""The budget when none is given, in full trainings."""

SPACING = 10 ** (1 / 3)
"""The ratio of neighbouring candidate rates; the rates within 1 % of the best span about as much."""


def advise(
    task: Task,
    *,
    steps: int | None = None,
    budget: float = BUDGET,
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

    steps: the horizon to advise for, optimizer updates; the task's own when not given. budget: in full trainings,
        for everything.
    seed: of the whole search; the same seed gives the same advice. rules: what to try;
        three common ones when not given, or the one that a training function follows. policies: names of recipes.
    journal: keeps every finished wave, so that the same call goes on after an interruption. workers: see `Runner`.
    runner: to share all of these with other jobs, or to set limits of time and memory.

    Raises BudgetError when the budget or the horizon is too small, TaskError when nothing trains.

    Watch out: it holds for this model, this data, this batch size and this horizon.
    """
    began = time.perf_counter()
    horizon = task.steps if steps is None else steps
    rules = usual_rules(task) if rules is None else rules
    if not rules or not policies:
        raise BudgetError("advice needs at least one rule and one policy to try.")
    for name in policies:
        recipe(name)
    plans = plan(budget, len(rules), len(policies), horizon, seed)
    runner = runner or Runner(task, engine=engine, journal=journal, progress=progress, workers=workers)
    ramp = partial(range_test, task, steps=plans.ramp, seeds=plans.ramp_seeds, widen=False, curvature=False)
    sweeps = tuple(ramp(rule, runner=runner) for rule in rules)
    suggestions = tuple(suggest(sweep, "constant", horizon) for sweep in sweeps)
    search = _search(runner, rules, suggestions, policies, plans)
    final = _final(runner, search, plans)
    if final.standings[0].diverged:
        raise TaskError(
            f"no strategy trained {task.name!r} to the end without diverging; look at its data, model and loss."
        )
    strategy = final.best.over(horizon)
    confirming = [Trial(strategy, seed) for seed in plans.confirming]
    scores = runner.run("confirming the winner", confirming, horizon).final
    return Advice(
        task=final.task,
        steps=horizon,
        seed=seed,
        strategy=strategy,
        score=t_interval(scores),
        promise=prediction_interval(scores),
        reasons=words.reasons(final, search, suggestions, rules, scores),
        warnings=words.warnings(final, search, suggestions, rules, scores),
        code=scripts.script(task, strategy, horizon, plans.confirming[-1] + 1),
        sweeps=sweeps,
        suggestions=suggestions,
        search=search,
        final=final,
        cost=runner.updates / horizon,
        seconds=time.perf_counter() - began,
        versions=words.versions(),
    )


def usual_rules(task: Task) -> tuple[Rule, ...]:
    """Return the rules that are tried on a task when none are named."""
    own = task.rule if isinstance(task, FunctionTask) else None
    return RULES if own is None else (own,)


def _search(
    runner: Runner,
    rules: Sequence[Rule],
    suggestions: Sequence[Suggestion],
    policies: Sequence[str],
    plans: Plan,
) -> Race:
    """Race the candidates around the suggestions, rung by rung, and look beyond the edges of their rates."""
    horizon = plans.rungs[-1].steps
    found = zip(rules, suggestions, strict=True)
    field = [each for rule, seen in found for each in candidates(rule, seen, policies, plans.rates, horizon)]
    beyond = None if plans.rates == 1 else partial(beyond_edges, rules, policies)
    return race(runner.task, field, steps=horizon, rungs=plans.rungs, runner=runner, widen=beyond)


def candidates(rule: Rule, found: Suggestion, policies: Sequence[str], rates: int, horizon: int) -> list[Strategy]:
    """Return the strategies of one rule: every policy at `rates` peaks around the one that the range test points to.

    A peak is the constant rate that the range test suggests, moved by the last-iterate bound to the policy.
    """
    aim = rule.lr if found.lr is None else found.lr.value
    return [
        candidate(rule, name, aim * _peak_shift(name, horizon) * SPACING ** (place - (rates - 1) / 2))
        for name in policies
        for place in range(rates)
    ]


def candidate(rule: Rule, name: str, peak: float) -> Strategy:
    """Return the strategy of `rule` with the policy called `name`, named after both and its peak."""
    rounded = float(f"{peak:.3g}")
    policy = recipe(name)(rounded).only(rule.hyperparameters)
    return Strategy(rule, policy, f"{type(rule).__name__} {name} {rounded:g}")


def _peak_shift(name: str, horizon: int) -> float:
    """Return how much higher the peak of a policy may be than a constant rate, by the bound."""
    table = recipe(name)(1.0)[LR].over(horizon).table(0, horizon)
    return shift(np.ones(horizon), table)


def _final(runner: Runner, search: Race, plans: Plan) -> Race:
    """Run the finalists on fresh seeds: the best of the search, and the best constant rate to compare with."""
    ranked = [standing.strategy for standing in search.standings if not standing.diverged] or [search.best]
    field = ranked[: plans.finalists]
    reference = _best_constant(search.rungs)
    if reference is not None and reference.name not in {strategy.name for strategy in field}:
        field.append(reference)
    if len(field) < 2:
        field += [s for s in search.rungs[0].strategies if s.name != field[0].name][:1]
    rungs = (RungPlan(search.steps, plans.fresh),)
    return race(runner.task, field, steps=search.steps, rungs=rungs, runner=runner, stage="finalists")


def _best_constant(rungs: Sequence[Rung]) -> Strategy | None:
    """Return the constant rate that got furthest in the search, and there was best."""
    for rung in reversed(rungs):
        for index in rung.order:
            if rung.strategies[index].family == "Constant" and np.isfinite(rung.means[index]):
                return rung.strategies[index]
    return None


def beyond_edges(rules: Sequence[Rule], policies: Sequence[str], rung: Rung) -> list[Strategy]:
    """Return one more rate of every policy for each rule whose best strategy has the smallest or the largest rate."""
    more = []
    for rule in rules:
        own = [i for i in rung.order if type(rung.strategies[i].rule) is type(rule) and np.isfinite(rung.means[i])]
        if not own:
            continue
        best = rung.strategies[own[0]]
        peaks = _peaks(rung, best.name.rpartition(" ")[0])
        if best.peak in (peaks[0], peaks[-1]):
            side, factor = (0, 1 / SPACING) if best.peak == peaks[0] else (-1, SPACING)
            stems = [(name, _peaks(rung, f"{type(rule).__name__} {name}")[side]) for name in policies]
            more += [candidate(rule, name, peak * factor) for name, peak in stems]
    return more


def _peaks(rung: Rung, stem: str) -> list[float]:
    """Return the rates that ran for one rule and policy, rising."""
    return sorted(strategy.peak for strategy in rung.strategies if strategy.name.rpartition(" ")[0] == stem)
