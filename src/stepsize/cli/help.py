"""What `--help` shows: options under headings, examples of use, and the commands by what they are for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

HEADINGS: Mapping[str, str] = {
    "The task and its length": "steps horizon seed from to recorded dimensions starts noise",
    "What is tried": "rule rules for policy policies strategy strategies rates baseline weight-decay batch-size "
    "schedules laws peak of largest values group lr compare momentum low high spacing sizes by smoothing race check",
    "What it may cost": "budget seeds tune-seeds rungs view",
    "How it is judged": "held-out metric selection",
    "How logs are read": "norm step-column norm-column lr-column loss-column run-column run per-update warmup skip",
    "Output": "code native json table every once plot report save csv tensorboard out only format",
    "Where it runs": "journal workers time-limit memory-limit executor address cpus gpus",
    "Help": "debug version help",
}
"""The options as they are typed, in the order of the help."""

EXAMPLE = re.compile(r"^    (stepsize \S.*?)(?: {2,}(\S.*))?$", re.MULTILINE)
"""A line of an example in a module's docstring: a command and, after two spaces or more, what it does."""


SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
"""Of every command's context: click makes a command's help option once, in whatever context it is first asked for."""

LONG = 200
"""Characters of the first sentence of a command's help; it is shown whole, in two lines if need be."""


def typed(param: click.Parameter) -> str:
    """Return what is typed for an option, without its dashes, or the name of an argument."""
    return max(param.opts, key=len).lstrip("-")


class Command(click.Command):
    """A command whose help groups the options, and ends with examples.

    examples: the docstring of the command's file, which has them as an indented block, a line each.
    """

    def __init__(self, *given: Any, examples: str | None = None, **named: Any) -> None:
        super().__init__(*given, **{"context_settings": SETTINGS, **named})
        self.examples: list[tuple[str, str]] = EXAMPLE.findall(examples or "")  # None under `python -OO`

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings."""
        records = {typed(param): param.get_help_record(ctx) for param in self.get_params(ctx)}
        for heading, names in HEADINGS.items():
            found = [record for name in names.split() if (record := records.get(name)) is not None]
            if found:
                with formatter.section(heading):
                    formatter.write_dl(found)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  (click's)
        """Write the examples, each in one line that can be pasted, with what it does below."""
        if self.examples:
            with formatter.section("Examples"):
                for line, does in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
                    if does:
                        formatter.write(f"{'':{formatter.current_indent + 6}}{does}\n")


def write_commands(
    formatter: click.HelpFormatter, sections: Mapping[str, Sequence[str]], helps: Mapping[str, str]
) -> None:
    """Write commands, and what `helps` says of each, under headings, all of them in one column."""
    column = max(map(len, helps))
    for heading, names in sections.items():
        with formatter.section(heading):
            formatter.write_dl([(f"{name:{column}}", helps[name]) for name in names])
