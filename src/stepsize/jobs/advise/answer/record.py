"""The record of a search so far: an `Advice`, and the command that asks for it again."""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepsize.codegen import loadable
from stepsize.jobs.advise.answer import explain
from stepsize.jobs.advise.answer.baseline import compare
from stepsize.jobs.advise.answer.confidence import expected_loss, gain_of_next
from stepsize.jobs.advise.final import Final
from stepsize.jobs.advise.search import Search
from stepsize.jobs.paired_statistics import prediction_interval, t_interval
from stepsize.jobs.race.budget import Budget
from stepsize.kernel.arrays import floats
from stepsize.policies import Policy
from stepsize.problems import Task, data_warnings
from stepsize.results import Advice, Interval, RateBelief, SearchRun
from stepsize.rules import Rule
from stepsize.search_space import POLICIES, RULES
from stepsize.strategy import Strategy, describe_rule, is_described

MORE = "The same command with a larger budget goes on from here; what has run is kept."
"""How to go on."""


@dataclass(frozen=True)
class Asked:
    """What was asked of a search. baseline: what the user trains with now. named: whether the user said so."""

    horizon: int
    budget: Budget | None
    seed: int
    rules: tuple[Rule, ...]
    policies: tuple[str | Policy, ...]
    baseline: Strategy
    named: bool


def record(search: Search, asked: Asked, final: Final | None = None) -> Advice:
    """Return what a search would answer now, and what that rests on."""
    task, horizon = search.task, search.horizon
    answer = search.answer() if final is None else final.strategy
    loss = expected_loss(search, answer)
    chosen, gain = gain_of_next(search)
    compared = compare(search, answer, asked.baseline, named=asked.named, final=final)
    best = min((run.score for run in search.belief.runs), default=-math.inf)
    learned = best < search.learned_below
    search.note_answer(answer, loss.expected)
    warned = explain.warnings(search, answer) if learned else explain.nothing_learned(search)
    score, promise = _promised(search, final)
    name = task.source or task.name
    return Advice(
        task=name, steps=horizon, seed=asked.seed, strategy=answer.over(horizon), learned=learned,
        loses=loss.expected, worst=loss.worst, next_run=_next(search, chosen), next_gain=gain,
        insurances=explain.insurances(search, answer), scored=task.scored,
        score=score,
        promise=promise,
        scored_on=() if final is None or score is None else final.seeds,
        reasons=explain.reasons(search, answer, final),
        warnings=(*warned, *explain.baseline_warnings(compared), *data_warnings(task)),
        runs=runs_of(search), belief=belief_of(search, answer), baseline=compared,
        final=None if final is None else final.race, start=search.belief.start, cost=search.account.spent,
        seconds=search.account.seconds, budget="" if asked.budget is None else written(asked.budget),
        more=MORE, versions=explain.versions(),
        command=command(
            name, steps=horizon, budget=asked.budget, seed=asked.seed, rules=asked.rules, policies=asked.policies
        ),
        function=not isinstance(task, Task), engine=search.engine, untried_rules=explain.untried_rules(search),
        untried_policies=explain.untried_policies(search),
    )  # fmt: skip


def _promised(search: Search, final: Final | None) -> tuple[Interval | None, Interval | None]:
    """Return what the seeds that chose nothing promise; nothing where there is none, or one."""
    if final is None or len(final.scores) < 2 or not np.isfinite(final.scores).all():
        return None, None
    task = search.task
    metric = isinstance(task, Task) and task.metric is not None
    least = 0.0 if not metric and min(run.score for run in search.belief.runs) >= 0 else -math.inf
    score, promise = (
        Interval(found.mean, max(least, found.low), found.high)
        for found in (t_interval(final.scores), prediction_interval(final.scores))
    )
    return score, promise


def runs_of(search: Search) -> tuple[SearchRun, ...]:
    """Return all runs in their order, with what was answered after each."""
    return tuple(
        SearchRun(
            strategy=run.strategy, steps=run.steps, seed=run.seed, score=run.score, stage=stage, cost=cost,
            answer=answer.over(search.horizon), loses=loses,
        )
        for run, stage, cost, (answer, loses) in zip(
            search.belief.runs, search.stages, _costs(search), search.answers, strict=True
        )
    )  # fmt: skip


def _costs(search: Search) -> list[float]:
    first = search.account.inspected
    return list(itertools.accumulate((search.account.price(run.updates) for run in search.belief.runs), initial=first))[
        1:
    ]


def belief_of(search: Search, answer: Strategy) -> RateBelief:
    """Return where the best rate of the answer's family lies."""
    group = search.belief.prior_of(answer).group
    density = search.belief.posterior(answer).sum(axis=0)
    rates = 10 ** search.belief.centres(group)
    low, high = search.belief.interval(answer)
    before = type(search.belief)(search.horizon, search.belief.start, search.belief.anchors)
    return RateBelief(
        family=str(answer.family), rates=floats(rates), density=floats(density),
        before=before.posterior(answer).sum(axis=0), low=low, high=high, source=search.belief.anchors[group].source,
    )  # fmt: skip


def _next(search: Search, chosen: Strategy) -> str:
    """Return what one more training would be spent on."""
    if not search.ran():
        return f"{'more ' * bool(search.belief.runs)}pilot runs of {chosen.family}"
    again = any(each.name == chosen.name for each in search.ran())
    return f"{chosen.name} on one more seed" if again else chosen.name


def command(
    task: str, *, steps: int, budget: Budget | None, seed: int, rules: Sequence[Rule] = RULES,
    policies: Sequence[str | Policy] = POLICIES, batch_size: int = 0,
) -> str:  # fmt: skip
    """Return the command line that asks for the same advice; empty where the command line cannot say it.

    batch_size: where it is not the task's own; the steps are then of that, as `advise_batches` has it.

    It has names alone, so neither a task that was made in memory nor a rule with a wrapper around it.

    >>> command("digits", steps=400, budget=Budget.of("20min"), seed=0)
    'stepsize advise digits --steps 400 --seed 0 --budget 1200s'
    """
    names = [each for each in policies if isinstance(each, str)]
    if not loadable(task) or not all(map(is_described, rules)) or len(names) < len(policies):
        return ""
    tokens = ["stepsize", "advise", task, "--steps", str(steps), "--seed", str(seed)]
    if budget is not None:
        tokens += ["--budget", written(budget)]
    if tuple(rules) != RULES:
        tokens += ["--rules", ",".join(map(describe_rule, rules))]
    if tuple(names) != POLICIES:
        tokens += ["--policies", ",".join(names)]
    if batch_size:
        tokens += ["--batch-size", str(batch_size)]
    return shlex.join(tokens)


def written(budget: Budget) -> str:
    """Return a budget as `Budget.of` reads it."""
    if budget.seconds is not None:
        return f"{_plain(budget.seconds)}s"
    return _plain(budget.trainings) if budget.trainings is not None else f"{_plain(budget.trials or 0.0)} trials"


def _plain(amount: float) -> str:
    """Return a number without an exponent."""
    return str(int(amount)) if amount.is_integer() else f"{amount:f}"
