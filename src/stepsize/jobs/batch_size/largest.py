"""The largest batch that fits into memory, by doubling and bisection [smith2018disciplined, sec. 4.2]."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace

from stepsize import engines
from stepsize.engines.base import with_two_validation_samples
from stepsize.jobs.batch_size.running_time import check_batch_sizes
from stepsize.kernel.errors import TaskError
from stepsize.kernel.optional import need
from stepsize.policies import constant
from stepsize.problems import Task, Trainable
from stepsize.problems.checks import out_of_memory
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy, Trial

UPDATES = 2
"""Of an attempt: in the second one the optimizer has its state."""


def largest_batch(
    task: Trainable, rule: Rule | None = None, *, attempt: Callable[[Task, Rule], object] | None = None
) -> int:
    """Return the largest batch size that trains without running out of memory, at most all training samples.

    From the task's own size on it is doubled until memory runs out, then bisected; from there it is halved where that
    does not fit.

    rule: AdamW when not given; its state takes memory too. attempt: makes some updates, `attempt(task, rule)`; one
        training in a plain loop when not given.

    Raises ParameterError for a training function, TaskError where not even a batch of one sample fits, and whatever
    else an attempt raises.

    Watch out: where the system promises memory that it does not have, as Linux does by default on a CPU, it ends the
    process in place of an error; there set a limit first (`ulimit -v`). The validation data come in pieces of a batch
    and are not tried. Leave some room: memory that is free now need not be free later.
    """
    rule, attempt = AdamW() if rule is None else rule, attempt or _train
    task = check_batch_sizes(task, [1])
    most = (task.samples_per_epoch or 1 << 30) // task.accumulate
    fits, fails = 0, most + 1
    size = min(task.batch_size, most)
    while fails - fits > 1:
        if _fits(replace(task, batch_size=size), rule, attempt):
            fits = size
        else:
            fails = size
        size = min(2 * fits, most) if fails > most and fits else (fits + fails) // 2
    if not fits:
        raise TaskError(
            f"not even a batch of one sample of {task.name!r} fits into memory; make the model smaller, or end what "
            "else holds memory."
        )
    return fits


def _fits(task: Task, rule: Rule, attempt: Callable[[Task, Rule], object]) -> bool:
    try:
        attempt(task, rule)
    except Exception as error:  # of whatever kind a framework raises; what is no lack of memory goes on
        if not any(map(out_of_memory, (error, error.__cause__ or error))):
            raise
    else:
        return True
    gc.collect()  # what the attempt held, before the next one asks for memory
    need("torch").cuda.empty_cache()
    return False


def _train(task: Task, rule: Rule) -> None:
    engines.Loop().run(with_two_validation_samples(task), [Trial(Strategy(rule, constant(rule.lr)), 0)], UPDATES)
