"""What jobs take from logs: curves of losses, gradient norms, and a schedule of rates.

Each column has its numbers: rate and loss of one update may stand in two rows, or in two files, and the rate may be
logged more often than the loss. What was assumed and what was left out is said, in sentences.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stepsize.jobs.logs.columns import STEP, Recorded, Series, record_columns
from stepsize.jobs.logs.files import listed
from stepsize.jobs.logs.rates import Rates, rates_between
from stepsize.jobs.logs.runs import Untangled, untangle
from stepsize.jobs.logs.updates import interval_of, number_updates
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import BudgetError, FormatError, ParameterError, brief, check_name
from stepsize.kernel.length import LARGEST, check_horizon
from stepsize.kernel.numeric import numeric
from stepsize.kernel.text import count, tell_apart
from stepsize.results import LossCurve

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Column(NamedTuple):
    """What was recorded of one quantity. steps: the updates, counted from 0, rising. values: there, (points,)."""

    steps: Floats
    values: Floats


class Log(NamedTuple):
    """One run. total: how many updates it had. columns: by word. notes: what was assumed or left out, sentences."""

    name: str
    total: int
    columns: dict[str, Column]
    notes: tuple[str, ...]


def read_logs(
    paths: Paths, names: Mapping[str, str | None], *, main: str, optional: Sequence[str] = (), run: str | None = None,
    total: int | None = None, per_update: float = 1,
) -> list[Log]:  # fmt: skip
    """Return the runs in some logs: one a file, or one for each value of the column `run`, or what the files say.

    names: what each needed column is called, by our word for it, or None for the names that tools give it; one of them
        is "step". main: the word whose rows say how long the run was. optional: words whose column may be missing.
    total: how long a run was; it holds for the runs whose log ends less than a row before it.
    per_update: what the step counts in one update, where it counts samples or tokens.

    Raises FormatError when a file cannot be read, is empty, lacks a column, has no number in one, or where its steps
    begin again for no reason that it tells.
    """
    if not 1 <= per_update < LARGEST:
        raise ParameterError(f"an update takes at least 1 sample or token, not {per_update!r}.")
    files = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]
    needed = [word for word in names if word not in (STEP, *optional)]
    logs = []
    for name, recorded in record_columns(files, names, run).items():
        recorded.require(name, needed, names)
        series = recorded.series()
        if per_update != 1:
            series = {
                word: each._replace(steps=floats(np.round(each.steps / per_update))) for word, each in series.items()
            }
        logs += [_log(name, each, main, total, _taken(recorded)) for each in untangle(name, series)]
    return [log._replace(name=own) for log, own in zip(logs, tell_apart(log.name for log in logs), strict=True)]


def _log(name: str, run: Untangled, main: str, total: int | None, notes: list[str]) -> Log:
    steps, rates = run.series[main].steps, run.series.get("lr")
    if max(float(each.steps[-1]) for each in run.series.values()) > LARGEST:
        raise FormatError(f"{name}: a step of {steps[-1]:g} counts no updates.")
    stopped = rates is not None and bool(rates.steps[-1] == steps[-1] and rates.values[-1] == 0)
    near = total is not None and steps[-1] <= total <= steps[-1] + interval_of(steps)
    updates = number_updates(steps, total if near else None, stopped=stopped)
    columns = {word: _column(each, updates.first) for word, each in run.series.items()}
    reached = max(int(each.steps[-1]) + 1 for each in columns.values() if len(each.steps))
    length = updates.total if near else max(updates.total, reached)
    notes = [*notes, *_assumed(run, updates.first, length, None if near else total or 0)]
    return Log(name, length, columns, tuple(notes))


def _column(series: Series, first: int) -> Column:
    """Return a column by update; a row of before the first update belongs to none."""
    counted = series.where(series.steps >= first)
    return Column(floats(counted.steps - first), counted.values)


def _taken(recorded: Recorded) -> list[str]:
    """Return what has to be said of how a run was taken from its rows."""
    called = [
        f"{name!r} as {word}" for word, name in recorded.names.items() if name != word and word in recorded.events
    ]
    notes = [f"takes {', '.join(called)}"] if called else []
    step = recorded.names[STEP]
    if step != STEP:
        notes.append(f"counts by {step!r}")
    if recorded.lost:
        notes.append(f"{count(recorded.lost, 'number')} left out, not finite or beside no step")
    return notes


def _assumed(run: Untangled, first: int, total: int, other: int | None) -> list[str]:
    """Return what was assumed of a run's steps; other: a length that was said and is not its own, 0 for none."""
    notes = [f"its steps begin again in each of {run.epochs} epochs and were counted on"] if run.epochs else []
    if run.replaced:
        notes.append(f"{count(run.replaced, 'number')} replaced by later ones from the same step on, as after a resume")
    length = f"steps counted from {first}, a run of {count(total, 'update')}"
    if other is None:
        return [*notes, length]
    return [
        *notes,
        f"{length}, as its rows say, not {other}" if other else f"{length} unless --steps says another length",
    ]


@numeric
def loss_curves(
    paths: Paths, *, step: str | None = None, lr: str | None = None, loss: str | None = None, run: str | None = None,
    warmup: int = 0, total: int | None = None, per_update: float = 1,
) -> tuple[list[LossCurve], list[str]]:  # fmt: skip
    """Return the runs in logs of losses, and what was assumed and left out, in sentences.

    paths: one log or several (CSV, JSON, JSON lines); each is a run, but where files or columns say the run themselves.
    step, lr, loss: what the columns are called; the names that tools give them when None. A row's loss is that of the
        batch of its step. run: the column that tells several runs apart. warmup: as in `rates_between`.
    total: how long a run was (steps, optimizer updates), of those whose log ends less than a row before it; from the
        steps when None, see `stepsize.jobs.logs.updates`. per_update: what the step counts in one update, where it
        counts samples or tokens.

    Raises FormatError for a file that is no such log, BudgetError for a run of a single row, and for one that is too
    long for a table of its rates.
    """
    names = {STEP: step, "lr": lr, "loss": loss}
    curves: list[LossCurve] = []
    notes: dict[str, list[str]] = {}
    for log in read_logs(paths, names, main="loss", run=run, total=total, per_update=per_update):
        check_horizon(log.total, f"run {brief(log.name)}")
        at, losses = log.columns["loss"]
        if len(at) < 2:
            raise BudgetError(f"run {brief(log.name)} has one row with a loss; a curve needs more.")
        rates = rates_between(*log.columns["lr"], log.total, warmup).table(log.total)
        curves.append(LossCurve(log.name, rates, at + 1, losses))
        notes.setdefault("; ".join(log.notes), []).append(log.name)
    return curves, [f"{listed(names)}: {note}" for note, names in notes.items()]


class NormLog(NamedTuple):
    """Recorded gradient norms.

    steps: the updates whose norms are known, counted from 0, (points,). norms: there. rates: at any update, or None
    without a column of them. total: how many updates the run had. notes: what was assumed and left out, sentences.
    """

    steps: Floats
    norms: Floats
    rates: Rates | None
    total: int
    notes: tuple[str, ...]


@numeric
def read_norms(
    paths: Paths, *, step: str | None = None, norm: str | None = None, lr: str | None = None, run: str | None = None,
    only: str | None = None, total: int | None = None, per_update: float = 1,
) -> NormLog:  # fmt: skip
    """Return the gradient norms of the run in a log, and the rates where it has them.

    paths: one log, or several with a curve each. step, norm, lr: what the columns are called; the names that tools
        give them when None; that of the rate may be missing. run: the column that tells several runs apart.
    only: the name of the run that is taken, where there are several. total: how long the run was.
    per_update: as in `loss_curves`.

    Raises FormatError for a file that is no such log, or holds several runs; ParameterError for a run shorter than it.
    """
    names = {STEP: step, "grad_norm": norm, "lr": lr}
    logs = read_logs(
        paths, names, main="grad_norm", optional=("lr",), run=run, total=total, per_update=per_update
    )  # fmt: skip
    log = _only(logs, only)
    steps, norms = log.columns["grad_norm"]
    rates = rates_between(*log.columns["lr"], log.total) if "lr" in log.columns else None
    return NormLog(steps, norms, rates, log.total, (f"{listed([log.name])}: {'; '.join(log.notes)}",))


def _only(logs: Sequence[Log], name: str | None) -> Log:
    """Return the run that is meant: the one of this name, or the only one."""
    if name is not None:
        check_name(name, [log.name for log in logs], "run", error=FormatError)
        return next(log for log in logs if log.name == name)
    if len(logs) > 1:
        runs = ", ".join(f"{brief(log.name)} of {count(log.total, 'update')}" for log in logs[:20])
        raise FormatError(f"there are {len(logs)} runs, {runs}, and one is refined; say which by --run.")
    return logs[0]


def read_rates(
    path: str | os.PathLike[str], *, step: str | None = None, lr: str | None = None, warmup: int = 0,
    total: int | None = None, per_update: float = 1,
) -> Floats:  # fmt: skip
    """Return the rate of every update in a log of rates, such as `csv_log` writes, (T,).

    Parameters as in `loss_curves`.

    Raises FormatError for a file that is no such log, BudgetError for a run that is too long for a table.
    """
    log = _only(read_logs(path, {STEP: step, "lr": lr}, main="lr", total=total, per_update=per_update), None)
    check_horizon(log.total, str(path))
    return rates_between(*log.columns["lr"], log.total, warmup).table(log.total)
