"""`stepsize range-test TASK`: how far the learning rate may climb, and which one to use with a schedule.

::

    stepsize range-test mytask.py                             the article's two bounds, from a range test
    stepsize range-test mytask.py --held-out                  the same of the validation loss, and the gap
    stepsize range-test mytask.py --momentum 0.95,0.85        with a momentum that falls meanwhile
    stepsize range-test mytask.py --compare momentum=0.8,0.9  several range tests in one picture
    stepsize range-test mytask.py --for one_cycle              the peak to use with a policy, from whole runs
    stepsize range-test mytask.py --of momentum --lr 0.1      Smith's other tests: momentum, weight_decay
    stepsize range-test mytask.py --of batch_size             the same of batch sizes, at equal running time
    stepsize range-test mytask.py --group head=1,3,10         what the rate of a parameter group is multiplied by
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import click
from click.core import ParameterSource

from stepsize.cli import arguments, output, progress
from stepsize.cli.arguments import option
from stepsize.cli.help import Command
from stepsize.cli.range_test_display import show_answer, show_sweep, show_tests
from stepsize.kernel.errors import ParameterError, check_name
from stepsize.policies import LR, Policy, recipe
from stepsize.problems import Trainable
from stepsize.results import Advice, HyperparameterSweep, RangeTestRecord, RangeTests
from stepsize.results.range_test import BATCH_SIZE, OF_GROUP, RULE
from stepsize.rules import Rule
from stepsize.search_space import variants
from stepsize.strategy import find_rule
from stepsize.theory.range_test import HIGH, LOW, PER_DECADE, range_test_steps

SEEDS = 4
"""Seeds when none are given, of a range test or of fixed values."""

OF_RANGE_TEST = ("low", "high", "steps", "spacing", "seeds")
"""Options that say nothing to the search of --for."""


class FromTo(click.ParamType["tuple[float, float]"]):
    """Where something begins and where it ends: two numbers with a comma between them."""

    name = "from,to"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        """Return both numbers."""
        numbers = (
            value if isinstance(value, tuple) else arguments.parse_numbers(value.split(","), "a momentum is a number")
        )
        if len(numbers) != 2:
            self.fail(f"{value!r} is not two numbers with a comma between them, such as 0.95,0.85.", param, ctx)
        return numbers[0], numbers[1]


class Compared(click.ParamType["tuple[str, list[Any]]"]):
    """What is compared, and its values, such as weight_decay=0,1e-4: numbers, or rules."""

    name = "name=a,b,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, list[Any]]:
        """Return the name and the values."""
        if isinstance(value, tuple):
            return value
        name, _, values = value.partition("=")
        given = arguments.Comma().convert(values, param, ctx)
        if name == RULE:
            return name, given
        return name, arguments.parse_numbers(given, f"a {name} is a number")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for, but for where the answer goes."""

    rule: str = option(
        "--rule", default="AdamW", shell_complete=arguments.complete_rules,
        help="The update rule, such as AdamW(beta2=0.99).",
    )  # fmt: skip
    policy: str | None = option(
        "--for", metavar="POLICY", shell_complete=arguments.complete_policies,
        help="Find the rate to use with this policy, a name or a file, by a search in place of the range test. With "
        "--of: the policy to train with.",
    )  # fmt: skip
    low: float = option("--low", type=float, default=LOW, help="The first learning rate.")
    high: float = option("--high", type=float, default=HIGH, help="The last learning rate.")
    steps: int | None = option(
        "--steps", type=arguments.Length(),
        help=f"How long the range test is, or with --of each run: updates, or 1epoch. Default: {PER_DECADE} a decade, "
        "or a quarter of the task's own.",
    )  # fmt: skip
    spacing: Literal["exponential", "linear"] = option(
        "--spacing", type=click.Choice(["exponential", "linear"]), default="exponential", help="How the rate climbs."
    )
    horizon: int | None = option(
        "--horizon", type=arguments.Length(),
        help="How long a full training is: updates, or 3epochs. Default: the task's own.",
    )  # fmt: skip
    budget: str = option(
        "--budget", default="1",
        help="What the search of --for may cost: full trainings (0.5, 3), a time such as 20min, or 40 trials; 0 asks "
        "for what a look at the model says.",
    )  # fmt: skip
    seeds: int | None = option(
        "--seeds", type=click.IntRange(1, 1000),
        help=f"How many seeds run, for the spread. Default: {SEEDS}. The search of --for has its own.",
    )  # fmt: skip
    of: str = option("--of", default=LR, help="What is tested: lr, another hyperparameter, or batch_size.")
    largest: bool = option(
        "--largest", is_flag=True, help="With --of batch_size: only find the largest one that fits into memory."
    )
    values: list[str] | None = option(
        "--values", type=arguments.Comma(), help="Which values of --of are tested. Default: Smith's."
    )
    group: str | None = option(
        "--group", metavar="NAME=A,B,...",
        help="Test what the rate of a parameter group of the task, by its name, is multiplied by, such as head=1,3,10.",
    )  # fmt: skip
    held_out: bool = option(
        "--held-out", is_flag=True,
        help="Read the bounds from the validation loss, and say what its gap to the training loss is a sign of.",
    )  # fmt: skip
    metric: str | None = option(
        "--metric", metavar="NAME", help="Read them from this in its place: accuracy, or the task's own metric."
    )
    momentum: tuple[float, float] | None = option(
        "--momentum", type=FromTo(),
        help="From where to where the momentum goes while the rate climbs, such as 0.95,0.85.",
    )  # fmt: skip
    compare: tuple[str, list[Any]] | None = option(
        "--compare", type=Compared(), multiple=False,
        help="A range test for each of several values of a hyperparameter, batch_size or rule, in one picture: "
        "weight_decay=0,1e-4,1e-3.",
    )  # fmt: skip
    lr: float | None = option(
        "--lr", type=float, help="The peak rate that --of is tested at. Default: what a range test points to."
    )

    @property
    def watched(self) -> dict[str, Any]:
        """What a range test watches and moves beside the rate."""
        return {"held_out": self.held_out, "metric": self.metric, "momentum": self.momentum}


@click.command("range-test", cls=Command, examples=__doc__)
@arguments.task_argument
@arguments.gather(Options)
@output.output_options("plot", "save")
def range_test(task: str, *, options: Options, outputs: output.Outputs) -> None:
    """Let the learning rate of TASK climb, and read two bounds off the loss; with --for, find the rate to use."""
    from stepsize import jobs
    from stepsize.jobs.lengths import updates_of

    options = _with_group(options)
    outputs.check(read=(task,))
    problem = output.load_task(task)  # whose file may register rules of its own
    rule = find_rule(options.rule)
    _check_values(rule, options.of, options.values)
    policy = None if options.policy is None else _policy(options.policy)
    searching = policy is not None and options.of == LR
    if searching:
        _refuse(OF_RANGE_TEST)
    steps, horizon = (None if each is None else updates_of(problem, each) for each in (options.steps, options.horizon))
    options = replace(options, steps=steps, horizon=horizon)
    if options.largest:
        _say_largest(problem, rule, as_json=outputs.as_json)
        return
    if options.compare is not None:
        tests = _compare(problem, rule, options)
        outputs.present(tests, show_tests)
        return
    if policy is not None and searching:
        answer = _search(problem, rule, policy, options)
        outputs.present(answer, show_answer)
        return
    sweep = _sweep(problem, rule, policy, options)
    suggestion = jobs.suggest(sweep, policy, options.horizon)
    files = outputs.files(sweep)
    if (plot := outputs.plot) is not None:
        files[plot] = lambda: output.write_picture(sweep.plot(suggestion), plot)
    outputs.present(suggestion, partial(show_sweep, sweep), files)


def _sweep(
    problem: Trainable, rule: Rule, policy: str | Policy | None, options: Options
) -> RangeTestRecord | HyperparameterSweep:
    if options.of == LR:
        return _range_test(problem, rule, options)
    run = _compare_sizes if options.of == BATCH_SIZE else _sweep_values
    return run(problem, rule, policy or "constant", options)


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
    if not of.startswith(OF_GROUP):  # which groups there are the task says
        check_name(of, [*rule.hyperparameters, BATCH_SIZE], f"hyperparameter of {rule.title}")
    if given is None:
        return
    tried = arguments.parse_numbers(given, f"a {of} is a number")
    if len(set(tried)) < 2:
        raise ParameterError(f"a test of {of} needs at least two values to compare, not {','.join(given)!r}.")
    if of == BATCH_SIZE:
        arguments.parse_sizes(given)
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
            seeds=range(seeds), progress=tell, **options.watched,
        )  # fmt: skip


def _compare(problem: Trainable, rule: Rule, options: Options) -> RangeTests:
    from stepsize import jobs

    (compared, values), seeds = options.compare or ("", []), options.seeds or SEEDS
    steps = options.steps or range_test_steps(options.low, options.high)
    with progress.show_progress(seeds * steps * len(values)) as tell:
        return jobs.compare_range_tests(
            problem, compared, values, rule, low=options.low, high=options.high, steps=steps, spacing=options.spacing,
            seeds=range(seeds), progress=tell, **options.watched,
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


def _say_largest(problem: Trainable, rule: Rule, *, as_json: bool) -> None:
    from stepsize import jobs
    from stepsize.problems.base import with_data

    size = jobs.largest_batch(problem, rule)
    task = with_data(problem)
    whole = task.samples_per_epoch is not None and (size + 1) * task.accumulate > task.samples_per_epoch
    why = "all of its training samples" if whole else "more run out of memory"
    said = f"The largest batch of {problem.name} that fits, in a training with {rule.title}: {size} samples; {why}."
    click.echo(json.dumps({BATCH_SIZE: size}) if as_json else said)


def _compare_sizes(problem: Trainable, rule: Rule, policy: str | Policy, options: Options) -> HyperparameterSweep:
    from stepsize import jobs

    sizes = arguments.parse_sizes(options.values or [])
    with progress.show_progress(None) as tell:
        return jobs.compare_batch_sizes(
            problem, *([sizes] if sizes else []), policy=policy, rule=rule, steps=options.steps,
            seeds=range(options.seeds or SEEDS), progress=tell,
        )  # fmt: skip


def _sweep_values(problem: Trainable, rule: Rule, policy: str | Policy, options: Options) -> HyperparameterSweep:
    from stepsize import jobs
    from stepsize.jobs.lengths import short_run

    tried = arguments.parse_numbers(options.values or [], f"a {options.of} is a number")
    seeds, steps, lr = options.seeds or SEEDS, short_run(problem, options.steps), options.lr
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
    if name.endswith(".json"):
        return arguments.policy_in(name, "; --for takes a schedule, a policy, a strategy or an advice.")
    recipe(name)
    return name
