"""Worker processes on this machine: spawned once, kept alive, one pipe each, watched, and replaced when they die."""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import signal
import weakref
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from stepsize.engines.machine import available, cores, resident
from stepsize.execution.executor import BatchRun, Notify, Outcome
from stepsize.execution.worker_process import READY, PackedTask, pack, work
from stepsize.kernel.errors import ParameterError, PoolError
from stepsize.problems import Trainable

ATTEMPTS = 3
"""How many workers in a row may die before their first word."""

SHARE = 0.9
"""How much of the memory that is available when the pool is made all workers may grow to together."""

CHECK = 0.1
"""Seconds after which workers are heard again, and their memory is checked."""


class Processes:
    """Worker processes on this machine.

    count: how many. memory: bytes of RAM that one may grow to, else it is killed and its batch is lost; when not given,
        an even share of what is available. Watched on Linux alone.

    Watch out: every worker holds the task's data once. A script that makes one needs its `if __name__ == "__main__":`,
    as for every use of multiprocessing.

    Raises ParameterError for a count below 1, PoolError when workers die before their first word.
    """

    def __init__(self, count: int, *, memory: float | None = None) -> None:
        if count < 1:
            raise ParameterError(f"workers must be a whole number of at least 1, not {count!r}.")
        self.count = count
        self.memory = memory or SHARE * available() / count
        self._workers: list[Worker] = []
        self._lost: list[Outcome] = []
        self._deaths = 0
        self._numbers = itertools.count()
        self._packed: weakref.WeakKeyDictionary[Trainable, tuple[int, PackedTask]] = weakref.WeakKeyDictionary()
        self._end = weakref.finalize(self, _kill, self._workers)

    @property
    def label(self) -> str:
        """Where batches run, in a few words."""
        return f"in {self.count} worker process{'' if self.count == 1 else 'es'}"

    @property
    def free(self) -> int:
        """How many workers wait for a batch."""
        while len(self._workers) < self.count and self._end.alive:
            self._workers.append(self.start())
        return sum(worker.idle for worker in self._workers)

    def start(self) -> Worker:
        """Start a worker."""
        return Worker(max(1, cores() // self.count))

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in self._workers]

    def accept(self, task: Trainable) -> PackedTask:
        """Return a task as it is sent, and keep that for its batches.

        Raises TaskError where it cannot be sent to another process.
        """
        if task not in self._packed:
            self._packed[task] = next(self._numbers), pack(task)
        return self._packed[task][1]

    def submit(self, key: int, run: BatchRun, notify: Notify) -> None:
        """Hand a batch to a worker that waits; the task with it, if this worker does not have it yet."""
        self.accept(run.task)
        worker = next(worker for worker in self._workers if worker.idle)
        with suppress(OSError):  # it died; the poll says so
            worker.start(key, *self._packed[run.task], run, notify)

    def poll(self, seconds: float) -> list[Outcome]:
        """Return what ended; dead workers are replaced."""
        lost, self._lost = self._lost, []
        outcomes = lost or self._listen(min(seconds, CHECK))
        for worker in [worker for worker in self._workers if worker.key is not None and worker.memory > self.memory]:
            grown = f"its worker grew to {worker.memory / 1e9:.2f} GB of memory, above its {self.memory / 1e9:.2f} GB"
            self._bury(worker, f"{grown}; fewer workers have more each")
        return outcomes

    def _listen(self, seconds: float) -> list[Outcome]:
        worker_of: dict[Any, Worker] = {}
        for worker in self._workers:
            worker_of[worker.pipe] = worker_of[worker.process.sentinel] = worker
        outcomes = []
        for worker in dict.fromkeys(worker_of[ready] for ready in wait(list(worker_of), seconds)):
            try:
                outcomes += worker.read()
            except (EOFError, OSError):
                self._bury(worker, worker.death)
            else:
                self._deaths = 0 if worker.ready else self._deaths
        lost, self._lost = self._lost, []
        return outcomes + lost

    def abandon(self, key: int, reason: str) -> None:
        """Kill the worker that runs this batch."""
        for worker in [worker for worker in self._workers if worker.key == key]:
            self._bury(worker, reason)

    def _bury(self, worker: Worker, reason: str) -> None:
        self._workers.remove(worker)
        _kill([worker])
        if worker.key is not None:
            self._lost.append((worker.key, "lost", reason))
        if not worker.ready:
            self._deaths += 1
        if self._deaths >= ATTEMPTS:
            raise PoolError(
                f"{self._deaths} worker processes died before their first word ({reason}); what they said is above. A "
                'script that starts workers needs its `if __name__ == "__main__":`; or use workers=1.'
            )

    def close(self) -> None:
        """Kill all workers."""
        self._end()


class Worker:
    """One process, its pipe, and what it does: key is that of the batch that it runs, None for none."""

    def __init__(self, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe: Connection
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=work, args=(theirs, threads), daemon=True)
        self.process.start()
        theirs.close()
        self.key: int | None = None
        self.ready = False
        self._notify: Notify | None = None
        self._known: set[int] = set()

    @property
    def idle(self) -> bool:
        """Whether it waits for a batch."""
        return self.ready and self.key is None

    @property
    def pid(self) -> int:
        """The number of its process, 0 before it has one."""
        return self.process.pid or 0

    @property
    def memory(self) -> int:
        """Bytes of RAM, 0 where they cannot be read."""
        return resident(self.pid)

    @property
    def death(self) -> str:
        """How it died, in words."""
        self.process.join(1)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"its worker was killed by {signal.Signals(-code).name}"
        return f"its worker ended with exit code {code}"

    def start(self, key: int, number: int, packed: PackedTask, run: BatchRun, notify: Notify) -> None:
        """Send it a batch, and the task with the first of them."""
        batch = pickle.dumps((run.engine, run.trials, run.steps, run.score_every))
        self.key, self._notify = key, notify
        self.pipe.send((key, number, None if number in self._known else packed, batch))
        self._known.add(number)

    def read(self) -> list[Outcome]:
        """Return what it said; EOFError or OSError when it is dead and has said all."""
        outcomes: list[Outcome] = []
        while self.pipe.poll():
            try:
                message = self.pipe.recv()
            except (EOFError, OSError):
                if outcomes:
                    return outcomes
                raise
            if message == READY:
                self.ready = True
            elif message[1] == "progress" and self._notify is not None:
                self._notify(message[2])
            else:
                self.key = None
                if message[1] != "ok":  # the task itself may have failed to load
                    self._known.clear()
                outcomes.append(message)
        return outcomes


def _kill(workers: list[Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.pipe.close()
