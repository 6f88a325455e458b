"""The place where a job's waves run: this process, or workers, once the first waves have shown that they pay."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from stepsize.engines.machine import available, cores
from stepsize.execution.pool import Inline, Order, Outcome, Pool
from stepsize.execution.process_pool import Processes
from stepsize.execution.task_transport import packed
from stepsize.kernel.errors import ParameterError, TaskError

Workers = int | Literal["auto"]

START = 8.0
"""Seconds until a worker process has made its imports and loaded its task, on a machine that is busy."""

FEW = 4
"""With fewer cores than this, workers are never taken without being asked for."""

LARGER = 1.5
"""How much larger a worker may become than this process is."""


class Place:
    """Where waves run; shared by all runners of a job.

    workers: 1 is this process, more are worker processes, "auto" begins here and looks. pool: given by the user.
    apart: whether this process must run no wave, since nothing could end it. memory: see `Processes`.
    """

    def __init__(
        self, workers: Workers = 1, pool: Pool | None = None, *, apart: bool = False, memory: float | None = None
    ) -> None:
        if workers != "auto" and (not isinstance(workers, int) or workers < 1):
            raise ParameterError(f'workers must be a whole number of at least 1, or "auto", not {workers!r}.')
        if pool is not None and memory is not None:
            raise ParameterError("a limit of memory belongs to the pool that was given: Processes(count, memory=...).")
        count = 1 if workers == "auto" else int(workers)
        self.pool = pool or (Inline() if count == 1 and not apart else Processes(count, memory=memory))
        self._looking = workers == "auto" and pool is None and not apart

    def poll(self, seconds: float) -> tuple[list[Outcome], float, float]:
        """Return what ended, the wall time that it took, and how many cores this process used meanwhile."""
        wall, cpu = time.perf_counter(), time.process_time()
        ended = self.pool.poll(seconds)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return ended, wall, cpu / max(wall, 1e-9)

    def consider(self, order: Order, seconds: float, used: float, left: int) -> None:
        """Take workers where they pay; a wave like `order` took `seconds` and `used` cores, and `left` are left."""
        if not self._looking or getattr(getattr(order.engine, "device", None), "type", "cpu") != "cpu":
            return
        room = available() / (LARGER * _resident())
        count = min(worth(cores(), used, seconds, left), int(min(room, left)))
        if count > 1:
            self._looking = False
            try:
                packed(order.task)
            except TaskError:
                return
            self.pool = Processes(count)


def worth(count: int, used: float, seconds: float, left: int) -> int:
    """Return how many workers pay, 1 for none: with `count` cores, and `left` waves of `seconds` on `used` cores here.

    >>> worth(16, 1.0, 60.0, 12), worth(16, 15.0, 60.0, 12), worth(16, 1.0, 0.1, 12), worth(2, 1.0, 60.0, 12)
    (12, 1, 1, 1)
    """
    workers = min(int(count / max(1.0, used)), left)
    if count < FEW or workers < 2:
        return 1
    saved = seconds * left * (1 - 1 / workers)
    return workers if saved > 2 * START else 1


def _resident() -> float:
    """Bytes of RAM that this process uses; 1 GB where that cannot be read."""
    try:
        words = Path("/proc/self/status").read_text(encoding="ascii").split()
        return 1024.0 * int(words[words.index("VmRSS:") + 1])
    except (OSError, ValueError):
        return 1e9
