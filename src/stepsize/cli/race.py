"""`stepsize race TASK`: strategies at equal budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stepsize.cli import base, places
from stepsize.cli.advise import standings_table
from stepsize.kernel.errors import BudgetError
from stepsize.policies import recipe
from stepsize.results.io import dumps
from stepsize.strategy import Strategy

USUAL = 2
"""Of the usual rules of advice, so many are raced when none are named."""

RAMP = 4 * 280
"""Replica-steps of a range test, for the progress bar."""


@click.command()
@base.task_argument
@base.steps_option
@click.option("--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, help="Paired seeds per strategy.")
@click.option("--rules", type=base.Comma(), help="Update rules to race. Default: AdamW,Momentum.")
@click.option(
    "--policies", type=base.Comma(), default="constant,cosine,one_cycle", show_default=True, help="Policies to race."
)
@click.option("--rates", type=base.Comma(), help="Peak learning rates. Default: one each, from a range test per rule.")
@base.json_option
@base.report_option
@base.save_option
@base.journal_option
@places.place_options
def race(
    task: str, *, steps: int | None, seeds: int, rules: list[str] | None, policies: list[str], rates: list[str] | None,
    as_json: bool, report: Path | None, save_to: Path | None, journal: Path | None, **place: Any,
) -> None:  # fmt: skip
    """Race rules x policies x rates on TASK, at equal budget and on the same batches."""
    from stepsize import jobs, load_task
    from stepsize.jobs.advice import candidate, candidates, usual_rules

    places.check(**place)
    named = None if rules is None else base.rules_of(rules)
    peaks = None if rates is None else base.rates_of(rates)
    for name in policies:
        recipe(name)
    base.writable(report, save_to)
    problem = load_task(task)
    chosen = usual_rules(problem)[:USUAL] if named is None else named
    count = len(chosen) * len(policies) * len(peaks or [1])
    if count < 2:
        raise BudgetError(f"a race needs at least two strategies, not {count}; name more rules, policies or rates.")
    horizon = problem.steps if steps is None else steps
    total = count * seeds * horizon + (0 if peaks else len(chosen) * RAMP)
    field: list[Strategy] = []
    with base.journaled(journal, f"race-{base.slug(task)}") as kept:
        with base.progress(total) as tell, places.runner(problem, kept, tell, place) as runner:
            for rule in chosen:
                if peaks is None:
                    found = jobs.suggest(jobs.range_test(problem, rule, runner=runner))
                    field += candidates(rule, found, policies, 1, horizon)
                else:
                    field += [candidate(rule, name, peak) for name in policies for peak in peaks]
            record = jobs.race(problem, field, steps=horizon, seeds=range(seeds), runner=runner)
        made = base.deliver(record, save_to, report)
    if as_json:
        click.echo(dumps(record))
        return
    console = base.out()
    console.print(standings_table(record))
    console.print(f"Cost: {runner.updates / horizon:.1f} full trainings. {record.engine}.", markup=False)
    for path in made:
        console.print(f"Wrote {path}", markup=False)
