"""`stepsize predict LOGS...|TASK`: the loss curves of schedules that were not run, from a recorded few.

::

    stepsize predict constant.csv cosine.csv --schedules wsd,linear_to_zero   from your logs: step, lr, loss
    stepsize predict runs.csv --run-column run --schedules mine.json          several runs in one file
    stepsize predict mytask.py --schedules wsd,cosine --check                 record three runs, and check the answer
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table as Grid

from stepsize.cli import arguments, output, progress
from stepsize.kernel.errors import BudgetError, ParameterError, SpecError
from stepsize.kernel.spec import Spec
from stepsize.kernel.text import count
from stepsize.policies import LR, Policy, recipe
from stepsize.results import Advice, Prediction, Refinement
from stepsize.results.io import load
from stepsize.schedules import Schedule, Table
from stepsize.strategy import Strategy

if TYPE_CHECKING:
    from stepsize.results import LossCurve

SCHEDULES = "constant,cosine,linear_to_zero,wsd"


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="LOG.csv...|TASK")
@click.option("--schedules", type=arguments.Comma(), default=SCHEDULES, show_default=True,
              help="Policies by name, at the peak of the runs; JSON files; CSV files of rates.")  # fmt: skip
@click.option("--steps", type=click.IntRange(min=1), help="Horizon of what is asked about. Default: of the runs.")
@click.option("--laws", type=arguments.Comma(), help="annealing, multi-power, functional. Default: all.")
@click.option("--held-out", type=click.Path(dir_okay=False, path_type=Path), multiple=True,
              help="A log that the laws are held to and not fitted to; may be repeated.")  # fmt: skip
@click.option("--peak", type=float, help="Of the policies. Default: of the runs.")
@click.option("--warmup", type=click.IntRange(min=0), default=0, show_default=True,
              help="Updates in which the rate rose from 0, where the log begins after them.")  # fmt: skip
@click.option("--skip", type=click.FloatRange(0, 1, max_open=True), default=0.05, show_default=True,
              help="The first part of each run, which is not fitted.")  # fmt: skip
@click.option("--step-column", default="step", show_default=True, help="What the logs call the step.")
@click.option("--lr-column", default="lr", show_default=True, help="What the logs call the rate.")
@click.option("--loss-column", default="loss", show_default=True, help="What the logs call the loss.")
@click.option("--run-column", help="What tells the runs of one file apart. Default: a run is a file.")
@click.option("--rule", default="AdamW", show_default=True, help="On a task: the update rule.")
@click.option("--recorded", type=click.IntRange(min=1), help="On a task: how long the recorded runs are.")
@click.option("--check", is_flag=True, help="On a task: also run what is asked about, and say how right it was.")
@arguments.json_option
@arguments.plot_option
@arguments.report_option
@arguments.save_option
def predict(
    sources: tuple[str, ...], *, as_json: bool, plot: Path | None, report: Path | None, save_to: Path | None,
    **options: Any,
) -> None:  # fmt: skip
    """Predict the loss curves of schedules from logs, or from three runs of TASK, by several laws.

    Schedules that lie closer than the predictions' own error are not ranked.
    """
    output.check_writable(report, save_to)
    output.check_drawable(plot)
    logs = [source.endswith(".csv") for source in sources]
    if not all(logs) and len(sources) > 1:
        raise ParameterError(f"give logs that end in .csv, or one task, not {', '.join(sources)}.")
    found = _of_logs([Path(source) for source in sources], options) if all(logs) else _of_task(sources[0], options)
    output.present(found, _say, as_json=as_json, plot=plot, report=report, save_to=save_to)


def _of_logs(files: list[Path], options: dict[str, Any]) -> Prediction:
    from stepsize import jobs

    runs, dropped = _curves(files, options)
    held_out, _ = _curves(list(options["held_out"]), options)
    peak = options["peak"] or max(float(run.rates.max()) for run in runs)
    asked = dict(_asked(name, peak, options, runs[0]) for name in options["schedules"])
    if dropped:
        click.echo(f"Note: {dropped} rows without a number in each column were left out.", err=True)
    return jobs.predict(
        runs, asked, steps=options["steps"], laws=options["laws"], held_out=held_out, skip=options["skip"],
        name=", ".join(file.name for file in files),
    )  # fmt: skip


def _curves(files: list[Path], options: dict[str, Any]) -> tuple[list[LossCurve], int]:
    from stepsize import jobs

    told = [
        jobs.loss_curves(
            file, step=options["step_column"], lr=options["lr_column"], loss=options["loss_column"],
            run=options["run_column"], warmup=options["warmup"],
        )
        for file in files
    ]  # fmt: skip
    return [run for runs, _ in told for run in runs], sum(dropped for _, dropped in told)


def _of_task(name: str, options: dict[str, Any]) -> Prediction:
    from stepsize import jobs, load_task
    from stepsize.jobs.loss_laws.record import SEEDS

    (rule,) = arguments.parse_rules([options["rule"]])
    for each in options["schedules"]:
        _asked(each, 1.0, options)
    problem = load_task(name)
    horizon = options["steps"] or problem.steps
    total = 3 * (options["recorded"] or horizon) + len(options["schedules"]) * horizon * options["check"]
    with progress.show_progress(total * len(SEEDS)) as tell:
        peak = options["peak"] or _suggested(name, options["rule"])
        asked = dict(_asked(each, peak, options) for each in options["schedules"])
        return jobs.predict_task(
            problem, rule, peak, asked, steps=horizon, recorded=options["recorded"], laws=options["laws"],
            check=options["check"], progress=tell,
        )  # fmt: skip


def _suggested(name: str, rule: str) -> float:
    from stepsize import jobs, load_task

    (chosen,) = arguments.parse_rules([rule])
    peak = jobs.estimate_rate(load_task(name), chosen, curvature=False)
    click.echo(f"Recording at a rate of {peak:g}, which a range test points to; another: --peak.", err=True)
    return peak


def _asked(name: str, peak: float, options: dict[str, Any], run: LossCurve | None = None) -> tuple[str, Policy]:
    """Return the name and the policy of one thing that is asked about; a policy by name has the warmup of `run`."""
    from stepsize import jobs

    if name.endswith(".csv"):
        return Path(name).stem, _of_csv(Path(name), options)
    if name.endswith(".json"):
        return Path(name).stem, _of_json(Path(name))
    policy = recipe(name)(peak).only([LR])
    return name, policy if run is None else jobs.led(policy, run)


def _of_csv(file: Path, options: dict[str, Any]) -> Policy:
    from stepsize.jobs.csv_logs import rates_between, read_log

    (log,) = read_log(file, {"step": options["step_column"], "lr": options["lr_column"]})
    total = int(log.steps[-1]) + 1
    if options["steps"] and options["steps"] > total:
        raise BudgetError(f"{file} has rates up to step {total - 1}, and {options['steps']} steps are asked about.")
    table = rates_between(log.steps, log.columns["lr"], total, options["warmup"])
    return Policy(lr=Table(tuple(table.tolist()), total))


def _of_json(file: Path) -> Policy:
    value = load(file, Spec)
    if isinstance(value, Advice | Strategy | Refinement):
        value = value.policy
    schedule = value[LR] if isinstance(value, Policy) else value
    if not isinstance(schedule, Schedule):
        raise SpecError(
            f"{file} holds a {value.noun}; --schedules takes a schedule, a policy, a strategy or an advice."
        )
    return Policy(lr=schedule)


def _say(found: Prediction) -> None:
    console = output.console()
    console.print(forecasts_table(found))
    console.print(laws_table(found))
    console.print(f"Verdict: {found.verdict}.", markup=False)
    for warning in found.warnings:
        console.print(f"Watch out: {warning}.", markup=False)


def forecasts_table(found: Prediction) -> Grid:
    """Return the predicted final losses as a table, beside what was measured where that is known."""
    table = Grid(
        title=f"predicted final losses after {found.steps} steps, median and range over {count(len(found.fits), 'law')}"
    )
    measured = {each.name: run.final for each in found.forecasts if (run := found.measured(each)) is not None}
    for heading in ("schedule", "final loss", "lowest", "highest", *(("recorded",) * bool(measured)), ""):
        table.add_column(heading, justify="left" if heading in ("schedule", "") else "right")
    for place, each in enumerate(found.forecasts):
        cells = [f"{value:.4f}" for value in (each.final.value, each.final.low, each.final.high)]
        own = [f"{measured[each.name]:.4f}" if each.name in measured else ""] * bool(measured)
        ranked = place > 0 and math.isfinite(found.error)
        table.add_row(each.name, *cells, *own, "tied with the best" if ranked and each.tied else "")
    return table


def laws_table(found: Prediction) -> Grid:
    """Return how well each law fits, and how wrong it is on runs that it was not fitted to."""
    table = Grid(title=f"laws fitted to {', '.join(run.name for run in found.runs)}")
    for heading in ("law", "error where fitted", "error held out", "of the final loss, at most"):
        table.add_column(heading, justify="left" if heading == "law" else "right")
    for each in found.fits:
        cells = (each.error, each.curve_error, each.final_error)
        table.add_row(each.law, *(f"{value:.4f}" if math.isfinite(value) else "not known" for value in cells))
    return table
