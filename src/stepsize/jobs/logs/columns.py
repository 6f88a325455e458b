"""The columns of logs: what each tool calls the step, the rate, the loss and the gradient norm, and their numbers.

A name that the user gives is taken as it is. Else the names of `KNOWN` are looked for, in their order and in either
case; nothing else is guessed, and what is missing is an error that lists what is there.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stepsize.jobs.logs.files import Row, listed, rows_of
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import FormatError, brief

STEP, EPOCH = "step", "epoch"

KNOWN = {
    STEP: ("global_step", "trainer/global_step", "train/global_step", "step", "iteration", "iter", "update", "_step"),
    EPOCH: ("epoch", "train/epoch", "trainer/epoch"),
    "lr": ("lr", "learning_rate", "train/lr", "train/learning_rate"),
    "loss": ("loss", "train_loss", "train/loss", "train_loss_step", "train/loss_step", "training_loss"),
    "grad_norm": ("grad_norm", "train/grad_norm", "gradient_norm", "train_grad_norm"),
}
"""The names of each column, what counts more first: a step through the whole run before one that may begin again."""

OPTIMIZERS = ("lr-", "lr/")
"""How the name of a rate begins that belongs to one optimizer (Lightning) or one group (`csv_log`)."""

OTHERS = ("-momentum", "-weight_decay")
"""How a name ends that begins as a rate does and is none (Lightning's LearningRateMonitor)."""

OPTION = {STEP: "--step-column", "lr": "--lr-column", "loss": "--loss-column", "grad_norm": "--norm-column"}


class Series(NamedTuple):
    """The numbers of one column of one run, in the order of the file.

    steps, values: (events,). epochs: of each, NaN where its row has none. parts: how many lines of names came before.
    """

    steps: Floats
    values: Floats
    epochs: Floats
    parts: Floats

    def where(self, kept: Any) -> Series:
        """Return some of the events, by a mask, a slice or an order."""
        return Series(*(each[kept] for each in self))


@dataclass
class Recorded:
    """What the files hold of one run.

    files: which. names: of the columns that were taken, by word. series: by word. rows: how many. lost: numbers that
    are not finite, and what is no number. seen: the names of all columns there.
    """

    files: list[Path]
    names: dict[str, str] = field(default_factory=dict)
    events: dict[str, tuple[array[float], ...]] = field(default_factory=dict)
    rows: int = 0
    lost: int = 0
    seen: set[str] = field(default_factory=set)

    def add(self, word: str, *event: float) -> None:
        """Take one number of a column: step, value, epoch and part."""
        columns = self.events.setdefault(word, tuple(array("d") for _ in Series._fields))
        for column, number in zip(columns, event, strict=True):
            column.append(number)

    def series(self) -> dict[str, Series]:
        """Return the numbers by word."""
        return {word: Series(*(floats(np.array(each)) for each in columns)) for word, columns in self.events.items()}

    def require(self, name: str, columns: Sequence[str], given: Mapping[str, str | None]) -> None:
        """Raise FormatError for a column that is not there, or has no number."""
        where = ", ".join(map(str, self.files[:3])) + ", ..." * (len(self.files) > 3)
        for word in columns:
            if word not in self.names:
                raise FormatError(_missing(where, word, given[word] or word, self.seen))
            if word not in self.events:
                counts = [f"{self.count(each)} in {self.names[each]!r}" for each in columns if each in self.names]
                raise FormatError(
                    f"{where}: run {brief(name)} has no number in {self.names[word]!r} beside a step. Its {self.rows} "
                    f"rows have {', '.join(counts)}."
                )

    def count(self, word: str) -> int:
        """Return how many numbers a column has."""
        return len(self.events[word][0]) if word in self.events else 0


def record_columns(
    files: Sequence[Path], wanted: Mapping[str, str | None], run: str | None = None
) -> dict[str, Recorded]:
    """Return the runs in some logs, by name: each file is one, but where a column or the file itself says the run.

    wanted: what each column is called, by our word for it, or None for the names that are known. run: the column that
        tells the runs of a file apart. Files that say their runs themselves are put together by these.
    """
    runs: dict[str, Recorded] = {}
    names = run_names(files)
    for file, own in zip(files, names, strict=True):
        seen = _names(file)
        called = {word: _find(file, word, wanted.get(word), seen) for word in (*wanted, EPOCH)}
        taken = {word: column for word, column in called.items() if column is not None}
        if STEP not in taken:
            raise FormatError(_missing(str(file), STEP, wanted[STEP] or STEP, seen))
        if run is not None and run not in seen:
            raise FormatError(_missing(str(file), "run", run, seen))
        for row in rows_of(file):
            name = row.run if row.run is not None else own if run is None else f"{row.cells.get(run) or ''}"
            found = runs.setdefault(name, Recorded([]))
            if file not in found.files:
                found.files.append(file)
                found.seen |= seen
            found.names.update(taken)
            _take(found, row, taken)
    return runs


def run_names(files: Sequence[Path]) -> list[str]:
    """Return a name for each file: without its ending, and with its folder where several are called so.

    >>> run_names([Path("version_0/metrics.csv"), Path("version_1/metrics.csv"), Path("cosine.csv")])
    ['version_0/metrics', 'version_1/metrics', 'cosine']
    """
    stems = [file.stem for file in files]
    return [
        f"{file.absolute().parent.name}/{stem}" if stems.count(stem) > 1 else stem
        for file, stem in zip(files, stems, strict=True)
    ]  # fmt: skip


def _names(file: Path) -> set[str]:
    """Return the names of all columns of a file; in JSON each row may have others."""
    names: set[str] = set()
    for row in rows_of(file):
        names.update(map(str, row.cells))
    return names


def _find(file: Path, word: str, given: str | None, names: set[str]) -> str | None:
    """Return what a column is called in a file: as given, or by the first of its known names; None without one."""
    if given is not None:
        return given if given in names else None
    lower = {name.lower(): name for name in sorted(names)}
    known = next((lower[name] for name in KNOWN[word] if name in lower), None)
    if known is not None or word != "lr":
        return known
    rates = [name for name in sorted(names) if name.startswith(OPTIMIZERS) and not name.endswith(OTHERS)]
    if len(rates) > 1:
        raise FormatError(f"{file} has several rates, {listed(rates)}. Say which one is meant by --lr-column.")
    return rates[0] if rates else None


def _missing(where: str, word: str, name: str, seen: set[str]) -> str:
    known = f", nor any of its other names ({', '.join(KNOWN[word])})" if name == word and word in KNOWN else ""
    return (
        f"{where} has no column {name!r}{known}; it has {listed(sorted(seen))}. Say what yours is called by "
        f"{OPTION.get(word, '--run-column')}."
    )


def _take(found: Recorded, row: Row, taken: Mapping[str, str]) -> None:
    """Take the numbers of a row, each for itself: a row need not have all of them."""
    found.rows += 1
    step, epoch = _number(row.cells.get(taken[STEP])), _number(row.cells.get(taken.get(EPOCH, "")))
    for word, name in taken.items():
        value = _number(row.cells.get(name))
        if word in (STEP, EPOCH) or value is None:
            continue
        if step is None or not (math.isfinite(step) and math.isfinite(value)):
            found.lost += 1
        else:
            found.add(word, step, value, math.nan if epoch is None else epoch, row.part)


def _number(cell: Any) -> float | None:
    """Return the number in a cell, NaN for what is none, None for an empty cell."""
    if cell is None or cell == "":
        return None
    try:
        return math.nan if isinstance(cell, bool | list | dict) else float(cell)
    except (ValueError, TypeError, OverflowError):
        return math.nan
