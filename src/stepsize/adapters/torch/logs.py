"""Where the values in force at each update go: a CSV file, TensorBoard, or any function of yours.

A log is a function of the step and the values, `log(step, {"lr": 0.1, "momentum": 0.9})`; with more than one parameter
group the names are `lr/0`, `lr/1`, or `lr/head` where the group has a key "name". Give it to `drive(..., log=...)`.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stepsize.kernel.errors import DriveError, brief

Log = Callable[[int, dict[str, float]], object]
"""Told the step and the values in force at it, before the update."""

COLUMNS = ["step", "name", "value"]


def csv_log(path: str | os.PathLike[str]) -> Log:
    """Return a log that appends to the CSV file at `path` a line for each value: step, name, value.

    A resumed run goes on in the file, and a group that is added later needs no new column.

    Raises DriveError when the file is there and has other columns.

    Watch out: a run that is resumed from a checkpoint writes the steps since that checkpoint again; the later lines
    hold.
    """
    file = Path(path)
    begun = file.exists() and file.stat().st_size > 0
    if begun:
        with file.open(encoding="utf-8", newline="") as stream:
            first = next(csv.reader(stream))
        if first != COLUMNS:
            raise DriveError(f"{file} begins with {brief(first)}, so it is no log of ours; give another file.")

    def log(step: int, values: dict[str, float]) -> None:
        nonlocal begun
        with file.open("a", encoding="utf-8", newline="") as stream:
            lines = csv.writer(stream, lineterminator="\n")
            if not begun:
                lines.writerow(COLUMNS)
                begun = True
            lines.writerows([step, name, value] for name, value in values.items())

    return log


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
