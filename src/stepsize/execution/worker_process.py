"""What a worker process does: run the batches that come over its pipe, and end when the driver is gone."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from multiprocessing.connection import Connection, wait
from typing import Any

from stepsize.execution.executor import BatchRun, Notify, portable
from stepsize.execution.task_transport import PackedTask, unpack
from stepsize.kernel.optional import installed, need
from stepsize.problems import Trainable

EVERY = 0.2
"""Seconds between two messages of progress."""

READY = "ready"
"""The first message of a worker, once its imports are done."""


def work(pipe: Connection, threads: int) -> None:
    """Run batches until the pipe is closed; the whole life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    _end_with_driver()
    _allow_children()
    os.dup2(2, 1)  # what a task prints must not fall into the driver's JSON
    if installed("torch"):
        need("torch").set_num_threads(threads)
    pipe.send(READY)
    tasks: dict[int, Trainable] = {}
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(pipe, tasks, message))


def _answer(
    pipe: Connection, tasks: dict[int, Trainable], message: tuple[int, int, PackedTask | None, bytes]
) -> tuple[Any, ...]:
    """Run one batch; its task was kept from an earlier message, or comes with this one."""
    key, number, packed, batch = message
    try:
        if packed is not None:
            tasks[number] = unpack(packed)
        run = BatchRun(tasks[number], *pickle.loads(batch))  # noqa: S301  (from our own driver, over a pipe)
        return key, "ok", run.run(_notifier(pipe, key))
    except BaseException as error:  # noqa: BLE001  (whatever a task raises is data, SystemExit too)
        return key, "error", portable(error)


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
