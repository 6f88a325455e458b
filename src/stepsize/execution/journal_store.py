"""The folder of a journal: its tables, its arrays, its lock, and what it says when the disk is full."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from stepsize.kernel.errors import FormatError, JournalError
from stepsize.kernel.spec import NDArray

VERSION = 3
"""Of the tables, in the file's `user_version`; a file of another one is refused."""

FILE, ARRAYS = "journal.sqlite", "arrays"

HOLDER = "holder.json"
"""Which process took the lock last. A file of its own: some versions of filelock empty the one they lock."""

LARGE = 1 << 16
"""Bytes from which an array has a file of its own."""

TABLES = """
CREATE TABLE IF NOT EXISTS trials
    (key TEXT PRIMARY KEY, losses BLOB, score_steps BLOB, scores BLOB, seconds REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (key TEXT PRIMARY KEY, trial TEXT, reason TEXT, at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (name TEXT PRIMARY KEY, parts TEXT, files TEXT, at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS engines (task TEXT PRIMARY KEY, engine TEXT, reason TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (number INTEGER PRIMARY KEY, answer TEXT, at REAL);
CREATE TABLE IF NOT EXISTS status
    (number INTEGER PRIMARY KEY, stage TEXT UNIQUE, done INTEGER, total INTEGER, began REAL, beat REAL);
"""

Row = tuple[NDArray, NDArray, NDArray, float]
"""A finished trial: losses, after how many updates it was scored, scores, seconds."""


@dataclass(frozen=True)
class KnownTask:
    """What is known of a task: the parts of its fingerprint, and the hashes of its files."""

    parts: dict[str, str]
    files: dict[str, str]


class Store:
    """The tables and arrays of one journal, in a folder that is made when it is missing.

    Raises FormatError when the folder holds something else, or a journal of another version; JournalError when another
    process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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
                f"the journal {folder} cannot be written ({error.strerror}); name another folder."
            ) from None
        self._stage = 0
        try:
            self._base = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            base = sqlite3.connect(self.folder / FILE)
        except sqlite3.Error as error:
            raise self._refused(str(error)) from None
        try:
            self._check(_version(base), [row[0] for row in base.execute("SELECT name FROM sqlite_master")])
            base.execute("PRAGMA journal_mode=WAL")
            if _version(base) < VERSION:  # all of it or nothing: a driver may be killed here too
                base.executescript(f"BEGIN; {TABLES} PRAGMA user_version={VERSION}; COMMIT")
        except sqlite3.Error as error:
            base.close()
            if full(error):
                raise JournalError(f"{self.folder} cannot be written ({error}); free some space.") from None
            raise self._refused(str(error)) from None
        except BaseException:
            base.close()
            raise
        return base

    def _check(self, version: int, tables: list[str]) -> None:
        if version > VERSION:
            raise self._refused(f"a newer stepsize wrote it, version {version}, and this one reads {VERSION}")
        if 0 < version < VERSION:
            raise self._refused(f"an earlier version of stepsize wrote it, {version}, and this one reads {VERSION}")
        if version == 0 and tables:
            raise self._refused(f"it has a table {tables[0]!r} of another program")

    def _refused(self, reason: str) -> FormatError:
        return FormatError(f"{self.folder} is not a journal of stepsize ({reason}); name another folder.")

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return int(self._base.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608  (our own names)

    def trial(self, key: str) -> Row | None:
        """Return the row of a finished trial without its key; None when it is not all here."""
        found = self._base.execute("SELECT losses, score_steps, scores, seconds FROM trials WHERE key = ?", [key])
        row = found.fetchone()
        if row is None:
            return None
        try:
            losses = _read(self.folder / ARRAYS / f"{key}.npy" if row[0] is None else io.BytesIO(row[0]))
        except (OSError, ValueError):  # its file was removed, or is not whole: it is run again
            return None
        return losses, _read(io.BytesIO(row[1])), _read(io.BytesIO(row[2])), row[3]

    def keep_trials(self, rows: Iterable[tuple[str, *Row]]) -> None:
        """Write finished trials, all of them or none."""
        with self._written() as base:
            for key, losses, points, scores, seconds in rows:
                row = key, self._blob(key, losses), _blob(points), _blob(scores), seconds
                base.execute("INSERT OR REPLACE INTO trials VALUES (?, ?, ?, ?, ?)", row)
                base.execute("DELETE FROM failures WHERE key = ?", [key])

    def _blob(self, key: str, losses: NDArray) -> bytes | None:
        """Return an array as bytes, or write it into a file of its own when it is large."""
        if losses.nbytes < LARGE:
            return _blob(losses)
        path = self.folder / ARRAYS / f"{key}.npy"
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, losses, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return None

    def keep_failure(self, key: str, trial: str, reason: str) -> None:
        """Write why a trial failed."""
        with self._written() as base:
            base.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", (key, trial, reason, time.time()))

    def failures(self) -> list[tuple[str, str]]:
        """Return the trials that failed and have not been finished since, and why."""
        return [(row[0], row[1]) for row in self._base.execute("SELECT trial, reason FROM failures ORDER BY at")]

    def tasks(self) -> dict[str, KnownTask]:
        """Return the tasks that were run, by name."""
        rows = self._base.execute("SELECT name, parts, files FROM tasks ORDER BY at").fetchall()
        return {name: KnownTask(json.loads(parts), json.loads(files)) for name, parts, files in rows}

    def keep_task(self, name: str, task: KnownTask) -> None:
        """Write what is known of a task; it takes the place of what was, under this name."""
        row = name, json.dumps(task.parts), json.dumps(task.files), time.time()
        with self._written() as base:
            base.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?)", row)

    def engine(self, task: str) -> tuple[str, str] | None:
        """Return the label of the engine that was chosen for the task with this fingerprint, and why, if one was."""
        row = self._base.execute("SELECT engine, reason FROM engines WHERE task = ?", [task]).fetchone()
        return None if row is None else (row[0], row[1])

    def keep_engine(self, task: str, engine: str, reason: str) -> None:
        """Write which engine was chosen for a task, and why."""
        with self._written() as base:
            base.execute("INSERT OR REPLACE INTO engines VALUES (?, ?, ?)", (task, engine, reason))

    def keep_status(self, stage: str, done: int, total: int) -> None:
        """Write how far a stage is; with none of its batches done, it begins now, even if it has begun before."""
        now = time.time()
        with self._written() as base:
            base.execute(
                "INSERT INTO status (stage, done, total, began, beat) VALUES (?, ?, ?, ?, ?) ON CONFLICT (stage) "
                "DO UPDATE SET done = excluded.done, total = excluded.total, beat = excluded.beat, "
                "began = CASE WHEN excluded.done = 0 AND excluded.total > 0 THEN excluded.began ELSE began END",
                (stage, done, total, now, now),
            )
            self._stage = base.execute("SELECT number FROM status WHERE stage = ?", [stage]).fetchone()[0]

    def keep_answer(self, answer: str) -> None:
        """Write what the job would answer now; it takes the place of the one before."""
        with self._written() as base:
            base.execute("INSERT OR REPLACE INTO answers VALUES (0, ?, ?)", (answer, time.time()))

    def beat(self) -> None:
        """Write that the stage of the last status still runs."""
        with self._written() as base:
            base.execute("UPDATE status SET beat = ? WHERE number = ?", (time.time(), self._stage))

    @contextmanager
    def _written(self) -> Iterator[sqlite3.Connection]:
        """Write in one transaction; a disk that is full, or broken, is said in one line."""
        try:
            with self._base:
                yield self._base
        except (sqlite3.OperationalError, OSError) as error:
            with suppress(sqlite3.Error, OSError):
                self._base.rollback()
            raise self._unwritten(error) from error

    def _unwritten(self, error: Exception) -> JournalError:
        reason = str(error) if not isinstance(error, OSError) else error.strerror or str(error)
        free = shutil.disk_usage(self.folder).free if self.folder.is_dir() else 0
        return JournalError(
            f"the journal {self.folder} cannot be written ({reason}; {free / 1e6:.1f} MB free). The "
            f"{self.count('trials')} finished trials in it are safe: free some space, and the same command goes on."
        )

    def close(self) -> None:
        """Close the file, so that another process may have it; nothing is lost without it."""
        with suppress(sqlite3.Error):
            self._base.close()
        self._lock.release()


def full(error: Exception) -> bool:
    """Whether an error of SQLite says that nothing can be written, and not that the file is another program's."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR"))


def _version(base: sqlite3.Connection) -> int:
    return int(base.execute("PRAGMA user_version").fetchone()[0])


def _blob(array: NDArray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _read(source: Any) -> NDArray:
    array: NDArray = np.load(source, allow_pickle=False)
    return array


def hold(folder: Path) -> FileLock:
    """Take the lock of the journal in `folder`, until it is released or this process ends, however it ends.

    Raises JournalError when another process holds it, OSError when its files cannot be written.

    Watch out: some network file systems lock nothing; two machines then should not share a journal.
    """
    lock = FileLock(folder / "lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise JournalError(
            f"the journal {folder} is in use by {_name(holder(folder))}. Wait for it or end it, or name another folder."
        ) from None
    try:
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()})
        (folder / HOLDER).write_text(text, encoding="utf-8")
    except OSError:
        lock.release()
        raise
    return lock


def holder(folder: Path) -> dict[str, Any] | None:
    """Return the process that took the lock last (pid, host, since), as far as that can be read."""
    try:
        process = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return process if isinstance(process, dict) and {"pid", "host", "since"} <= process.keys() else None


def _name(process: dict[str, Any] | None) -> str:
    if process is None:
        return "another process"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process["since"]))
    return f"process {process['pid']} on {process['host']} since {since}"
