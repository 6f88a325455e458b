"""Where the values in force at each update go: a CSV file, TensorBoard, or any function of yours.

A log is a function of the step and the values, `log(step, {"lr": 0.1, "momentum": 0.9})`; with more than one parameter
group the names are `lr/0`, `lr/1`, or `lr/head` where the group has a key "name" (`lr/head (2)` for a second of that
name). `stepsize predict --schedules` and `stepsize refine` read the file. Give it to `drive(..., log=...)`.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from stepsize.kernel.errors import DriveError, brief

Log = Callable[[int, dict[str, float]], object]
"""Called once for each update, with the values that it uses: before it, or right after it by an attached driver."""

COLUMNS = ("step", "name", "value")


def csv_log(path: str | os.PathLike[str]) -> Log:
    """Return a log that appends to the CSV file at `path` a line for each value: step, name, value.

    A resumed run goes on in the file, and a group that is added later needs no new column. The lines of an update are
    written at once, and what is there of one in whose middle a run was killed is cut off when the log is opened again.

    Raises DriveError when the file is there and has other columns, when its folder is not, or when the disk is full,
    which leaves no half of an update in the file.

    Watch out: a run that is resumed from a checkpoint writes the steps since that checkpoint again; the later lines
    hold. Of several processes only one may have the log.
    """
    file = Path(path).absolute()  # the training may change the directory
    if not file.parent.is_dir():
        raise DriveError(f"there is no folder {brief(str(file.parent))} for the log {file.name}; make it first.")
    _begin(file)

    return CsvLog(file)


@dataclass(frozen=True)
class CsvLog:
    """Appends to a file; made by `csv_log`."""

    file: Path

    def __call__(self, step: int, values: dict[str, float]) -> None:
        """Append a line for each value."""
        _append(self.file, ((step, name, value) for name, value in values.items()))


def _begin(file: Path) -> None:
    """Write the names of the columns into a file that is new or empty; refuse one that has others."""
    with file.open("a+b") as stream:
        stream.seek(0)
        first = stream.readline(1000)
    if not first:
        _append(file, [COLUMNS])
    elif first.decode("utf-8", "replace").rstrip("\r\n") != ",".join(COLUMNS):
        raise DriveError(
            f"{file} begins with {brief(first)}, and a log of ours with {','.join(COLUMNS)!r}; give another file."
        )
    else:
        _mend(file)


def _mend(file: Path) -> None:
    """Cut off an update in whose middle a run was killed, of which the last line is torn.

    One write is many for a system that kills: it takes page by page.
    """
    with file.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        if stream.read() == b"\n":
            return
        stream.seek(0)
        *lines, torn = stream.read().split(b"\n")
        if not lines:  # the names of the columns alone, whole but for the end of their line
            stream.write(b"\n")
            return
        steps = [line.partition(b",")[0] for line in lines]
        updates = [len(list(each)) for _, each in groupby(steps)]
        step, comma, _ = torn.partition(b",")
        fewer = len(updates) > 2 and updates[-1] < updates[-2]
        begun = updates[-1] if (step == steps[-1] if comma else fewer) else 0
        stream.truncate(sum(len(line) + 1 for line in lines[: len(lines) - begun]))


def _append(file: Path, rows: Iterable[tuple[object, ...]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    lines = text.getvalue().encode("utf-8")
    try:
        with file.open("ab", buffering=0) as stream:
            _write_whole(stream, lines)
    except OSError as error:
        raise DriveError(f"cannot write {file}: {error.strerror or error}.") from None


def _write_whole(stream: io.FileIO, lines: bytes) -> None:
    """Write all of it or nothing: a disk that is full takes a part, and says so only when it is asked again."""
    end = stream.seek(0, os.SEEK_END)
    try:
        while lines:
            lines = lines[stream.write(lines) :]
    except OSError:
        stream.truncate(end)
        raise


def tensorboard_log(writer: Any, prefix: str = "") -> Log:
    """Return a log to a `SummaryWriter` of TensorBoard: one scalar for each name, at the number of its update.

    Raises DriveError for what has no `add_scalar`.
    """
    if not callable(getattr(writer, "add_scalar", None)):
        raise DriveError(
            f"tensorboard_log needs what has add_scalar(tag, value, step), not {brief(writer)}; such as "
            "torch.utils.tensorboard.SummaryWriter(folder)."
        )

    def log(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(prefix + name, value, step)

    return log
