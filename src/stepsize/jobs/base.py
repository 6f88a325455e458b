"""What every job needs: a task, an engine that suits it, the journal, and who is told how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stepsize.engines import Engine, choose
from stepsize.engines.base import reordered
from stepsize.jobs.journal import Journal, fingerprint, trial_key
from stepsize.problems import Task
from stepsize.results import Curves
from stepsize.strategy import Trial

Progress = Callable[[str, int], None]
"""Told the stage, and how many replica-steps (one update of one trial) were done since it was last told."""


class Runner:
    """Runs trials of one task, wave by wave; a finished wave is in the journal and is never run again.

    engine: chosen for the task when not given. why: one line that says which engine runs, and why.
    updates: replica-steps asked for so far, whether they were run now or read from the journal.
    """

    def __init__(
        self,
        task: Task,
        *,
        engine: Engine | None = None,
        journal: Journal | None = None,
        progress: Progress | None = None,
    ) -> None:
        task.check()
        self.task = task
        self.engine, self.why = choose(task) if engine is None else (engine, f"{engine.label}: as asked")
        self.updates = 0
        self._journal = journal
        self._fingerprint = "" if journal is None else fingerprint(task)
        self._progress = progress

    def on(self, task: Task) -> Runner:
        """Return a runner of another task, with the same engine, journal and listener."""
        return Runner(task, engine=self.engine, journal=self._journal, progress=self._progress)

    def run(self, stage: str, trials: Sequence[Trial], steps: int, *, score_every: int | None = None) -> Curves:
        """Return the record of `trials` over `steps` updates, in their order."""
        waves = self.engine.waves(trials)
        parts = [self._wave(stage, [trials[i] for i in wave], steps, score_every) for wave in waves]
        self.updates += len(trials) * steps
        return reordered(parts, waves)

    def _wave(self, stage: str, trials: list[Trial], steps: int, score_every: int | None) -> Curves:
        def tell(updates: int) -> None:
            if self._progress is not None:
                self._progress(stage, updates)

        if self._journal is None:
            return self.engine.run(self.task, trials, steps, score_every=score_every, progress=tell)
        keys = [trial_key(self._fingerprint, trial, steps, score_every, self.engine.label) for trial in trials]
        curves = self._journal.get(keys, trials, steps, self.engine.label)
        if curves is not None:
            tell(len(trials) * steps)
            return curves
        curves = self.engine.run(self.task, trials, steps, score_every=score_every, progress=tell)
        self._journal.put(keys, curves)
        return curves
