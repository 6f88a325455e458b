"""The laws of every frozen value: it compares, hashes, copies, prints as code, and is JSON in and out."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from typing import Any

from stepsize.kernel.catalogue import Catalogue
from stepsize.kernel.errors import StepsizeError
from stepsize.kernel.spec import Spec, envelope


def law(holds: object, message: str) -> None:
    """Raise AssertionError with `message` unless `holds`; unlike `assert` it also works under `python -O`."""
    if not holds:
        raise AssertionError(message)


def check_value(value: Spec) -> None:
    """Check that `value` is a frozen value: equal to its copies, its printed code and its JSON.

    Raises AssertionError that says which law failed.

    Watch out: it evaluates `repr(value)`, so give it values of classes that you trust.

    >>> from stepsize.schedules import Cosine
    >>> check_value(Cosine(0.1, 0.0))
    """
    name = type(value).__name__
    _check_frozen(value, name)
    again = pickle.loads(pickle.dumps(value))  # noqa: S301  (made by this line)
    for how, other in (("copy", copy.copy(value)), ("deepcopy", copy.deepcopy(value)), ("pickle", again)):
        law(other == value, f"{name}: {how} must give an equal value, not {other!r}.")
        law(hash(other) == hash(value), f"{name}: equal values must have equal hashes.")
    _check_code(value, name)
    _check_json(value, name)


def _check_frozen(value: Spec, name: str) -> None:
    field = next(iter(value.spec_fields()), "anything")
    try:
        setattr(value, field, None)
    except FrozenInstanceError:
        return
    raise AssertionError(f"{name}: setting a field must raise; make it a @dataclass(frozen=True).")


def _check_code(value: Spec, name: str) -> None:
    names = {cls.__name__: cls for cls in kinds(value)}
    try:
        again = eval(repr(value), names)  # noqa: S307  (the law is that a value prints as the code that makes it)
    except Exception as error:  # a law that fails says so, whatever the code under test raises
        raise AssertionError(f"{name}: its repr {value!r} is not code that makes it ({error}).") from error
    law(again == value, f"{name}: its repr {value!r} makes another value, {again!r}.")


def _check_json(value: Spec, name: str) -> None:
    try:
        text = json.dumps(envelope(value), allow_nan=False)
        again = Catalogue(kinds(value)).open(json.loads(text), type(value))
    except (StepsizeError, TypeError, ValueError) as error:
        raise AssertionError(f"{name}: it does not survive JSON ({error}).") from error
    law(again == value, f"{name}: its JSON {text} reads back as another value, {again!r}.")


def kinds(value: Any) -> set[type[Spec]]:
    """Return the classes of `value` and of all values inside it."""
    return {type(each) for each in _walk(value)}


def _walk(value: Any) -> Iterator[Spec]:
    if isinstance(value, Spec):
        yield value
        value = tuple(value.spec_fields().values())
    if isinstance(value, tuple):
        for item in value:
            yield from _walk(item)
