"""How a task reaches another process: by its source, or pickled."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from stepsize.execution.task_fingerprint import difference, identity
from stepsize.kernel.errors import TaskError
from stepsize.problems import Task, load_task


@dataclass(frozen=True)
class Parcel:
    """A task on its way: a name that `load_task` takes, or its pickle.

    changed: fields that differ from what the source says. parts: its identity, which the other end compares.
    """

    source: str
    pickled: bytes = field(default=b"", repr=False)
    changed: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)


def packed(task: Task) -> Parcel:
    """Return `task` as a parcel.

    Raises TaskError when it has no source and cannot be pickled.
    """
    if task.source:
        given = {each.name for each in fields(task) if each.init} & {"batch_size", "accumulate", "steps", "name"}
        changed = {part: getattr(task, part) for part in given}
        return Parcel(_absolute(task.source), changed=changed, parts=identity(task))
    try:
        return Parcel("", pickle.dumps(task))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TaskError(
            f"{task.name!r} cannot be sent to worker processes ({error}). Write it as a task file and load it with "
            "load_task('file.py'), or make its model and loss functions of a module; or use workers=1."
        ) from None


def unpacked(parcel: Parcel) -> Task:
    """Return the task in a parcel.

    Raises TaskError when its source now makes another task than the one that was packed.
    """
    if not parcel.source:
        task: Task = pickle.loads(parcel.pickled)  # noqa: S301  (from our own driver, over a pipe)
        return task
    task = replace(load_task(parcel.source), **parcel.changed)
    differs = difference(parcel.parts, identity(task))
    if differs:
        raise TaskError(
            f"{parcel.source} makes another task in a worker process (another {differs}). Its file was changed while "
            "the race ran, or it draws random numbers without a seed: seed them, or use workers=1."
        )
    return task


def _absolute(source: str) -> str:
    path, dot, rest = source.partition(".py")
    return f"{Path(path + dot).absolute()}{rest}" if dot else source
