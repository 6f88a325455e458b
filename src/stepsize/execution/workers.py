"""Which executor a job has: this process, or workers, once the first batches have shown that they pay."""

from __future__ import annotations

from typing import Literal

from stepsize.engines.machine import available, cores, resident
from stepsize.execution.executor import BatchRun, Executor, ThisProcess
from stepsize.execution.process_pool import Processes
from stepsize.execution.task_transport import pack
from stepsize.kernel.errors import ParameterError, TaskError
from stepsize.problems import Trainable

Workers = int | Literal["auto"]
"""How many worker processes; 1 is this process, "auto" begins here and takes them where they pay."""

START = 8.0
"""Seconds until a worker process has made its imports and loaded its task, on a machine that is busy."""

FEWEST_CORES = 4
"""With fewer cores than this, workers are never taken without being asked for."""

LARGER = 1.5
"""How much larger a worker may become than this process is."""


class SharedExecutor:
    """The executor of a job, shared by all of its runners, who see it change when workers are taken.

    executor: given by the user, or made from the count. isolated: whether this process must run no batch, since nothing
    could end it. memory: see `Processes`.
    """

    def __init__(
        self,
        count: Workers = 1,
        executor: Executor | None = None,
        *,
        isolated: bool = False,
        memory: float | None = None,
    ) -> None:
        if count != "auto" and (not isinstance(count, int) or count < 1):
            raise ParameterError(f'workers must be a whole number of at least 1, or "auto", not {count!r}.')
        if executor is not None and memory is not None:
            raise ParameterError(
                "a limit of memory belongs to the executor that was given: Processes(count, memory=...)."
            )
        number = 1 if count == "auto" else int(count)
        in_process = number == 1 and not isolated
        self.executor = executor or (ThisProcess() if in_process else Processes(number, memory=memory))
        self._undecided = count == "auto" and executor is None and not isolated

    def accept(self, task: Trainable) -> None:
        """Raise TaskError where a task cannot be sent to the workers that were asked for, before anything runs."""
        if isinstance(self.executor, Processes):
            self.executor.accept(task)

    def consider(self, run: BatchRun, seconds: float, used: float, left: int) -> None:
        """Take workers where they pay; a batch like `run` took `seconds` and `used` cores, and `left` are left."""
        if not self._undecided or getattr(getattr(run.engine, "device", None), "type", "cpu") != "cpu":
            return
        room = available() / (LARGER * (resident() or 1e9))  # 1 GB where it cannot be read
        count = min(worth(cores(), used, seconds, left), int(min(room, left)))
        if count > 1:
            self._undecided = False
            try:
                pack(run.task)
            except TaskError:  # it cannot be sent to another process
                return
            self.executor = Processes(count)


def worth(count: int, used: float, seconds: float, left: int) -> int:
    """Return how many workers pay, 1 for none: with `count` cores, and `left` batches of `seconds` on `used` cores.

    >>> worth(16, 1.0, 60.0, 12), worth(16, 15.0, 60.0, 12), worth(16, 1.0, 0.1, 12), worth(2, 1.0, 60.0, 12)
    (12, 1, 1, 1)
    """
    workers = min(int(count / max(1.0, used)), left)
    if count < FEWEST_CORES or workers < 2:
        return 1
    saved = seconds * left * (1 - 1 / workers)
    return workers if saved > 2 * START else 1
