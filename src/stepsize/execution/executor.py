"""Executors: where batches of trials run. An executor retries nothing and decides nothing; it says what became of each.

*How* trials are computed is the engine's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from stepsize.engines.base import Engine
from stepsize.kernel.errors import StepsizeError, TaskError, said
from stepsize.kernel.optional import need
from stepsize.problems import Trainable
from stepsize.results.curves import Curves
from stepsize.strategy import Trial

Outcome = tuple[int, Literal["ok", "error", "unread", "lost"], Curves | Exception | str]
"""The key of a batch, how it ended, and what that brings.

"ok" brings the record, "error" the exception that the task raised, "unread" that of a worker which could not load the
task or the batch, "lost" a reason in words: the worker died, was killed, or its machine is gone, and nothing is known
of the batch.
"""

Notify = Callable[[int], None]
"""Called with how many replica-steps of a batch were done since the last call."""


@dataclass(frozen=True, eq=False)
class BatchRun:
    """What is to be run: some trials at once, by an engine, on a task.

    steps: of each trial, optimizer updates. score_every: see `Engine.run`.
    """

    task: Trainable
    engine: Engine
    trials: tuple[Trial, ...]
    steps: int
    score_every: int | None = None

    def of(self, indices: Sequence[int]) -> BatchRun:
        """Return the run of some of the trials, by index."""
        return replace(self, trials=tuple(self.trials[i] for i in indices))

    def run(self, notify: Notify | None = None) -> Curves:
        """Run it here and now; several trials at once on one thread, as other batches run on the other cores.

        So it is wherever it runs, and however many others there are: another number of threads may give other bits.
        """
        one_thread = need("stepsize.engines.threads").threads_for(0.0) if len(self.trials) > 1 else nullcontext()
        with one_thread:
            return self.engine.run(self.task, self.trials, self.steps, score_every=self.score_every, progress=notify)


class Executor(Protocol):
    """What every executor can do; the numbers of a race do not depend on which one it was."""

    @property
    def label(self) -> str:
        """Where batches run, in a few words; "" for this process."""

    @property
    def free(self) -> int:
        """How many more batches it would start now."""

    def submit(self, key: int, run: BatchRun, notify: Notify) -> None:
        """Start a batch."""

    def poll(self, seconds: float) -> list[Outcome]:
        """Return the batches that ended, after waiting for one for at most `seconds`."""

    def abandon(self, key: int, reason: str) -> None:
        """End what runs a batch; the next poll says that it is lost, and why."""

    def close(self) -> None:
        """End everything that it started."""


class ThisProcess:
    """This process, one batch at a time.

    Watch out: a batch that hangs hangs the race, and one that eats all memory takes the race with it; the journal then
    has all but that batch.
    """

    def __init__(self) -> None:
        self._batch: tuple[int, BatchRun, Notify] | None = None
        self._running = False

    @property
    def label(self) -> str:
        """Where batches run; this goes without saying."""
        return ""

    @property
    def free(self) -> int:
        """One, while it has no batch."""
        return int(self._batch is None)

    def submit(self, key: int, run: BatchRun, notify: Notify) -> None:
        """Keep a batch for the next poll."""
        self._batch = key, run, notify

    def poll(self, seconds: float) -> list[Outcome]:  # noqa: ARG002  (it waits for as long as the batch takes)
        """Run the batch that waits; nothing, when asked from within that batch."""
        if self._batch is None or self._running:
            return []
        (key, run, notify), self._running = self._batch, True
        try:
            return [(key, "ok", run.run(notify))]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  (what a task raises, SystemExit too, is the race's to judge)
            return [(key, "error", error if isinstance(error, Exception) else portable(error))]
        finally:
            self._batch, self._running = None, False

    def abandon(self, key: int, reason: str) -> None:  # noqa: ARG002  (other executors say why; here nothing is lost that has begun)
        """Forget a batch that waits; one that runs runs on."""
        if self._batch is not None and self._batch[0] == key and not self._running:
            self._batch = None

    def close(self) -> None:
        """Forget the batch that waits."""
        self._batch = None


def portable(error: BaseException) -> StepsizeError:
    """Return an exception that another process can read: ours as it is, any other as a TaskError with its text."""
    return error if isinstance(error, StepsizeError) else TaskError(said(error))
