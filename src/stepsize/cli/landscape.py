"""`stepsize landscape NAME`: thousands of starts on a test function, under several strategies side by side.

::

    stepsize landscape Rastrigin                                        the usual strategies, as a table
    stepsize landscape Rastrigin --out pictures                         and as pictures, with result.json
    stepsize landscape Rastrigin --report page.html                     and as one HTML page
    stepsize landscape DoubleWell tilt=0.3 --strategy "SGD cosine 0.2"  fields and strategies of one's own
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.table import Table

from stepsize.cli import arguments, output, progress
from stepsize.cli.help import Command
from stepsize.kernel.errors import ParameterError, SpecError, check_name
from stepsize.kernel.spec import Spec, hints
from stepsize.kernel.text import count
from stepsize.problems.landscapes import Landscape
from stepsize.problems.noise import Noise
from stepsize.results import Descent
from stepsize.results.io import CATALOGUE, load, save
from stepsize.strategy import Strategy

S = TypeVar("S", bound=Spec)

STARTS, STEPS = 10_000, 1000

MSG_STRATEGY = (
    "a strategy is a rule, a policy and a peak rate, such as 'Adam cosine 0.1', or a JSON file that holds one, "
    "not {0!r}."
)
MSG_NOISE = "noise is a kind and its scale, such as 'Gaussian 0.1' or 'StudentT 0.1 freedom=3', not {0!r}."


@click.command(cls=Command, examples=__doc__)
@click.argument("name", metavar="NAME")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--strategy", "strategies", multiple=True, metavar="'RULE POLICY RATE'",
              help="Run this strategy, or the one in a JSON file; repeat it for more. Default: four.")  # fmt: skip
@click.option("--dimensions", type=int, help="Give the landscape so many coordinates, where it lets one choose.")
@click.option(
    "--starts",
    type=click.IntRange(1, 10**7),
    default=STARTS,
    show_default=True,
    help="Draw so many starts from the box.",
)
@click.option(
    "--steps", type=click.IntRange(1, 10**8), default=STEPS, show_default=True, help="Make so many optimizer updates."
)
@click.option(
    "--noise", metavar="'KIND SCALE'", help="Add noise to the gradient, such as 'Gaussian 0.1'. Default: none."
)
@click.option(
    "--seed", type=click.IntRange(0, 10**9), default=0, show_default=True, help="Seed of the starts and the noise."
)
@click.option("--out", type=arguments.OutputFolder(), help="Write pictures and result.json to this folder.")
@output.output_options("save", "report")
def landscape(
    name: str, *, fields: tuple[str, ...], strategies: tuple[str, ...], dimensions: int | None, starts: int, steps: int,
    noise: str | None, seed: int, out: Path | None, outputs: output.Outputs,
) -> None:  # fmt: skip
    """Let thousands of starts descend on the landscape NAME, and count who gets to a global minimum.

    On Saddle and MonkeySaddle, which have none, it counts who leaves the saddle, and after how many steps.

    `stepsize list` names the landscapes, the rules and the policies.
    """
    given = landscape_of(name, fields, dimensions)
    shaken = None if noise is None else noise_of(noise)
    named = [strategy_of(text) for text in strategies]
    outputs.check(None if out is None else out / "result.json")

    from stepsize.engines.landscape.default_strategies import usual
    from stepsize.engines.landscape.descend import descend

    chosen = named or list(usual(given))
    with progress.show_progress(len(chosen) * starts * steps) as tell:
        found = descend(
            given, chosen, starts=starts, steps=steps, seed=seed, noise=shaken,
            progress=lambda updates: tell("descending", updates),
        )  # fmt: skip
    files = {**({} if out is None else files_in(out, found)), **outputs.files(found)}
    outputs.present(found, _show, files)


def _show(found: Descent) -> None:
    console = output.console()
    console.print(outcomes_table(found))
    console.print(_footnote(found), markup=False)


def landscape_of(name: str, fields: tuple[str, ...], dimensions: int | None) -> Landscape:
    """Return the landscape that a command line names.

    Raises SpecError for a name or a field that is not there, ParameterError for a dimension that it does not support.
    """
    kind = _kind(name, Landscape)
    given = _fields(fields)
    if dimensions is not None:
        own = hints(kind)
        if "dimensions" not in own:
            fixed = kind().dimensions
            sized = ", ".join(sorted(own)) or "none"
            raise ParameterError(
                f"{name} has {count(fixed, 'dimension')} and no other number of them, not {dimensions}; "
                f"leave --dimensions out. Its fields: {sized}."
            )
        given["dimensions"] = dimensions
    return _made(kind, given, Landscape)


def noise_of(text: str) -> Noise:
    """Return the noise that `text` describes: a kind, a scale, and fields."""
    tokens = text.split()
    plain = [token for token in tokens if "=" not in token]
    if len(plain) != 2:
        raise SpecError(MSG_NOISE.format(text))
    given = {"scale": _value(plain[1]), **_fields(tuple(token for token in tokens if "=" in token))}
    return _made(_kind(plain[0], Noise), given, Noise)


def strategy_of(text: str) -> Strategy:
    """Return the strategy that `text` describes, or that the JSON file of that name holds."""
    if text.endswith(".json"):
        found: Spec = load(Path(text))
        strategy = getattr(found, "strategy", found)
        if not isinstance(strategy, Strategy):
            raise SpecError(f"{text} holds a {found.noun}, and no strategy.")
        return strategy
    tokens = text.split()
    if len(tokens) != 3:
        raise SpecError(MSG_STRATEGY.format(text))
    (rate,) = arguments.parse_rates(tokens[2:])
    return Strategy.of(tokens[0], tokens[1], rate)


def _kind(name: str, family: type[S]) -> type[S]:
    known = CATALOGUE.of(family)
    check_name(name, known, getattr(family, "noun", "value"), error=SpecError)
    return known[name]


def _made(kind: type[S], given: dict[str, Any], family: type[S]) -> S:
    try:
        return CATALOGUE.decode({"kind": kind.__name__, **given}, family)
    except SpecError as error:
        raise SpecError(str(error).removeprefix("at $: ")) from None


def _fields(tokens: tuple[str, ...]) -> dict[str, Any]:
    """Return fields written as name=value."""
    found: dict[str, Any] = {}
    for token in tokens:
        name, equals, value = token.partition("=")
        if not equals:
            raise SpecError(f"{token!r} is no field; a field is written name=value, such as dimensions=5.")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def files_in(out: Path, found: Descent) -> output.Files:
    """Return what writes the result and its pictures into the folder `out`."""
    from stepsize import plots

    pictures: dict[str, Callable[[], Any]] = {
        "paths": lambda: plots.side_by_side(found, plots.plot_paths)[0],
        "rates": lambda: plots.plot_rates(found),
        "arrivals": lambda: plots.plot_arrivals(found),
    }
    if found.landscape.dimensions <= 2 and not found.landscape.saddle:
        pictures["basins"] = lambda: plots.side_by_side(found, plots.plot_basins, flow=True)[0]
    files: dict[Path, Callable[[], object]] = {out / "result.json": lambda: save(found, out / "result.json")}
    for name, draw in pictures.items():
        file = out / f"{name}.png"
        files[file] = functools.partial(_draw, draw, file)
    return {**files, out / "paths.gif": lambda: plots.animate(found, out / "paths.gif")}


def _draw(draw: Callable[[], Any], file: Path) -> None:
    output.write_picture(draw(), file)


def outcomes_table(found: Descent) -> Table:
    """Return the outcome of each strategy, with intervals."""
    from stepsize.plots.landscape import name
    from stepsize.report import formatting

    title = f"{name(found)}, {count(len(found.starts), 'start')}, {count(found.steps, 'step')}"
    elsewhere = () if found.landscape.saddle else ("escapes from elsewhere",)
    rows = []
    for outcome in found.outcomes:
        escape = "none to escape from" if outcome.escape is None else formatting.share(outcome.escape)
        steps = formatting.steps(outcome.time, found.steps)
        own = [escape] * len(elsewhere)
        rows.append((outcome.strategy.name, formatting.share(outcome.share), *own, steps, str(outcome.diverged)))
    return output.table(title, ("strategy", found.goal.does, *elsewhere, found.goal.steps, "diverged"), rows)


def _footnote(found: Descent) -> str:
    if found.landscape.saddle:
        return (
            "95 % intervals. A run has left the saddle, and ends, when the value is more than 1 below that of the "
            f"saddle. {found.seconds:.1f} s."
        )
    trapped = int(found.trapped.sum())
    return (
        f"95 % intervals. Gradient flow leads {trapped} of the starts elsewhere than to a global minimum; the escape "
        f"rate is the share of them that ends there all the same. {found.seconds:.1f} s."
    )
