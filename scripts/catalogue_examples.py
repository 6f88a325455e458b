# ruff: noqa: INP001  (a script's neighbour, not a package)
"""An example of each kind of schedule, found from its annotations alone.

Every field has a few candidates, by its annotation (a number within bounds, a length, a schedule) and where the house
has a habit of a name, by its name: a `peak` is above a `base`. The example is the first combination that can be bound
to a run and shows something: a curve that moves and, where it is made of other schedules, that is not just theirs. A
field with a default keeps it if it can.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from itertools import islice, product
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np

from stepsize.kernel.errors import StepsizeError
from stepsize.kernel.spec import hints
from stepsize.schedules import Cosine, Linear, Schedule, Triangular

RUN = 1000
"""The horizon of an example."""

SHORT = 8
"""The horizon of one that has a value for each step."""

MOST = 20_000
"""Combinations that are tried at most."""

SHOWS = 3
"""Different values, of fifty, that a curve must have to show something."""


def halving(step: int) -> float:
    """The function of the examples: half of the value after every 250 steps."""
    return 0.5 ** (step / 250)


RECORDED = (0.25, 0.5, 1.0, 0.75, 0.5, 0.375, 0.25, 0.125)
MOMENTS = tuple(RUN * place / 8 for place in (0, 1, 2, 4, 5, 6, 7, 8))
BY_NAME: dict[str, tuple[Any, ...]] = {
    "start": (1.0,),
    "end": (0.0, 0.01),
    "base": (0.1,),
    "peak": (1.0,),
    "low": (0.2,),
    "high": (0.8,),
    "at": (("25%", "50%", "75%"), MOMENTS),
    "values": (RECORDED,),
    "second": (Triangular(0.5, 1.0, "12.5%"),),
}
SCHEDULES = (Cosine(1.0, 0.0), Cosine(1.0, 0.0, "25%"))
LENGTHS = ("12.5%", "rest")
PLAIN: dict[Any, tuple[Any, ...]] = {float: (1.0, 0.5, 2.0), int: (1, 2), bool: (False, True), Callable: (halving,)}


def example(kind: type[Schedule]) -> tuple[Schedule, int]:
    """Return a schedule of `kind` that shows what it does, not bound, and the run to bind it to.

    Raises LookupError when no combination makes one.
    """
    found: tuple[int, Schedule, int] | None = None
    for run in (RUN, SHORT):
        for value in islice(_made(kind), MOST):
            score = _score(value, run)
            if score >= SHOWS:
                return value, run
            if score and (found is None or score > found[0]):
                found = score, value, run
    if found is None:
        raise LookupError(f"no combination of fields makes a {kind.__name__}; give a candidate for its annotations.")
    return found[1:]


def _made(kind: type[Schedule]) -> Iterator[Schedule]:
    """Yield schedules of `kind`: the defaults, then with more and more of the other candidates."""
    declared = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # every concrete one is a dataclass
    choices = []
    for name, hint in hints(kind).items():
        default = declared[name].default
        kept = () if default is MISSING else (MISSING,)
        choices.append([(name, value) for value in (*kept, *BY_NAME.get(name, ()), *_candidates(hint))])
    combinations = sorted(product(*(range(len(choice)) for choice in choices)), key=sum)
    for places in combinations:
        chosen = [choice[place] for choice, place in zip(choices, places, strict=True)]
        try:
            yield kind(**{name: value for name, value in chosen if value is not MISSING})
        except StepsizeError:
            continue


def _candidates(hint: Any) -> tuple[Any, ...]:
    """Return values that an annotation allows, the plainest first."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return LENGTHS if arguments[1] == "steps" else _numbers(*arguments[:2])
    if origin in (Union, types.UnionType):
        return tuple(value for choice in arguments for value in _candidates(choice))
    if origin is tuple:
        return ((Linear(0.1, 1.0, "25%"), Cosine(1.0, 0.0)),) if _is_schedule(arguments[0]) else (RECORDED,)
    if _is_schedule(hint):
        return SCHEDULES
    return arguments if origin is Literal else PLAIN.get(origin or hint, ())


def _is_schedule(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Schedule)


def _numbers(base: type, bound: Any) -> tuple[Any, ...]:
    return tuple(base(number) for number in (1, 0.5, 2, 100) if base(number) == number and bound.holds(number))


def _score(schedule: Schedule, run: int) -> int:
    """Return how many values the curve has; 0 where it cannot be bound, 1 where it is that of a schedule inside."""
    try:
        table = schedule.over(run).table(0, run)
    except StepsizeError:
        return 0
    inside = [getattr(schedule, name) for name in hints(type(schedule))]
    if any(isinstance(inner, Schedule) and _same(inner, table) for inner in inside):
        return 1
    places = np.linspace(0, run - 1, min(run, 50)).astype(int)
    return len(np.unique(np.round(table[places] / (float(np.ptp(table)) or math.inf), 2)))


def _same(inner: Schedule, table: Any) -> bool:
    try:
        return bool(np.allclose(inner.over(len(table)).table(0, len(table)), table))
    except StepsizeError:
        return False
