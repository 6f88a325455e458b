"""`stepsize list`: everything that has a name.

::

    stepsize list           as tables
    stepsize list --json    for machines
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping

import click
from rich.table import Table

from stepsize.catalogue import RULES, SCHEDULES
from stepsize.cli import output
from stepsize.cli.help import Command
from stepsize.kernel.errors import PluginError
from stepsize.policies import RECIPES
from stepsize.problems import TASKS
from stepsize.problems.landscapes import Landscape
from stepsize.problems.noise import Noise
from stepsize.results.io import CATALOGUE
from stepsize.schedules import Feedback

READABLE = 40
"""The fewest characters of a line beside a name."""


def catalogue() -> dict[str, dict[str, str]]:
    """Return name and first line of everything: schedules, policies, dialects, rules, landscapes, tasks and more."""
    from stepsize.policies.dialects.names import DIALECTS

    return {
        "schedules": dict(sorted(_lines(SCHEDULES).items())),
        "feedback": {name: _first_line(kind) for name, kind in CATALOGUE.of(Feedback).items()},
        "policies": _lines(RECIPES),
        "dialects": {name: _first_line(function) for name, function in DIALECTS.items()},
        "rules": _lines(RULES),
        "landscapes": {name: _first_line(kind) for name, kind in CATALOGUE.of(Landscape).items()},
        "noise": {name: _first_line(kind) for name, kind in CATALOGUE.of(Noise).items()},
        "tasks": {name: _first_line(make) for name, make in TASKS.items()},
    }


@click.command("list", cls=Command, examples=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, for machines.")
def listing(*, as_json: bool) -> None:
    """List the schedules, policies, dialects, rules, landscapes and built-in tasks."""
    found = catalogue()
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    console = output.console()
    for family, members in found.items():
        width = max(console.width, max(map(len, members)) + READABLE)  # a long line is for the terminal to wrap
        table = Table(title=family, title_justify="left", show_header=False, box=None, width=width)
        table.add_column(no_wrap=True, style="bold")
        for name, line in members.items():
            table.add_row(name, line.replace("[", "\\["))
        console.print(table, soft_wrap=True)


def _lines(kinds: Mapping[str, object]) -> dict[str, str]:
    """Return the first line of each kind, or what is wrong with the package that it is of."""
    lines = {}
    for name in kinds:
        try:
            lines[name] = _first_line(kinds[name])
        except PluginError as error:
            lines[name] = f"({error})"
    return lines


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0].replace("`", "")
