"""How far a job is, on standard error: a bar with the time left on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Notify = Callable[[str, int], None]
"""Called with the stage, and with how many replica-steps were done since the last call."""


class Display:
    """Where a job shows how far it is: what `show_progress` gives.

    notify: called with the stage and the replica-steps since the last call. say: prints a line beside the bar.
    """

    def __init__(self, notify: Notify, say: Callable[[str], None]) -> None:
        self.notify, self.say = notify, say

    def __call__(self, stage: str, updates: int) -> None:
        """Notify."""
        self.notify(stage, updates)


@contextmanager
def show_progress(total: float | None) -> Iterator[Display]:
    """Show how far a job of about `total` replica-steps is, or of an unknown number, on standard error.

    Where there is no terminal, print a line every tenth, or for every stage.
    """
    with redirect_stdout(sys.stderr):  # what a task prints meanwhile must not fall into the answer
        yield from _display(total)


def _display(total: float | None) -> Iterator[Display]:
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield Display(print_lines(total), lambda line: click.echo(line, err=True))
        return
    stage_column, left = TextColumn("{task.description}", markup=False), TimeRemainingColumn()
    columns = (stage_column, BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), left)
    with Progress(*columns, console=console, transient=True) as bar:
        job = bar.add_task("starting", total=total)

        def notify(stage: str, updates: int) -> None:
            bar.update(job, advance=updates, description=stage)

        yield Display(notify, lambda line: bar.console.print(line, markup=False))


def print_lines(total: float | None) -> Notify:
    """Return a listener that prints a line every tenth of about `total` replica-steps, or for every stage."""
    if total is None:
        return _print_stages()
    done, printed = 0, -1

    def notify(stage: str, updates: int) -> None:
        nonlocal done, printed
        done += updates
        tenth = min(10, int(10 * done / total))
        if tenth > printed:
            printed = tenth
            click.echo(f"{10 * tenth:3d}%  {stage}", err=True)

    return notify


def _print_stages() -> Notify:
    printed = ""

    def notify(stage: str, updates: int) -> None:  # noqa: ARG001  (nobody knows of how many)
        nonlocal printed
        if stage != printed:
            printed = stage
            click.echo(stage, err=True)

    return notify
