"""What holds for every command: a number is one, no argument is empty, an option that means nothing is refused.

A command declares its options as usual; `strict` holds them to this, so that no command can forget it. Each is a file
of its own, which is read when it is asked for, as every one needs other packages.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import click
from click.core import ParameterSource

from stepsize.cli.help import LONG, typed, write_commands
from stepsize.cli.packages import check_packages
from stepsize.cli.streams import standard_streams
from stepsize.kernel.errors import ParameterError

MOST_STEPS = 10**8
"""The most that a whole number without an upper bound of its own may be: every update takes memory."""

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".log", ".txt")
"""How the name of a log ends."""

FILES = {"list": "listing"}
"""The files, and the functions in them, of commands whose name Python has taken."""

Given = Mapping[str, Any]


@dataclass
class Asked:
    """What is asked of every command: whether an error shows where in Python it arose, and which command it is."""

    debug: bool = False
    command: click.Command | None = None


def _note_debug(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  (click's signature)
    asked = context.ensure_object(Asked)
    asked.debug |= value
    asked.command = context.command


def debug_option() -> click.Option:
    """Return the option of every command that shows where an error arose."""
    return click.Option(
        ["--debug"], is_flag=True, is_eager=True, expose_value=False, callback=_note_debug,
        help="Show where in Python an error arose, for a report of it.",
    )  # fmt: skip


class Finite(click.FloatRange):
    """A finite number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


@dataclass(frozen=True)
class Useless:
    """Options that mean nothing in some use of a command.

    options: their parameters. where: whether it is that use, by all parameters. why: the end of the refusal.
    """

    options: tuple[str, ...]
    where: Callable[[Given], bool]
    why: str


def is_log(source: str) -> bool:
    """Return whether a source is called as a log is, and not as a task; what is in it says how it is read."""
    return source.lower().endswith(SUFFIXES)


def _of_log(given: Given) -> bool:
    return is_log(given.get("source") or (given.get("sources") or ("",))[0])


def _asks_of_logs(given: Given) -> bool:
    return any(is_log(name) and not name.endswith(".json") for name in given["schedules"])


def _of_task(given: Given) -> bool:
    return not _of_log(given)


def _plain(given: Given) -> bool:
    return given["of"] == "lr" and not given.get("group")


USELESS: dict[str, tuple[Useless, ...]] = {
    "range-test": (
        Useless(("of", "values", "lr", "group", "policy", "largest"), lambda given: given["compare"] is not None,
                "is of other runs than the range tests that --compare asks for"),
        Useless(("budget",), lambda given: given["policy"] is None or not _plain(given),
                "is what a search may cost, and there is none; add --for POLICY"),
        Useless(("horizon",), lambda given: given["policy"] is None,
                "is the length of a training with a policy, and none is named; add --for POLICY"),
        Useless(("values", "lr"), _plain, "is of a test of another hyperparameter; say which with --of"),
        Useless(("held_out", "metric", "momentum"), lambda given: not _plain(given) or given["policy"] is not None,
                "is of a range test, and other runs are asked for"),
        Useless(("lr", "low", "high", "spacing"), lambda given: given["of"] == "batch_size",
                "says at which rate values are tested, and each batch size has its own"),
        Useless(("largest",), lambda given: given["of"] != "batch_size", "is of the batch size; add --of batch_size"),
        Useless(("values", "steps", "seeds", "plot", "save_to", "policy"), lambda given: given["largest"],
                "is of a comparison, and --largest only looks at memory"),
        Useless(("low", "high", "spacing"), lambda given: not _plain(given) and given["lr"] is not None,
                "is of the range test that finds the rate, and --lr says it"),
    ),
    "refine": (
        Useless(("race", "strategy", "seed"), _of_log, "is of a run of a task, and a log is given"),
        Useless(("norm", "step_column", "norm_column", "lr_column", "run_column", "run", "per_update"), _of_task,
                "says how a log is read, and a task is given"),
    ),
    "predict": (
        Useless(("rule", "recorded", "check"), _of_log, "is of runs that are recorded on a task, and logs are given"),
        Useless(("held_out", "skip", "loss_column", "run_column"), _of_task,
                "says how logs are read, and a task is given"),
        Useless(("warmup", "step_column", "lr_column", "per_update"),
                lambda given: _of_task(given) and not _asks_of_logs(given),
                "says how logs are read, and a task is given"),
    ),
    "watch": (Useless(("every",), lambda given: given["once"], "says how often, and --once says once"),),
    "race": (
        Useless(("view",), lambda given: given["rungs"] == "none", "is of short rungs, and --rungs none has none"),
    ),
    "advise": (
        Useless(("framework",), lambda given: given["as_json"] and given["report"] is None,
                "is of code that is printed, and --json prints none"),
        Useless(("native",), lambda given: given["as_json"], "is of code that is printed, and --json prints none"),
    ),
    "show": (
        Useless(("table",), lambda given: given["code"] or given["as_json"], "prints another form; ask for one"),
        Useless(("code",), lambda given: given["as_json"], "prints another form than --json; ask for one"),
    ),
}  # fmt: skip
"""By command; whatever else is there changes what a command does."""


def strict(command: click.Command) -> click.Command:
    """Hold the options of a command to what holds for all, give it `--debug`, and return it."""
    for param in command.params:
        kind = param.type
        if isinstance(kind, click.FloatRange):
            param.type = Finite(kind.min, kind.max, kind.min_open, kind.max_open)
        elif isinstance(kind, click.types.FloatParamType):  # one without a range is a rate
            param.type = Finite(min=0, min_open=True)
        elif isinstance(kind, click.IntRange) and kind.max is None:
            param.type = click.IntRange(kind.min, MOST_STEPS)
    read_environment(command)
    callback = command.callback
    if callback is not None:
        command.callback = _refusing(command, callback)
    command.params.append(debug_option())
    return command


def read_environment(command: click.Command) -> None:
    """Let the environment give the options of a command, as `STEPSIZE_ADVISE_BUDGET=3`; not those of several values."""
    for param in command.params:
        if isinstance(param, click.Option) and param.expose_value and not param.multiple:
            param.envvar = f"STEPSIZE_{command.name}_{typed(param)}".upper().replace("-", "_")


def set_variables(command: click.Command) -> list[str]:
    """Return the variables of a command that are set, for an error to name."""
    return [str(param.envvar) for param in command.params if param.envvar and os.environ.get(str(param.envvar))]


def _refusing(command: click.Command, callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def checked(**given: Any) -> Any:
        context = click.get_current_context()
        with standard_streams(context):
            refuse_useless(command)
            check_packages(str(command.name), context.params)
            return callback(**{name: context.params[name] for name in given})

    return checked


def refuse_useless(command: click.Command) -> None:
    """Raise ParameterError for an option of the command line that means nothing beside the others."""
    context = click.get_current_context()
    names = {param.name: param.opts[0] for param in command.params}
    for each in USELESS.get(str(command.name), ()):
        for option in each.options:
            given = option in names and context.get_parameter_source(option) is ParameterSource.COMMANDLINE
            if given and each.where(context.params):
                end = ", or leave it out" if ";" in each.why else "; leave it out"
                raise ParameterError(f"{names[option]} {each.why}{end}.")


class Commands(click.Group):
    """The group of commands, none of which takes an empty argument: a name or a file that a script forgot.

    sections: the names of the commands, under the headings of the help. A command lies in the file of its name.
    """

    sections: Mapping[str, Sequence[str]] = MappingProxyType({})

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Return the names of the commands."""
        return list(itertools.chain(*self.sections.values()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, read from its file the first time; None where there is none of this name."""
        if cmd_name not in self.commands and cmd_name in self.list_commands(ctx):
            name = FILES.get(cmd_name, cmd_name.replace("-", "_"))
            self.add_command(strict(getattr(importlib.import_module(f"stepsize.cli.{name}"), name)))
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        helps = {name: command.get_short_help_str(LONG) for name, command in found.items() if command is not None}
        write_commands(formatter, self.sections, helps)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return the arguments, or refuse an empty one."""
        for before, text in zip(("stepsize", *args), args, strict=False):
            if not text.strip() or (text.startswith("--") and text.endswith("=")):
                raise click.UsageError(f"the argument after {before!r} is empty; give a value, or leave both out.", ctx)
        return super().parse_args(ctx, args)
