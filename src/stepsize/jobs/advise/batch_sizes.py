"""Advice for several batch sizes, at equal numbers of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stepsize.execution.runner import Runner
from stepsize.jobs.advise.advise import LEAST_HORIZON, advise
from stepsize.jobs.advise.answer.command_line import command
from stepsize.jobs.lengths import updates_of
from stepsize.jobs.race.budget import Budget
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.problems import Trainable
from stepsize.problems.base import with_data
from stepsize.results import Advice


def advise_batches(
    task: Trainable,
    sizes: Sequence[int],
    *,
    steps: int | str | None = None,
    budget: Budget | float | str | None = None,
    runner: Runner | None = None,
    **asked: Any,
) -> tuple[Advice, ...]:
    """Return the advice for each batch size, the lowest expected score first.

    sizes: in samples. Every one trains on as many samples as `steps` updates of the task's own batch size, so a size
        twice as large has half the updates. budget: for all of them, in equal parts; a full training is one of each
        size's own. runner: of `task`; its like runs every size. asked: what else `advise` takes.

    Raises BudgetError when a size leaves too few updates, ParameterError for sizes that are none.

    Watch out: equal samples are equal work only where a batch twice as large takes twice as long.
    """
    if not sizes or len(set(sizes)) < len(sizes) or min(sizes) < 1:
        raise ParameterError(f"batch sizes are distinct whole numbers of at least 1, not {list(sizes)!r}.")
    task = with_data(task)
    horizon = updates_of(task, task.steps if steps is None else steps)
    share = None if budget is None else _share(Budget.of(budget), len(sizes))
    updates = {size: round(horizon * task.batch_size / size) for size in sizes}
    short = next((size for size, count in updates.items() if count < LEAST_HORIZON), None)
    if short is not None:
        raise BudgetError(
            f"with batches of {short}, {horizon} steps of {task.batch_size} samples make {updates[short]} updates, "
            f"too few; raise the steps to {round(LEAST_HORIZON * short / task.batch_size)} or more."
        )
    runner = runner or Runner(task)
    found = []
    for size in sizes:
        other = runner.on(replace(task, batch_size=size))
        answer = advise(other.task, steps=updates[size], budget=share, runner=other, **asked)
        found.append(answer if size == task.batch_size else _resized(answer, size, horizon, share, asked))
    return tuple(sorted(found, key=lambda each: each.best_score))


def _resized(answer: Advice, size: int, horizon: int, share: Budget | None, asked: dict[str, Any]) -> Advice:
    """Return advice that says for which batch size it holds, with the command that repeats it."""
    names = {name: asked[name] for name in ("rules", "policies") if asked.get(name) is not None}
    repeats = command(answer.task, steps=horizon, budget=share, seed=answer.seed, batch_size=size, **names)
    return replace(answer, batch_size=size, command=repeats)


def _share(budget: Budget, parts: int) -> Budget:
    amounts = {name: value / parts for name, value in budget.spec_fields().items() if value is not None}
    return Budget(**amounts)
