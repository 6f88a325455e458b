"""Carrying out the batches of a run: every decision about retries, splits and time limits is made here.

The executors only say what became of a batch, so all of them give the same standings (docs/adr/0017).
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from stepsize.execution.executor import Notify, Outcome
from stepsize.execution.run_record import RunRecord
from stepsize.execution.workers import SharedExecutor
from stepsize.kernel.errors import StepsizeError, TaskError
from stepsize.results import Curves

CHECK = 0.5
"""Seconds after which batches are checked for having run too long, when none of them ends."""

RETRIES = 2
"""How often a lost batch is run again, whole, before it is split."""

SHORTEST, GENEROUS = 60.0, 20.0
"""The time limit of a batch: at least so many seconds, and so many times what its steps took the slowest one yet."""

_KEYS = itertools.count()  # of batches; unique in this process, so that an executor never mixes up two runs


@dataclass(eq=False)
class TrialBatch:
    """Some trials that run at once.

    trials: by index. lost: how often it was lost. done: replica-steps of this attempt. reported: those that were
    reported as progress, of the attempt that got furthest. began: when. late: whether it ran over its limit, and was
    ended.
    """

    trials: tuple[int, ...]
    lost: int = 0
    done: int = 0
    reported: int = 0
    began: float = field(default_factory=time.monotonic)
    late: bool = False

    def advance(self, updates: int) -> int:
        """Add `updates` to what is done, and return how many of them are new: a second attempt repeats the first."""
        self.done += updates
        new = max(0, self.done - self.reported)
        self.reported += new
        return new

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began


class TrialQueue:
    """The batches of one run.

    failed: the reason of each trial that failed, by index.
    """

    def __init__(self, batches: Iterable[Iterable[int]]) -> None:
        self.waiting = deque(TrialBatch(tuple(batch)) for batch in batches)
        self.running: dict[int, TrialBatch] = {}
        self.failed: dict[int, str | Exception] = {}
        self._count = len(self.waiting)

    @property
    def left(self) -> int:
        """How many batches wait or run."""
        return len(self.waiting) + len(self.running)

    @property
    def progress(self) -> tuple[int, int]:
        """How many batches are done, and of how many; a batch that was split counts as its trials."""
        return max(0, self._count - self.left), max(self._count, self.left)

    def start(self) -> tuple[int, TrialBatch]:
        """Take the next batch, and return it with a new key."""
        key, batch = next(_KEYS), self.waiting.popleft()
        batch.began, batch.done, batch.late = time.monotonic(), 0, False
        self.running[key] = batch
        return key, batch

    def retry(self, batch: TrialBatch, reason: str, *, weight: int = 1) -> None:
        """Run a lost batch again, at most twice; then split it, and give up on a trial by itself.

        weight: how often this loss counts; what ran over its time limit is costly to repeat.
        """
        batch.lost += weight
        if batch.lost <= RETRIES:
            self.waiting.append(batch)
        else:
            self.split(batch, reason)

    def split(self, batch: TrialBatch, reason: str | Exception) -> None:
        """Split a batch that fails into single trials, so that a bad one takes no other with it.

        A single one has failed.
        """
        if len(batch.trials) == 1:
            self.failed[batch.trials[0]] = reason
        else:
            reported = batch.reported // len(batch.trials)
            self.waiting.extend(TrialBatch((trial,), reported=reported) for trial in batch.trials)


class Deadline:
    """How long a batch may run.

    seconds: for every batch, or None for a generous multiple of what the finished ones took for a step.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._slowest = 0.0

    def learn(self, seconds: float, steps: int) -> None:
        """Learn from a batch that took `seconds` for `steps` steps."""
        self._slowest = max(self._slowest, seconds / steps)

    def limit(self, steps: int) -> float:
        """Return how many seconds a batch of `steps` steps may take; infinity while nothing is known."""
        if self._seconds is not None:
            return self._seconds
        return max(SHORTEST, GENEROUS * self._slowest * steps) if self._slowest else float("inf")


class Dispatch:
    """Runs the batches of one run.

    record: what is to be run, and where its numbers go. batches: of its trials, by index. failed: why trials failed, by
    index.
    """

    def __init__(
        self, record: RunRecord, batches: Iterable[Iterable[int]], shared: SharedExecutor, deadline: Deadline
    ) -> None:
        self._record, self._shared, self._deadline = record, shared, deadline
        self._queue = TrialQueue(batches)
        self.failed = self._queue.failed

    def carry_out(self) -> None:
        """Run the batches, until each is finished or given up.

        Raises what is not the fault of single trials: an engine that refuses the strategies, workers that do not start.
        """
        self._record.report(*self._queue.progress)
        try:
            while self._queue.left:
                self._submit()
                self._poll()
                self._end_late()
        finally:
            for key in self._queue.running:
                self._shared.executor.abandon(key, "the race has ended")

    def _submit(self) -> None:
        while self._queue.waiting and self._shared.executor.free:
            key, batch = self._queue.start()
            run = self._record.whole.of(batch.trials)
            self._shared.executor.submit(key, run, self._notifier(batch))

    def _notifier(self, batch: TrialBatch) -> Notify:
        return lambda updates: self._record.notify(batch.advance(updates))

    def _poll(self) -> None:
        """Settle what ended; a batch that this process ran by itself shows what workers would save."""
        wall, cpu = time.perf_counter(), time.process_time()
        outcomes = self._shared.executor.poll(CHECK)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        for outcome in outcomes:
            batch = self._settle(outcome)
            if batch is not None and not self._queue.running:
                run = self._record.whole.of(batch.trials)
                self._shared.consider(run, wall, cpu / max(wall, 1e-9), len(self._queue.waiting))

    def _settle(self, outcome: Outcome) -> TrialBatch | None:
        """Note how a batch ended, and return it if it is finished; a batch of an earlier run is none of ours."""
        key, _, payload = outcome
        batch = self._queue.running.pop(key, None)
        if batch is None:
            return None
        if isinstance(payload, Curves):
            self._deadline.learn(payload.seconds, payload.steps)
            self._record.keep(batch.trials, payload)
            self._record.report(*self._queue.progress)
            self._record.notify(max(0, len(batch.trials) * payload.steps - batch.reported))
            return batch
        if isinstance(payload, Exception):
            if isinstance(payload, StepsizeError) and not isinstance(payload, TaskError):
                raise payload
            self._queue.split(batch, payload)
        else:
            self._queue.retry(batch, payload, weight=2 if batch.late else 1)
        return None

    def _end_late(self) -> None:
        limit = self._deadline.limit(self._record.whole.steps)
        for key, batch in list(self._queue.running.items()):
            if batch.seconds > limit and not batch.late:
                batch.late = True
                self._shared.executor.abandon(key, f"it ran for longer than its {limit:.0f} seconds")
