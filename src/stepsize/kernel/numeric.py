"""Arguments that are numbers: a public function is held to the annotations of its signature, in one sentence each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sized
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from stepsize.kernel.errors import ParameterError, brief
from stepsize.kernel.spec import is_real, is_whole

P = ParamSpec("P")
R = TypeVar("R")


def numeric(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function`, which then raises ParameterError for an argument that is no number where one is annotated.

    Held are the annotations `int`, `float`, `Sequence[int]`, `Sequence[float]`, `tuple[float, float]`, each of them or
    `None`, and unions of them; any other is the function's own affair. What a number may be is, too. An array of
    NumPy's comes as a list.

    >>> @numeric
    ... def repeat(times: int, rates: Sequence[float] = ()) -> int:
    ...     return times * len(rates)
    >>> repeat("3")
    Traceback (most recent call last):
    stepsize.kernel.errors.ParameterError: times must be a whole number, not '3'.
    >>> repeat(3, [0.1, "0.2"])
    Traceback (most recent call last):
    stepsize.kernel.errors.ParameterError: rates must be a list of numbers, not [0.1, '0.2'].
    """
    signature = inspect.signature(function)
    wanted = {
        name: annotations
        for name, each in signature.parameters.items()
        if set(annotations := str(each.annotation).split(" | ")) <= {*FORMS, "None"}
    }

    @wraps(function)
    def held(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            given = signature.bind(*arguments, **named)
        except TypeError:
            return function(*arguments, **named)  # which says by its name what is missing
        for name, annotations in wanted.items():
            if name in given.arguments:
                given.arguments[name] = _checked(name, given.arguments[name], annotations)
        return function(*given.args, **given.kwargs)

    return held


def _checked(name: str, value: Any, annotations: list[str]) -> Any:
    """Return a value that fits one of the annotations; an array as a list."""
    forms = [FORMS[each] for each in annotations if each != "None"]
    if (value is None and "None" in annotations) or any(fits(value) for _, fits in forms):
        return value.tolist() if isinstance(value, np.ndarray) else value
    raise ParameterError(f"{name} must be {' or '.join(text for text, _ in forms)}, not {brief(value)}.")


def _holds(value: Any, fits: Callable[[object], bool]) -> bool:
    """Whether a value is a list, a tuple or an array whose items all fit."""
    several = isinstance(value, Iterable) and isinstance(value, Sized) and not isinstance(value, str | bytes | Mapping)
    return several and all(map(fits, value))


FORMS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number", is_whole),
    "float": ("a number", is_real),
    "Sequence[Any]": ("a list", lambda value: _holds(value, lambda _: True)),
    "Sequence[int]": ("a list of whole numbers", lambda value: _holds(value, is_whole)),
    "Sequence[float]": ("a list of numbers", lambda value: _holds(value, is_real)),
    "tuple[float, float]": ("two numbers", lambda value: _holds(value, is_real) and len(value) == 2),
}
"""What an annotation says of an argument, in text, and whether a value is such a one."""
