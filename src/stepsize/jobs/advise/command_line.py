"""The command that repeats a search for advice."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from stepsize import rules
from stepsize.codegen import loadable
from stepsize.jobs.advise.search_space import POLICIES, RULES
from stepsize.jobs.race.budget import Budget
from stepsize.rules import Rule


def command(
    task: str, *, steps: int, budget: Budget, seed: int, rules: Sequence[Rule] = RULES,
    policies: Sequence[str] = POLICIES, batch_size: int = 0,
) -> str:  # fmt: skip
    """Return the command line that asks for the same advice; empty where the command line cannot say it.

    batch_size: where it is not the task's own; the steps are then of that, as `advise_batches` has it.

    It has names alone, so neither a task that was made in memory nor a rule with other numbers than its own.

    >>> command("digits", steps=400, budget=Budget.of("20min"), seed=0)
    'stepsize advise digits --steps 400 --budget 1200s --seed 0'
    """
    if not loadable(task) or not all(map(_named, rules)):
        return ""
    tokens = ["stepsize", "advise", task, "--steps", str(steps), "--budget", _written(budget), "--seed", str(seed)]
    if tuple(rules) != RULES:
        tokens += ["--rules", ",".join(type(rule).__name__ for rule in rules)]
    if tuple(policies) != POLICIES:
        tokens += ["--policies", ",".join(policies)]
    if batch_size:
        tokens += ["--batch-size", str(batch_size)]
    return shlex.join(tokens)


def _named(rule: Rule) -> bool:
    kind = type(rule)
    return getattr(rules, kind.__name__, None) is kind and rule == kind()


def _written(budget: Budget) -> str:
    """Return a budget as `Budget.of` reads it."""
    if budget.seconds is not None:
        return f"{_plain(budget.seconds)}s"
    return _plain(budget.trainings) if budget.trainings is not None else f"{_plain(budget.trials or 0.0)} trials"


def _plain(amount: float) -> str:
    """Return a number without an exponent."""
    return str(int(amount)) if amount.is_integer() else f"{amount:f}"
