"""The lock of a journal, and which process took it last."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from stepsize.execution.sealed_rows import seal
from stepsize.kernel.errors import FormatError, JournalError
from stepsize.kernel.output_files import read_limited, write
from stepsize.kernel.text import plain

LOCK, HOLDER = "lock", "holder.json"
"""The holder has a file of its own: some versions of filelock empty the one they lock."""

LARGEST = 4096
"""Bytes of the largest file about a holder that is read."""


@dataclass(frozen=True)
class Holder:
    """A process that took a lock: its number, its machine, and when, in seconds since 1970."""

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {plain(self.host)} since {since}"

    def to_json(self) -> str:
        """Return it as text, with its checksum."""
        values = asdict(self)
        return json.dumps({**values, "seal": seal(HOLDER, list(values.values()))})


def hold(folder: Path) -> FileLock:
    """Take the lock of the journal in `folder`, until it is released or this process ends, however it ends.

    Raises JournalError when another process holds it, OSError when its files cannot be written.

    Watch out: some network file systems lock nothing; two machines then should not share a journal.
    """
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise JournalError(
            f"the journal {folder} is in use by {holder(folder) or 'another process'}. Wait for it or end it, or name "
            "another folder."
        ) from None
    try:
        write(folder / HOLDER, Holder(os.getpid(), socket.gethostname(), time.time()).to_json())
    except FormatError as error:
        lock.release()
        raise OSError(str(error)) from None
    return lock


def holder(folder: Path) -> Holder | None:
    """Return the process that took the lock last, as far as that can be read and believed."""
    try:
        found = json.loads(read_limited(folder / HOLDER, LARGEST))
        sealed = found.pop("seal")
        process = Holder(**found)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None
    numbers = type(process.pid) is int and 0 < process.pid < 2**31 and type(process.since) is float
    believed = numbers and isinstance(process.host, str) and 0 <= process.since < 1e10
    return process if believed and sealed == seal(HOLDER, list(asdict(process).values())) else None
