"""Lengths in the words of a task: `steps="3 epochs"`, and policies whose parts are written in epochs or samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from stepsize.kernel.errors import LengthError
from stepsize.policies import Clock, Policy, in_updates
from stepsize.problems import Task, Trainable
from stepsize.strategy import Strategy
from stepsize.theory.range_test import LEAST_RUN

V = TypeVar("V", Policy, Strategy)


def updates_of(task: Trainable, steps: int | str) -> int:
    """Return a length of a run in updates: 500, "3 epochs" or "10000 samples" of the data of `task`.

    Raises LengthError for a share, and for a training function, which does not say how long an epoch is; TaskError for
    a stream without a length.

    >>> from stepsize import load_task
    >>> updates_of(load_task("digits"), "3 epochs")
    63
    """
    if isinstance(steps, int):
        return steps
    if not isinstance(task, Task):
        raise LengthError(
            f"{task.name!r} is a training function, which does not say how long an epoch is, so {steps!r} is no number "
            "of updates; give that number."
        )
    return task.updates_of(steps)


def short_run(task: Trainable, steps: int | str | None, parts: int = 4) -> int:
    """Return the updates of one of several short runs: as asked, else a part of the task's own that can be compared."""
    return max(LEAST_RUN, task.steps // parts) if steps is None else updates_of(task, steps)


def in_task_updates(value: V, task: Trainable) -> V:
    """Return a policy or a strategy whose parts in epochs or samples are in updates, by the data of `task`.

    Raises what `updates_of` raises, where there is a part in epochs.
    """
    if isinstance(value, Strategy):
        policy = in_task_updates(value.policy, task)
        return value if policy is value.policy else replace(value, policy=policy)
    try:
        in_updates(value, Clock())
    except LengthError:
        return in_updates(value, _clock(value, task))
    return value


def _clock(policy: Policy, task: Trainable) -> Clock:
    if not isinstance(task, Task):
        raise LengthError(
            f"{task.name!r} is a training function, which does not say how long an epoch is; write the parts of "
            f"{policy!r} in updates or shares."
        )
    by_samples = Clock(batch_size=task.update_size)
    try:
        in_updates(policy, by_samples)
    except LengthError:
        return Clock(batches_per_epoch=task.batches_per_epoch, batch_size=task.update_size)
    return by_samples
