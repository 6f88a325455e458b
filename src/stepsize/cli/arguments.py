"""What command lines are made of: lists with commas, numbers, and the options that commands share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from stepsize.cli.streams import STREAM
from stepsize.cli.strict import SUFFIXES
from stepsize.cli.strict import is_log as is_log
from stepsize.kernel.calls import split_outside
from stepsize.kernel.errors import LengthError, ParameterError, SpecError
from stepsize.kernel.length import LARGEST, amount, parse
from stepsize.kernel.output_files import target
from stepsize.kernel.spec import Spec
from stepsize.policies import RECIPES, Policy
from stepsize.problems import TASKS
from stepsize.results import Advice, Refinement
from stepsize.results.io import load
from stepsize.schedules import Schedule
from stepsize.strategy import Strategy, known_rules

Command = Callable[..., Any]


class Comma(click.ParamType[list[str]]):
    """A list written with commas; one inside of brackets belongs to an item, as in `SGD(lr=1, momentum=0.9)`."""

    name = "a,b,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """Return the items of the list, without repetitions."""
        items = split_outside(value, ",") if isinstance(value, str) else list(value)
        found = list(dict.fromkeys(item for item in items if item))
        if not found:
            self.fail(f"{value!r} names nothing; write at least one, or leave the option out.", param, ctx)
        return found


class Length(click.ParamType[int | str]):
    """A length of a run: 500 updates, 3epochs, 10000samples; what has a unit is for the task to count."""

    name = "N|Nepochs"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """Return the number of updates, or the length with its unit."""
        try:
            found = parse(int(value) if str(value).strip().isdigit() else value)
        except LengthError as error:
            self.fail(str(error), param, ctx)
        if isinstance(found, str) and amount(found)[1] not in {"epochs", "samples"}:
            self.fail(f"a run is so many updates long, or 3epochs, 10000samples, not {value!r}.", param, ctx)
        return found


class OutputFile(click.ParamType[Path]):
    """A file to be written: a path that stays where it is when the task changes the directory; - is standard output.

    ending: of the name that standard output has.
    """

    name = "file"

    def __init__(self, ending: str) -> None:
        self.ending = ending

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:  # noqa: ARG002  (click's signature)
        """Return the absolute path, if a file may be written there; FormatError says what is there instead."""
        return Path(value) if str(value) == STREAM else target(value)


class OutputFolder(click.ParamType[Path]):
    """A folder to be written into, as an absolute path; or as it was given, for one who asks where it is at once."""

    name = "directory"

    def __init__(self, *, anchored: bool = True) -> None:
        self._anchored = anchored

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        """Return the absolute path; what is there is a folder, or nothing."""
        if not str(value):
            self.fail("a folder has a name; this one is empty.", param, ctx)
        click.Path(file_okay=False).convert(value, param, ctx)
        return Path(value).absolute() if self._anchored else Path(value)


def completing(names: Callable[[], Iterable[str]], *, files: bool = False) -> Callable[..., list[CompletionItem]]:
    """Return what completes the last of some names with commas between them, and the names of files where asked."""

    def complete(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
        before, comma, last = typed.rpartition(",")
        found = [CompletionItem(f"{before}{comma}{name}") for name in sorted(names()) if name.startswith(last)]
        return [*found, CompletionItem(typed, type="file")] if files else found

    return complete


complete_rules, complete_policies = completing(known_rules), completing(lambda: RECIPES)


def rule_option(default: str) -> Callable[[Any], Any]:
    """Return the option that names one update rule."""
    return click.option(
        "--rule", default=default, show_default=True, shell_complete=complete_rules,
        help="The update rule, such as AdamW(beta2=0.99).",
    )  # fmt: skip


def rules_option(does: str) -> Callable[[Any], Any]:
    """Return the option that names several update rules."""
    return click.option("--rules", type=Comma(), shell_complete=complete_rules, help=does)


def policies_option(does: str) -> Callable[[Any], Any]:
    """Return the option that names several policies."""
    return click.option("--policies", type=Comma(), shell_complete=complete_policies, help=does)


task_argument = click.argument("task", metavar="TASK", shell_complete=completing(lambda: TASKS, files=True))
steps_option = click.option(
    "--steps",
    type=click.IntRange(1, LARGEST),
    help="Length of the training, in optimizer updates. Default: the task's own.",
)
length_option = click.option(
    "--steps", type=Length(), help="Length of the training: optimizer updates, or 3epochs. Default: the task's own."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, 10**9), default=0, show_default=True,
    help="Seed of everything random; the same seed gives the same answer.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for machines.")
journal_option = click.option(
    "--journal", type=OutputFolder(anchored=False),
    help="Keep every finished trial in this folder, so that the same command goes on from there.",
)  # fmt: skip
save_option = click.option("--save", "save_to", type=OutputFile(".json"), help="Write the result as JSON.")
report_option = click.option("--report", type=OutputFile(".html"), help="Write the report, one HTML file.")
plot_option = click.option("--plot", type=OutputFile(".svg"), help="Draw into an image file (.png, .svg, .pdf).")


def logs_of(sources: Sequence[str]) -> list[Path]:
    """Return the logs that are named, or none where one task is."""
    logs = [Path(source) for source in sources if is_log(source)]
    if logs and len(logs) < len(sources):
        task = next(source for source in sources if not is_log(source))
        raise ParameterError(
            f"give logs ({', '.join(SUFFIXES)}) or one task, and not {task!r} beside {str(logs[0])!r}."
        )
    if len(sources) > 1 and not logs:
        raise ParameterError(f"give one task, or logs ({', '.join(SUFFIXES)}), not {', '.join(map(repr, sources))}.")
    return logs


def policy_in(file: str | Path, refusal: str) -> Policy:
    """Return the policy in a JSON file: one, or that of a schedule, a strategy, an advice or a refinement.

    Raises SpecError for anything else, which ends in the `refusal`.
    """
    value = load(file, Spec)
    if isinstance(value, Schedule):
        return Policy(lr=value)
    if isinstance(value, Advice | Refinement | Strategy):
        return value.policy
    if not isinstance(value, Policy):
        raise SpecError(f"{file} holds a {type(value).__name__}{refusal}")
    return value


def option(*flags: str, **how: Any) -> Any:
    """Return the field of a value that a command line gives, for `gather` to find.

    flags, how: as click's option takes them; a default is shown::

        rule: str = option("--rule", default="AdamW", help="The update rule.")
    """
    return field(metadata={"option": (flags, {"show_default": "default" in how, **how})})


def gather(kind: type, *options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds options to a command, which gets their values as one frozen `kind`.

    options: those that are no fields of the kind by themselves. The parameter of the command has the name of the kind
    in lower case: an `Execution` comes as `execution`. What a command has no option for keeps its default.
    """
    written = [(each.name, each.metadata["option"]) for each in fields(kind) if "option" in each.metadata]
    added: list[Callable[[Command], Command]] = [click.option(*flags, name, **how) for name, (flags, how) in written]
    added += options

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def gathered(**values: Any) -> Any:
            made = kind(**{each.name: values.pop(each.name) for each in fields(kind) if each.name in values})
            return command(**values, **{kind.__name__.lower(): made})

        decorated: Command = gathered
        for add in reversed(added):
            decorated = add(decorated)
        return decorated

    return decorate


@dataclass(frozen=True, kw_only=True)
class LogColumns:
    """What the columns of a log are called, and what its steps count."""

    step_column: str | None = option(
        "--step-column", help="What the log calls the step. Default: global_step, step, or as tools call it."
    )
    lr_column: str | None = option(
        "--lr-column", help="What the log calls the rate. Default: lr, learning_rate, or as tools call it."
    )
    run_column: str | None = option(
        "--run-column", help="What tells the runs of one file apart. Default: a run is a file."
    )
    per_update: float = option(
        "--per-update", type=click.FloatRange(min=1), default=1,
        help="Divide the steps by this: the samples or tokens of an update, where a log counts these.",
    )  # fmt: skip


def parse_rates(texts: Sequence[str]) -> list[float]:
    """Return the learning rates in a comma list."""
    rates = parse_numbers(texts, "a learning rate is a number above 0")
    for rate, text in zip(rates, texts, strict=True):
        if not 0 < rate < math.inf:
            raise ParameterError(f"a learning rate is a number above 0, not {text!r}.")
    return rates


def parse_sizes(texts: Sequence[str]) -> list[int]:
    """Return the batch sizes in a comma list."""
    allowed = "a batch size is a whole number"
    sizes = parse_numbers(texts, allowed)
    for size, text in zip(sizes, texts, strict=True):
        if not (1 <= size < math.inf and size == int(size)):
            raise ParameterError(f"{allowed} of at least 1, not {text!r}.")
    return list(map(int, sizes))


def parse_numbers(texts: Sequence[str], allowed: str) -> list[float]:
    """Return the numbers in a comma list; `allowed` says in the error what each is."""
    numbers = []
    for text in texts:
        try:
            numbers.append(float(text))
        except ValueError:
            raise ParameterError(f"{allowed}, not {text!r}.") from None
    return numbers
