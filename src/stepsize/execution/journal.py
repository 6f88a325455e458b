"""The journal: every finished trial on disk, so that a job killed at any moment goes on where it was.

A folder with one SQLite file in WAL mode, which one process at a time writes, and large arrays beside it::

    journal.sqlite    trials, failures, tasks, engines, status
    arrays/KEY.npy    the losses of a long trial
    lock, holder.json the lock, and which process took it last

A trial's key is a hash of what it is: the task's data, model and loss, the strategy, the seed, the length, the engine
and the versions of stepsize and torch. So a changed task or another horizon never meets old numbers.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Self
from warnings import warn

import numpy as np

from stepsize.execution.journal_store import KnownTask, Store
from stepsize.execution.task_fingerprint import difference, fingerprint
from stepsize.kernel.errors import JournalError
from stepsize.kernel.optional import versions_of
from stepsize.kernel.spec import encode
from stepsize.kernel.text import count
from stepsize.problems import Trainable
from stepsize.problems.task_files import task_texts
from stepsize.results import Curves
from stepsize.strategy import Trial

BEAT = 1.0
"""Seconds between two signs of life in the table `status`."""


class Journal(Store):
    """Finished trials in a folder; use it as a context manager.

    renew: takes a sentence about a task that has changed since the journal was written, such as `print`; its trials
        are then run anew. Without it such a task is refused.
    note: takes a sentence that does not stop the work, such as that a file of the task was edited; `warnings.warn` when
        not given.

    Raises FormatError when the folder holds something else, or a journal of another version; JournalError when another
    process holds it, or when it cannot be written, and for a task that has changed.
    """

    def __init__(
        self, path: str | Path, *, renew: Callable[[str], None] | None = None, note: Callable[[str], object] = warn
    ) -> None:
        super().__init__(Path(path))
        self._renew, self._note = renew, note
        self._beat = 0.0

    def __len__(self) -> int:
        """The number of finished trials."""
        return self.count("trials")

    def recognise(self, task: Trainable, *, variant: bool = False) -> str:
        """Return the fingerprint of `task`: that of the one that is known here and agrees with it, if there is one.

        variant: whether it is made from another task on purpose, such as by another batch size.

        Raises JournalError for a task that is not what it was, if any trial is finished and there is no `renew`.
        """
        now = {**task.fingerprint_parts(), **_versions()}
        known, name = self.tasks(), task.source or task.name
        parts = next((other.parts for other in known.values() if not difference(other.parts, now)), now)
        if variant:
            name, files = f"{name} {fingerprint(parts)}", {}
        else:
            files = task_texts(task.source)
            if name in known and len(self):
                self._compare(name, known[name], KnownTask(now, files))
        self.keep_task(name, KnownTask(parts, files))
        return fingerprint(parts)

    def _compare(self, name: str, before: KnownTask, now: KnownTask) -> None:
        other = difference(before.parts, now.parts)
        if other:
            self._changed(f"{name} is not what it was when {self.folder} was written (another {other})")
            return
        edited = [file for file in {**before.files, **now.files} if before.files.get(file) != now.files.get(file)]
        if edited:
            self._note(
                f"{' and '.join(edited)} changed since {self.folder} was written. Data, model, losses and gradients of "
                f"the first batches of {name} are as they were, so the finished trials are used; if what has changed "
                "shows only later in training, name another folder."
            )

    def _changed(self, what: str) -> None:
        if self._renew is None:
            raise JournalError(
                f"{what}, so its finished trials say nothing of it now. Name another folder, or undo that."
            )
        self._renew(f"{what}, so its trials are run anew.")

    def get(
        self, keys: Sequence[str], trials: Sequence[Trial], steps: int, points: Sequence[int], engine: str
    ) -> tuple[list[int], Curves | None]:
        """Return which of `trials` are here, by index, and their record; None when there is none.

        points: after how many updates they are scored.
        """
        damaged = self.damaged
        rows = {i: row for i, key in enumerate(keys) if (row := self.trial(key, steps, points)) is not None}
        if self.damaged > damaged:
            some = count(self.damaged - damaged, "trial")
            self._note(f"{some} in {self.folder} cannot be believed (a checksum fails, or a file is gone): run again.")
        if not rows:
            return [], None
        losses, scored, scores, seconds = zip(*rows.values(), strict=True)
        known = tuple(trials[i] for i in rows)
        curves = Curves(
            known, steps, np.stack(losses, axis=1), scored[0], np.stack(scores, axis=1), sum(seconds), engine
        )
        return list(rows), curves

    def put(self, keys: Sequence[str], curves: Curves) -> None:
        """Write the record of a batch of trials, all of it or nothing."""
        share = curves.seconds / len(keys)
        self.keep_trials(
            (key, curves.losses[:, i], curves.score_steps, curves.scores[:, i], share) for i, key in enumerate(keys)
        )

    def report(self, stage: str, done: int, total: int) -> None:
        """Note how many batches of a stage are done."""
        self.keep_status(stage, done, total)
        self._beat = time.monotonic()

    def beat(self) -> None:
        """Give a sign of life, once in a while."""
        if time.monotonic() - self._beat > BEAT:
            super().beat()
            self._beat = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def trial_key(task: str, trial: Trial, steps: int, score_every: int | None, engine: str) -> str:
    """Return the key of a trial on the task with this fingerprint."""
    rule, policy = encode(trial.strategy.rule), encode(trial.strategy.over(steps).policy)
    versions = list(_versions().values())
    text = json.dumps([versions, task, rule, policy, trial.seed, steps, score_every, engine], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _versions() -> dict[str, str]:
    return {f"version of {package}": version for package, version in versions_of("stepsize", "torch").items()}
