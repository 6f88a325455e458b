"""Advice: which update rule, which schedule and which learning rate, measured on the task itself.

One search that can be asked at any moment: `search` yields an answer after every run, `advise` returns the last.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec

from stepsize.engines import Engine
from stepsize.execution.journal import Journal
from stepsize.execution.runner import Progress, Runner, Workers
from stepsize.jobs.advise import field as fields
from stepsize.jobs.advise.answer.baseline import read_baseline, usual_baseline
from stepsize.jobs.advise.answer.record import Asked, record
from stepsize.jobs.advise.belief.evidence import Run, last_tenth
from stepsize.jobs.advise.final import final, reserve_of
from stepsize.jobs.advise.search import Proposal, Search
from stepsize.jobs.advise.stages import stages
from stepsize.jobs.lengths import in_task_updates, updates_of
from stepsize.jobs.race.budget import Budget
from stepsize.kernel.errors import BudgetError
from stepsize.kernel.notebook import display, in_notebook
from stepsize.kernel.numeric import numeric
from stepsize.kernel.optional import need_all
from stepsize.policies import Policy, recipe
from stepsize.problems import Trainable
from stepsize.results import Advice
from stepsize.rules import Rule
from stepsize.search_space import POLICIES, usual_rules
from stepsize.strategy import Strategy, Trial, describe_rule

LEAST_HORIZON = 40
"""The shortest training that schedules are compared in, in updates."""

NOTHING, ZEROS = Budget(trainings=0.0), {"0", "0.0"}
"""A budget of nothing, which a race cannot have, and how it is written."""


@numeric
def search(
    task: Trainable,
    *,
    steps: int | str | None = None,
    budget: Budget | float | str | None = None,
    seed: int = 0,
    rules: Sequence[Rule] | None = None,
    policies: Sequence[str | Policy] = POLICIES,
    baseline: Strategy | str | None = None,
    engine: Engine | None = None,
    journal: Journal | None = None,
    progress: Progress | None = None,
    workers: Workers = "auto",
    runner: Runner | None = None,
) -> Iterator[Advice]:
    """Search for the strategy to train `task` with, and yield an answer before anything runs and after every run.

    steps: the horizon to advise for, optimizer updates or "3 epochs"; the task's own when not given.
    budget: for everything: full trainings (`3`, `0.5`; `0` for what a look at the model says), wall time (`"20min"`),
        or runs of any length (`"40 trials"`). When not given it ends by itself, where one more training is expected to
        gain less than half a percent of what training gains, after ten trainings at most.
    seed: of the whole search; the same seed gives the same advice. rules: what to try; the default ones when not given,
        or the rule that a training function follows. One rule in several variants counts as several (see `variants`).
    policies: names of recipes, or policies. baseline: what you train with now, a strategy or `"AdamW linear_to_zero
        1e-3"`; the task's own when not given, or AdamW at .001 with linear decay after a warmup.
    journal: keeps every finished run, so that the same call goes on after an interruption. workers: see `Runner`.
    runner: to share an engine and a journal with other jobs.

    Raises BudgetError for a horizon that is too short, ParameterError for names that there are not, TaskError for a
    task that cannot be trained, MissingPackageError without scipy: all before anything runs.
    """
    need_all(["scipy"])
    horizon = updates_of(task, task.steps if steps is None else steps)
    policies = [each if isinstance(each, str) else in_task_updates(each, task) for each in policies]
    rules = usual_rules(task) if rules is None else rules
    allowed = read_budget(budget)
    askable(rules, policies, horizon)
    own = getattr(task, "baseline", None) if baseline is None else baseline
    beside = usual_baseline(task) if own is None else read_baseline(own, task)
    runner = runner or Runner(task, engine=engine, journal=journal, progress=progress, workers=workers)
    asked = Asked(horizon, allowed, seed, tuple(rules), tuple(policies), beside, own is not None)
    return _answers(runner, asked)


Asks = ParamSpec("Asks")


def _last(answers: Callable[Asks, Iterator[Advice]]) -> Callable[Asks, Advice]:
    def advise(*given: Asks.args, **asked: Asks.kwargs) -> Advice:
        """Return the strategy to train a task with, and how far it can be trusted: the last answer of `search`.

        Parameters, and what it raises, are those of `search`.

        Interrupted in a notebook it shows the answer so far; with a `journal` the same cell goes on from there.

        Watch out: it holds for this model, this data, this batch size and this horizon. With a budget in time, another
        machine may find something else.
        """
        found = answers(*given, **asked)
        answer = next(found)
        try:
            for later in found:
                answer = later
        except KeyboardInterrupt:
            if in_notebook():  # the stop button: what is known so far is shown, as Ctrl-C shows it on a terminal
                display(answer)
            raise
        return answer

    advise.__signature__ = inspect.signature(answers).replace(return_annotation="Advice")  # type: ignore[attr-defined]  # of any function
    return advise


advise = _last(search)


def read_budget(budget: Budget | float | str | None) -> Budget | None:
    """Return a budget as `Budget.of` reads it; a search may have none, and one of nothing."""
    if budget is None:
        return None
    return NOTHING if str(budget).strip() in ZEROS else Budget.of(budget)


def _answers(runner: Runner, asked: Asked) -> Iterator[Advice]:
    found = Search(runner.task, fields.families(asked.rules, asked.policies), asked.horizon, asked.seed, asked.budget)
    found.engine = _described(runner)
    yield record(found, asked)
    for proposal in stages(found, asked.baseline, named=asked.named):
        _carry_out(found, runner, proposal)
        answer = record(found, asked)
        runner.note(str(answer))
        yield answer
    if reserve_of(found.account.trainings) and found.ran():
        answer = record(found, asked, final(found, runner, asked.baseline))
        runner.note(str(answer))
        yield answer


def _carry_out(search: Search, runner: Runner, proposal: Proposal) -> None:
    """Run what is proposed, and tell the search."""
    trials = [Trial(strategy, seed) for strategy, seed in zip(proposal.strategies, proposal.seeds, strict=True)]
    engine = runner.engine.alone if len(trials) == 1 else None
    before = runner.replayed
    curves = runner.run(proposal.stage, trials, proposal.steps, engine=engine)
    tail, errors = last_tenth(curves.losses)
    search.account.replayed += runner.replayed - before
    search.engine = _described(runner)
    search.learn(
        [
            Run(trial.strategy, proposal.steps, trial.seed, float(score), float(training), error=float(error))
            for trial, score, training, error in zip(trials, curves.final, tail, errors, strict=True)
        ],
        proposal.stage,
    )


def _described(runner: Runner) -> str:
    return "; ".join(filter(None, (runner.why, runner.executor.label)))


def askable(rules: Sequence[Rule], policies: Sequence[str | Policy], horizon: int) -> None:
    """Refuse what cannot be answered before anything runs."""
    if not rules or not policies:
        raise BudgetError("advice needs at least one rule and one policy to try.")
    for name in policies:
        if isinstance(name, str):
            recipe(name)
    names = [describe_rule(rule) for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BudgetError(f"the rule {twice} is named twice; name every rule once.")
    if horizon < LEAST_HORIZON:
        raise BudgetError(
            f"{horizon} steps are too short a training to compare schedules in; give it at least {LEAST_HORIZON}."
        )
