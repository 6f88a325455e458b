"""`stepsize race TASK`: strategies at equal budget."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stepsize.cli import arguments, output, race_display
from stepsize.cli.advise import standings_table
from stepsize.cli.execution import Execution, execution_options, open_journal
from stepsize.cli.fields import POLICIES, Field, field_of
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.results.io import dumps, write

if TYPE_CHECKING:
    from stepsize.jobs import Budget, Journal, RungPlan, Runner
    from stepsize.jobs.race.race import Listen
    from stepsize.results import Curves, Race, Rung

SCREENED = 8
"""From so many strategies on, a race begins with a short rung."""

TUNING = 1000
"""The first of the seeds that choose the rates; those that judge begin with 0."""

NONE, SCREENING, HALVING = "none", "screening", "halving"


@click.command()
@arguments.task_argument
@arguments.steps_option
@click.option(
    "--strategies",
    metavar="FILE|LIST",
    help="Who races: a .toml or .json file, or a list such as 'AdamW one_cycle 0.01 0.03, SGD cosine 0.1'.",
)
@click.option("--rules", type=arguments.Comma(), help="Or: update rules to race. Default: AdamW,Momentum.")
@click.option("--policies", type=arguments.Comma(), help=f"Policies to race. Default: {','.join(POLICIES)}.")
@click.option(
    "--rates", type=arguments.Comma(), help="Peak learning rates. Default: one each, from a range test per rule."
)
@click.option(
    "--seeds", type=click.IntRange(1, TUNING), default=3, show_default=True, help="Paired seeds per strategy."
)
@click.option(
    "--tune-seeds",
    type=click.IntRange(0, 1000),
    help="Other seeds, on which the best rate of each rule and policy is chosen. Default: as many, where there are "
    "several rates; 0: race every rate.",
)
@click.option(
    "--budget", help="For everything: full trainings (30) or time (20min). Adds seeds until the leaders separate."
)
@click.option(
    "--rungs",
    type=click.Choice([NONE, SCREENING, HALVING]),
    help="Short runs first: a ninth, from which half goes on; or a ninth and a third, from which a third does. "
    f"Default: screening, from {SCREENED} strategies on.",
)
@click.option(
    "--view",
    type=click.Choice(["retimed", "prefix"]),
    default="retimed",
    show_default=True,
    help="What a short rung runs: whole schedules in fewer steps, or the first part of the long run.",
)
@click.option(
    "--selection",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="What a run is scored by: its last iterate, or its best checkpoint.",
)
@arguments.json_option
@click.option("--csv", "table", type=click.Path(dir_okay=False, path_type=Path), help="Write the standings as CSV.")
@click.option("--tensorboard", type=click.Path(file_okay=False, path_type=Path), help="Folder for TensorBoard's logs.")
@arguments.report_option
@arguments.save_option
@arguments.journal_option
@execution_options
def race(
    task: str, *, steps: int | None, strategies: str | None, rules: list[str] | None, policies: list[str] | None,
    rates: list[str] | None, as_json: bool, table: Path | None, tensorboard: Path | None, report: Path | None,
    save_to: Path | None, journal: Path | None, execution: Execution, **how: Any,
) -> None:  # fmt: skip
    """Race strategies on TASK, at equal budget and on the same batches."""
    from stepsize import jobs, load_task

    if how["budget"] is not None:
        how["budget"] = jobs.Budget.of(how["budget"])
    output.check_writable(report, save_to, table)
    problem = load_task(task)
    field = field_of(problem, strategies, rules, policies, rates)
    horizon = problem.steps if steps is None else steps
    settings = _settings(field, horizon, **how)
    total = field.updates + _updates(settings["plans"], field, settings["seeds"], horizon)
    with open_journal(journal, f"race-{output.slug(task)}") as kept:
        with (
            race_display.tensorboard(tensorboard) as write_rung,
            race_display.board(total) as (notify, show),
            execution.runner(problem, kept, notify) as runner,
        ):
            record = _run(runner, field, horizon, _listening(kept, show, write_rung), settings)
        made = output.write_result(record, save_to, report)
        if table is not None:
            made.append(write(table, rows_as_csv(record.rows())))
    if as_json:
        click.echo(dumps(record))
    else:
        show_race(record, made)


def _settings(
    field: Field, horizon: int, *, seeds: int, tune_seeds: int | None, budget: Budget | None, rungs: str | None,
    view: str, selection: str,
) -> dict[str, Any]:  # fmt: skip
    """Return how the race is run: the plans of its rungs, the seeds that tune and judge, and the rest.

    Raises BudgetError when the run is too short for rungs, or the budget too small.
    """
    from stepsize.jobs import RungPlan, halving, screening
    from stepsize.jobs.race.race import affordable
    from stepsize.jobs.race.rungs import ETA, LEAST_RUNG

    tuned = field.count > field.families > 1
    if tune_seeds and not tuned:
        raise ParameterError("--tune-seeds chooses among several rates of two or more policies; there is nothing to.")
    tuning = tuple(range(TUNING, TUNING + (seeds if tune_seeds is None else tune_seeds))) if tuned else ()
    judging = tuple(range(seeds))
    if rungs is None:
        rungs = SCREENING if field.count >= SCREENED and horizon >= LEAST_RUNG * ETA**2 else NONE
    makers = {SCREENING: screening, HALVING: halving}
    run = tuning or judging
    plans = [RungPlan(horizon, run)] if rungs == NONE else makers[rungs](field.count, horizon, run)
    affordable(budget, field.count, plans, judging if tuning else (), horizon)
    return {
        "plans": plans, "seeds": judging, "tuning": tuning, "budget": budget, "view": view, "selection": selection
    }  # fmt: skip


def _updates(plans: Sequence[RungPlan], field: Field, seeds: Sequence[int], horizon: int) -> int:
    """Return about how many replica-steps the rungs are."""
    count, found = field.count, 0
    for plan in plans:
        found += count * len(plan.seeds) * plan.steps
        count = count if plan.keep is None else min(count, plan.keep)
    judged = () if plans[-1].seeds == tuple(seeds) else seeds
    return found + field.families * len(judged) * horizon


def _run(runner: Runner, field: Field, horizon: int, listen: Listen, settings: dict[str, Any]) -> Race:
    """Run the range tests and the race, and return its record with the cost of both."""
    from stepsize import jobs

    began = time.perf_counter()
    entries = field.strategies(runner, horizon)
    spent = runner.updates / horizon
    budget = settings["budget"]
    record = jobs.race(
        runner.task, entries, steps=horizon, seeds=settings["seeds"], tune_seeds=settings["tuning"],
        rungs=settings["plans"], view=settings["view"], selection=settings["selection"],
        budget=None if budget is None else _rest(budget, spent, time.perf_counter() - began),
        runner=runner, listen=listen,
    )  # fmt: skip
    return replace(record, cost=record.cost + spent, seconds=time.perf_counter() - began)


def _rest(budget: Budget, trainings: float, seconds: float) -> Budget:
    """Return what the range tests have left of a budget; raise BudgetError when that is nothing."""
    unit, given, spent = "full trainings", budget.trainings, trainings
    if budget.seconds is not None:
        unit, given, spent = "seconds", budget.seconds, seconds
    if given is None:  # in runs, of which a range test is none
        return budget
    if given <= spent:
        raise BudgetError(f"the range tests alone cost {spent:.1f} {unit} of a budget of {given:g}; give --rates.")
    return replace(budget, **{"seconds" if budget.seconds is not None else "trainings": given - spent})


def _listening(journal: Journal, *others: Listen) -> Listen:
    """Return who tells all of them of a rung, and the journal in a line, for `stepsize watch`."""
    rungs: list[Rung] = []

    def listen(rung: Rung, curves: Curves) -> None:
        rungs.append(rung)
        journal.report(race_display.told(len(rungs), rung), 1, 1)
        for other in others:
            other(rung, curves)

    return listen


def rows_as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as CSV; a row may lack a column."""
    text = StringIO(newline="")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show_race(record: Race, made: Sequence[Path]) -> None:
    """Print the standings, what they rest on, and what was written."""
    console = output.console()
    console.print(standings_table(record))
    for sentence in record.sentences:
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"Cost: {record.cost:.1f} full trainings. {record.computed_by}.", markup=False, soft_wrap=True)
    output.name_files(made)
