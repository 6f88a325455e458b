"""What every job needs: a task, an engine that suits it, where it runs, the journal, and who is told how far it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from stepsize.engines import Engine, choose
from stepsize.engines.base import reordered, score_points
from stepsize.execution.dispatch import Dispatch
from stepsize.execution.journal import Journal, trial_key
from stepsize.execution.pool import Order, Pool
from stepsize.execution.trial_queue import Clock, Table, Wave
from stepsize.execution.workers import Place, Workers
from stepsize.kernel.errors import TaskError
from stepsize.problems import Task
from stepsize.results import Curves
from stepsize.strategy import Trial

Progress = Callable[[str, int], None]
"""Told the stage, and how many replica-steps (one update of one trial) were done since it was last told."""


class Runner:
    """Runs trials of one task, wave by wave; a finished trial is in the journal and is never run again.

    engine: chosen for the task when not given. why: one line that says which engine runs, where, and why.
    workers: 1 runs everything in this process, more in as many worker processes; "auto" takes them after the first
        wave, where cores are to spare and enough is left to do. pool: another place where waves run.
    time_limit: seconds that a wave may take before its worker is killed; when not given, a generous multiple of what
        the finished ones took. memory_limit: bytes of RAM that a worker may grow to, see `Processes`. With either of
        them the waves run in worker processes, in one where none were asked for, as nothing can end a wave in this one.
    updates: replica-steps asked for so far, whether they were run now or read from the journal.
    failures: what went wrong with each trial that failed. Its losses are NaN and its scores inf, and the others go on;
        the journal notes the reason, and another run tries it again.

    A wave that is lost (its worker died, hung, or grew too large) is run again at most twice, then trial by trial, so
    that one bad trial takes no other with it. A wave that raises is run trial by trial at once. When no trial at all
    can be run, its error is raised.

    Watch out: a trial by itself, or in a smaller wave, may differ from the same trial in its wave in the last bits.
    """

    def __init__(
        self,
        task: Task,
        *,
        engine: Engine | None = None,
        journal: Journal | None = None,
        progress: Progress | None = None,
        workers: Workers = 1,
        pool: Pool | None = None,
        time_limit: float | None = None,
        memory_limit: float | None = None,
    ) -> None:
        limited = time_limit is not None or memory_limit is not None
        self._place = Place(workers, pool, apart=limited, memory=memory_limit)
        task.check()
        self.task = task
        self.updates = 0
        self.failures: dict[Trial, str] = {}
        self._journal = journal
        self._fingerprint = "" if journal is None else journal.recognise(task)
        self.engine, self._why = self._chosen() if engine is None else (engine, f"{engine.label}: as asked")
        self._progress = progress
        self._clock = Clock(time_limit)

    def _chosen(self) -> tuple[Engine, str]:
        """Choose an engine, the one that the journal began with if there is one: its trials are of that engine."""
        if self._journal is None:
            return choose(self.task)
        engine, why = choose(self.task, self._journal.choice(self._fingerprint))
        self._journal.keep_choice(self._fingerprint, why)
        return engine, why

    @property
    def why(self) -> str:
        """Which engine runs, where, and why, in one line."""
        where = self._place.pool.label
        return f"{self._why}; {where}" if where else self._why

    def on(self, task: Task) -> Runner:
        """Return a runner of another task, with the same engine, workers, journal and listener."""
        task.check()
        other = copy.copy(self)
        known = "" if self._journal is None else self._journal.recognise(task, variant=True)
        vars(other).update(task=task, updates=0, failures={}, _fingerprint=known, _clock=copy.copy(self._clock))
        return other

    def close(self) -> None:
        """End the workers, if there are any; they also end with this process, and with the last use of this runner."""
        self._place.pool.close()

    def run(self, stage: str, trials: Sequence[Trial], steps: int, *, score_every: int | None = None) -> Curves:
        """Return the record of `trials` over `steps` updates, in their order."""
        record = _Record(trials, steps)
        keys = self._keys(trials, steps, score_every)
        if self._journal is not None:
            record.add(*self._journal.get(keys, trials, steps, self.engine.label))
        self._tell(stage, len(record.places) * steps)
        table = Table(_missing(self.engine, trials, set(record.places)))
        count = len(table.waiting)

        def order(wave: Wave) -> Order:
            return Order(self.task, self.engine, tuple(trials[i] for i in wave.trials), steps, score_every)

        def keep(wave: Wave, curves: Curves) -> None:
            record.add(wave.trials, curves)
            if self._journal is not None:
                self._journal.put([keys[i] for i in wave.trials], curves)
            report()

        def report() -> None:
            if self._journal is not None:
                left = len(table.waiting) + len(table.running)
                self._journal.report(stage, max(0, count - left), max(count, left))

        report()
        tell = partial(self._tell, stage)
        Dispatch(table, self._place, self._clock, order, keep, tell).carry_out()
        self._fail(record, table, keys, score_every)
        self.updates += len(trials) * steps
        return record.whole()

    def _keys(self, trials: Sequence[Trial], steps: int, score_every: int | None) -> list[str]:
        if self._journal is None:
            return []
        return [trial_key(self._fingerprint, trial, steps, score_every, self.engine.label) for trial in trials]

    def _tell(self, stage: str, updates: int) -> None:
        if self._journal is not None:
            self._journal.beat()
        if self._progress is not None and updates:
            self._progress(stage, updates)

    def _fail(self, record: _Record, table: Table, keys: Sequence[str], score_every: int | None) -> None:
        """Note the trials that failed; raise the error of the first when nothing else was run."""
        for index, reason in table.failed.items():
            if not record.places:
                raise reason if isinstance(reason, Exception) else TaskError(f"{self.task.name!r} fails: {reason}.")
            trial, said = record.trials[index], str(reason)
            self.failures[trial] = said
            if self._journal is not None:
                self._journal.fail(keys[index], trial, said)
        if table.failed:
            record.fail(tuple(table.failed), score_every, self.engine.label)


class _Record:
    """What is known of the trials of one run, part by part.

    places: the trials, by index, in the order in which they became known.
    """

    def __init__(self, trials: Sequence[Trial], steps: int) -> None:
        self.trials, self.steps = trials, steps
        self.places: list[int] = []
        self._parts: list[Curves] = []

    def add(self, places: Sequence[int], curves: Curves | None) -> None:
        """Add what became known of some trials."""
        if curves is not None:
            self.places += places
            self._parts.append(curves)

    def fail(self, places: Sequence[int], score_every: int | None, engine: str) -> None:
        """Add trials without a number: they count as diverged from the start."""
        points = score_points(self.steps, score_every)
        losses = np.full((self.steps, len(places)), np.nan, self._parts[0].losses.dtype)
        scores = np.full((len(points), len(places)), np.inf)
        trials = tuple(self.trials[place] for place in places)
        self.add(places, Curves(trials, self.steps, losses, np.array(points), scores, 0.0, engine))

    def whole(self) -> Curves:
        """Return all of it, in the order of the trials."""
        return reordered(self._parts, [self.places])


def _missing(engine: Engine, trials: Sequence[Trial], known: set[int]) -> list[list[int]]:
    """Return the waves of what is not known: whole ones as they always are, and what is left of others, regrouped."""
    waves = engine.waves(trials)
    whole = [wave for wave in waves if known.isdisjoint(wave)]
    left = [i for wave in waves if not known.isdisjoint(wave) for i in wave if i not in known]
    again = engine.waves([trials[i] for i in left]) if left else []
    return whole + [[left[i] for i in wave] for wave in again]
