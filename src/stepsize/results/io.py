"""Files: every value in and out of JSON, written atomically, read without executing anything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar, overload

from stepsize import policies, rules, schedules, strategy
from stepsize.catalogue import RULES, SCHEDULES, concrete
from stepsize.kernel.catalogue import Catalogue
from stepsize.kernel.errors import FormatError, SpecError
from stepsize.kernel.files import parse_json, read_text
from stepsize.kernel.output_files import write
from stepsize.kernel.spec import Spec, envelope
from stepsize.problems import landscapes, noise
from stepsize.results import (
    advice,
    curvature,
    curves,
    four_steps,
    landscape,
    prediction,
    race,
    range_test,
    range_tests,
    refinement,
    sensitivity,
)
from stepsize.results.missing import MissingRule, MissingSchedule
from stepsize.rules import Rule
from stepsize.schedules import Schedule

S = TypeVar("S", bound=Spec)

LARGEST = 1 << 30
"""The largest file that is read, in bytes."""


MODULES = (
    schedules, rules, landscapes, noise, policies, strategy, advice, curvature, curves, four_steps, landscape,
    prediction, race, range_test, range_tests, refinement, sensitivity,
)  # fmt: skip
"""Whose concrete values have a kind; to be named in one of them is the registration."""

CATALOGUE = Catalogue(
    (kind for module in MODULES for kind in concrete(module, Spec).values() if kind is not Spec),
    more=(SCHEDULES, RULES), missing={Schedule: MissingSchedule.of, Rule: MissingRule.of},
)  # fmt: skip
"""Every kind that a file may hold."""


def dumps(value: Spec, *, indent: int | None = None) -> str:
    """Return `value` as JSON text, in its envelope."""
    return json.dumps(envelope(value), indent=indent, allow_nan=False)


def loads(text: str, family: type[S] = Spec) -> S:  # type: ignore[assignment]  # the default is the widest family
    """Return the value that JSON `text` describes.

    Raises SpecError, with the path of what is wrong, or FormatError when it is no JSON of ours at all.
    """
    try:
        data = parse_json(text)
    except FormatError as error:
        raise FormatError(f"this is not JSON that stepsize wrote: {error}.") from None
    return CATALOGUE.open(data, family)


def save(value: Spec, path: str | os.PathLike[str]) -> Path:
    """Write `value` to `path` as JSON; the file is there whole or not at all."""
    return write(path, dumps(value, indent=1) + "\n")


@overload
def load(path: str | os.PathLike[str]) -> Any: ...


@overload
def load(path: str | os.PathLike[str], family: type[S]) -> S: ...


def load(path: str | os.PathLike[str], family: type[Any] = Spec) -> Any:
    """Read a value that `save` wrote: a schedule, a policy, a strategy or a result.

    Raises FormatError when the file is missing, too large, or is not ours.
    """
    text = read_text(path, LARGEST)
    try:
        return loads(text, family)
    except SpecError as error:
        raise type(error)(f"{path}: {error}") from None
