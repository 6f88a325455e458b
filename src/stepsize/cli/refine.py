"""`stepsize refine LOG.csv|TASK`: the schedule that the gradient norms of a run ask for.

::

    stepsize refine log.csv --save refined.json                    from the columns step and grad_norm of your log
    stepsize refine log.csv --norm l1 --norm-column gnorm          of a run with Adam, whose log calls it gnorm
    stepsize refine mytask.py --strategy "SGD cosine 0.3" --race   record a run, refine it, and race both schedules
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stepsize.cli import arguments, output, progress
from stepsize.cli.advise import standings_table
from stepsize.cli.landscape import strategy_of
from stepsize.results import Refinement
from stepsize.strategy import Strategy

if TYPE_CHECKING:
    from stepsize.problems import Trainable

RULE, POLICY = "AdamW", "linear_to_zero"
"""What is recorded on a task when no strategy is given, at the rate that a range test suggests."""

RACES = 30
"""Trainings of a race: five peaks of both schedules on two seeds, then five fresh seeds of both."""


@click.command()
@click.argument("source", metavar="LOG.csv|TASK")
@arguments.steps_option
@click.option("--norm", type=click.Choice(["l2", "l1"]), default="l2", show_default=True,
              help="Of a log: l2 for SGD and its kind, l1 for Adam and its kind.")  # fmt: skip
@click.option("--step-column", default="step", show_default=True, help="What the log calls the step.")
@click.option("--norm-column", default="grad_norm", show_default=True, help="What the log calls the gradient norm.")
@click.option("--lr-column", default="lr", show_default=True, help="What the log calls the rate, if it has it.")
@click.option("--smoothing", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="The window of the running median, as a share of the run.")  # fmt: skip
@click.option("--strategy", metavar="'RULE POLICY RATE'",
              help=f"On a task: what to record, or a JSON file. Default: {RULE} {POLICY}.")  # fmt: skip
@click.option("--race", "contest", is_flag=True, help="On a task: race the refined schedule against the original.")
@arguments.seed_option
@arguments.json_option
@arguments.plot_option
@arguments.report_option
@arguments.save_option
def refine(
    source: str, *, as_json: bool, plot: Path | None, report: Path | None, save_to: Path | None, **options: Any
) -> None:
    """Refine the schedule of a run, by the gradient norms in LOG.csv or of a run of TASK.

    The peak rate has to be tuned again afterwards; --race does so on a task.
    """
    output.check_writable(report, save_to)
    output.check_drawable(plot)
    found = _of_log(Path(source), options) if source.endswith(".csv") else _of_task(source, options)
    output.present(found, _say, as_json=as_json, plot=plot, report=report, save_to=save_to)


def _of_log(file: Path, options: dict[str, Any]) -> Refinement:
    from stepsize import jobs

    norms = jobs.read_norms(
        file, step=options["step_column"], norm=options["norm_column"], lr=options["lr_column"], total=options["steps"]
    )
    if norms.dropped:
        click.echo(f"Note: {norms.dropped} rows without a number in each column were left out.", err=True)
    return jobs.refine(
        norms.steps, norms.norms, total=options["steps"], norm=options["norm"], rates=norms.rates,
        share=options["smoothing"], name=file.name,
    )  # fmt: skip


def _of_task(name: str, options: dict[str, Any]) -> Refinement:
    from stepsize import jobs, load_task

    given = None if options["strategy"] is None else strategy_of(options["strategy"])
    problem = load_task(name)
    steps = options["steps"] or problem.steps
    with progress.show_progress(steps * (1 + RACES * options["contest"])) as tell:
        strategy = _suggested(problem, steps) if given is None else given
        return jobs.refine_task(
            problem, strategy, steps=steps, seed=options["seed"], share=options["smoothing"],
            contest=options["contest"], progress=tell,
        )  # fmt: skip


def _suggested(problem: Trainable, steps: int) -> Strategy:
    from stepsize import jobs
    from stepsize.jobs.advise.search_space import candidates

    (rule,) = arguments.parse_rules([RULE])
    found = jobs.suggest(jobs.range_test(problem, rule, curvature=False), "constant", steps)
    (strategy,) = candidates(rule, found, [POLICY], 1, steps)
    click.echo(f"Recording {strategy.name}, which a range test points to; another: --strategy.", err=True)
    return strategy


def _say(found: Refinement) -> None:
    console = output.console()
    points = [0, *(round(share * (len(found.shape) - 1)) for share in (0.25, 0.5, 0.75)), len(found.shape) - 1]
    rates = found.policy["lr"](_steps_of(found, points))
    what = found.strategy.name if found.strategy is not None else f"{len(found.norms)} {found.norm.upper()} norms"
    console.print(f"Refined from {what} of {found.name}, {found.steps} steps.", markup=False)
    console.print(f"It rises for {found.warmup} updates, then falls. Its rates:", markup=False)
    for point, rate in zip(_steps_of(found, points).tolist(), rates.tolist(), strict=True):
        console.print(f"  step {point:>8}  {rate:.4g}", markup=False)
    console.print(f"By the bound it is {found.gain:.3f} of linear decay, for these norms.", markup=False)
    if found.race is not None:
        console.print(standings_table(found.race))
        console.print(f"Cost of the race: {found.race.cost:.0f} trainings.", markup=False)
    for warning in found.warnings:
        console.print(f"Watch out: {warning}.", markup=False)
    console.print("To use it: --save refined.json, then stepsize.load('refined.json').policy in drive.", markup=False)


def _steps_of(found: Refinement, places: list[int]) -> Any:
    import numpy as np

    return np.array(places) * found.steps // len(found.shape)
