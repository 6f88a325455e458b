"""What is known of the trials of one run, in memory and in the journal, and who hears of its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from stepsize.engines.base import reordered, score_points
from stepsize.execution.executor import BatchRun
from stepsize.execution.journal import Journal, trial_key
from stepsize.kernel.errors import TaskError
from stepsize.results import Curves
from stepsize.strategy import Trial

Progress = Callable[[str, int], None]
"""Called with the stage, and how many replica-steps (one update of one trial) were done since the last call."""


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
