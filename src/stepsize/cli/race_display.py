"""A race while it runs: how far it is, its rungs, who leads, on a terminal, in a log, in TensorBoard."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stepsize.cli import output, progress
from stepsize.kernel.errors import FormatError
from stepsize.kernel.optional import need
from stepsize.kernel.text import count
from stepsize.results import Curves, Interval, Race, Rung
from stepsize.results.race_text import percent

LEADERS = 5
"""How many of a rung are shown, best first."""

POINTS = 200
"""The most points of a line in TensorBoard."""


@dataclass
class Board:
    """What is seen of a race: a bar, a row for every rung, and the leaders of the last one."""

    total: int
    bar: Progress
    rungs: list[Rung] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._job = self.bar.add_task("starting", total=self.total)
        self._done = 0

    def notify(self, stage: str, updates: int) -> None:
        """Move the bar; a race that goes on beyond its plan, with more seeds, has a longer one."""
        self._done += updates
        self.total = max(self.total, self._done)
        self.bar.update(self._job, completed=self._done, total=self.total, description=escape(stage))

    def __rich__(self) -> Group:
        parts: list[Any] = [self.bar]
        if self.rungs:
            parts = [rungs_table(self.rungs), leaders_table(self.rungs[-1]), self.bar]
        return Group(*parts)


def rungs_table(rungs: Sequence[Rung]) -> Table:
    """Return the rungs that are done, with their agreement."""
    from stepsize.jobs.paired_statistics import kendall

    rows = []
    for before, rung in zip((None, *rungs), rungs, strict=False):
        agreement = "" if before is None else f"{kendall(before, rung):.2f}"
        best = rung.strategies[rung.order[0]].name
        rows.append((str(rung.steps), str(len(rung.strategies)), str(len(rung.seeds)), agreement, best))
    return output.table("rungs", ("steps", "strategies", "seeds", "agreement with the last", "best"), rows, text=(4,))


def leaders_table(rung: Rung) -> Table:
    """Return the best of a rung."""
    title = f"leaders after {rung.steps} steps, mean of {count(len(rung.seeds), 'seed')}"
    means = [(rung.strategies[index].name, rung.means[index]) for index in rung.order[:LEADERS]]
    rows = [(name, f"{mean:.4f}" if np.isfinite(mean) else "diverged") for name, mean in means]
    return output.table(title, ("strategy", "score"), rows)


def standings_table(race: Race) -> Table:
    """Return the standings of a race as a table that fits a terminal of 80 columns."""
    title = f"{race.scored} on paired seeds, {race.steps} steps; ± is half of the 95 % t-interval"
    rows = []
    for standing in race.standings:
        name = standing.strategy.name
        behind = "" if standing.behind is None else plus_minus(standing.behind, "+")
        score = f"diverged on {standing.diverged}" if standing.diverged else plus_minus(standing.score)
        chance = percent(standing.chance) if math.isfinite(standing.chance) else ""
        tied = "tied" if standing.tied and standing.behind else ""
        rows.append((name, str(race.seeds_of(name)), score, behind, tied, chance))
    return output.table(title, ("strategy", "seeds", "score", "behind the best", "", "chance"), rows, plain=True)


def plus_minus(interval: Interval, sign: str = "") -> str:
    """Return a mean with half of its interval; alone where that is not known.

    >>> from stepsize.results import Interval
    >>> plus_minus(Interval(0.1, 0.08, 0.12), "+")
    '+0.1000 ± 0.0200'
    """
    half = (interval.high - interval.low) / 2
    return f"{interval.mean:{sign}.4f}" + (f" ± {half:.4f}" if math.isfinite(half) else "")


def describe(number: int, rung: Rung) -> str:
    """Return a rung that is done in one line: who leads, and who follows."""
    first = [f"{rung.strategies[i].name} ({rung.means[i]:.4f})" for i in rung.order[:2] if np.isfinite(rung.means[i])]
    leads = f"{first[0]} leads" + (f", then {first[1]}" if first[1:] else "") if first else "every strategy diverged"
    ran = count(len(rung.strategies), "strategy", "strategies")
    return f"rung {number} is done, {ran} in {rung.steps} steps: {leads}"


@contextmanager
def show_board(total: int) -> Iterator[tuple[progress.Notify, Callable[[Rung], None]]]:
    """Show a race of about `total` replica-steps on standard error; where there is no terminal, line by line.

    Gives two listeners: one of progress, and one of every rung that is done.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        rungs: list[Rung] = []

        def print_rung(rung: Rung) -> None:
            rungs.append(rung)
            click.echo(f"      {describe(len(rungs), rung)}", err=True)

        yield progress.print_lines(total), print_rung
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    shown = Board(total, Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console))
    with Live(get_renderable=shown.__rich__, console=console, transient=True, refresh_per_second=4):
        yield shown.notify, shown.rungs.append


class RungLogs:
    """Every rung that is done, in a folder for TensorBoard, one run a strategy; nothing where there is no folder.

    files: the folder, and what raises FormatError where something could not be written; the race went on without it.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._writers: dict[str, Any] = {}
        self._done = 0
        self._failure: OSError | None = None
        self.files: output.Files = {} if folder is None else {folder: self._check}

    def write(self, rung: Rung, curves: Curves) -> None:
        """Write a rung."""
        if self._folder is None or self._failure is not None:
            return
        self._done += 1
        try:
            for row, strategy in enumerate(rung.strategies):
                own = [i for i, trial in enumerate(curves.trials) if trial.strategy.name == strategy.name]
                self._write(strategy.name, rung, float(rung.means[row]), curves.select(own) if own else None)
        except OSError as error:
            self._failure = error

    def _write(self, name: str, rung: Rung, score: float, curves: Curves | None) -> None:
        from stepsize.adapters.torch import tensorboard_log

        if name not in self._writers:
            folder = str(self._folder / output.slug(name)) if self._folder else None
            self._writers[name] = need("torch.utils.tensorboard").SummaryWriter(folder)
        log = tensorboard_log(self._writers[name], f"rung {self._done}/")
        if curves is not None:  # a rung that was widened holds more than its last runs
            _write(log, curves)
        if np.isfinite(score):
            log(rung.steps, {"score": score})
        self._writers[name].flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            try:
                writer.close()
            except OSError as error:
                self._failure = error

    def _check(self) -> None:
        if self._failure is not None:
            reason = self._failure.strerror or self._failure
            raise FormatError(f"cannot write all of {self._folder}: {reason}.")


@contextmanager
def write_tensorboard(folder: Path | None) -> Iterator[RungLogs]:
    """Give what writes every rung that is done into `folder`.

    TensorBoard writes in a thread, whose traceback would be printed beside our own line: errors of files are not.

    Raises MissingPackageError without tensorboard, before anything runs.
    """
    if folder is not None:
        need("tensorboard")
        need("torch.utils.tensorboard")
    answering = threading.excepthook
    threading.excepthook = lambda args: None if isinstance(args.exc_value, OSError) else answering(args)
    try:
        with closing(RungLogs(folder)) as logs:
            yield logs
    finally:
        threading.excepthook = answering


def _write(log: Any, curves: Curves) -> None:
    """Write the means over the seeds, of the losses in bins, and of the scores."""
    from stepsize.plots.style import binned

    for step, loss in zip(*binned(curves.losses, POINTS), strict=True):
        if np.isfinite(loss).all():
            log(int(step), {"training loss": float(loss.mean())})
    for step, score in zip(curves.score_steps, curves.scores, strict=True):
        if np.isfinite(score).all():
            log(int(step), {"validation": float(score.mean())})
