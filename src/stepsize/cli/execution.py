"""Where a command's trials run, how long and how large they may grow, and the journal that keeps them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from stepsize.cli.arguments import gather
from stepsize.kernel.errors import FormatError, ParameterError

if TYPE_CHECKING:
    from stepsize.cli.progress import Notify
    from stepsize.jobs import Journal, Runner
    from stepsize.problems import Trainable

LOCAL, RAY = "local", "ray"

FOLDER = Path(".stepsize")
"""Where journals lie when no folder is named."""


class WorkersType(click.ParamType["int | Literal['auto']"]):
    """A number of workers, or "auto"."""

    name = "n|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | Literal["auto"]:
        """Return the number, or "auto"."""
        if value == "auto":
            return "auto"
        return click.IntRange(min=1).convert(value, param, ctx)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where the trials of a command run: the options of `--workers` to `--gpus`.

    time_limit: seconds that a batch of trials may take. memory_limit: GB that a worker process may grow to.
    cpus, gpus: of a batch of trials on a Ray cluster.

    Raises ParameterError for options that do not go together.
    """

    workers: int | Literal["auto"]
    time_limit: float | None
    memory_limit: float | None
    executor: str
    address: str | None
    cpus: float | None
    gpus: float | None

    def __post_init__(self) -> None:
        asked = {"--address": self.address, "--cpus": self.cpus, "--gpus": self.gpus}
        if self.executor != RAY:
            alone = [name for name, value in asked.items() if value is not None]
            if alone:
                raise ParameterError(f"{alone[0]} belongs to a Ray cluster; add --executor ray.")
        elif self.workers != "auto" or self.memory_limit is not None:
            name = "--workers" if self.workers != "auto" else "--memory-limit"
            raise ParameterError(
                f"{name} is of worker processes on this machine; on a cluster, Ray's own settings say it. "
                "Leave it away."
            )
        elif self.cpus == 0 and not self.gpus:
            raise ParameterError("a batch of trials needs some of a core or of a GPU; raise --cpus or --gpus.")

    @contextmanager
    def runner(self, task: Trainable, journal: Journal, notify: Notify) -> Iterator[Runner]:
        """Give a runner that runs the trials where the options say; its workers end with the block.

        What the task, or Ray, prints meanwhile goes to standard error: standard output is for the answer.
        """
        with closing(self._runner(task, journal, notify)) as runner, redirect_stdout(sys.stderr):
            yield runner

    def _runner(self, task: Trainable, journal: Journal, notify: Notify) -> Runner:
        from stepsize.jobs import Runner

        if self.executor != RAY:
            memory = None if self.memory_limit is None else 1e9 * self.memory_limit
            return Runner(
                task, workers=self.workers, memory_limit=memory, journal=journal, progress=notify,
                time_limit=self.time_limit,
            )  # fmt: skip
        from stepsize.engines import Ensemble
        from stepsize.execution.ray_pool import RayPool
        from stepsize.problems import Task

        gpus = self.gpus or 0.0
        pool = RayPool(self.address or LOCAL, cpus=1.0 if self.cpus is None else self.cpus, gpus=gpus)
        vectorised = Ensemble(device="cuda") if gpus and isinstance(task, Task) else None
        return Runner(
            task, engine=vectorised, executor=pool, journal=journal, progress=notify, time_limit=self.time_limit
        )  # fmt: skip


execution_options = gather(
    Execution,
    click.option(
        "--workers", type=WorkersType(), default="auto", show_default=True,
        help="Run the trials in so many worker processes. 1: in none. auto: on all cores, once enough waits to pay for "
        "the start of worker processes. No number depends on it.",
    ),
    click.option(
        "--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
        help="End a batch of trials that runs longer than this many seconds. Default: in worker processes, 20 times "
        "what the finished ones took.",
    ),
    click.option(
        "--memory-limit", type=click.FloatRange(min=0, min_open=True), metavar="GB",
        help="End a worker process that grows beyond this many GB. Default: an even share of what is free.",
    ),
    click.option(
        "--executor", type=click.Choice([LOCAL, RAY]), default=LOCAL, show_default=True,
        help="Run the trials on this machine, or on a Ray cluster.",
    ),
    click.option(
        "--address",
        help="Connect to the Ray cluster at this address, host:6379 or ray://host:10001. Default: start one here.",
    ),
    click.option(
        "--cpus", type=click.FloatRange(min=0), help="With ray: reserve so many cores for each batch. Default: 1."
    ),
    click.option(
        "--gpus", type=click.FloatRange(min=0), help="With ray: reserve so many GPUs for each batch. Default: 0."
    ),
)  # fmt: skip


@contextmanager
def open_journal(folder: Path | None, name: str, *, keep: bool = False) -> Iterator[Journal]:
    """Open the journal of a job, around the job and the writing of its result.

    keep: whether a journal that nobody asked for stays after success, since a larger budget goes on from it.

    After Ctrl-C it says what is kept; after success it removes the journal that nobody asked for. A task that changed
    is refused by a journal that was asked for; with another it is run anew, and a note says so.

    Raises FormatError for a folder with a journal of an earlier version.
    """
    from stepsize.jobs import Journal

    path = folder or FOLDER / name
    home = path.absolute()  # the task may change the directory
    old = path / f"{name}.sqlite"
    if old.is_file():
        raise FormatError(
            f"{old} is a journal of an earlier version of stepsize, whose trials this one cannot use; remove it, "
            "or name another folder."
        )
    finished = 0
    try:
        with Journal(path, renew=None if folder else _note, note=_note) as journal:
            try:
                yield journal
            finally:
                finished = len(journal)
    except KeyboardInterrupt:
        kept = f"{finished} finished trials are kept in {path}; the same command goes on from there."
        with suppress(OSError):  # the terminal is gone
            click.echo(f"\nInterrupted: {kept}", err=True)
        raise
    except BaseException:
        if folder is None and not finished:
            _remove(home)
        raise
    if folder is None and not keep:
        _remove(home)


def _note(sentence: str) -> None:
    click.echo(f"Note: {sentence}", err=True)


def _remove(journal: Path) -> None:
    """Remove a journal, and the folder of journals if that is empty then; another run may be doing the same."""
    shutil.rmtree(journal, ignore_errors=True)
    with suppress(OSError):
        journal.parent.rmdir()
