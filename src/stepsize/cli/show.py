"""`stepsize show`: a schedule's curve and table."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from stepsize.cli import base
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError, SpecError, suggestion
from stepsize.kernel.spec import Spec
from stepsize.policies import LR, RECIPES, Policy
from stepsize.results import Advice
from stepsize.results.io import CATALOGUE, dumps, load
from stepsize.schedules import Schedule
from stepsize.strategy import Strategy

ROWS = 21
"""Rows of the curve in the terminal."""

BAR = 40
"""Characters of its longest bar."""


@click.command()
@click.argument("name")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option(
    "--steps", type=click.IntRange(min=1), default=1000, show_default=True, help="Horizon, optimizer updates."
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw into an image file (.png, .svg, .pdf)."
)
@click.option("--table", is_flag=True, help="Print every step, tab-separated.")
@base.json_option
def show(name: str, fields: tuple[str, ...], steps: int, *, plot: Path | None, table: bool, as_json: bool) -> None:
    """Show a schedule's curve.

    NAME is a policy (one_cycle peak=0.1), a schedule (Cosine start=0.1 end=0) or a JSON file.
    """
    policy = named_policy(name, fields, steps)
    values = policy.table(0, steps)
    if plot is not None:
        base.picture(policy.plot(steps), plot)
        base.out().print(f"Wrote {plot}")
    if as_json:
        click.echo(dumps(policy))
    elif table:
        click.echo("\t".join(["step", *values]))
        for step in range(steps):
            click.echo("\t".join([str(step), *(f"{column[step]:.10g}" for column in values.values())]))
    elif plot is None:
        _curve(policy, values, steps)


def named_policy(name: str, fields: tuple[str, ...], steps: int) -> Policy:
    """Return the policy that the command line names, bound to `steps`."""
    given = dict(_field(text) for text in fields)
    if name.endswith(".json"):
        policy = _of_file(Path(name))
    elif name in RECIPES:
        policy = _of_recipe(name, given)
    else:
        known = {**CATALOGUE.of(Schedule), **RECIPES}
        if name not in known:
            raise SpecError(f"no schedule or policy is called {name!r}. {suggestion(name, known)}")
        policy = Policy(lr=CATALOGUE.decode({"kind": name, **given}, Schedule, name))
    return policy.over(steps)


def _of_recipe(name: str, given: dict[str, Any]) -> Policy:
    allowed = inspect.signature(RECIPES[name]).parameters
    for field in given:
        if field not in allowed:
            raise SpecError(f"{name} has no field {field!r}. {suggestion(field, allowed)}")
    make: Callable[..., Policy] = RECIPES[name]
    try:
        return make(**{"peak": 1.0, **given})
    except TypeError:
        raise ParameterError(f"{name} cannot be made of {', '.join(f'{k}={v!r}' for k, v in given.items())}.") from None


def _of_file(path: Path) -> Policy:
    value = load(path, Spec)
    if isinstance(value, Advice | Strategy):
        return value.policy
    if isinstance(value, Schedule):
        return Policy(**{LR: value})
    if isinstance(value, Policy):
        return value
    kind = type(value).__name__
    raise SpecError(f"{path} holds a {kind}, which has no schedule to show; give a Policy, a Strategy or an Advice.")


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SpecError(f"a field is written name=value, not {text!r}.")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _curve(policy: Policy, values: dict[str, Floats], steps: int) -> None:
    table = Table(title=repr(policy), title_justify="left", box=None)
    for heading in ("step", *values):
        table.add_column(heading, justify="right")
    table.add_column("lr", justify="left", no_wrap=True)
    top = float(values[LR].max()) or 1.0
    for step in np.unique(np.linspace(0, steps - 1, ROWS).round().astype(int)):
        row = [f"{column[step]:.6g}" for column in values.values()]
        table.add_row(str(step), *row, "\u2588" * round(BAR * float(values[LR][step]) / top))
    base.out().print(table)
    base.out().print(f"Area under the learning rate: {float(values[LR].sum()):.6g} (sum over {steps} updates)")
