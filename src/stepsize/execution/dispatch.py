"""Carrying out the batches of a run: every decision about retries, splits and time limits is made here.

The executors only say what became of a batch, so all of them give the same standings (docs/adr/0017).
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from stepsize.execution.executor import Notify, Outcome
from stepsize.execution.run_record import RunRecord
from stepsize.execution.trial_queue import Deadline, TrialBatch, TrialQueue
from stepsize.execution.workers import SharedExecutor
from stepsize.kernel.errors import StepsizeError, TaskError
from stepsize.results import Curves

CHECK = 0.5
"""Seconds after which batches are checked for having run too long, when none of them ends."""


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
