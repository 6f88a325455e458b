"""What every job needs: a task, an engine that suits it, where it runs, the journal, and who hears how far it is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

from stepsize import engines
from stepsize.engines import Engine, EngineChoice
from stepsize.execution.all_cores import AllCores
from stepsize.execution.dispatch import Deadline, Dispatch, RunRecord
from stepsize.execution.dispatch import Progress as Progress
from stepsize.execution.executor import BatchRun, Executor, ThisProcess
from stepsize.execution.journal import Journal
from stepsize.execution.process_pool import Processes
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.notebook import notebook_progress
from stepsize.problems import Trainable
from stepsize.results import Curves
from stepsize.strategy import Trial

Workers = int | Literal["auto"]
"""How many worker processes; 1 is this process by itself, "auto" takes some beside it where they pay."""


class Runner:
    """Runs trials of one task, batch by batch; a finished trial is in the journal and is never run again.

    ::

        Runner(task)                                            # an engine that suits the task, on all cores
        Runner(task, workers=4, journal=Journal("night"))       # in four worker processes, and killed without loss
        Runner(task, executor=RayPool("host:6379"))             # on a cluster
        Runner(task, engine=Ensemble(64), memory_limit=8e9)     # an engine of your choice, a worker that may not grow

    engine: *how* trials are computed; chosen for the task when not given.
    executor: *where* they run; when not given, this process or `workers`.
    workers: "auto" begins in this process, and takes the other cores where they pay (see `AllCores`), with the numbers
        of 1, which is this process alone; more are as many worker processes.
    time_limit: seconds that a batch may take before its worker is killed; when not given, a generous multiple of what
        the finished ones took. memory_limit: bytes of RAM that a worker may grow to, see `Processes`. With either of
        them batches run in worker processes, in one where none were asked for, as nothing can end a batch in this one.

    progress: called with the stage and the replica-steps since the last call; in a notebook, by default, a line in the
        cell says how far it is.
    updates: replica-steps asked for so far, of this runner and of those that it made for other tasks, whether they were
        run now or read from the journal. replayed: the seconds that this one's in the journal took.
    failures: what went wrong with each trial that failed. Its losses are NaN and its scores inf, and the others go on;
        the journal notes the reason, and another run tries it again.

    A batch that is lost (its worker died, hung, or grew too large) is run again at most twice, then trial by trial, so
    that one bad trial takes no other with it. A batch that raises is run trial by trial at once. When no trial at all
    can be run, its error is raised.

    Watch out: a trial by itself, or in a smaller batch, may differ from the same trial in its batch in the last bits.
    """

    def __init__(
        self,
        task: Trainable,
        *,
        engine: Engine | None = None,
        executor: Executor | None = None,
        journal: Journal | None = None,
        progress: Progress | None = None,
        workers: Workers = "auto",
        time_limit: float | None = None,
        memory_limit: float | None = None,
    ) -> None:
        if executor is not None and memory_limit is not None:
            raise ParameterError(
                "a limit of memory belongs to the executor that was given: Processes(count, memory=...)."
            )
        self.executor = executor or _executor(workers, limited=time_limit is not None, memory=memory_limit)
        self._journal, self._progress = journal, progress or notebook_progress()
        self._begin(task, Deadline(time_limit))
        self._choice = self._chosen() if engine is None else EngineChoice(engine, "as asked")

    def _begin(self, task: Trainable, deadline: Deadline, maker: Runner | None = None) -> None:
        """Begin with a task of which nothing has run yet; maker: the runner that made this one, and counts for it."""
        task.check()
        if isinstance(self.executor, Processes):
            self.executor.accept(task)
        self.task = task
        self.updates, self._maker = 0, maker
        self.replayed = 0.0
        self.failures: dict[Trial, str] = {}
        self._fingerprint = "" if self._journal is None else self._journal.recognise(task, variant=maker is not None)
        self._deadline = deadline

    def _chosen(self) -> EngineChoice:
        """Choose an engine, the one that the journal began with if there is one: its trials are of that engine."""
        if self._journal is None:
            return engines.choose(self.task)
        choice = engines.choose(self.task, self._journal.engine(self._fingerprint))
        self._journal.keep_engine(self._fingerprint, choice.engine.label, choice.reason)
        return choice

    @property
    def engine(self) -> Engine:
        """How trials are computed."""
        return self._choice.engine

    @property
    def why(self) -> str:
        """Which engine runs, and why, in one line; where it runs is `executor.label`."""
        return str(self._choice)

    def on(self, task: Trainable) -> Runner:
        """Return a runner of another task, with the same engine, workers, journal and listener; its updates count here.

        Watch out: its failures are its own.
        """
        other = copy.copy(self)
        other._begin(task, copy.copy(self._deadline), self)  # noqa: SLF001  (it is another of our own)
        return other

    def note(self, answer: str) -> None:
        """Keep in the journal what a job would answer now, for whoever watches it."""
        if self._journal is not None:
            self._journal.keep_answer(answer)

    def close(self) -> None:
        """End the workers, if there are any; they also end with this process, and with the last use of this runner."""
        self.executor.close()

    def run(
        self, stage: str, trials: Sequence[Trial], steps: int, *, score_every: int | None = None,
        engine: Engine | None = None,
    ) -> Curves:  # fmt: skip
        """Return the record of `trials` over `steps` updates, in their order.

        engine: of this run alone, in place of the runner's; a journal keeps its trials apart.
        """
        whole = BatchRun(self.task, engine or self.engine, tuple(trials), steps, score_every)
        record = RunRecord(whole, stage, self._journal, self._fingerprint, self._progress)
        dispatch = Dispatch(record, _missing(whole, set(record.known)), self.executor, self._deadline)
        dispatch.carry_out()
        self.failures |= record.fail(dispatch.failed)
        self._count(len(trials) * steps)
        self.replayed += record.replayed
        return record.curves()

    def _count(self, updates: int) -> None:
        self.updates += updates
        if self._maker is not None:
            self._maker._count(updates)  # noqa: SLF001  (it is another of our own)


def _executor(workers: Workers, *, limited: bool, memory: float | None) -> Executor:
    """Return where trials run; with limits in workers, as nothing could end what this process runs by itself."""
    if workers != "auto" and (not isinstance(workers, int) or workers < 1):
        raise ParameterError(f'workers must be a whole number of at least 1, or "auto", not {workers!r}.')
    if not limited and memory is None and workers in ("auto", 1):
        return AllCores() if workers == "auto" else ThisProcess()
    return Processes(1 if workers == "auto" else workers, memory=memory)


def _missing(whole: BatchRun, known: set[int]) -> list[list[int]]:
    """Return batches of what is not known: whole ones as they always are, and what is left of others, regrouped.

    A batch as it always is gives the same bits; a smaller one may not (see `Runner`).
    """
    batches = whole.engine.split(whole.trials)
    untouched = [batch for batch in batches if known.isdisjoint(batch)]
    left = [i for batch in batches if not known.isdisjoint(batch) for i in batch if i not in known]
    again = whole.engine.split(whole.of(left).trials) if left else []
    return untouched + [[left[i] for i in batch] for batch in again]
