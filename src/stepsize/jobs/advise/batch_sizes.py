"""Advice for several batch sizes, at equal running time [smith2018disciplined, sec. 4.2]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stepsize.execution.runner import Runner
from stepsize.jobs.advise.advise import LEAST_HORIZON, advise
from stepsize.jobs.advise.answer.record import command
from stepsize.jobs.batch_size.running_time import (
    SecondsOf,
    check_batch_sizes,
    seconds_per_update,
    updates_at_equal_time,
)
from stepsize.jobs.lengths import updates_of
from stepsize.jobs.race.budget import Budget
from stepsize.kernel.numeric import numeric
from stepsize.problems import Trainable
from stepsize.results import Advice
from stepsize.rules import AdamW, Rule


@numeric
def advise_batches(
    task: Trainable,
    sizes: Sequence[int],
    *,
    steps: int | str | None = None,
    budget: Budget | float | str | None = None,
    runner: Runner | None = None,
    seconds_of: SecondsOf = seconds_per_update,
    **asked: Any,
) -> tuple[Advice, ...]:
    """Return the advice for each batch size, the lowest expected score first, those that ran no whole training last.

    sizes: in samples. Every one trains for the time that `steps` updates of the task's own batch size take here, so a
        size that is twice as slow has half the updates. budget: for all of them, in equal parts; a full training is
        one of each size's own. runner: of `task`; its like runs every size. seconds_of: measures an update,
        `seconds_of(task, rule)`. asked: what else `advise` takes.

    Raises BudgetError when a size leaves too few updates, ParameterError for sizes that are none.

    Watch out: the answer is this machine's, and of one update rule: the first of `rules`, or AdamW. On a busy machine
    the lengths of the runs may come out otherwise, and a journal then has none of them.

    Source: [smith2018disciplined, sec. 4.2].
    """
    task = check_batch_sizes(task, sizes)
    horizon = updates_of(task, task.steps if steps is None else steps)
    share = None if budget is None else _share(Budget.of(budget), len(sizes))
    timed = next((rule for rule in asked.get("rules") or () if isinstance(rule, Rule)), AdamW())
    updates, _ = updates_at_equal_time(task, sizes, horizon, timed, least=LEAST_HORIZON, seconds_of=seconds_of)
    runner = runner or Runner(task)
    found = []
    for size in sizes:
        other = runner.on(replace(task, batch_size=size))
        answer = advise(other.task, steps=updates[size], budget=share, runner=other, **asked)
        found.append(answer if size == task.batch_size else _resized(answer, size, horizon, share, asked))
    return tuple(sorted(found, key=lambda each: (math.isnan(each.best_score), each.best_score)))


def _resized(answer: Advice, size: int, horizon: int, share: Budget | None, asked: dict[str, Any]) -> Advice:
    """Return advice that says for which batch size it holds, with the command that repeats it."""
    names = {name: asked[name] for name in ("rules", "policies") if asked.get(name) is not None}
    repeats = command(answer.task, steps=horizon, budget=share, seed=answer.seed, batch_size=size, **names)
    return replace(answer, batch_size=size, command=repeats)


def _share(budget: Budget, parts: int) -> Budget:
    amounts = {name: value / parts for name, value in budget.spec_fields().items() if value is not None}
    return Budget(**amounts)
