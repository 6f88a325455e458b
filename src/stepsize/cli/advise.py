"""`stepsize advise TASK`: the main job."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from stepsize.cli import arguments, output, progress
from stepsize.cli.execution import Execution, execution_options, open_journal
from stepsize.codegen import FRAMEWORKS
from stepsize.kernel.errors import ParameterError
from stepsize.results.io import dumps
from stepsize.results.race_text import percent
from stepsize.strategy import find_rule

if TYPE_CHECKING:
    from stepsize.results import Advice, Interval, Race


@click.command()
@arguments.task_argument
@arguments.steps_option
@click.option("--budget", default="120", show_default=True,
              help="Spend at most this on the whole search: full trainings, a time such as 20min, or 800 trials.",
              )  # fmt: skip
@arguments.seed_option
@click.option("--rules", type=arguments.Comma(), help="Try these update rules, or the one of yours. Default: eight.")
@click.option("--policies", type=arguments.Comma(), help="Try these policies. Default: all.")
@click.option("--weight-decay", type=arguments.Comma(), metavar="A,B,...",
              help="Try every rule at these weight decays.")  # fmt: skip
@click.option("--batch-size", type=arguments.Comma(), metavar="A,B,...",
              help="Try these batch sizes, each on as many samples and with an equal part of the budget.")  # fmt: skip
@click.option("--code", "framework", type=click.Choice(list(FRAMEWORKS)), default="torch", show_default=True,
              help="Print the code to paste for this framework.")  # fmt: skip
@arguments.json_option
@arguments.report_option
@arguments.save_option
@arguments.journal_option
@execution_options
def advise(
    task: str, *, steps: int | None, budget: str, seed: int, rules: list[str] | None, policies: list[str] | None,
    weight_decay: list[str] | None, batch_size: list[str] | None, framework: str, as_json: bool, report: Path | None,
    save_to: Path | None, journal: Path | None, execution: Execution,
) -> None:  # fmt: skip
    """Find the update rule, the schedule and the learning rate for TASK."""
    from stepsize import jobs, load_task
    from stepsize.jobs.advise.advise import askable
    from stepsize.jobs.advise.search_space import POLICIES, usual_rules, variants
    from stepsize.problems.base import with_data

    chosen = None if rules is None else list(map(find_rule, rules))
    decays = None if weight_decay is None else _at_least_0("--weight-decay", weight_decay)
    sizes = None if batch_size is None else [_whole(size) for size in _at_least_0("--batch-size", batch_size)]
    output.check_writable(report, save_to)
    problem = load_task(task)
    tried = list(usual_rules(problem)) if chosen is None else chosen
    tried = tried if decays is None else list(variants(tried, "weight_decay", decays))
    names = list(POLICIES) if policies is None else policies
    horizon, allowed = steps or problem.steps, jobs.Budget.of(budget)
    if sizes is None:
        askable(allowed, tried, names, horizon)
    asked = functools.partial(jobs.advise, steps=horizon, budget=allowed, seed=seed, policies=names, rules=tried)
    total = None if allowed.trainings is None else allowed.trainings * horizon
    with open_journal(journal, f"advise-{output.slug(task)}-{seed}") as kept:
        with progress.show_progress(total) as notify, execution.runner(problem, kept, notify) as runner:
            if sizes is None:
                answers: tuple[Advice, ...] = (asked(problem, runner=runner),)
            else:
                answers = jobs.advise_batches(problem, sizes, runner=runner, **asked.keywords)
        files = output.write_result(answers[0], save_to, report)
    if as_json:
        click.echo(dumps(answers[0]))
        return
    show_advice(answers[0], framework)
    for other in answers[1:]:
        size = other.batch_size or with_data(problem).batch_size
        line = f"With batches of {size}: {other.strategy.name} for {other.steps} steps reaches {other.score}."
        output.console().print(line, markup=False, soft_wrap=True)
    output.name_files(files)


def _at_least_0(option: str, texts: Sequence[str]) -> list[float]:
    allowed = f"{option} takes numbers of at least 0 with commas between them"
    numbers = arguments.parse_numbers(texts, allowed)
    if not numbers or not all(0 <= number < math.inf for number in numbers):
        raise ParameterError(f"{allowed}, not {','.join(texts)!r}.")
    return numbers


def _whole(size: float) -> int:
    if size != int(size):
        raise ParameterError(f"a batch size is a whole number of samples, not {size:g}.")
    return int(size)


def show_advice(answer: Advice, framework: str = "torch") -> None:
    """Print the recommendation, why, what repeats it, and the code to paste."""
    console = output.console()
    lines = (
        f"[bold]{answer.strategy.name}[/bold] for {answer.steps} steps of {escape(answer.task)}"
        + (f" in batches of {answer.batch_size}" if answer.batch_size else ""),
        f"expected {answer.final.scored} {answer.score}",
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
    """Return the standings of a race as a table that fits a terminal of 80 columns."""
    title = f"{race.scored} on paired seeds, {race.steps} steps; ± is half of the 95 % t-interval"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("strategy", overflow="fold")
    for heading in ("seeds", "score", "behind the best", "", "chance"):
        table.add_column(heading, justify="right", no_wrap=True)
    for standing in race.standings:
        name = standing.strategy.name
        behind = "" if standing.behind is None else plus_minus(standing.behind, "+")
        score = f"diverged on {standing.diverged}" if standing.diverged else plus_minus(standing.score)
        chance = percent(standing.chance) if math.isfinite(standing.chance) else ""
        tied = "tied" if standing.tied and standing.behind else ""
        table.add_row(escape(name), str(race.seeds_of(name)), score, behind, tied, chance)
    return table


def plus_minus(interval: Interval, sign: str = "") -> str:
    """Return a mean with half of its interval; alone where that is not known.

    >>> from stepsize.results import Interval
    >>> plus_minus(Interval(0.1, 0.08, 0.12), "+")
    '+0.1000 ± 0.0200'
    """
    half = (interval.high - interval.low) / 2
    return f"{interval.mean:{sign}.4f}" + (f" ± {half:.4f}" if math.isfinite(half) else "")
