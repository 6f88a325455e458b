"""`stepsize range-test TASK`: how far the learning rate may climb, and which one to use with a schedule.

::

    stepsize range-test mytask.py                             the article's two bounds, from a range test
    stepsize range-test mytask.py --for one_cycle              the peak to use with a policy, from whole runs
    stepsize range-test mytask.py --of momentum --lr 0.1      Smith's other tests: momentum, weight_decay, batch_size
    stepsize range-test mytask.py --group head=1,3,10         what the rate of a parameter group is multiplied by
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from stepsize.cli import arguments, output, progress
from stepsize.kernel.errors import ParameterError, SpecError, check_name
from stepsize.kernel.spec import Spec
from stepsize.kernel.text import count
from stepsize.policies import LR, Policy, recipe
from stepsize.results import Advice, HyperparameterSweep, RangeTestRecord, Suggestion
from stepsize.results import advice_text as text
from stepsize.results.io import dumps, load, save
from stepsize.results.range_test import OF_GROUP
from stepsize.rules import Rule
from stepsize.search_space import variants
from stepsize.strategy import Strategy, find_rule
from stepsize.theory.range_test import HIGH, LEAST_RUN, LOW, PER_DECADE, range_test_steps

if TYPE_CHECKING:
    from stepsize.problems import Trainable

BATCH_SIZE = "batch_size"
"""What --of may name beside the hyperparameters of the rule."""

SEEDS = 4
"""Seeds when none are given, of a range test or of fixed values."""

OF_RANGE_TEST = ("low", "high", "steps", "spacing", "seeds")
"""Options that say nothing to the search of --for."""

BUDGET = "1"
"""What the search for a rate may cost when nothing is said, in full trainings."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for, but for where the answer goes."""

    rule: str
    policy: str | None
    low: float
    high: float
    steps: int | None
    spacing: Literal["exponential", "linear"]
    horizon: int | None
    budget: str
    seeds: int | None
    of: str
    values: list[str] | None
    group: str | None
    lr: float | None


@click.command("range-test")
@arguments.task_argument
@click.option("--rule", default="AdamW", show_default=True, help="The update rule to test.")
@click.option(
    "--for", "policy", metavar="POLICY",
    help="Find the rate to use with this policy, a name or a file, by a search in place of the range test. With --of: "
    "the policy to train with.",
)  # fmt: skip
@click.option("--low", type=float, default=LOW, show_default=True, help="The first learning rate.")
@click.option("--high", type=float, default=HIGH, show_default=True, help="The last learning rate.")
@click.option(
    "--steps", type=arguments.Length(),
    help=f"How long the range test is, or with --of each run: updates, or 1epoch. Default: {PER_DECADE} a decade, or a "
    "quarter of the task's own.",
)  # fmt: skip
@click.option("--spacing", type=click.Choice(["exponential", "linear"]), default="exponential", show_default=True,
              help="How the rate climbs.")  # fmt: skip
@click.option(
    "--horizon",
    type=arguments.Length(),
    help="How long a full training is: updates, or 3epochs. Default: the task's own.",
)
@click.option(
    "--budget", default=BUDGET, show_default=True,
    help="What the search of --for may cost: full trainings (0.5, 3), a time such as 20min, or 40 trials; 0 asks for "
    "what a look at the model says.",
)  # fmt: skip
@click.option(
    "--seeds", type=click.IntRange(1, 1000),
    help=f"How many seeds run, for the spread. Default: {SEEDS}. The search of --for has its own.",
)  # fmt: skip
@click.option("--of", default=LR, show_default=True, help="What is tested: lr, another hyperparameter, or batch_size.")
@click.option("--values", type=arguments.Comma(), help="Which values of --of are tested. Default: Smith's.")
@click.option(
    "--group", metavar="NAME=A,B,...",
    help="Test what the rate of a parameter group of the task, by its name, is multiplied by, such as head=1,3,10.",
)  # fmt: skip
@click.option("--lr", type=float, help="The peak rate that --of is tested at. Default: what a range test points to.")
@arguments.json_option
@arguments.plot_option
@arguments.save_option
def range_test(task: str, *, as_json: bool, plot: Path | None, save_to: Path | None, **given: Any) -> None:
    """Let the learning rate of TASK climb, and read two bounds off the loss; with --for, find the rate to use."""
    from stepsize import jobs
    from stepsize.jobs.lengths import updates_of

    options = _with_group(Options(**given))
    rule = find_rule(options.rule)
    if not options.of.startswith(OF_GROUP):  # which groups there are the task says
        check_name(options.of, [*rule.hyperparameters, BATCH_SIZE], f"hyperparameter of {rule.title}")
    _check_values(rule, options.of, options.values)
    policy = None if options.policy is None else _policy(options.policy)
    searching = policy is not None and options.of == LR
    if searching:
        _refuse(OF_RANGE_TEST)
    output.check_writable(save_to, read=(task,))
    output.check_drawable(plot)
    problem = output.load_task(task)
    steps, horizon = (None if each is None else updates_of(problem, each) for each in (options.steps, options.horizon))
    options = replace(options, steps=steps, horizon=horizon)
    if policy is not None and searching:
        answer = _search(problem, rule, policy, options)
        output.present(answer, _print_answer, as_json=as_json, plot=plot, report=None, save_to=save_to)
        return
    sweep: RangeTestRecord | HyperparameterSweep
    if options.of == LR:
        sweep = _range_test(problem, rule, options)
    else:
        sweep = _sweep_values(problem, rule, policy or "constant", options)
    suggestion = jobs.suggest(sweep, policy, options.horizon)
    if save_to is not None:
        save(sweep, save_to)
    if plot is not None:
        output.write_picture(sweep.plot(suggestion), plot)
    if as_json:
        click.echo(dumps(suggestion))
    else:
        _print(sweep, suggestion)


def _with_group(options: Options) -> Options:
    """Return options in which --group is the --of and the --values that it stands for."""
    if options.group is None:
        return options
    name, _, values = options.group.partition("=")
    if options.of != LR or options.values is not None:
        raise ParameterError("--group says what is tested, and so do --of and --values; leave one of them away.")
    tried = [value.strip() for value in values.split(",") if value.strip()]
    return replace(options, of=f"{OF_GROUP}{name}", values=tried or None)


def _check_values(rule: Rule, of: str, given: list[str] | None) -> None:
    """Raise ParameterError for values that --of may not have, or for one alone, before the range test."""
    if given is None:
        return
    tried = arguments.parse_numbers(given, f"a {of} is a number")
    if len(set(tried)) < 2:
        raise ParameterError(f"a test of {of} needs at least two values to compare, not {','.join(given)!r}.")
    if of == BATCH_SIZE:
        for size, text in zip(tried, given, strict=True):
            if not (size >= 1 and size == size // 1):
                raise ParameterError(f"a batch size is a whole number of at least 1, not {text!r}.")
    elif not of.startswith(OF_GROUP):
        variants([rule], of, tried)


def _refuse(names: tuple[str, ...]) -> None:
    """Refuse options of the command line that belong to a range test."""
    for name in names:
        if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise ParameterError(
                f"--{name} is of a range test, and --for searches for a rate by runs of its own. Leave one of the two "
                "out; --horizon says how long a full training is, and --budget what may be spent."
            )


def _range_test(problem: Trainable, rule: Rule, options: Options) -> RangeTestRecord:
    from stepsize import jobs

    seeds = options.seeds or SEEDS
    steps = options.steps or range_test_steps(options.low, options.high)
    with progress.show_progress(seeds * steps) as tell:
        return jobs.range_test(
            problem, rule, low=options.low, high=options.high, steps=steps, spacing=options.spacing,
            seeds=range(seeds), progress=tell,
        )  # fmt: skip


def _search(problem: Trainable, rule: Rule, policy: str | Policy, options: Options) -> Advice:
    from stepsize import jobs
    from stepsize.jobs.advise.advise import read_budget

    budget = read_budget(options.budget)
    total = budget.trainings * (options.horizon or problem.steps) if budget is not None and budget.trainings else None
    wanted = policy if isinstance(policy, str) else policy.only(rule.hyperparameters)
    with progress.show_progress(total or None) as tell, closing(jobs.Runner(problem, progress=tell)) as runner:
        return jobs.advise(
            problem, rules=[rule], policies=[wanted], steps=options.horizon, budget=budget, runner=runner
        )  # fmt: skip


def _sweep_values(problem: Trainable, rule: Rule, policy: str | Policy, options: Options) -> HyperparameterSweep:
    from stepsize import jobs

    tried = arguments.parse_numbers(options.values or [], f"a {options.of} is a number")
    seeds, steps, lr = options.seeds or SEEDS, options.steps or max(LEAST_RUN, problem.steps // 4), options.lr
    if lr is None:
        with progress.show_progress(seeds * range_test_steps(options.low, options.high)) as tell:
            lr = jobs.estimate_rate(
                problem, rule, policy, low=options.low, high=options.high, spacing=options.spacing,
                seeds=range(seeds), progress=tell,
            )  # fmt: skip
        click.echo(f"Testing at a rate of {lr:g}, which a range test points to; another: --lr.", err=True)
    with progress.show_progress(seeds * steps * (len(tried) or 4)) as tell:
        return jobs.sweep_hyperparameter(
            problem, options.of, tried, policy=jobs.at_rate(policy, lr), rule=rule, steps=steps, seeds=range(seeds),
            progress=tell,
        )  # fmt: skip


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


def _print_answer(answer: Advice) -> None:
    """Print what a search for one rate found."""
    console, cost = output.console(), f"Cost: {text.trainings(answer.cost)}."
    if not answer.learned:
        console.print(f"No rate to use: {text.failure(answer)}. {cost}", markup=False, soft_wrap=True)
        return
    rate, low, high = (f"{each:.2g}" for each in (answer.strategy.peak, answer.belief.low, answer.belief.high))
    lines = [
        f"lr      {rate}   to use; the best one lies in {low} to {high} with 90 %",
        f"{answer.strategy.name} for {count(answer.steps, 'step')} of {answer.task}: {text.expected_loss(answer)}.",
        *(f"Watch out: {warning}" for warning in answer.warnings),
        f"Use it as: {answer.policy!r}", cost,
    ]  # fmt: skip
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _print(sweep: RangeTestRecord | HyperparameterSweep, found: Suggestion) -> None:
    from stepsize.plots.terminal import sketch

    console = output.console()
    console.print(sketch(sweep, found, width=min(100, console.width), encoding=console.encoding), markup=False)
    rows = (
        ("min_lr", found.min_lr, "just before the sharp drop"),
        ("max_lr", found.max_lr, "just before the loss rises"),
        ("limit", found.limit, "the largest stable rate, by the curvature of the initial weights"),
        ("base", found.base, "of the cycle"),
        (sweep.swept, found.lr, "to use"),
    )
    for name, value, meaning in rows:
        if value is not None:
            console.print(f"{name:7} {value}   {meaning}", markup=False)
    console.print(f"{sweep.title} on {sweep.task}, {count(len(sweep.seeds), 'seed')}: {found.reason}.", markup=False)
    for warning in found.warnings:
        console.print(f"Watch out: {warning}.", markup=False)
    if found.policy is not None:
        console.print(f"Use it as: {found.policy!r}", markup=False)
    console.print(f"Cost: {sweep.cost / (sweep.horizon or sweep.steps):.1f} full trainings.", markup=False)
