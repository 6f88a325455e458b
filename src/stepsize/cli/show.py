"""`stepsize show`: the curves of schedules, one or several.

::

    stepsize show one_cycle                                   its curve in the terminal, and the area under it
    stepsize show one_cycle peak=0.1 warmup=10% --steps 500   with fields of its own
    stepsize show one_cycle cosine wsd peak=0.1 --plot x.png  several on one picture
    stepsize show advice.json --code                          what a file holds, as the code that makes it
    stepsize show OneCycleLR max_lr=0.1 total_steps=300       a schedule of torch, by its names; so of timm, optax, ...
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.markup import escape
from rich.table import Table

from stepsize.cli import arguments, output
from stepsize.cli.help import Command
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError, SpecError, StepsizeError, check_name, suggestion
from stepsize.kernel.notebook import picture
from stepsize.kernel.spec import hints
from stepsize.policies import LR, RECIPES, Policy, recipe
from stepsize.results.io import CATALOGUE, dumps
from stepsize.schedules import Chain, Constant, Interpolated, Schedule

ROWS = 21
"""Rows of the curve in the terminal."""

BAR = 40
"""Characters of the longest bar, where there is room."""

NUMBER = 13
"""Characters of a number and the space around it."""

LONGEST = 10**7
"""The longest run whose values are worked out, in steps; a longer one takes more memory than a picture is worth."""

RUN = 1000
"""The horizon where neither the command line nor a schedule says one."""

CONSTANTS: dict[str, bool | None] = {"none": None, "true": True, "false": False}
"""Tokens that are no text."""

MSG_AFTER = (
    "{token!r} stands after a field and has no equals sign. Write the names first and then name=value for each "
    "field, such as: stepsize show one_cycle cosine peak=0.1."
)

Tables = dict[str, dict[str, Floats]]


@click.command(cls=Command, examples=__doc__)
@click.argument(
    "tokens",
    nargs=-1,
    required=True,
    metavar="NAME... [FIELD=VALUE]...",
    shell_complete=arguments.completing(lambda: [*RECIPES, *CATALOGUE.of(Schedule), *_dialects()], files=True),
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help=f"Show a run of so many optimizer updates. Default: the schedule's own, else {RUN}.",
)
@arguments.plot_option
@click.option("--table", is_flag=True, help="Print every step, tab-separated.")
@click.option("--code", is_flag=True, help="Print the code that makes it; with --steps, bound to them.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print as JSON, a line for each name; with --steps, bound to them."
)
def show(
    tokens: tuple[str, ...], *, steps: int | None, plot: Path | None, table: bool, code: bool, as_json: bool
) -> None:
    """Show the curve of a schedule, or of several.

    NAME is a policy (one_cycle), a schedule (Cosine start=0.1 end=0), a schedule of torch, optax, Keras, transformers,
    timm or fastai by its own name (StepLR, timm.StepLRScheduler), or a JSON file. A field holds for every NAME that
    has it: stepsize show one_cycle cosine wsd peak=0.1
    """
    output.check_writable(plot)
    given = named(*split(tokens))
    policies, run = bound(given, steps)

    def print_them() -> None:
        if as_json or code:
            for policy in (given if steps is None else policies).values():
                click.echo(dumps(policy) if as_json else repr(policy))
        elif table:
            _print_table({name: policy.table(0, run) for name, policy in policies.items()}, run)
        elif plot is None:
            _print_curves(policies, run)

    files = {} if plot is None else {plot: lambda: output.write_picture(_drawn(policies, run), plot)}
    output.deliver(print_them, files, named=not (as_json or code or table))


def split(tokens: tuple[str, ...]) -> tuple[list[str], dict[str, Any]]:
    """Return the names at the head of a command line, and the fields that follow them."""
    count = next((i for i, token in enumerate(tokens) if "=" in token and not _is_file(token)), len(tokens))
    names = list(tokens[:count])
    if not names:
        raise SpecError(f"nothing is named before the field {tokens[0]!r}. Begin with a name: stepsize show one_cycle.")
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise SpecError(f"{twice[0]!r} is named twice; a name gets one curve, so name it once.")
    return names, dict(_field(token) for token in tokens[count:])


def named(names: list[str], given: Mapping[str, Any]) -> dict[str, Policy]:
    """Return the policies that a command line names, each with those of the given fields that it has.

    Raises SpecError for a name that nothing has, and for a field that none of the named has.
    """
    known = {name: _fields_of(name) for name in names}
    everything = set().union(*known.values())
    for field in given:
        if field not in everything:
            who = "has" if len(names) == 1 else "have"
            near = suggestion(field, everything) if everything else "A file is shown as it is; leave the field out."
            raise SpecError(f"{' and '.join(names)} {who} no field {field!r}. {near}")
    return {name: _made(name, {f: value for f, value in given.items() if f in known[name]}) for name in names}


def bound(policies: Mapping[str, Policy], steps: int | None) -> tuple[dict[str, Policy], int]:
    """Return the policies with all lengths in steps, and the horizon to show.

    steps: the horizon, if one is asked for; else that of the policies, or where the last decay of theirs is done. A
        policy that knows its own keeps it, and is held after it.
    """
    own = {name: _longest(policy, _own_length) for name, policy in policies.items()}
    run = steps or max((own[name] or _longest(policy, _decay_length) or 0 for name, policy in policies.items())) or RUN
    if run > LONGEST:
        raise ParameterError(f"a run that is shown has at most {LONGEST} steps, not {run}; --steps says how many.")
    return {name: policy.bound_to(own[name] or run) for name, policy in policies.items()}, run


def _longest(policy: Policy, length: Callable[[Schedule], int | None]) -> int | None:
    """Return the most that `length` says of any of a policy's schedules."""
    lengths = [steps for _, schedule in policy.schedules if (steps := length(schedule)) is not None]
    return max(lengths, default=None)


def _own_length(schedule: Schedule) -> int | None:
    return schedule.steps if isinstance(schedule.steps, int) else None


def _decay_length(schedule: Schedule) -> int | None:
    """Return how many steps come before a schedule goes on at its lowest for good, as the peers' decays do."""
    if isinstance(schedule, Interpolated):
        return math.ceil(schedule.at[-1]) + 1
    if not isinstance(schedule, Chain) or len(schedule.parts) == 1:
        return None
    *before, last = schedule.parts
    lengths = [part.steps for part in before if isinstance(part.steps, int)]
    whole = len(lengths) == len(before) and 0 < sum(lengths) <= LONGEST
    if not whole or not isinstance(last, Constant) or isinstance(before[-1], Constant):
        return None
    decayed = last.level <= schedule.bound_to(sum(lengths) + 1).table(0, sum(lengths)).min()
    return sum(lengths) if decayed else None


def _is_file(name: str) -> bool:
    return name.endswith(".json")


def _fields_of(name: str) -> set[str]:
    """Return the fields that can be given to what `name` names; a file has none."""
    if _is_file(name):
        return set()
    if name in RECIPES:
        return set(inspect.signature(RECIPES[name]).parameters)
    kinds, dialects = CATALOGUE.of(Schedule), _dialects()
    if name in (broken := CATALOGUE.broken):
        raise broken[name]
    named = {*kinds, *RECIPES, *dialects}
    check_name(name, named, "schedule or policy", error=SpecError, besides=broken.values())
    return set(hints(kinds[name]) if name in kinds else inspect.signature(dialects[name]).parameters)


def _dialects() -> dict[str, Callable[..., Policy]]:
    """Return the functions of the dialects by their names, with and without that of the peer."""
    from stepsize.policies.dialects.names import DIALECTS, SHORT

    return {**SHORT, **DIALECTS}


def _made(name: str, given: dict[str, Any]) -> Policy:
    if _is_file(name):
        return arguments.policy_in(
            name, ", which has no schedule to show; give a policy, a strategy, an advice or a refinement."
        )
    if name in RECIPES:
        return _called(recipe(name), name, {"peak": 1.0, **given})
    if name not in CATALOGUE.of(Schedule):
        return _of_dialect(name, given)
    data = {field: list(value) if isinstance(value, tuple) else value for field, value in given.items()}
    return Policy(lr=CATALOGUE.decode({"kind": name, **data}, Schedule, name))


def _of_dialect(name: str, given: dict[str, Any]) -> Policy:
    make = _dialects()[name]
    needed = [field.name for field in inspect.signature(make).parameters.values() if field.default is field.empty]
    missing = [field for field in needed if field not in given]
    if missing:
        raise ParameterError(f"{name} needs {' and '.join(missing)}; write {' '.join(f'{f}=...' for f in missing)}.")
    return _called(make, name, given)


def _called(make: Callable[..., Policy], name: str, given: dict[str, Any]) -> Policy:
    try:
        return make(**given)
    except (TypeError, ValueError, AttributeError) as error:  # of a token where no token can be, such as a schedule
        if isinstance(error, StepsizeError):
            raise
        raise ParameterError(f"{name} cannot be made of {', '.join(f'{k}={v!r}' for k, v in given.items())}.") from None


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SpecError(MSG_AFTER.format(token=text))
    if not name:
        raise SpecError(f"a field is written name=value, not {text!r}.")
    return name, tuple(_value(token) for token in value.split(",") if token) if "," in value else _value(value)


def _value(text: str) -> float | str | None:
    """Return a number, a truth value, `none`, or the token itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return CONSTANTS.get(text.lower(), text)


def _drawn(policies: Mapping[str, Policy], run: int) -> Any:
    """Draw one policy with its momentum, or the rates of several, and return the Axes."""
    if len(policies) == 1:
        (policy,) = policies.values()
        return policy.plot(run)
    return picture("plot_schedules")(policies, steps=run)


def _print_table(tables: Tables, run: int) -> None:
    columns = _columns(tables)
    click.echo("\t".join(["step", *columns]))
    for step in range(run):
        click.echo("\t".join([str(step), *(f"{column[step]:.10g}" for column in columns.values())]))


def _columns(tables: Tables) -> dict[str, Floats]:
    """Return the columns of all policies: by hyperparameter, and by name where there are several."""
    if len(tables) == 1:
        return next(iter(tables.values()))
    return {f"{name} {key}": values for name, table in tables.items() for key, values in table.items()}


def _print_curves(policies: Mapping[str, Policy], run: int) -> None:
    tables = {name: policy.table(0, run) for name, policy in policies.items()}
    several = len(policies) > 1
    for name, policy in policies.items():
        click.echo(f"{name}: {policy!r}" if several else repr(policy))
    if several:  # the rates side by side, on one scale; their momentum would make the table too wide to read
        rates = {name: table[LR] for name, table in tables.items() if LR in table}
        top = max((float(column.max()) for column in rates.values()), default=1.0)
        _print_bars(rates, dict.fromkeys(rates, (0.0, top)), run)
    else:
        columns = _columns(tables)
        _print_bars(columns, {name: _span(name, column) for name, column in columns.items()}, run)
    for name, table in tables.items():
        if LR in table:
            click.echo(_area(table[LR], name if several else ""))


def _span(name: str, column: Floats) -> tuple[float, float]:
    """Return where the bars of a column begin and end: at 0, but for momentum and its like in their narrow band."""
    low, top = float(column.min()), float(column.max())
    return (low if name != LR and 0.5 * top < low < top else 0.0), top


def _print_bars(columns: Mapping[str, Floats], spans: Mapping[str, tuple[float, float]], run: int) -> None:
    """Print some rows of each column, and a bar beside each number where the terminal has the room."""
    console = output.console()
    width = min(BAR, (console.width - NUMBER) // max(1, len(columns)) - NUMBER)
    table = Table(box=None, header_style="bold")
    table.add_column("step", justify="right")
    for heading in columns:
        table.add_column(escape(heading), justify="right", overflow="fold")
        if width > 0:
            table.add_column("", justify="left", no_wrap=True, min_width=width)
    for step in np.unique(np.linspace(0, run - 1, ROWS).round().astype(int)):
        cells = [str(step)]
        for name, column in columns.items():
            value = float(column[step])
            cells += [f"{value:.4g}", _bar(value, spans[name], width)] if width > 0 else [f"{value:.4g}"]
        table.add_row(*cells)
    console.print(table)


def _bar(value: float, span: tuple[float, float], width: int) -> str:
    low, top = span
    return "\u2588" * round(width * min((value - low) / (top - low or 1.0), 1.0)) if math.isfinite(top) else ""


def _area(rates: Floats, name: str) -> str:
    peak = float(rates.max())
    with np.errstate(over="ignore", invalid="ignore"):  # rates that nobody means add up to infinity
        total, share_of_peak = float(rates.sum()), float((rates / (peak or 1.0)).mean())
    share = f", {share_of_peak:.0%} of its peak held throughout" if peak and math.isfinite(peak) else ""
    of = f" of {name}" if name else ""
    return f"Area under the learning rate{of}: {total:.6g} (sum over {len(rates)} updates{share})"
