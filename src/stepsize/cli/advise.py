"""`stepsize advise TASK`: the main job.

::

    stepsize advise mytask.py                                   until one more training is expected to gain little
    stepsize advise mytask.py --budget 3 --report report.html   for the cost of three trainings, with a page
    stepsize advise digits --rules AdamW --baseline "AdamW cosine 1e-3"   of one update rule, beside what you have
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from stepsize.cli import arguments, output, progress
from stepsize.cli.advice_display import progress_line, show_advice
from stepsize.cli.execution import Execution, execution_options, open_journal
from stepsize.cli.help import Command
from stepsize.codegen import FRAMEWORKS
from stepsize.kernel.errors import JournalError, ParameterError
from stepsize.problems import Trainable
from stepsize.results import Advice
from stepsize.rules import Rule
from stepsize.search_space import POLICIES, RULES, usual_rules, variants
from stepsize.strategy import find_rule


def _names(rules: Sequence[Rule]) -> str:
    return ", ".join(type(rule).__name__ for rule in rules)


@click.command(cls=Command, examples=__doc__)
@arguments.task_argument
@arguments.length_option
@click.option("--budget", help="Spend at most this on the whole search: full trainings (0.5, 3), a time such as "
              "20min, or 40 trials; 0 asks for what a look at the model says. Default: until one more training is "
              "expected to gain less than half a percent, after ten at most.")  # fmt: skip
@arguments.seed_option
@arguments.rules_option(f"Try these update rules. Default: yours, or {_names(RULES)}.")
@arguments.policies_option(f"Try these policies. Default: {', '.join(POLICIES)}.")
@click.option("--baseline", metavar="'RULE POLICY RATE'",
              help="What you train with now: it runs beside the answer. Default: AdamW warmup_linear 0.001, from a "
              "budget of 10 on.")  # fmt: skip
@click.option("--weight-decay", type=arguments.Comma(), metavar="A,B,...",
              help="Try every rule at these weight decays.")  # fmt: skip
@click.option("--batch-size", type=arguments.Comma(), metavar="A,B,...",
              help="Try these batch sizes, each for the same time and with an equal part of the budget.")  # fmt: skip
@click.option("--code", "framework", type=click.Choice(list(FRAMEWORKS)), default="torch", show_default=True,
              help="Print the code to paste for this framework.")  # fmt: skip
@click.option("--native", is_flag=True,
              help="Print code that does without stepsize: the framework's own optimizer and schedule.")  # fmt: skip
@output.output_options("report", "save")
@arguments.journal_option
@execution_options
def advise(
    task: str, *, steps: int | str | None, budget: str | None, seed: int, rules: list[str] | None,
    policies: list[str] | None, baseline: str | None, weight_decay: list[str] | None, batch_size: list[str] | None,
    framework: str, native: bool, outputs: output.Outputs, journal: Path | None,
    execution: Execution,
) -> None:  # fmt: skip
    """Find the update rule, the schedule and the learning rate for TASK.

    It answers at any moment: Ctrl-C prints the answer so far, and the same command goes on from there.
    """
    from stepsize import jobs
    from stepsize.jobs.advise.advise import read_budget
    from stepsize.jobs.lengths import updates_of

    decays = None if weight_decay is None else _decays(weight_decay)
    sizes = None if batch_size is None else arguments.parse_sizes(batch_size)
    outputs.check(read=(task,))
    problem = output.load_task(task)
    chosen = None if rules is None else list(map(find_rule, rules))  # a task's file may register rules of its own
    horizon = updates_of(problem, steps or problem.steps)
    tried = list(usual_rules(problem)) if chosen is None else chosen
    tried = tried if decays is None else list(variants(tried, "weight_decay", decays))
    asked = functools.partial(
        jobs.search, steps=horizon, budget=budget, seed=seed, rules=tried,
        policies=POLICIES if policies is None else policies, baseline=baseline,
    )  # fmt: skip
    allowed = read_budget(budget)
    total = allowed.trainings * horizon if allowed is not None and allowed.trainings else None
    seen: list[Advice] = []
    try:
        with open_journal(journal, f"advise-{output.slug(task)}-{seed}", keep=True) as kept:
            with progress.show_progress(total) as display, execution.runner(problem, kept, display.notify) as runner:
                if sizes is None:
                    answers: tuple[Advice, ...] = (_last(asked(problem, runner=runner), display, seen),)
                else:
                    answers = jobs.advise_batches(problem, sizes, runner=runner, **asked.keywords)
            files = outputs.files(answers[0], framework=framework)
            seen.clear()  # it is printed now
            show = functools.partial(_show, problem, answers, framework, native=native)
            outputs.present(answers[0], show, files)
    except (KeyboardInterrupt, JournalError):
        if seen:  # printed here, as within the runner standard output is not the answer's
            show_advice(seen[-1], framework, native=native)
        raise


def _show(problem: Trainable, answers: Sequence[Advice], framework: str, answer: Advice, *, native: bool) -> None:
    from stepsize.problems.base import with_data

    show_advice(answer, framework, native=native)
    for other in answers[1:]:
        size = other.batch_size or with_data(problem).batch_size
        reached = f"reaches {other.best_score:.4g}"
        if math.isnan(other.best_score):
            reached = "has no whole run to compare; raise --budget"
        line = f"With batches of {size}: {other.strategy.name} for {other.steps} steps {reached}."
        output.console().print(line, markup=False, soft_wrap=True)


def _last(answers: Iterator[Advice], display: progress.Display, seen: list[Advice]) -> Advice:
    """Return the last answer, and say every one on the way; `seen` has the one so far."""
    for answer in answers:
        seen[:] = [answer]
        display.say(progress_line(answer))
    return seen[0]


def _decays(texts: Sequence[str]) -> list[float]:
    allowed = "--weight-decay takes numbers of at least 0 with commas between them"
    numbers = arguments.parse_numbers(texts, allowed)
    if not all(0 <= number < math.inf for number in numbers):
        raise ParameterError(f"{allowed}, not {','.join(texts)!r}.")
    return numbers
