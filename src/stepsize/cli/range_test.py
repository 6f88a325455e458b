"""`stepsize range-test TASK`: how far the learning rate may climb."""

from __future__ import annotations

from pathlib import Path

import click

from stepsize.cli import base
from stepsize.results.io import dumps, save


@click.command("range-test")
@base.task_argument
@click.option("--rule", default="AdamW", show_default=True, help="The update rule to test.")
@click.option("--low", type=float, default=1e-6, show_default=True, help="The first learning rate.")
@click.option("--high", type=float, default=10.0, show_default=True, help="The last learning rate.")
@click.option("--steps", type=click.IntRange(min=1), help="Of the ramp. Default: 40 a decade.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=4, show_default=True, help="Replicas, for the spread.")
@base.json_option
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the curve into an image file.")
@base.save_option
def range_test(
    task: str, *, rule: str, low: float, high: float, steps: int | None, seeds: int,
    as_json: bool, plot: Path | None, save_to: Path | None,
) -> None:  # fmt: skip
    """Let the learning rate of TASK climb, and read the two bounds off the loss."""
    from stepsize import jobs, load_task

    (chosen,) = base.rules_of([rule])
    base.writable(save_to)
    base.drawable(plot)
    problem = load_task(task)
    with base.progress(seeds * (steps or 280)) as tell:
        sweep = jobs.range_test(problem, chosen, low=low, high=high, steps=steps, seeds=range(seeds), progress=tell)
    found = jobs.suggest(sweep)
    if save_to is not None:
        save(sweep, save_to)
    if plot is not None:
        from stepsize import plots

        base.picture(plots.plot_sweep(sweep, found), plot)
    if as_json:
        click.echo(dumps(found))
        return
    console = base.out()
    if found.min_lr is not None and found.max_lr is not None:
        console.print(f"min_lr {found.min_lr}   just before the sharp drop")
        console.print(f"max_lr {found.max_lr}   just before the loss rises; in brackets, over {seeds} seeds")
    console.print(f"{rule} on {sweep.task}: {found.reason}.", markup=False)
