"""A lock on a file that dies with its process, and says who holds it."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

from stepsize.kernel.errors import JournalError


class Lock:
    """Holds `path` until it is released, or its process ends, however it ends.

    Raises JournalError when another process holds it, OSError when the file cannot be made.

    Watch out: some network file systems lock nothing; two machines then should not share a journal.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="utf-8")
        if not _taken(self._file.fileno()):
            said = _holder(path)
            self._file.close()
            raise JournalError(
                f"the journal {path.parent} is in use by {said}. Wait for it or end it, or name another folder."
            )
        try:
            self._file.truncate(0)
            self._file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}))
            self._file.flush()
        except OSError:
            self._file.close()
            raise

    def release(self) -> None:
        """Let go."""
        self._file.close()


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(who["since"]))
        return f"process {who['pid']} on {who['host']} since {since}"
    except (OSError, ValueError, KeyError):
        return "another process"


if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 30  # the locked byte lies behind what others read

    def _taken(file: int) -> bool:
        try:
            os.lseek(file, FAR, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _taken(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
