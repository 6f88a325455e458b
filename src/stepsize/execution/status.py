"""The status of a job, read from outside through its journal, while the job runs or after it."""

from __future__ import annotations

import os
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from stepsize.execution.journal_store import FILE, holder
from stepsize.kernel.errors import FormatError


@dataclass(frozen=True)
class Stage:
    """How far one stage of a job is, such as a rung of a race.

    stage: what it runs, in words. done, total: batches of the last time that it ran. began, beat: when it began and
        when it last gave a sign of life, seconds since 1970.
    """

    stage: str
    done: int
    total: int
    began: float
    beat: float


@dataclass(frozen=True)
class Status:
    """What a journal says of its job.

    stages: how far each is, in order. trials: how many are finished. failures: the trials that failed, and why.
    running: whether its process lives; None when that is on another machine, or not known. answer: what the job would
    answer now; "" where it has none yet.
    """

    stages: tuple[Stage, ...]
    trials: int
    failures: tuple[tuple[str, str], ...]
    running: bool | None
    answer: str = ""

    @property
    def left(self) -> float | None:
        """Seconds that the last stage still takes at its pace so far; None when that is not known yet."""
        if not self.stages:
            return None
        last = self.stages[-1]
        if last.done == last.total:
            return 0.0
        return (last.beat - last.began) / last.done * (last.total - last.done) if last.done else None


def read_status(folder: str | Path) -> Status:
    """Return what the journal in `folder` says of its job.

    Raises FormatError when there is no journal.

    Watch out: it counts batches of trials that are finished, so nothing changes while a long one runs.
    """
    try:
        base = sqlite3.connect(f"{(Path(folder) / FILE).absolute().as_uri()}?mode=ro", uri=True)
        rows = base.execute("SELECT stage, done, total, began, beat FROM status ORDER BY beat, number").fetchall()
        trials = base.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
        failures = tuple(base.execute("SELECT trial, reason FROM failures ORDER BY at").fetchall())
        answer = base.execute("SELECT answer FROM answers").fetchone() if _has_answers(base) else None
        base.close()
    except sqlite3.Error as error:
        raise FormatError(f"{folder} is not a journal of stepsize ({error}); name the folder of one.") from None
    return Status(
        tuple(Stage(*row) for row in rows), trials, failures, _running(Path(folder)), answer[0] if answer else ""
    )


def _has_answers(base: sqlite3.Connection) -> bool:
    """Whether a journal keeps answers; one of an earlier version does not."""
    return base.execute("SELECT 1 FROM sqlite_master WHERE name = 'answers'").fetchone() is not None


def _running(folder: Path) -> bool | None:
    """Return whether the process that took the lock last lives, as far as this machine can tell."""
    process = holder(folder)
    if process is None or process["host"] != socket.gethostname() or os.name == "nt":  # a signal 0 would end it there
        return None
    try:
        os.kill(int(process["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except (OSError, ValueError, TypeError):
        return None
    return True
