"""The status of a job, read from outside through its journal, while the job runs or after it."""

from __future__ import annotations

import os
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from stepsize.execution.journal_lock import holder
from stepsize.execution.journal_store import FILE, OWN
from stepsize.execution.sealed_rows import VERSION, SealedRow, careful, foreign, ours, rows, schema, version
from stepsize.kernel.errors import FormatError

KINDS = {"status": (str, int, int, float, float), "failures": (str, str, str, float), "answers": (int, str, float)}
"""Of the columns of the tables that are shown."""


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
        if last.done <= 0 or last.beat < last.began:  # the clock was set back
            return None
        return (last.beat - last.began) / last.done * max(0, last.total - last.done)


def read_status(folder: str | Path) -> Status:
    """Return what the journal in `folder` says of its job.

    Raises FormatError when there is no journal.

    Watch out: it counts batches of trials that are finished, so nothing changes while a long one runs.
    """
    home = Path(folder).absolute()
    strange = foreign(home, OWN)
    if strange:
        raise FormatError(f"{folder} is not a journal of stepsize ({strange}); name the folder of one.")
    try:
        base = careful(sqlite3.connect(f"{(home / FILE).as_uri()}?mode=ro", uri=True))
        try:
            if version(base) != VERSION or schema(base) != ours():
                raise sqlite3.DatabaseError("its tables are of another version, or of another program")
            found = {table: _believed(base, table) for table in ("status", "failures", "answers")}
            trials = base.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
        finally:
            base.close()
    except sqlite3.Error as error:
        raise FormatError(f"{folder} is not a journal of stepsize ({error}); name the folder of one.") from None
    stages = sorted((Stage(*row) for row in found["status"]), key=lambda stage: (stage.beat, stage.began))
    failures = tuple((row[1], row[2]) for row in sorted(found["failures"], key=lambda row: row[3]))
    answer = found["answers"][-1][1] if found["answers"] else ""
    return Status(tuple(stages), trials, failures, _running(home), answer)


def _believed(base: sqlite3.Connection, table: str) -> list[SealedRow]:
    """Return the rows of a table whose checksum holds, and whose columns are of the kinds that a journal writes."""
    return [row for row in rows(base, table) if row is not None and tuple(map(type, row)) == KINDS[table]]


def _running(folder: Path) -> bool | None:
    """Return whether the process that took the lock last lives, as far as this machine can tell."""
    process = holder(folder)
    if process is None or process.host != socket.gethostname() or os.name == "nt":  # a signal 0 would end it there
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OSError:
        return None
    return True
