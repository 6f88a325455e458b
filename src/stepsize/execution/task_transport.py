"""How a task reaches another process: by its source, or pickled."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stepsize.execution.task_fingerprint import difference
from stepsize.kernel.errors import TaskError
from stepsize.problems import Trainable, load_task
from stepsize.problems.task_files import split_source


@dataclass(frozen=True)
class PackedTask:
    """A task on its way: a name that `load_task` takes, or its pickle.

    changed: fields that differ from what the source says. parts: of its fingerprint, which the other side compares.
    """

    source: str
    pickled: bytes = field(default=b"", repr=False)
    changed: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)


def pack(task: Trainable) -> PackedTask:
    """Return `task` in a form that another process can read.

    Raises TaskError when it has no source and cannot be pickled.
    """
    if task.source:
        names = ("batch_size", "accumulate", "steps", "name", "group_rates")
        changed = {name: getattr(task, name) for name in names if hasattr(task, name)}
        return PackedTask(_absolute(task.source), changed=changed, parts=task.fingerprint_parts())
    try:
        return PackedTask("", pickle.dumps(task))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TaskError(
            f"{task.name!r} cannot be sent to worker processes ({error}). Write it as a task file and load it with "
            "load_task('file.py'), or make its model and loss functions of a module; or use workers=1."
        ) from None


def unpack(packed: PackedTask) -> Trainable:
    """Return the task that was packed.

    Raises TaskError when its source now makes another task than the one that was packed.
    """
    if not packed.source:
        restored: Trainable = pickle.loads(packed.pickled)  # noqa: S301  (from our own driver, over a pipe)
        return restored
    loaded: Any = load_task(packed.source)
    task: Trainable = replace(loaded, **packed.changed)
    differs = difference(packed.parts, task.fingerprint_parts())
    if differs:
        raise TaskError(
            f"{packed.source} makes another task in a worker process (another {differs}). Its file was changed while "
            "the race ran, or it draws random numbers without a seed: seed them, or use workers=1."
        )
    return task


def _absolute(source: str) -> str:
    path, function = split_source(source)
    named = "" if function is None else f":{function}"
    return f"{Path(path).absolute()}{named}" if path else source
