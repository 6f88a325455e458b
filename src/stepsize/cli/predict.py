"""`stepsize predict LOGS...|TASK`: the loss curves of schedules that were not run, from a recorded few.

::

    stepsize predict constant.csv cosine.csv --schedules wsd,linear_to_zero   from your logs: step, lr, loss
    stepsize predict a/trainer_state.json b/trainer_state.json                from those of transformers, Lightning, W&B
    stepsize predict runs.csv --run-column run --schedules mine.json          several runs in one file
    stepsize predict mytask.py --schedules wsd,cosine --check                 record three runs, and check the answer
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.table import Table as Grid

from stepsize.cli import arguments, output, progress
from stepsize.cli.arguments import option
from stepsize.cli.help import Command
from stepsize.kernel.errors import BudgetError
from stepsize.kernel.length import LARGEST
from stepsize.kernel.text import count, tell_apart
from stepsize.policies import LR, Policy, recipe
from stepsize.results import LossCurve, Prediction
from stepsize.schedules import Table
from stepsize.strategy import find_rule

SCHEDULES = "constant,cosine,linear_to_zero,wsd"

Asked = Mapping[str, Policy | str]
"""What is asked about, by name: policies of files, and names of recipes."""


@dataclass(frozen=True, kw_only=True)
class Logs(arguments.LogColumns):
    """How logs are read: the names of their columns, the updates before they begin, the part that is not fitted."""

    held_out: tuple[Path, ...] = option(
        "--held-out", type=click.Path(dir_okay=False, path_type=Path), multiple=True,
        help="Hold the laws to this log, and do not fit them to it; may be repeated.",
    )  # fmt: skip
    warmup: int = option(
        "--warmup", type=click.IntRange(min=0), default=0,
        help="Assume that the rate rose from 0 for so many updates, where the log begins after them.",
    )  # fmt: skip
    skip: float = option(
        "--skip", type=click.FloatRange(0, 1, max_open=True), default=0.05,
        help="Leave out this first part of each run.",
    )  # fmt: skip
    loss_column: str | None = option(
        "--loss-column", help="What the logs call the loss. Default: loss, or as tools call it."
    )

    def read(self, files: list[Path], steps: int | None) -> list[LossCurve]:
        """Return the runs in some logs, and say what was assumed; `steps`, if given, is the length of those it fits."""
        from stepsize import jobs

        runs, notes = jobs.loss_curves(
            files, step=self.step_column, lr=self.lr_column, loss=self.loss_column, run=self.run_column,
            warmup=self.warmup, total=steps, per_update=self.per_update,
        )  # fmt: skip
        output.notes(notes)
        return runs


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What is recorded on a task: the update rule, how long, and whether what is asked about runs too."""

    rule: str = option(
        "--rule", default="AdamW", shell_complete=arguments.complete_rules,
        help="On a task: record runs of this update rule.",
    )  # fmt: skip
    recorded: int | None = option(
        "--recorded", type=click.IntRange(min=1), help="On a task: record runs of so many updates."
    )
    check: bool = option(
        "--check", is_flag=True, help="On a task: also run what is asked about, and say how right it was."
    )


@click.command(cls=Command, examples=__doc__)
@click.argument("sources", nargs=-1, required=True, metavar="LOG...|TASK")
@click.option("--schedules", type=arguments.Comma(), default=SCHEDULES, show_default=True,
              shell_complete=arguments.complete_policies,
              help="Ask about these: policies by name, at the peak of the runs; JSON files; logs of rates (CSV).",
              )  # fmt: skip
@click.option("--steps", type=click.IntRange(1, LARGEST),
              help="Ask about trainings of so many updates. Default: as long as the runs.")  # fmt: skip
@click.option("--laws", type=arguments.Comma(), help="Fit these: annealing, multi-power, functional. Default: all.")
@click.option("--peak", type=float, help="Give the policies this peak rate. Default: that of the runs.")
@arguments.gather(Logs)
@arguments.gather(Recording)
@output.output_options("plot", "report", "save")
def predict(
    sources: tuple[str, ...], *, schedules: list[str], steps: int | None, laws: list[str] | None, peak: float | None,
    logs: Logs, recording: Recording, outputs: output.Outputs,
) -> None:  # fmt: skip
    """Predict the loss curves of schedules from logs, or from three runs of TASK, by several laws.

    Schedules that lie closer than the predictions' own error are not ranked.
    """
    from stepsize import jobs

    outputs.check()
    files = arguments.logs_of(sources)
    asked = _all_asked(schedules, logs, steps)
    if files:
        runs, held_out = logs.read(files, steps), logs.read(list(logs.held_out), steps)
        prediction = jobs.predict(
            runs, asked, steps=steps, laws=laws, held_out=held_out, skip=logs.skip, peak=peak,
            name=", ".join(file.name for file in files),
        )  # fmt: skip
    else:
        prediction = _predict_task(sources[0], asked, recording, steps=steps, laws=laws, peak=peak)
    outputs.present(prediction, _show)


def _predict_task(
    source: str, asked: Asked, recording: Recording, *, steps: int | None, laws: list[str] | None, peak: float | None
) -> Prediction:
    from stepsize import jobs
    from stepsize.jobs.loss_laws.record import SEEDS
    from stepsize.jobs.race.entrants import RANGE_TEST

    rule, task = find_rule(recording.rule), output.load_task(source)
    horizon = steps or task.steps
    total = 3 * (recording.recorded or horizon) + len(asked) * horizon * recording.check
    with progress.show_progress(total * len(SEEDS) + (RANGE_TEST if peak is None else 0)) as notify:
        prediction = jobs.predict_task(
            task, rule, peak, asked, steps=horizon, recorded=recording.recorded, laws=laws, check=recording.check,
            progress=notify,
        )  # fmt: skip
    if peak is None:
        rate = max(float(run.rates.max()) for run in prediction.runs)
        click.echo(f"Recorded at a rate of {rate:g}, which a range test points to; another: --peak.", err=True)
    return prediction


def _all_asked(schedules: Sequence[str], logs: Logs, steps: int | None) -> Asked:
    """Return what is asked about, by names that differ: a file may be called as a recipe, or as another file."""
    asked = [_asked(name, logs, steps) for name in schedules]
    return dict(zip(tell_apart(name for name, _ in asked), (policy for _, policy in asked), strict=True))


def _asked(name: str, logs: Logs, steps: int | None) -> tuple[str, Policy | str]:
    """Return the name of one thing that is asked about, and the policy in its file, or the recipe called so."""
    if name.endswith(".json"):
        refusal = "; --schedules takes a schedule, a policy, a strategy or an advice."
        return Path(name).stem, Policy(lr=arguments.policy_in(name, refusal)[LR])
    if arguments.is_log(name):
        return Path(name).stem, _of_log(Path(name), logs, steps)
    recipe(name)
    return name, name


def _of_log(file: Path, logs: Logs, steps: int | None) -> Policy:
    from stepsize.jobs.logs.read import read_rates

    table = read_rates(
        file, step=logs.step_column, lr=logs.lr_column, warmup=logs.warmup, total=steps, per_update=logs.per_update
    )
    if steps and steps > len(table):
        raise BudgetError(f"{file} has rates up to step {len(table) - 1}, and {steps} steps are asked about.")
    return Policy(lr=Table(tuple(table.tolist()), len(table)))


def _show(prediction: Prediction) -> None:
    console = output.console()
    console.print(forecasts_table(prediction))
    console.print(laws_table(prediction))
    console.print(f"Verdict: {prediction.verdict}.", markup=False)
    for warning in prediction.warnings:
        console.print(f"Watch out: {warning}.", markup=False)


def forecasts_table(prediction: Prediction) -> Grid:
    """Return the predicted final losses as a table, beside what was measured where that is known."""
    laws = count(len(prediction.fits), "law")
    title = f"predicted final losses after {prediction.steps} steps, median and range over {laws}"
    measured = {each.name: run.final for each in prediction.forecasts if (run := prediction.measured(each)) is not None}
    rows = []
    for rank, each in enumerate(prediction.forecasts):
        cells = [f"{value:.4f}" for value in (each.final.value, each.final.low, each.final.high)]
        own = [f"{measured[each.name]:.4f}" if each.name in measured else ""] * bool(measured)
        ranked = rank > 0 and math.isfinite(prediction.error)
        rows.append((each.name, *cells, *own, "tied with the best" if ranked and each.tied else ""))
    head = ("schedule", "final loss", "lowest", "highest", *(("recorded",) * bool(measured)), "")
    return output.table(title, head, rows, text=(0, len(head) - 1))


def laws_table(prediction: Prediction) -> Grid:
    """Return how well each law fits, and how wrong it is on runs that it was not fitted to."""
    title = f"laws fitted to {', '.join(run.name for run in prediction.runs)}"
    rows = []
    for each in prediction.fits:
        cells = (each.error, each.curve_error, each.final_error)
        rows.append((each.law, *(f"{value:.4f}" if math.isfinite(value) else "not known" for value in cells)))
    return output.table(title, ("law", "error where fitted", "error held out", "of the final loss, at most"), rows)
