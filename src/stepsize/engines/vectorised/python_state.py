"""What of Python a model may depend on and change when it is called: what a recording of its tensors cannot see."""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

DEPTH, MOST = 5, 1000
"""How deep into lists and objects to go, and how many items of each."""

CONTAINERS = (dict, list, tuple, set, frozenset)
SHOWN, FOREIGN = ("itertools", "collections"), ("torch.", "numpy.")
"""Modules whose objects show what is in them, and modules whose functions keep nothing from call to call."""

LARGE = 1 << 20
"""Bytes of an array of NumPy from which on it is known by its identity alone: data, and not a state."""

TORCH = ("_parameters", "_buffers", "_modules")
"""Attributes of a module that hold tensors and other modules."""


def state_of(model: torch.nn.Module, *functions: Callable[..., Any]) -> list[Any]:
    """Return the numbers, words and identities that a model and functions refer to, as a list that can be compared.

    It holds the attributes of every module, what its methods and the functions take from the names around them, and
    where Python's and NumPy's generators of random numbers are.

    Watch out: what is more than five objects or functions away, or behind code in C, is not seen.
    """
    modules = [
        *model.modules(),
        *(part for each in functions if isinstance(each, torch.nn.Module) for part in each.modules()),
    ]
    found: list[Any] = [random.getstate(), *map(_mark, np.random.get_state(legacy=True))]  # noqa: NPY002  (a user's code may draw from it)
    for module in modules:
        found += [(name, _mark(value)) for name, value in vars(module).items() if name not in TORCH]
    kinds = {type(module) for module in modules if not type(module).__module__.startswith(FOREIGN)}
    for function in [*functions, *(kind.forward for kind in kinds)]:
        found += [(name, _mark(value)) for name, value in _names_around(function)]
    return found


def _names_around(function: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a function takes from the names around it."""
    while isinstance(function, functools.partial):
        yield "arguments", (function.args, function.keywords)
        function = function.func
    function = getattr(function, "__func__", function)
    if inspect.isfunction(function):
        around = inspect.getclosurevars(function)
        yield from [*around.nonlocals.items(), *around.globals.items()]


def _mark(value: Any, depth: int = DEPTH) -> Any:
    """Return what changes when a value does."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, np.ndarray):
        return hash(value.tobytes()) if value.nbytes < LARGE else id(value)
    parts = _parts(value)[:MOST] if depth else []
    return [_own(value), *(_mark(part, depth - 1) for part in parts)]


def _own(value: Any) -> Any:
    """Return what a value is without its parts: a size, an identity, or what an iterator says of where it is."""
    if isinstance(value, CONTAINERS):
        return len(value)
    if type(value).__module__ in SHOWN and not callable(value):
        return repr(value)
    return id(value)


def _parts(value: Any) -> list[Any]:
    """Return what is in a container, around a function, or in the attributes of another object."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, CONTAINERS):
        return [*value]
    if inspect.isfunction(value):
        return [] if value.__module__.startswith(FOREIGN) else [part for _, part in _names_around(value)]
    if isinstance(value, torch.Tensor) or callable(value) or inspect.ismodule(value):
        return []
    return [*getattr(value, "__dict__", {}).values()]
