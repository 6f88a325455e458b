"""The command that repeats a search for advice."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from stepsize.codegen import loadable
from stepsize.jobs.race.budget import Budget
from stepsize.policies import Policy
from stepsize.rules import Rule
from stepsize.search_space import POLICIES, RULES
from stepsize.strategy import describe_rule, is_described


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
