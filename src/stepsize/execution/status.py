"""A look at a job from outside, through its journal: read-only, while the job runs or after it."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from stepsize.execution.journal_store import FILE, Stage, status
from stepsize.kernel.errors import FormatError


@dataclass(frozen=True)
class Look:
    """What a journal says of its job.

    stages: how far each is, in order. trials: how many are finished. failures: the trials that failed, and why.
    running: whether its process lives; None when that is on another machine, or not known.
    """

    stages: tuple[Stage, ...]
    trials: int
    failures: tuple[tuple[str, str], ...]
    running: bool | None

    @property
    def left(self) -> float | None:
        """Seconds that the last stage still takes at its pace so far; None when that is not known yet."""
        if not self.stages:
            return None
        last = self.stages[-1]
        if last.done == last.total:
            return 0.0
        return (last.beat - last.began) / last.done * (last.total - last.done) if last.done else None


def look(folder: str | Path) -> Look:
    """Return what the journal in `folder` says of its job.

    Raises FormatError when there is no journal.

    Watch out: it tells of waves that are finished, so nothing moves while a long one runs.
    """
    stages = tuple(sorted(status(Path(folder)), key=lambda stage: stage.beat))
    try:
        base = sqlite3.connect(f"{(Path(folder) / FILE).absolute().as_uri()}?mode=ro", uri=True)
        trials = base.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
        failures = tuple(base.execute("SELECT trial, reason FROM failures ORDER BY at").fetchall())
        base.close()
    except sqlite3.Error as error:
        raise FormatError(f"{folder} is not a journal of stepsize ({error}); name the folder of one.") from None
    return Look(stages, trials, failures, _running(Path(folder) / "lock"))


def _running(lock: Path) -> bool | None:
    """Return whether the process that wrote its number into `lock` lives, as far as this machine can tell."""
    try:
        who = json.loads(lock.read_text(encoding="utf-8"))
        if who["host"] != socket.gethostname() or os.name == "nt":  # where a signal 0 would end the process
            return None
        os.kill(int(who["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return True
