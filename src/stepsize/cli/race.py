"""`stepsize race TASK`: strategies at equal budget.

::

    stepsize race digits --rules AdamW,Momentum --policies cosine,one_cycle   rates from range tests
    stepsize race mytask.py --strategies "AdamW one_cycle 0.003 0.01, SGD cosine 0.1" --report race.html
    stepsize race mytask.py --budget 30 --workers 4 --journal night           in four processes; killed, it goes on
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stepsize.cli import arguments, output, race_display
from stepsize.cli.execution import Execution, execution_options, open_journal
from stepsize.cli.help import Command
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.output_files import write
from stepsize.results import Race
from stepsize.results.race import Selection, View

if TYPE_CHECKING:
    from stepsize.jobs import Entrants
    from stepsize.jobs.race.race import NamedRungs


@click.command(cls=Command, examples=__doc__)
@arguments.task_argument
@arguments.length_option
@click.option(
    "--strategies",
    metavar="FILE|LIST",
    help="Race these strategies: a .toml or .json file, or a list such as 'AdamW one_cycle 0.01 0.03, SGD cosine 0.1'.",
)
@arguments.rules_option("Or race these update rules. Default: AdamW,Momentum.")
@arguments.policies_option("Race rules with these policies. Default: constant,cosine,one_cycle.")
@click.option(
    "--rates",
    type=arguments.Comma(),
    help="Race every policy at these peak learning rates. Default: at one each, from a range test of the rule.",
)
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, help="Run every strategy on so many seeds."
)
@click.option(
    "--tune-seeds",
    type=click.IntRange(0, 1000),
    help="Choose the best rate of each rule and policy on so many other seeds. Default: as many as --seeds, where "
    "there are several rates; 0: race every rate.",
)
@click.option(
    "--budget",
    help="Spend at most this on everything: full trainings (30) or time (20min). What the rungs leave buys seeds, "
    "until the leaders separate.",
)
@click.option(
    "--rungs",
    type=click.Choice(["none", "screening", "halving"]),
    help="Run short trainings first: a ninth of the steps, from which half go on (screening), or a ninth and a "
    "third, from which a third do (halving). Default: screening, from 8 strategies on.",
)
@click.option(
    "--view",
    type=click.Choice(["retimed", "prefix"]),
    default="retimed",
    show_default=True,
    help="On a short rung, run whole schedules in fewer steps, or the first part of the long run.",
)
@click.option(
    "--selection",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Score a run by its last iterate, or by its best checkpoint.",
)
@click.option("--csv", "table", type=arguments.OutputFile(".csv"), help="Write the standings as CSV.")
@click.option("--tensorboard", type=arguments.OutputFolder(), help="Write logs for TensorBoard to this folder.")
@output.output_options("report", "save")
@arguments.journal_option
@execution_options
def race(
    task: str, *, steps: int | str | None, strategies: str | None, rules: list[str] | None, policies: list[str] | None,
    rates: list[str] | None, seeds: int, tune_seeds: int | None, budget: str | None, rungs: NamedRungs | None,
    view: View, selection: Selection, outputs: output.Outputs, table: Path | None, tensorboard: Path | None,
    journal: Path | None, execution: Execution,
) -> None:  # fmt: skip
    """Race strategies on TASK, at equal budget and on the same batches."""
    from stepsize.jobs.race.race import RaceOptions, plan_race

    options = RaceOptions(
        seeds=seeds, tune_seeds=tune_seeds, rungs=rungs, view=view, selection=selection, budget=budget
    )  # fmt: skip
    outputs.check(table, read=(task, strategies))
    problem = output.load_task(task)
    plan = plan_race(problem, _entrants(strategies, rules, policies, rates), steps, options)
    with open_journal(journal, f"race-{output.slug(task)}") as kept:
        with (
            race_display.write_tensorboard(tensorboard) as logs,
            race_display.show_board(plan.updates) as (notify, show_rung),
            execution.runner(problem, kept, notify) as runner,
        ):
            climb = plan.start(runner)
            for number, rung in enumerate(climb, 1):
                kept.report(race_display.describe(number, rung), 1, 1)  # for `stepsize watch`
                show_rung(rung)
                logs.write(rung, climb.curves)
            record = climb.record()
        files = {**outputs.files(record), **logs.files}
        if table is not None:
            files[table] = lambda: write(table, rows_as_csv(record.rows()))
        outputs.present(record, show_race, files)


def _entrants(
    strategies: str | None, rules: list[str] | None, policies: list[str] | None, rates: list[str] | None
) -> Entrants | str:
    from stepsize.jobs import Entrants

    if strategies is None:
        peaks = None if rates is None else arguments.parse_rates(rates)
        return Entrants(rules=rules, policies=policies, rates=peaks)
    for option, value in {"--rules": rules, "--policies": policies, "--rates": rates}.items():
        if value is not None:
            raise ParameterError(f"--strategies says who races, and so does {option}; leave one of them away.")
    return strategies


def rows_as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as CSV; a row may lack a column."""
    text = StringIO(newline="")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show_race(record: Race) -> None:
    """Print the standings, and what they rest on."""
    console = output.console()
    console.print(race_display.standings_table(record))
    for sentence in record.sentences:
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"Cost: {record.cost:.1f} full trainings. {record.computed_by}.", markup=False, soft_wrap=True)
