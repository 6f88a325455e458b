"""The journal: every finished trial on disk, so that a job killed at any moment goes on where it was.

One SQLite file in WAL mode with one writer. A trial's key is a hash of what it is: the task's data, model and loss,
the strategy, the seed, the length and the versions of stepsize and torch. So a changed task or another horizon never
meets old numbers.
"""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from stepsize.kernel.errors import FormatError
from stepsize.kernel.optional import need
from stepsize.kernel.spec import NDArray, encode
from stepsize.problems import Task
from stepsize.results import Curves
from stepsize.strategy import Trial

_COLUMNS = ("key TEXT PRIMARY KEY", "losses BLOB", "score_steps BLOB", "scores BLOB", "seconds REAL")


class Journal:
    """Finished trials in one SQLite file; use it as a context manager.

    Raises FormatError when the file is not a journal.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self.path)
        except (sqlite3.Error, OSError) as error:
            raise self._refused(str(error)) from None
        try:
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute(f"CREATE TABLE IF NOT EXISTS trials ({', '.join(_COLUMNS)})")
            found = [f"{row[1]} {row[2]}" for row in self._base.execute("PRAGMA table_info(trials)")]
        except sqlite3.Error as error:
            self._base.close()
            raise self._refused(str(error)) from None
        if found != [column.removesuffix(" PRIMARY KEY") for column in _COLUMNS]:
            self._base.close()
            raise self._refused("its table of trials is another program's")

    def _refused(self, reason: str) -> FormatError:
        return FormatError(f"{self.path} is not a journal of stepsize ({reason}); name another folder.")

    def __len__(self) -> int:
        count: int = self._base.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
        return count

    def get(self, keys: Sequence[str], trials: Sequence[Trial], steps: int, engine: str) -> Curves | None:
        """Return the record of `trials`, or None unless every one of them is here."""
        rows = [
            self._base.execute("SELECT losses, score_steps, scores FROM trials WHERE key = ?", [key]).fetchone()
            for key in keys
        ]
        if not all(rows):
            return None
        losses, points, scores = ([_array(row[column]) for row in rows] for column in range(3))
        return Curves(tuple(trials), steps, np.stack(losses, axis=1), points[0], np.stack(scores, axis=1), 0.0, engine)

    def put(self, keys: Sequence[str], curves: Curves) -> None:
        """Write the record of a wave, all of it or nothing."""
        points, share = _blob(curves.score_steps), curves.seconds / len(keys)
        rows = [
            (key, _blob(curves.losses[:, i]), points, _blob(curves.scores[:, i]), share) for i, key in enumerate(keys)
        ]
        with self._base:
            self._base.executemany("INSERT OR REPLACE INTO trials VALUES (?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fingerprint(task: Task) -> str:
    """Return a hash of a task's data, its model with the weights of seed 0, and its loss on the first batch."""
    torch = need("torch")
    digest = hashlib.sha256()
    for tensor in (*task.train, *task.validation):
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    model = task.build(0)
    inputs, targets = task.batch(0, 0)
    for value in (task.batch_size, model, [float(p.detach().double().sum()) for p in model.parameters()]):
        digest.update(repr(value).encode())
    with torch.no_grad():
        digest.update(repr(float(task.loss(model.eval()(inputs), targets))).encode())
    return digest.hexdigest()


def trial_key(task: str, trial: Trial, steps: int, score_every: int | None, engine: str) -> str:
    """Return the key of a trial on the task with this fingerprint."""
    rule, policy = encode(trial.strategy.rule), encode(trial.strategy.over(steps).policy)
    text = json.dumps([_versions(), task, rule, policy, trial.seed, steps, score_every, engine], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _versions() -> list[str]:
    return [metadata.version(package) for package in ("stepsize", "torch")]


def _blob(array: NDArray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _array(blob: bytes) -> NDArray:
    array: NDArray = np.load(io.BytesIO(blob), allow_pickle=False)
    return array
