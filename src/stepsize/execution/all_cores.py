"""All cores without being asked: this process runs batches of trials, and workers beside it, once they pay."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import time
from collections.abc import Callable
from types import ModuleType

from stepsize.engines.machine import available, cores, resident
from stepsize.execution.executor import BatchRun, Notify, Outcome, ThisProcess
from stepsize.execution.process_pool import CHECK, SHARE, Processes, Worker
from stepsize.kernel.errors import PoolError
from stepsize.problems import Task

PAYS, KNOWN = 10.0, 1.0
"""Seconds of work that have to wait for the start of a worker to pay, and from which the pace of the work is known."""

LARGER = 1.5
"""How much larger a worker may become than this process is."""


class Beside(Processes):
    """Workers beside a process that runs batches too: as it does, with as many threads, and without its script.

    threads: of torch in that process, None where it has not been imported.
    """

    def __init__(self, threads: int | None) -> None:
        super().__init__(1)
        self._threads = threads

    def grow(self, count: int) -> None:
        """Have `count` workers from now on."""
        self.count, self.memory = count, SHARE * available() / count

    def takes(self, run: BatchRun) -> bool:
        """Whether a worker can have a batch: it cannot have what is defined in the script of this process."""
        try:
            pickled = self.accept(run.task).pickled + pickle.dumps((run.engine, run.trials))
        except Exception:  # noqa: BLE001  (whatever cannot be sent says so in its own way, and the batch that runs goes on)
            return False
        return b"__main__" not in pickled

    def start(self) -> Worker:
        """Start a worker, without what this process was started with."""
        # It would run the script of this process, and one without its `if __name__ == "__main__":` its own work there.
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return Worker(self._threads)
        finally:
            sys.modules["__main__"] = script


class AllCores(ThisProcess):
    """This process, and workers beside it once they pay, up to one for each other core, until the end of the job.

    They are taken while this process runs a batch: when, by its pace, what waits takes longer than 10 seconds. So a
    short job starts none; and which process runs a batch changes none of its numbers. Everything stays in this process
    where workers cannot have it (a task or a rule that is defined in the script, or in a notebook), where there may be
    a GPU to share, where a batch takes all cores already, and in a process that is a worker itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self._beside: Beside | None = None
        self._alone = multiprocessing.parent_process() is not None
        self._given: set[int] = set()
        self.attend(list)

    def attend(self, serve: Callable[[], list[int]]) -> None:
        """Begin a run of batches.

        serve: called now and then while one of them runs here, for workers to be heard and fed; it returns how many
        replica-steps each batch has that waits.
        """
        self._serve, self._done, self._served = serve, 0, 0.0
        torch = sys.modules.get("torch")
        self._threads: int | None = None if torch is None else torch.get_num_threads()

    @property
    def label(self) -> str:
        """Where batches run, in a few words; "" for this process alone."""
        return "" if self._beside is None else f"in {self._beside.count + 1} processes"

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [] if self._beside is None else self._beside.pids

    @property
    def free(self) -> int:
        """How many more batches it would start now."""
        return super().free + (0 if self._beside is None else self._beside.free)

    def submit(self, key: int, run: BatchRun, notify: Notify) -> None:
        """Keep a batch for the next poll, or hand it to a worker."""
        if self._beside is None or super().free:
            super().submit(key, run, lambda updates: self._note(run, notify, updates))
        else:
            self._given.add(key)
            if self._beside.takes(run):
                self._beside.submit(key, run, notify)
            else:
                self._alone = True  # the next poll ends them

    def _note(self, run: BatchRun, notify: Notify, updates: int) -> None:
        """Note the progress of a batch that runs here, and see to the workers now and then."""
        notify(updates)
        now = time.perf_counter()
        if not self._served:  # what came before the first update, such as imports, says nothing of the pace
            self._began, self._used, self._served = now, time.process_time(), now
            return
        self._done += updates
        if now - self._served > CHECK:
            self._served = now
            waiting = self._serve()
            if waiting and not self._alone and now - self._began > KNOWN:
                self._consider(run, now - self._began, waiting)

    def _consider(self, run: BatchRun, seconds: float, waiting: list[int]) -> None:
        """Take workers, if what waits pays for them; batches like `run` took `seconds` so far."""
        used = (time.process_time() - self._used) / seconds
        room = available() / (LARGER * (resident() or 1e9))  # 1 GB where it cannot be read
        count = min(worth(cores(), used, seconds / self._done * sum(waiting), len(waiting)), int(min(room, cores())))
        if self._beside is None and count:
            beside = Beside(self._threads)
            self._alone = on_a_gpu(run) or not beside.takes(run)
            self._beside = None if self._alone else beside
        if self._beside is not None and count > len(self._beside.pids):
            self._beside.grow(count)

    def poll(self, seconds: float) -> list[Outcome]:
        """Return what ended in workers, or run the batch that waits."""
        return self._of_workers(seconds if super().free else 0.0) or super().poll(seconds)

    def _of_workers(self, seconds: float) -> list[Outcome]:
        """Return what ended in workers; they are ended when they cannot have the task, or die before their first word.

        What they had then is lost, to be run again here.
        """
        if self._beside is None:
            return []
        outcomes: list[Outcome] = []
        try:
            for outcome in self._beside.poll(seconds):
                if outcome[1] == "unread":
                    self._alone = True
                else:
                    outcomes.append(outcome)
        except PoolError:
            self._alone = True
        self._given -= {key for key, *_ in outcomes}
        if self._alone:
            self._beside.close()
            self._beside = None
            outcomes += [(key, "lost", "no worker could have it") for key in self._given]
            self._given.clear()
        return outcomes

    def abandon(self, key: int, reason: str) -> None:
        """End the worker that runs this batch; one that runs here runs on."""
        super().abandon(key, reason)
        if self._beside is not None:
            self._beside.abandon(key, reason)

    def close(self) -> None:
        """End the workers."""
        super().close()
        if self._beside is not None:
            self._beside.close()


def worth(count: int, used: float, seconds: float, left: int) -> int:
    """Return how many workers pay beside this process, 0 for none.

    count: of the cores, of which it takes `used`. seconds: that the `left` batches which wait would take it.

    >>> worth(16, 1.0, 60.0, 12), worth(16, 15.0, 60.0, 12), worth(16, 1.0, 5.0, 12), worth(2, 1.0, 60.0, 1)
    (12, 0, 0, 1)
    """
    return min(round(count / max(1.0, used)) - 1, left) if seconds > PAYS else 0


def on_a_gpu(run: BatchRun) -> bool:
    """Whether a batch may run on a GPU, whose memory another process would have to share."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return True
    takes_it_whole = {"jax", "tensorflow"}  # as soon as they begin
    return not isinstance(run.task, Task) and not takes_it_whole.isdisjoint(sys.modules)
