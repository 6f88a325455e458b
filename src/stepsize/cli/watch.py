"""`stepsize watch DIR`: how far a running job is, read from its journal.

::

    stepsize watch night            until the job that keeps its journal there has ended
    stepsize watch night --once     one look
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from stepsize.cli import output
from stepsize.cli.help import Command
from stepsize.kernel.errors import FormatError
from stepsize.kernel.text import count, plain

if TYPE_CHECKING:
    from stepsize.execution.status import Status

SILENT = 60.0
"""Seconds without a sign of life after which a job on another machine counts as silent."""

LONGEST = 366 * 24 * 3600.0
"""The seconds that a time is said of; more is no time that anything took, but a clock that was set."""


@click.command(cls=Command, examples=__doc__)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    help="Read the journal every so many seconds.",
)
@click.option("--once", is_flag=True, help="Read it once. So it does where there is no terminal.")
def watch(folder: Path, *, every: float, once: bool) -> None:
    """Show how far the job is that keeps its journal in DIR: stages, leaders, failures, time left.

    It only reads; the job may run, have ended, or have been killed.
    """
    from stepsize.execution.status import read_status

    console, status = output.console(), read_status(folder)
    if once or not console.is_terminal:
        console.print(render(status, time.time()))
        return
    with Live(render(status, time.time()), console=console, auto_refresh=False) as view:
        while status.running is not False:
            time.sleep(every)
            try:
                status = read_status(folder)
            except FormatError:  # a journal that nobody asked for is removed when its job is done
                break
            view.update(render(status, time.time()), refresh=True)


def render(status: Status, now: float) -> Group:
    """Return the status as a table and a line."""
    table = Table(box=None, pad_edge=False)
    for heading, right in (("stage", False), ("batches", True), ("took", True)):
        table.add_column(heading, justify="right" if right else "left")
    for stage in status.stages:
        batches = f"{stage.done} of {stage.total}" if stage.total > 1 or stage.done < stage.total else ""
        table.add_row(escape(plain(stage.stage)), batches, clock(stage.beat - stage.began))
    failed = [Text(plain(f"failed: {trial}: {reason}"), style="yellow") for trial, reason in status.failures]
    answer = [Text(plain(status.answer))] if status.answer else []
    return Group(table, *failed, *answer, Text(summarise(status, now)))


def summarise(status: Status, now: float) -> str:
    """Return in a line how many trials are finished, how long the stage still takes, and whether the job lives."""
    parts = [f"{status.trials} trials are finished"]
    if status.running is False:
        return f"{parts[0]}; its process has ended."
    if status.left and status.left < LONGEST:  # more is a clock that was set
        parts.append(f"about {clock(status.left)} left of this stage")
    silent = now - max((stage.beat for stage in status.stages), default=now)
    if silent > SILENT:
        parts.append(f"no sign of life for {clock(silent)}")
    return f"{'; '.join(parts)}."


def clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds; none for one that a clock that was set back made negative.

    >>> clock(5.4), clock(3725), clock(90000), clock(1e9)
    ('0:05', '1:02:05', '1 day 1:00:00', 'more than a year')
    """
    if seconds >= LONGEST:  # of a clock that was set, too
        return "more than a year"
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{count(days, 'day')} {hours}:{minutes:02d}:{rest:02d}"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
