"""`stepsize range-test TASK`: how far the learning rate may climb, and which one to use with a schedule.

::

    stepsize range-test mytask.py                             the article's two bounds, from a ramp
    stepsize range-test mytask.py --for one_cycle             and the peak to use, from whole short runs
    stepsize range-test mytask.py --of momentum --lr 0.1      Smith's other tests: momentum, weight_decay, batch_size
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from stepsize.cli import arguments, output, progress
from stepsize.kernel.errors import ParameterError, SpecError
from stepsize.kernel.spec import Spec
from stepsize.kernel.text import count
from stepsize.policies import LR, Policy, recipe
from stepsize.results import Advice, Suggestion, Sweep
from stepsize.results.io import dumps, load, save
from stepsize.rules import Rule
from stepsize.strategy import Strategy

if TYPE_CHECKING:
    from stepsize.problems import Task

SEEDS, SEARCHING = 4, 2
"""Seeds when none are given: of a ramp or of fixed values, and of a search, whose runs are longer."""


@click.command("range-test")
@arguments.task_argument
@click.option("--rule", default="AdamW", show_default=True, help="The update rule to test.")
@click.option("--for", "for_", metavar="POLICY", help="Also find the rate to use with this policy: a name or a file.")
@click.option("--low", type=float, default=1e-6, show_default=True, help="The first learning rate.")
@click.option("--high", type=float, default=10.0, show_default=True, help="The last learning rate.")
@click.option(
    "--steps", type=click.IntRange(min=1), help="Of the ramp, or of runs at fixed values. Default: 40 a decade."
)
@click.option("--spacing", type=click.Choice(["exponential", "linear"]), default="exponential", show_default=True,
              help="How the rate climbs.")  # fmt: skip
@click.option("--horizon", type=click.IntRange(min=1), help="Of a full training, in updates. Default: the task's own.")
@click.option("--budget", type=float, help="Of --for, in full trainings for each seed. Default: 2.5.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), help=f"For the spread. Default: {SEEDS}, or {SEARCHING} with --for."
)
@click.option("--of", default=LR, show_default=True, help="What to test: lr, a hyperparameter, or batch_size.")
@click.option("--values", type=arguments.Comma(), help="Of --of. Default: Smith's.")
@click.option("--lr", type=float, help="The peak rate of a test of something else. Default: found by a ramp.")
@click.option("--compare", is_flag=True, help="Also say what the rules of other range tests would suggest.")
@arguments.json_option
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the curves into an image file.")
@arguments.save_option
def range_test(
    task: str, *, rule: str, for_: str | None, horizon: int | None, compare: bool, as_json: bool, plot: Path | None,
    save_to: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Let the learning rate of TASK climb, and read the two bounds off the loss; with --for, find the rate to use."""
    from stepsize import jobs, load_task

    (chosen,) = arguments.parse_rules([rule])
    wanted = None if for_ is None else _policy(for_)
    output.check_writable(save_to)
    output.check_drawable(plot)
    problem = load_task(task)
    if options["of"] != LR:
        sweep = _of_values(problem, chosen, wanted, options)
    elif wanted is None:
        sweep = _ramp(problem, chosen, options)
    else:
        sweep = _search(problem, chosen, wanted, horizon, options)
    found = jobs.suggest(sweep, wanted, horizon)
    if save_to is not None:
        save(sweep, save_to)
    if plot is not None:
        from stepsize import plots

        output.write_picture(plots.plot_search(sweep, found), plot)
    if as_json:
        click.echo(dumps(found))
    else:
        _say(sweep, found, compare=compare)


def _ramp(problem: Task, rule: Rule, options: dict[str, Any]) -> Sweep:
    from stepsize import jobs

    seeds = options["seeds"] or SEEDS
    spacing: Literal["exponential", "linear"] = options["spacing"]
    ends = {"low": options["low"], "high": options["high"]}
    steps = options["steps"] or jobs.ramp_steps(**ends)
    with progress.show_progress(seeds * steps) as tell:
        return jobs.range_test(problem, rule, **ends, steps=steps, spacing=spacing, seeds=range(seeds), progress=tell)


def _search(problem: Task, rule: Rule, wanted: str | Policy, horizon: int | None, options: dict[str, Any]) -> Sweep:
    from stepsize import jobs
    from stepsize.jobs.range_test.search import BUDGET

    seeds, budget = options["seeds"] or SEARCHING, options["budget"] or BUDGET
    with progress.show_progress(seeds * budget * (horizon or problem.steps)) as tell:
        return jobs.find_rate(
            problem, rule, wanted, steps=horizon, budget=budget, seeds=range(seeds), low=options["low"],
            high=options["high"], curvature=True, progress=tell,
        )  # fmt: skip


def _of_values(problem: Task, rule: Rule, wanted: str | Policy | None, options: dict[str, Any]) -> Sweep:
    from stepsize import jobs

    wanted, lr, of = "constant" if wanted is None else wanted, options["lr"], options["of"]
    tried = arguments.parse_numbers(options["values"] or [], f"a {of} is a number")
    if lr is None:
        found = jobs.suggest(_ramp(problem, rule, {**options, "steps": None}), wanted).lr
        if found is None:
            raise ParameterError("the range test has no clear answer, so there is no rate to test at; give one: --lr.")
        lr = float(f"{found.value:.2g}")
        click.echo(f"Testing at a rate of {lr:g}, which a range test points to; another: --lr.", err=True)
    seeds, steps = options["seeds"] or SEEDS, options["steps"] or max(8, problem.steps // 4)
    policy = jobs.at_rate(wanted, lr)
    with progress.show_progress(seeds * steps * (len(tried) or 4)) as tell:
        return jobs.value_test(
            problem, of, tried, policy=policy, rule=rule, steps=steps, seeds=range(seeds), progress=tell
        )


def _policy(name: str) -> str | Policy:
    """Return the name of a recipe as it is, or the policy that a file holds."""
    if not name.endswith(".json"):
        recipe(name)
        return name
    value = load(name, Spec)
    if isinstance(value, Advice | Strategy):
        return value.policy
    if not isinstance(value, Policy):
        raise SpecError(f"{name} holds a {type(value).__name__}; --for takes a policy, a strategy or an advice.")
    return value


def _say(sweep: Sweep, found: Suggestion, *, compare: bool) -> None:
    from stepsize import jobs
    from stepsize.plots.terminal import sketch

    console = output.console()
    console.print(sketch(sweep, found, width=min(100, console.width), encoding=console.encoding), markup=False)
    rows = (
        ("min_lr", found.min_lr, "just before the sharp drop"),
        ("max_lr", found.max_lr, "just before the loss rises"),
        ("limit", found.limit, "the largest stable rate, by the curvature of the initial weights"),
        ("base", found.base, "of the cycle"),
        (sweep.of, found.lr, "to use"),
    )
    for name, value, word in rows:
        if value is not None:
            console.print(f"{name:7} {value}   {word}", markup=False)
    console.print(f"{sweep.title} on {sweep.task}, {count(len(sweep.seeds), 'seed')}: {found.reason}.", markup=False)
    for warning in found.warnings:
        console.print(f"Watch out: {warning}.", markup=False)
    if found.policy is not None:
        console.print(f"Use it as: {found.policy!r}", markup=False)
    spent = sweep.cost + sum(each.cost for each in sweep.earlier)
    console.print(f"Cost: {spent / (sweep.horizon or sweep.steps):.1f} full trainings.", markup=False)
    if compare:
        ramp = next((each for each in (*sweep.earlier, sweep) if not each.fan), None)
        for name, value in ({} if ramp is None else jobs.compare(ramp)).items():
            console.print(f"  {name:10} {value}", markup=False)
