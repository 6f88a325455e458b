"""Reading the user's own logs: plain CSV files with a line of names, one row a step.

Nothing is guessed: a column that is missing is an error that lists what is there, rows without a number are left out
and counted, and of rows with the same step the later one holds, as in a log that a resumed run has written.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import BudgetError, FormatError, ParameterError
from stepsize.results import LossCurve

STEP = "step"

JUMP = 4.0
"""A change of the rate between two rows that is so many times that of its neighbours happened at once."""


class Log(NamedTuple):
    """One run's rows. steps: rising, (rows,). columns: by name, each (rows,). dropped: rows that were left out."""

    name: str
    steps: Floats
    columns: dict[str, Floats]
    dropped: int


def read_log(
    path: str | os.PathLike[str], names: Mapping[str, str], *, run: str | None = None, optional: Sequence[str] = ()
) -> list[Log]:
    """Return the runs in a CSV file: the one that it holds, or one for each value of the column `run`.

    names: what each needed column is called in the file, by our word for it; one of them is "step". optional: words
        whose column may be missing. Rows in which a needed column holds no finite number are left out.

    Raises FormatError when the file cannot be read, is empty, lacks a column, or has no row of numbers.
    """
    file = Path(path)
    rows = _rows(file)
    head = list(rows[0]) if rows else []
    wanted = {word: name for word, name in names.items() if word not in optional or name in head}
    for name in (*wanted.values(), *(() if run is None else (run,))):
        if name not in head:
            raise FormatError(
                f"{file} has no column {name!r}; it has {', '.join(map(repr, head))}. Say what yours "
                "is called, on the command line by the option that ends in -column."
            )
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(file.stem if run is None else (row[run] or ""), []).append(row)
    return [_log(file, name, group, wanted) for name, group in groups.items()]


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True, restval="")
            rows = list(reader)
            names = reader.fieldnames
    except OSError as error:
        raise FormatError(f"cannot read {file}: {error.strerror or error}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{file} is no CSV file: {error}.") from None
    if not names:
        raise FormatError(f"{file} is empty; a log has a line of column names, and a row for each step.")
    if not rows:
        raise FormatError(f"{file} has the columns {', '.join(map(repr, names))} and no row.")
    return rows


def _log(file: Path, name: str, rows: Sequence[Mapping[str, str]], names: Mapping[str, str]) -> Log:
    table = floats([[_number(row[column]) for column in names.values()] for row in rows])
    whole = table[np.isfinite(table).all(axis=1)]
    if not len(whole):
        raise FormatError(f"{file} has no row with a number in each of {', '.join(map(repr, names.values()))}.")
    step_column = list(names).index(STEP)
    steps = whole[:, step_column]
    if (steps < 0).any() or (steps != np.floor(steps)).any():
        worst = steps[(steps < 0) | (steps != np.floor(steps))][0]
        raise FormatError(f"{file}: a step is a whole number of at least 0, not {worst:g}.")
    last = {step: i for i, step in enumerate(steps.tolist())}
    order = [last[step] for step in sorted(last)]
    columns = {word: whole[order, i] for i, word in enumerate(names) if i != step_column}
    return Log(name, steps[order], columns, len(table) - len(whole))


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def rates_between(steps: Floats, rates: Floats, total: int, warmup: int = 0) -> Floats:
    """Return the rate of every update of a run from those of some, (total,).

    steps, rates: of the rows, (rows,), steps rising. warmup: how many updates the rate rose for, linearly from 0 to
        that of the first row after them; before the first row it is held otherwise.
    Between two rows it goes on a line, but for a jump, a change much larger than those beside it, which happens at the
    later row. After the last row it is held.

    Raises ParameterError for rates that are negative, or a warmup as long as the run.
    """
    if not (np.isfinite(rates).all() and (rates >= 0).all() and rates.any()):
        raise ParameterError("the rates of a log must be finite, at least 0, and not all 0; look at its column lr.")
    if not 0 <= warmup < total:
        raise ParameterError(f"a warmup of {warmup} updates does not fit a run of {total}.")
    changes = np.abs(np.diff(rates, prepend=rates[0], append=rates[-1]))
    beside = np.maximum(changes[:-2], changes[2:])
    jumps = np.flatnonzero((changes[1:-1] > JUMP * beside) & (np.diff(steps) > 1)) + 1
    knots = np.concatenate([steps, steps[jumps] - 1])
    values = np.concatenate([rates, rates[jumps - 1]])
    order = np.argsort(knots, kind="stable")
    table = np.interp(np.arange(total), knots[order], values[order])
    if warmup:
        table[:warmup] = table[warmup] * np.arange(warmup) / warmup
    return floats(table)


def loss_curves(
    path: str | os.PathLike[str], *, step: str = "step", lr: str = "lr", loss: str = "loss", run: str | None = None,
    warmup: int = 0,
) -> tuple[list[LossCurve], int]:  # fmt: skip
    """Return the runs in a log of losses, and how many rows were left out.

    step, lr, loss: what the columns are called; a row's loss is that of the batch of its step, so a run ends with the
        update of its last row. run: the column that tells several runs apart. warmup: as in `rates_between`.

    Raises FormatError for a file that is no such log, BudgetError for a run of a single row.
    """
    curves, dropped = [], 0
    for log in read_log(path, {STEP: step, "lr": lr, "loss": loss}, run=run):
        if len(log.steps) < 2:
            raise BudgetError(f"{path}: run {log.name!r} has one row; a curve needs more.")
        rates = rates_between(log.steps, log.columns["lr"], int(log.steps[-1]) + 1, warmup)
        curves.append(LossCurve(log.name, rates, log.steps + 1, log.columns["loss"]))
        dropped += log.dropped
    return curves, dropped


class NormLog(NamedTuple):
    """Recorded gradient norms.

    steps: whose norms are known, (points,). norms: there. rates: of every update, or None without a column of them.
    dropped: rows that were left out.
    """

    steps: Floats
    norms: Floats
    rates: Floats | None
    dropped: int


def read_norms(
    path: str | os.PathLike[str], *, step: str = "step", norm: str = "grad_norm", lr: str = "lr",
    total: int | None = None,
) -> NormLog:  # fmt: skip
    """Return the gradient norms in a log, and the rates where it has them.

    step, norm, lr: what the columns are called; that of the rate may be missing. total: how long the run was.

    Raises FormatError for a file that is no such log.
    """
    (log,) = read_log(path, {STEP: step, "norm": norm, "lr": lr}, optional=("lr",))
    run = length_of(log.steps) if total is None else max(total, int(log.steps[-1]) + 1)
    rates = rates_between(log.steps, log.columns["lr"], run) if "lr" in log.columns else None
    return NormLog(log.steps, log.columns["norm"], rates, log.dropped)


def length_of(steps: Floats) -> int:
    """Return how long a run was whose log ends as it does: as far beyond the last row as rows are apart."""
    apart = float(np.median(np.diff(steps))) if len(steps) > 1 else 1.0
    return math.ceil(float(steps[-1]) + apart)
