"""The command: `python -m experiments NAME [--quick] [--seed N] [--out DIR]`; without a name, a list."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from experiments.base import Experiment, Setup, Tell
from experiments.catalogue import EXPERIMENTS
from experiments.figures import svg
from experiments.page import summarize
from stepsize.kernel.errors import ParameterError, StepsizeError, suggestion
from stepsize.kernel.output_files import write
from stepsize.results.io import save

FOLDER = Path(".stepsize/experiments")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False)
@click.option("--quick", is_flag=True, help="A small form that proves that it runs; its verdict means nothing.")
@click.option("--seed", type=click.IntRange(0, 10**6), default=0, show_default=True, help="Of everything random.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, show_default=True,
    help="Where NAME.json and NAME.svg go.",
)  # fmt: skip
def main(name: str | None, quick: bool, seed: int, out: Path) -> None:  # noqa: FBT001  (click passes by name)
    """Run the experiment NAME, or "all"; without a name, list them with their claims."""
    if name is None:
        for each in EXPERIMENTS.values():
            click.echo(f"{each.name:<22} {each.claim}")
        return
    try:
        for each in chosen(name):
            run(each, quick=quick, seed=seed, out=out)
    except StepsizeError as error:
        raise click.UsageError(str(error)) from None


def chosen(name: str) -> list[Experiment]:
    """Return the experiments that `name` means, or raise ParameterError with the near miss."""
    if name == "all":
        return list(EXPERIMENTS.values())
    if name not in EXPERIMENTS:
        raise ParameterError(f"no experiment is called {name!r}. {suggestion(name, EXPERIMENTS)}")
    return [EXPERIMENTS[name]]


def run(experiment: Experiment, *, quick: bool, seed: int, out: Path) -> None:
    """Run one, tell its verdict, and write its record and its picture."""
    began = time.perf_counter()
    with progress(experiment.name) as tell:
        record, figure = experiment.run(Setup(seed, quick, tell))
    write(out / f"{record.name}.svg", svg(figure))
    path = save(record, out / f"{record.name}.json")
    click.echo(f"{summarize(record)}\n  {time.perf_counter() - began:.0f} s; {path} and its .svg\n")


@contextmanager
def progress(name: str) -> Iterator[Tell]:
    """Show the stage and the updates done, on standard error; without a terminal, a line for each stage."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _lines(name)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed} updates"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        job = bar.add_task(name, total=None)
        yield lambda stage, updates: bar.update(job, advance=updates, description=f"{name}: {stage}")


def _lines(name: str) -> Tell:
    said: set[str] = set()

    def tell(stage: str, updates: int) -> None:  # noqa: ARG001  (only the stage is shown)
        if stage not in said:
            said.add(stage)
            click.echo(f"{name}: {stage}", err=True)

    return tell


if __name__ == "__main__":
    main(prog_name="python -m experiments")
