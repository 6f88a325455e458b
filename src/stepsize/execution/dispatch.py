"""Carrying out the batches of a run: every decision about retries, splits and time limits is made here.

The executors only say what became of a batch, so all of them give the same standings (docs/adr/0017).
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stepsize.engines.base import reordered, score_points
from stepsize.execution.all_cores import AllCores
from stepsize.execution.executor import BatchRun, Executor, Notify, Outcome
from stepsize.execution.journal import Journal, trial_key
from stepsize.kernel.errors import StepsizeError, TaskError
from stepsize.results import Curves
from stepsize.strategy import Trial

Progress = Callable[[str, int], None]
"""Called with the stage, and how many replica-steps (one update of one trial) were done since the last call."""

CHECK = 0.5
"""Seconds after which batches are checked for having run too long, when none of them ends."""

RETRIES = 2
"""How often a lost batch is run again, whole, before it is split."""

SHORTEST, GENEROUS = 60.0, 20.0
"""The time limit of a batch: at least so many seconds, and so many times what its steps took the slowest one yet."""

_KEYS = itertools.count()  # of batches; unique in this process, so that an executor never mixes up two runs


class RunRecord:
    """The record of a run while it grows, part by part.

    whole: what is to be run. stage: what it is called where its progress is shown. fingerprint: of its task.
    known: the trials, by index, in the order in which they became known; with a journal, what it has is known already.
    replayed: the seconds that those took.
    """

    def __init__(
        self, whole: BatchRun, stage: str, journal: Journal | None, fingerprint: str, progress: Progress | None
    ) -> None:
        self.whole, self.stage = whole, stage
        self.known: list[int] = []
        self.replayed = 0.0
        self._parts: list[Curves] = []
        self._journal, self._progress = journal, progress
        self._keys: list[str] = []
        if journal is not None:
            label = whole.engine.label
            self._keys = [trial_key(fingerprint, t, whole.steps, whole.score_every, label) for t in whole.trials]
            points = score_points(whole.steps, whole.score_every)
            indices, curves = journal.get(self._keys, whole.trials, whole.steps, points, label)
            if curves is not None:
                self._add(indices, curves)
                self.replayed = curves.seconds
        self.notify(len(self.known) * whole.steps)

    def _add(self, indices: Sequence[int], curves: Curves) -> None:
        self.known += indices
        self._parts.append(curves)

    def keep(self, indices: Sequence[int], curves: Curves) -> None:
        """Keep the record of a batch of trials, in the journal too."""
        self._add(indices, curves)
        if self._journal is not None:
            self._journal.put([self._keys[i] for i in indices], curves)

    def notify(self, updates: int) -> None:
        """Say that so many replica-steps more are done, or only that the run lives."""
        if self._journal is not None:
            self._journal.beat()
        if self._progress is not None and updates:
            self._progress(self.stage, updates)

    def report(self, done: int, total: int) -> None:
        """Note in the journal how many batches are done."""
        if self._journal is not None:
            self._journal.report(self.stage, done, total)

    def fail(self, failed: Mapping[int, str | Exception]) -> dict[Trial, str]:
        """Add the trials that failed, and return why: they have no number, and count as diverged from the start.

        Raises the error of the first when nothing else was run.
        """
        for index, reason in failed.items():
            if not self.known:
                name = self.whole.task.name
                raise reason if isinstance(reason, Exception) else TaskError(f"{name!r} fails: {reason}.")
            if self._journal is not None:
                trial = self.whole.trials[index]
                name = f"{trial.strategy.name}, seed {trial.seed}"
                self._journal.keep_failure(self._keys[index], name, str(reason))
        if failed:
            points = score_points(self.whole.steps, self.whole.score_every)
            losses = np.full((self.whole.steps, len(failed)), np.nan, self._parts[0].losses.dtype)
            scores = np.full((len(points), len(failed)), np.inf)
            trials = self.whole.of(tuple(failed)).trials
            label = self.whole.engine.label
            self._add(tuple(failed), Curves(trials, self.whole.steps, losses, np.array(points), scores, 0.0, label))
        return {self.whole.trials[index]: str(reason) for index, reason in failed.items()}

    def curves(self) -> Curves:
        """Return all of it, in the order of the trials."""
        return reordered(self._parts, [self.known])


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
        self, record: RunRecord, batches: Iterable[Iterable[int]], executor: Executor, deadline: Deadline
    ) -> None:
        self._record, self._executor, self._deadline = record, executor, deadline
        self._queue = TrialQueue(batches)
        self.failed = self._queue.failed

    def carry_out(self) -> None:
        """Run the batches, until each is finished or given up.

        Raises what is not the fault of single trials: an engine that refuses the strategies, workers that do not start.
        """
        self._record.report(*self._queue.progress)
        if isinstance(self._executor, AllCores):
            self._executor.attend(lambda: self._turn(0.0))
        try:
            while self._queue.left:
                self._turn(CHECK)
        finally:
            for key in self._queue.running:
                self._executor.abandon(key, "the race has ended")

    def _turn(self, seconds: float) -> list[int]:
        """Hand out what waits and settle what ends; return how many replica-steps each batch has that waits still."""
        while self._queue.waiting and self._executor.free:
            key, batch = self._queue.start()
            self._executor.submit(key, self._record.whole.of(batch.trials), self._notifier(batch))
        for outcome in self._executor.poll(seconds):
            self._settle(outcome)
        self._end_late()
        return [len(batch.trials) * self._record.whole.steps for batch in self._queue.waiting]

    def _notifier(self, batch: TrialBatch) -> Notify:
        return lambda updates: self._record.notify(batch.advance(updates))

    def _settle(self, outcome: Outcome) -> None:
        """Note how a batch ended; one of an earlier run is none of ours."""
        key, _, payload = outcome
        batch = self._queue.running.pop(key, None)
        if batch is None:
            return
        if isinstance(payload, Curves):
            self._deadline.learn(payload.seconds, payload.steps)
            self._record.keep(batch.trials, payload)
            self._record.report(*self._queue.progress)
            self._record.notify(max(0, len(batch.trials) * payload.steps - batch.reported))
        elif isinstance(payload, str):
            self._queue.retry(batch, payload, weight=2 if batch.late else 1)
        elif isinstance(payload, StepsizeError) and not isinstance(payload, TaskError):
            raise payload
        else:
            self._queue.split(batch, payload)

    def _end_late(self) -> None:
        limit = self._deadline.limit(self._record.whole.steps)
        for key, batch in list(self._queue.running.items()):
            if batch.seconds > limit and not batch.late:
                batch.late = True
                self._executor.abandon(key, f"it ran for longer than its {limit:.0f} seconds")
