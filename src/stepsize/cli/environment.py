"""Defaults from the environment: `STEPSIZE_ADVISE_BUDGET=3` stands for `--budget 3` of `advise`."""

from __future__ import annotations

import os

import click

from stepsize.cli.help import typed


def read_environment(command: click.Command) -> None:
    """Let the options of a command be given by the environment; not those that are given several times."""
    for param in command.params:
        if isinstance(param, click.Option) and param.expose_value and not param.multiple:
            param.envvar = f"STEPSIZE_{command.name}_{typed(param)}".upper().replace("-", "_")


def set_variables(command: click.Command) -> list[str]:
    """Return the variables of a command that are set, for an error to name."""
    return [str(param.envvar) for param in command.params if param.envvar and os.environ.get(str(param.envvar))]
