"""Where a command's trials run, and how long and how large they may grow: options that all such commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from stepsize.cli import base
from stepsize.kernel.errors import ParameterError

if TYPE_CHECKING:
    from stepsize.jobs import Journal, Runner
    from stepsize.problems import Task

LOCAL, RAY = "local", "ray"

OPTIONS = (
    base.workers_option,
    click.option(
        "--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
        help="Of a batch of trials, which is ended then. Default: 20 times what the others took, in worker processes.",
    ),
    click.option(
        "--memory-limit", type=click.FloatRange(min=0, min_open=True), metavar="GB",
        help="Of a worker process, which is ended then. Default: an even share of what is free.",
    ),
    click.option(
        "--engine", type=click.Choice([LOCAL, RAY]), default=LOCAL, show_default=True,
        help="Run the trials on this machine, or on a Ray cluster.",
    ),
    click.option("--address", help="Of the Ray cluster, host:6379 or ray://host:10001. Default: one on this machine."),
    click.option("--cpus", type=click.FloatRange(min=0), help="With ray: cores for a batch of trials. Default: 1."),
    click.option("--gpus", type=click.FloatRange(min=0), help="With ray: GPUs for a batch of trials. Default: 0."),
)  # fmt: skip


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which passes what it gets for them on to `runner`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def check(
    *, workers: int | str, time_limit: float | None, memory_limit: float | None, engine: str, address: str | None,
    cpus: float | None, gpus: float | None,
) -> None:  # fmt: skip
    """Raise ParameterError for options that do not go together."""
    asked = {"--address": address, "--cpus": cpus, "--gpus": gpus}
    if engine != RAY:
        alone = [name for name, value in asked.items() if value is not None]
        if alone:
            raise ParameterError(f"{alone[0]} belongs to a Ray cluster; add --engine ray.")
    elif workers != "auto" or memory_limit is not None:
        name = "--workers" if workers != "auto" else "--memory-limit"
        raise ParameterError(
            f"{name} is of worker processes on this machine; on a cluster, Ray's own settings say it. Leave it away."
        )
    elif cpus == 0 and not gpus:
        raise ParameterError("a batch of trials needs some of a core or of a GPU; raise --cpus or --gpus.")
    del time_limit  # it holds everywhere


@contextmanager
def runner(problem: Task, journal: Journal, tell: base.Tell, options: dict[str, Any]) -> Iterator[Runner]:
    """Give a runner that runs the trials where the options say; its workers end with the block.

    What the task, or Ray, prints meanwhile goes to standard error: standard output is for the answer.
    """
    from stepsize.jobs import Runner

    shared = {"journal": journal, "progress": tell, "time_limit": options["time_limit"]}
    if options["engine"] == RAY:
        from stepsize.engines import Ensemble
        from stepsize.execution.ray_pool import RayPool

        gpus = options["gpus"] or 0.0
        pool = RayPool(options["address"] or LOCAL, cpus=1.0 if options["cpus"] is None else options["cpus"], gpus=gpus)
        vectorised = Ensemble(device="cuda") if gpus and not problem.opaque else None
        made = Runner(problem, engine=vectorised, executor=pool, **shared)
    else:
        memory = options["memory_limit"]
        size = None if memory is None else 1e9 * memory
        made = Runner(problem, workers=options["workers"], memory_limit=size, **shared)
    with closing(made), redirect_stdout(sys.stderr):
        yield made
