"""`stepsize refine LOG...|TASK`: the schedule that the gradient norms of a run ask for.

::

    stepsize refine log.csv --save refined.json                    from the columns step and grad_norm of your log
    stepsize refine log.csv --norm l1 --norm-column gnorm          of a run with Adam, whose log calls it gnorm
    stepsize refine trainer_state.json --norm l1                   of one of transformers, whose names are known
    stepsize refine mytask.py --strategy "SGD cosine 0.3" --race   record a run, refine it, and race both schedules
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from stepsize.cli import arguments, output, progress, race_display
from stepsize.cli.arguments import option
from stepsize.cli.help import Command
from stepsize.cli.landscape import strategy_of
from stepsize.results import Refinement
from stepsize.results.refinement import Norm


@dataclass(frozen=True, kw_only=True)
class Log(arguments.LogColumns):
    """How a log is read: what its norms are, and how its columns are called."""

    norm: Norm = option(
        "--norm", type=click.Choice(["l2", "l1"]), default="l2",
        help="What norms a log holds: l2 for SGD and its kind, l1 for Adam and its kind.",
    )  # fmt: skip
    norm_column: str | None = option(
        "--norm-column", help="What the log calls the norm. Default: grad_norm, or as tools call it."
    )
    run: str | None = option("--run", help="Take the run of this name, where a log has several.")


@click.command(cls=Command, examples=__doc__)
@click.argument("sources", nargs=-1, required=True, metavar="LOG...|TASK")
@arguments.steps_option
@arguments.gather(Log)
@click.option("--smoothing", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Take the running median over this share of the run.")  # fmt: skip
@click.option("--strategy", metavar="'RULE POLICY RATE'",
              help="On a task: record this strategy, or the one in a JSON file. Default: AdamW linear_to_zero, at a "
              "rate from a range test.")  # fmt: skip
@click.option("--race", is_flag=True, help="On a task: race the refined schedule against the original.")
@arguments.seed_option
@output.output_options("plot", "report", "save")
def refine(
    sources: tuple[str, ...], *, steps: int | None, log: Log, smoothing: float, strategy: str | None, race: bool,
    seed: int, outputs: output.Outputs,
) -> None:  # fmt: skip
    """Refine the schedule of a run, by the gradient norms in LOG or of a run of TASK.

    The peak rate has to be tuned again afterwards; --race does so on a task.
    """
    outputs.check()
    files = arguments.logs_of(sources)
    if files:
        refinement = _refine_log(files, log, steps, smoothing)
    else:
        refinement = _refine_task(sources[0], strategy, steps, smoothing, race=race, seed=seed)
    outputs.present(refinement, _show)


def _refine_log(files: list[Path], log: Log, steps: int | None, smoothing: float) -> Refinement:
    from stepsize import jobs

    found = jobs.read_norms(
        files, step=log.step_column, norm=log.norm_column, lr=log.lr_column, run=log.run_column, only=log.run,
        total=steps, per_update=log.per_update,
    )  # fmt: skip
    output.notes(found.notes)
    return jobs.refine(
        found.steps, found.norms, total=steps or found.total, norm=log.norm, rates=found.rates, share=smoothing,
        name=", ".join(file.name for file in files),
    )  # fmt: skip


def _refine_task(
    source: str, text: str | None, steps: int | None, smoothing: float, *, race: bool, seed: int
) -> Refinement:
    from stepsize import jobs
    from stepsize.jobs.race.entrants import RANGE_TEST
    from stepsize.jobs.refine import RACES

    strategy = None if text is None else strategy_of(text)
    task = output.load_task(source)
    total = (steps or task.steps) * (1 + RACES * race) + (RANGE_TEST if strategy is None else 0)
    with progress.show_progress(total) as notify:
        refinement = jobs.refine_task(
            task, strategy, steps=steps, seed=seed, share=smoothing, race=race, progress=notify
        )  # fmt: skip
    if strategy is None and refinement.strategy is not None:
        name = refinement.strategy.name
        click.echo(f"Recorded {name}, which a range test points to; another: --strategy.", err=True)
    return refinement


def _show(refinement: Refinement) -> None:
    import numpy as np

    console, points = output.console(), len(refinement.shape)
    quarters = np.array([0, *(round(share * (points - 1)) for share in (0.25, 0.5, 0.75)), points - 1])
    steps = quarters * refinement.steps // points
    recorded = f"{len(refinement.norms)} {refinement.norm.upper()} norms"
    source = recorded if refinement.strategy is None else refinement.strategy.name
    console.print(f"Refined from {source} of {refinement.name}, {refinement.steps} steps.", markup=False)
    console.print(f"It rises for {refinement.warmup} updates, then falls. Its rates:", markup=False)
    for step, rate in zip(steps.tolist(), refinement.policy["lr"](steps).tolist(), strict=True):
        console.print(f"  step {step:>8}  {rate:.4g}", markup=False)
    console.print(f"By the bound it is {refinement.gain:.3f} of linear decay, for these norms.", markup=False)
    if refinement.race is not None:
        console.print(race_display.standings_table(refinement.race))
        console.print(f"Cost of the race: {refinement.race.cost:.0f} trainings.", markup=False)
    for warning in refinement.warnings:
        console.print(f"Watch out: {warning}.", markup=False)
    console.print("To use it: --save refined.json, then stepsize.load('refined.json').policy in drive.", markup=False)
