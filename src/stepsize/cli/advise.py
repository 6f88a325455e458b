"""`stepsize advise TASK`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from stepsize.cli import base
from stepsize.kernel.errors import ParameterError
from stepsize.policies import recipe
from stepsize.results.io import dumps
from stepsize.results.scripts import FRAMEWORKS

if TYPE_CHECKING:
    from stepsize.jobs.places import Workers
    from stepsize.results import Advice, Interval, Race


@click.command()
@base.task_argument
@base.steps_option
@click.option("--budget", default="120", show_default=True,
              help="For the whole search: full trainings, or a time such as 20min, or 800 trials.")  # fmt: skip
@base.seed_option
@click.option("--rules", type=base.Comma(), help="Update rules to try. Default: eight.")
@click.option("--policies", type=base.Comma(), help="Policies to try. Default: all.")
@click.option("--code", "framework", type=click.Choice(list(FRAMEWORKS)), default="torch", show_default=True,
              help="The framework that the code to paste is for.")  # fmt: skip
@base.json_option
@base.report_option
@base.save_option
@base.journal_option
@base.workers_option
def advise(
    task: str, *, steps: int | None, budget: str, seed: int, rules: list[str] | None, policies: list[str] | None,
    framework: str, as_json: bool, report: Path | None, save_to: Path | None, journal: Path | None, workers: Workers,
) -> None:  # fmt: skip
    """Find the update rule, the schedule and the learning rate for TASK."""
    from stepsize import jobs, load_task
    from stepsize.jobs.budgets import Budget
    from stepsize.jobs.portfolio import POLICIES, RULES

    chosen = list(RULES) if rules is None else base.rules_of(rules)
    base.writable(report, save_to)
    problem = load_task(task)
    horizon = problem.steps if steps is None else steps
    names = list(POLICIES) if policies is None else policies
    for name in names:
        recipe(name)
    allowed = Budget.of(budget)
    total = None if allowed.trainings is None else allowed.trainings * horizon
    with base.journaled(journal, f"advise-{base.slug(task)}-{seed}") as kept:
        with base.progress(total) as tell:
            answer = jobs.advise(
                problem,
                steps=horizon,
                budget=allowed,
                seed=seed,
                rules=chosen,
                policies=names,
                journal=kept,
                progress=tell,
                workers=workers,
            )
        made = base.deliver(answer, save_to, report)
    if as_json:
        click.echo(dumps(answer))
        return
    show_advice(answer, framework)
    for path in made:
        base.out().print(f"Wrote {path}", markup=False)


def show_advice(answer: Advice, framework: str = "torch") -> None:
    """Print the recommendation, why, what repeats it, and the code to paste."""
    console = base.out()
    lines = (
        f"[bold]{answer.strategy.name}[/bold] for {answer.steps} steps of {escape(answer.task)}",
        f"expected validation loss {answer.score}",
        f"one more run lies in {answer.promise.low:.4f} to {answer.promise.high:.4f} (95 %)",
        f"found for the cost of {answer.cost:.1f} full trainings, in {answer.seconds:.0f} s",
    )
    console.print(Panel.fit("\n".join(lines), title="recommendation"))
    console.print(standings_table(answer.final))
    for sentence in answer.reasons:
        console.print(f"- {escape(sentence)}", soft_wrap=True)
    for sentence in answer.warnings:
        console.print(f"[yellow]careful:[/yellow] {escape(sentence)}", soft_wrap=True)
    console.print(answer.more, soft_wrap=True)
    if answer.command:
        console.print("\nThe command that repeats it:\n")
        click.echo(answer.command)
    try:
        code = answer.code(framework)
    except ParameterError as error:  # the answer has been paid for, and one that cannot be pasted is still one
        console.print(f"\n[yellow]careful:[/yellow] {escape(str(error))}", soft_wrap=True)
        return
    console.print("\nThe code to paste:\n")
    click.echo(code)


def standings_table(race: Race) -> Table:
    """Return the standings of a race's last rung as a table."""
    table = Table(title=f"{len(race.rungs[-1].seeds)} paired seeds, {race.steps} steps; 95 % t-intervals")
    for heading, right in (("strategy", False), ("validation loss", True), ("behind the best", True), ("", False)):
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading == "strategy")
    for standing in race.standings:
        behind = "" if standing.behind is None else signed(standing.behind)
        score = f"diverged on {standing.diverged}" if standing.diverged else str(standing.score)
        table.add_row(standing.strategy.name, score, behind, "tied" if standing.tied and standing.behind else "")
    return table


def signed(difference: Interval) -> str:
    """Return a paired difference with its interval, signs shown."""
    return f"{difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
