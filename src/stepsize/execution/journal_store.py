"""The folder of a journal: its tables, its arrays, its lock, and what it says when the disk is full."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stepsize.execution.journal_lock import HOLDER, LOCK, hold
from stepsize.execution.sealed_rows import (
    TABLES,
    VERSION,
    SealedRow,
    careful,
    foreign,
    ours,
    put,
    rows,
    schema,
    version,
)
from stepsize.kernel.errors import FormatError, JournalError, StepsizeError, brief
from stepsize.kernel.output_files import read_limited, write
from stepsize.kernel.spec import NDArray, npy_array, npy_bytes

FILE, ARRAYS = "journal.sqlite", "arrays"

OWN = [FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal", ARRAYS, LOCK, HOLDER]
"""All that lies in the folder of a journal."""

HEADER = 4096
"""Bytes of the largest header of an array."""

LARGE = 1 << 16
"""Bytes from which an array has a file of its own."""

Row = tuple[NDArray, NDArray, NDArray, float]
"""A finished trial: losses, after how many updates it was scored, scores, seconds."""


@dataclass(frozen=True)
class KnownTask:
    """What is known of a task: the parts of its fingerprint, and the hashes of its files."""

    parts: dict[str, str]
    files: dict[str, str]


class Store:
    """The tables and arrays of one journal, in a folder that is made when it is missing.

    damaged: how many rows of trials could not be believed.

    Raises FormatError when the folder holds something else, a journal of another version, or a damaged one;
    JournalError when another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._home = folder, folder.absolute()
        strange = foreign(self._home, OWN)
        if strange:
            raise self._refused(strange)
        if folder.is_file():
            raise self._refused(
                "it is one file, as an earlier version of stepsize wrote, and a journal is a folder now"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = hold(folder)
        except JournalError:
            raise
        except (FileExistsError, NotADirectoryError) as error:
            raise self._refused(error.strerror or "") from None
        except OSError as error:
            raise JournalError(
                f"the journal {folder} cannot be written ({error.strerror or error}); name another folder."
            ) from None
        self.damaged = 0
        self._stage: tuple[str, int, int, float] | None = None
        try:
            self._base = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            base = careful(sqlite3.connect(self._home / FILE))
        except sqlite3.Error as error:
            raise self._broken(error) from None
        try:
            self._check(base)
            base.execute("PRAGMA journal_mode=WAL")
            if version(base) < VERSION:  # all of it or nothing: a driver may be killed here too
                base.executescript(f"BEGIN; {TABLES} PRAGMA user_version={VERSION}; COMMIT")
        except sqlite3.Error as error:
            base.close()
            raise self._broken(error) from None
        except BaseException:
            base.close()
            raise
        return base

    def _check(self, base: sqlite3.Connection) -> None:
        number, found = version(base), schema(base)
        if number > VERSION:
            raise self._refused(f"a newer stepsize wrote it, version {number}, and this one reads {VERSION}")
        if number not in {0, VERSION}:
            raise self._refused(f"an earlier version of stepsize wrote it, {number}, and this one reads {VERSION}")
        if number == 0 and found:
            raise self._refused(f"it has a table {found[0][1]!r} of another program")
        if number == VERSION and found != ours():
            raise self._refused("its tables are not those that a journal has")
        (said,) = base.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise self._refused(f"it is damaged: {brief(said)}")

    def _refused(self, reason: str) -> FormatError:
        return FormatError(f"{self.folder} is not a journal of stepsize ({reason}); name another folder.")

    def _broken(self, error: sqlite3.Error) -> StepsizeError:
        """Return what an error of SQLite means: a disk, permissions, another program, or what is no database."""
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return JournalError(f"{self.folder} cannot be written ({error}); free some space.")
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
            return JournalError(f"{self.folder} cannot be written ({error}); allow that, or name another folder.")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return JournalError(f"{self.folder} is held by another program ({error}); end that one first.")
        return self._refused(str(error))

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        try:
            return int(self._base.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608  (our own names)
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def _rows(self, table: str, key: str | None = None) -> list[SealedRow | None]:
        """Return the rows of a table, or the one with `key`; None for one that is damaged."""
        try:
            return list(rows(self._base, table, key))
        except sqlite3.Error as error:
            raise self._broken(error) from None

    def trial(self, key: str, steps: int, points: Sequence[int]) -> Row | None:
        """Return the row of a finished trial without its key; None when it is not here, or damaged.

        steps, points: how long it is, and after how many updates it was scored.
        """
        found = self._rows("trials", key)
        if not found:
            return None
        try:
            return self._checked(found[0], steps, points)
        except Exception:  # noqa: BLE001  (NumPy reads a header as Python, which fails in many ways)
            self.damaged += 1
            return None

    def _checked(self, row: SealedRow | None, steps: int, points: Sequence[int]) -> Row:
        """Return a row whose arrays are what they must be; what fails raises, and is run again."""
        if row is None:
            raise ValueError("its checksum is another")
        key, losses, at, scores, seconds = row
        raw = self._array(key, losses, steps) if isinstance(losses, str) else losses
        found = npy_array(raw), npy_array(at), npy_array(scores)
        shapes = [array.shape for array in found]
        if shapes != [(steps,), (len(points),), (len(points),)] or [array.dtype.kind for array in found] != [
            "f",
            "i",
            "f",
        ]:
            raise ValueError(f"it has arrays of the shapes {shapes}")
        if found[1].tolist() != list(points) or not seconds >= 0:
            raise ValueError("it was scored at other steps")
        return *found, float(seconds)

    def _array(self, key: str, digest: str, steps: int) -> bytes:
        """Return the array of a trial that lies in a file of its own."""
        raw = read_limited(self._home / ARRAYS / f"{key}.npy", HEADER + 16 * steps)
        if _digest(raw) != digest:
            raise ValueError("its file is another")
        return raw

    def keep_trials(self, found: Iterable[tuple[str, *Row]]) -> None:
        """Write finished trials, all of them or none."""
        with self._written() as base:
            for key, losses, points, scores, seconds in found:
                put(base, "trials", key, self._blob(key, losses), npy_bytes(points), npy_bytes(scores), float(seconds))
                base.execute("DELETE FROM failures WHERE key = ?", [key])

    def _blob(self, key: str, losses: NDArray) -> bytes | str:
        """Return an array as bytes; or write it into a file of its own when it is large, and return its checksum."""
        raw = npy_bytes(losses)
        if losses.nbytes < LARGE:
            return raw
        try:
            write(self._home / ARRAYS / f"{key}.npy", raw)
        except FormatError as error:
            raise OSError(str(error)) from None
        return _digest(raw)

    def keep_failure(self, key: str, trial: str, reason: str) -> None:
        """Write why a trial failed."""
        with self._written() as base:
            put(base, "failures", key, trial, reason, time.time())

    def failures(self) -> list[tuple[str, str]]:
        """Return the trials that failed and have not been finished since, and why."""
        found = [row for row in self._rows("failures") if row is not None]
        return [(row[1], row[2]) for row in sorted(found, key=lambda row: float(row[3]))]

    def tasks(self) -> dict[str, KnownTask]:
        """Return the tasks that were run, by name."""
        found = sorted((row for row in self._rows("tasks") if row is not None), key=lambda row: float(row[3]))
        return {name: KnownTask(json.loads(parts), json.loads(files)) for name, parts, files, _ in found}

    def keep_task(self, name: str, task: KnownTask) -> None:
        """Write what is known of a task; it takes the place of what was, under this name."""
        with self._written() as base:
            put(base, "tasks", name, json.dumps(task.parts), json.dumps(task.files), time.time())

    def engine(self, task: str) -> tuple[str, str] | None:
        """Return the label of the engine that was chosen for the task with this fingerprint, and why, if one was.

        Raises FormatError when that is damaged: with another engine the finished trials would be others.
        """
        found = self._rows("engines", task)
        if not found:
            return None
        if found[0] is None:
            raise self._refused("it is damaged: nobody knows by which engine its trials were run")
        return str(found[0][1]), str(found[0][2])

    def keep_engine(self, task: str, engine: str, reason: str) -> None:
        """Write which engine was chosen for a task, and why."""
        with self._written() as base:
            put(base, "engines", task, engine, reason)

    def keep_status(self, stage: str, done: int, total: int) -> None:
        """Write how far a stage is; with none of its batches done, it begins now, even if it has begun before."""
        now = time.time()
        before = next(iter(self._rows("status", stage)), None)
        began = now if before is None or (done == 0 and total > 0) else float(before[3])
        self._stage = stage, done, total, began
        with self._written() as base:
            put(base, "status", *self._stage, now)

    def keep_answer(self, answer: str) -> None:
        """Write what the job would answer now; it takes the place of the one before."""
        with self._written() as base:
            put(base, "answers", 0, answer, time.time())

    def beat(self) -> None:
        """Write that the stage of the last status still runs."""
        if self._stage is not None:
            with self._written() as base:
                put(base, "status", *self._stage, time.time())

    @contextmanager
    def _written(self) -> Iterator[sqlite3.Connection]:
        """Write in one transaction; a disk that is full, or broken, is said in one line."""
        try:
            with self._base:
                yield self._base
        except sqlite3.Error as error:
            with suppress(sqlite3.Error, OSError):
                self._base.rollback()
            raise self._unwritten(error) from error
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: sqlite3.Error | OSError) -> StepsizeError:
        """Return what went wrong while something was written, and what becomes of the finished trials."""
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.OperationalError):  # it is damaged
            return self._broken(error)
        reason = str(error) if not isinstance(error, OSError) else error.strerror or str(error)
        free = shutil.disk_usage(self._home).free if self._home.is_dir() else 0
        locked = getattr(error, "sqlite_errorname", "").startswith("SQLITE_READONLY")
        kept = "The finished trials in it are safe"
        with suppress(StepsizeError):
            kept = f"The {self.count('trials')} finished trials in it are safe"
        return JournalError(
            f"the journal {self.folder} cannot be written ({reason}; {free / 1e6:.1f} MB free). {kept}: "
            f"{'let it be written' if locked else 'free some space'}, and the same command goes on."
        )

    def close(self) -> None:
        """Close the file, so that another process may have it; nothing is lost without it."""
        with suppress(sqlite3.Error):
            self._base.close()
        self._lock.release()


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
