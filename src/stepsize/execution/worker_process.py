"""What a worker process does: run the batches that come over its pipe, and end when the driver is gone.

A task comes with the first of its batches, by its source, or pickled.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from stepsize.execution.executor import BatchRun, Notify, portable
from stepsize.execution.task_fingerprint import difference
from stepsize.kernel import seeds
from stepsize.kernel.errors import TaskError
from stepsize.kernel.optional import installed, need
from stepsize.problems import Trainable, load_task
from stepsize.problems.random_state import RandomState, seeded
from stepsize.problems.task_files import split_source

EVERY = 0.2
"""Seconds between two messages of progress."""

READY = "ready"
"""The first message of a worker, once its imports are done."""

Message = tuple[int, int, "PackedTask | None", bytes]
"""The key of a batch, the number of its task, the task if it is a new one, and the rest of the batch, pickled."""


@dataclass(frozen=True)
class PackedTask:
    """A task on its way: a name that `load_task` takes, or its pickle.

    parts: of its fingerprint, which the other side compares. changed: fields that differ from what the source says.
    """

    source: str
    parts: dict[str, str]
    pickled: bytes = field(default=b"", repr=False)
    changed: dict[str, Any] = field(default_factory=dict)


def pack(task: Trainable) -> PackedTask:
    """Return `task` in a form that another process can read.

    Raises TaskError when it has no source and cannot be pickled.
    """
    noise = seeds.child(0, "noise")
    with seeded(noise), RandomState(noise):  # it may be asked for while a trial runs, which draws from them
        parts = task.fingerprint_parts()
    if task.source:
        names = ("batch_size", "accumulate", "steps", "name", "group_rates")
        changed = {name: getattr(task, name) for name in names if hasattr(task, name)}
        return PackedTask(_absolute(task.source), parts, changed=changed)
    try:
        return PackedTask("", parts, pickle.dumps(task))
    except Exception as error:  # noqa: BLE001  (what a user's data holds, such as a lock, says so in its own way)
        raise TaskError(
            f"{task.name!r} cannot be sent to worker processes ({error}). Write it as a task file and load it with "
            "load_task('file.py'), or make its model and loss functions of a module; or use workers=1."
        ) from None


def unpack(packed: PackedTask) -> Trainable:
    """Return the task that was packed.

    Raises TaskError when it is now another task than the one that was packed.
    """
    loaded: Any = load_task(packed.source) if packed.source else pickle.loads(packed.pickled)  # noqa: S301  (from our own driver, over a pipe)
    task: Trainable = replace(loaded, **packed.changed) if packed.changed else loaded
    differs = difference(packed.parts, task.fingerprint_parts())
    if differs:
        raise TaskError(
            f"{packed.source or task.name} makes another task in a worker process (another {differs}). Its file was "
            "changed while the race ran, or it draws random numbers without a seed: seed them, or use workers=1."
        )
    return task


def _absolute(source: str) -> str:
    path, function = split_source(source)
    named = "" if function is None else f":{function}"
    return f"{Path(path).absolute()}{named}" if path else source


def work(pipe: Connection, threads: int | None) -> None:
    """Run batches until the pipe is closed; the whole life of a worker.

    threads: of torch; as many as it takes by itself when None.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    _end_with_driver()
    _allow_children()
    os.dup2(2, 1)  # what a task prints must not fall into the driver's JSON
    if installed("torch"):
        torch = need("torch")
        torch.set_num_threads(threads or torch.get_num_threads())
    pipe.send(READY)
    tasks: dict[int, Trainable] = {}
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(pipe, tasks, message))


def _answer(pipe: Connection, tasks: dict[int, Trainable], message: Message) -> tuple[Any, ...]:
    """Run one batch; its task was kept from an earlier message, or comes with this one."""
    key = message[0]
    try:
        run = _read(tasks, message)
    except BaseException as error:  # noqa: BLE001  (the file of a task may raise anything, SystemExit too)
        return key, "unread", portable(error)
    try:
        return key, "ok", run.run(_notifier(pipe, key))
    except BaseException as error:  # noqa: BLE001  (whatever a task raises is data, SystemExit too)
        return key, "error", portable(error)


def _read(tasks: dict[int, Trainable], message: Message) -> BatchRun:
    _, number, packed, batch = message
    if packed is not None:
        tasks[number] = unpack(packed)
    return BatchRun(tasks[number], *pickle.loads(batch))  # noqa: S301  (from our own driver, over a pipe)


def _notifier(pipe: Connection, key: int) -> Notify:
    waiting, sent = 0, time.monotonic()

    def notify(updates: int) -> None:
        nonlocal waiting, sent
        waiting += updates
        now = time.monotonic()
        if now - sent >= EVERY:
            pipe.send((key, "progress", waiting))
            waiting, sent = 0, now

    return notify


def _allow_children() -> None:
    """Let a DataLoader start workers, as it would in the driver: a daemon may not, and what was spawned would spawn."""
    multiprocessing.current_process().daemon = False
    multiprocessing.set_start_method(None, force=True)  # the platform's own


def _end_with_driver() -> None:
    """End this process at once when its driver dies, whatever it is computing."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
