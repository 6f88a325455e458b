"""The tables of a journal, each row with a checksum over all that it says: what fails it is as if it were not there."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

VERSION = 4
"""Of the tables, in the file's `user_version`; a file of another one is refused."""

TABLES = """
CREATE TABLE trials
    (key TEXT PRIMARY KEY, losses BLOB, score_steps BLOB, scores BLOB, seconds REAL, seal TEXT) WITHOUT ROWID;
CREATE TABLE failures (key TEXT PRIMARY KEY, trial TEXT, reason TEXT, at REAL, seal TEXT) WITHOUT ROWID;
CREATE TABLE tasks (name TEXT PRIMARY KEY, parts TEXT, files TEXT, at REAL, seal TEXT) WITHOUT ROWID;
CREATE TABLE engines (task TEXT PRIMARY KEY, engine TEXT, reason TEXT, seal TEXT) WITHOUT ROWID;
CREATE TABLE answers (number INTEGER PRIMARY KEY, answer TEXT, at REAL, seal TEXT);
CREATE TABLE status
    (stage TEXT PRIMARY KEY, done INTEGER, total INTEGER, began REAL, beat REAL, seal TEXT) WITHOUT ROWID;
"""

LONGEST = 1 << 24
"""Bytes of the largest text or array in a row; a longer one is not ours."""

SealedRow = tuple[Any, ...]
"""The columns of a row, without its checksum."""


def seal(table: str, values: Sequence[Any]) -> str:
    """Return the checksum of a row: over its table, and over the kind and the value of each of its columns."""
    return hashlib.blake2b(repr((table, *values)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def put(base: sqlite3.Connection, table: str, *values: Any) -> None:
    """Write a row, in place of the one with its key."""
    row = (*values, seal(table, values))
    base.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  (our own names)


def rows(base: sqlite3.Connection, table: str, key: str | None = None) -> Iterator[SealedRow | None]:
    """Yield the rows of a table, or the one with `key`, without their checksums; None for a damaged one."""
    where = "" if key is None else f" WHERE {_key(table)} = ?"
    for row in base.execute(f"SELECT * FROM {table}{where}", () if key is None else (key,)):  # noqa: S608  (our own names)
        yield row[:-1] if row[-1] == seal(table, row[:-1]) else None


def _key(table: str) -> str:
    return {"tasks": "name", "engines": "task", "answers": "number", "status": "stage"}.get(table, "key")


def version(base: sqlite3.Connection) -> int:
    """Return the version of the tables, 0 for a new file."""
    return int(base.execute("PRAGMA user_version").fetchone()[0])


def schema(base: sqlite3.Connection) -> list[SealedRow]:
    """Return what a file is made of: its tables, and triggers and views if there are any."""
    return base.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    ).fetchall()


def ours() -> list[SealedRow]:
    """Return the schema that a journal of this version has."""
    base = sqlite3.connect(":memory:")
    try:
        base.executescript(TABLES)
        return schema(base)
    finally:
        base.close()


def careful(base: sqlite3.Connection) -> sqlite3.Connection:
    """Return a connection that takes a file for a stranger's: nothing in it may call functions, or be huge."""
    base.execute("PRAGMA trusted_schema=OFF")
    base.execute("PRAGMA cell_size_check=ON")
    base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    return base


def foreign(folder: Path, names: Sequence[str]) -> str:
    """Return which of the files of a journal is there and is no file or folder of its own, in words; "" for none.

    A link, a pipe or a device in the folder of a stranger would be written through, or be waited for.
    """
    for name in names:
        path = folder / name
        wanted = path.is_dir() if name == "arrays" else path.is_file()
        if path.is_symlink() or (path.exists() and not wanted):
            return f"its {name!r} is a link, a device or something else that a journal does not make"
    return ""
