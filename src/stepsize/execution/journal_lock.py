"""The lock of a journal: one process at a time writes it, and another learns which."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stepsize.kernel.errors import JournalError

HOLDER = "holder.json"
"""Which process took the lock last. A file of its own: some versions of filelock empty the one they lock."""


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
