"""Optimizer classes of torch by their names: how one is found, made, and what it has in its parameter groups.

Nothing here imports torch, or the package of a class, before it is asked for.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Mapping
from typing import Any

from stepsize.kernel.errors import ParameterError, brief, said, suggestion
from stepsize.kernel.optional import dotted, need

Arguments = Mapping[str, Any]

NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")

USUAL = ("lr", "weight_decay", "momentum", "dampening")
"""Whole numbers by these names are numbers that move, as `momentum=0` of SGD is; others are switches or counts."""

DEEPEST = 3
"""How deeply tuples may be nested in an argument."""


def named_literals(field: str, given: Any) -> dict[str, Any]:
    """Return named literals in their canonical form, lists as tuples; raise ParameterError for anything else."""
    try:
        named = dict(given)
    except (TypeError, ValueError):
        raise ParameterError(f"TorchRule.{field} are values by name, not {brief(given)}.") from None
    for name in named:
        if not isinstance(name, str) or not name.isidentifier():
            raise ParameterError(f"TorchRule.{field} are values by name, and {brief(name)} is no name of an argument.")
    for name, value in named.items():
        if not _is_literal(value):
            raise ParameterError(
                f"TorchRule.{field}.{name} is {brief(value)}; what an optimizer by class is given are finite numbers, "
                "texts, True, False, None, or tuples of them, so that a file can hold it. A training function of your "
                "own can build any optimizer (docs/how-to/function.md)."
            )
    return {name: _as_tuples(value) for name, value in named.items()}


def _is_literal(value: Any, depth: int = 0) -> bool:
    if isinstance(value, list | tuple):
        return depth < DEEPEST and all(_is_literal(each, depth + 1) for each in value)
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def class_of(optimizer: Any) -> Any:
    """Return the optimizer class that is given, or imported by its dotted name.

    Raises MissingPackageError for a name that there is not, ParameterError for what is no optimizer class.
    """
    cls = dotted(optimizer) if isinstance(optimizer, str) and NAME.fullmatch(optimizer) else optimizer
    base = need("torch").optim.Optimizer
    if not isinstance(cls, type) or not issubclass(cls, base) or cls is base:
        said = brief(optimizer) if isinstance(optimizer, str | type) else f"an instance of {type(optimizer).__name__}"
        raise ParameterError(
            f"TorchRule takes a class of torch's optimizers, such as torch.optim.SGD, or its dotted name, not {said}."
        )
    if "<" in cls.__qualname__:
        raise ParameterError(
            f"{cls.__name__} is defined inside of a function, so nothing finds it by its name; define it in a module."
        )
    return cls


def public_name(cls: type) -> str:
    """Return the shortest dotted name that is the class: `torch.optim.SGD`, not `torch.optim.sgd.SGD`."""
    parts = cls.__module__.split(".")
    for length in range(1, len(parts)):
        if getattr(sys.modules.get(".".join(parts[:length])), cls.__qualname__, None) is cls:
            return ".".join([*parts[:length], cls.__qualname__])
    return f"{cls.__module__}.{cls.__qualname__}"


def group_of(cls: Any, given: Arguments) -> dict[str, Any]:
    """Return what a parameter group of the class has, as far as it is literal, by making one of a matrix."""
    group = make(cls, need("torch").nn.Linear(3, 4, bias=False), given).param_groups[0]
    annotations = {name: str(each.annotation).lower() for name, each in inspect.signature(cls).parameters.items()}
    found = {}
    for name, value in group.items():
        if name != "params" and name.isidentifier() and _is_literal(value):
            whole = isinstance(value, int) and not isinstance(value, bool)
            moves = whole and (name in USUAL or "float" in annotations.get(name, ""))
            found[name] = float(value) if moves else value
    return found


def closure_of(cls: Any) -> inspect.Parameter | None:
    """Return the closure among the parameters of `step`, if there is one."""
    return inspect.signature(cls.step).parameters.get("closure")


def needs_closure(cls: Any) -> bool:
    """Return whether `step` needs a closure; raise ParameterError where it needs something else."""
    own = list(inspect.signature(cls.step).parameters.values())[1:]
    needed = [each.name for each in own if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
    other = next((name for name in needed if name != "closure"), None)
    if other is not None:
        raise ParameterError(
            f"{public_name(cls)}.step needs {other!r}, which no loop of ours has. A training function of your own can "
            "give it (docs/how-to/function.md)."
        )
    return bool(needed)


def has_modes(cls: Any) -> bool:
    """Whether a class has other weights to evaluate at than to train, as those of `schedulefree` do."""
    return callable(getattr(cls, "eval", None)) and callable(getattr(cls, "train", None))


def make(cls: Any, model: Any, given: Arguments) -> Any:
    """Return an optimizer of a class on a model, or on what else a torch optimizer takes.

    Raises ParameterError that says what the class says of its arguments.
    """
    parameters = inspect.signature(cls).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    first, *others = list(parameters)
    unknown = next((name for name in given if name not in others), None)
    if first == "model":
        raise ParameterError(
            f"{public_name(cls)} is made of a whole model, not of parameters. A training function of your own can make "
            "it (docs/how-to/function.md)."
        )
    if unknown is not None and not takes_any:
        raise ParameterError(f"{cls.__name__} has no argument {unknown!r}. {suggestion(unknown, others)}")
    if isinstance(model, need("torch").nn.Module):
        model = [p for p in model.parameters() if p.requires_grad]
    try:
        return cls(model, **given)
    except Exception as error:  # a class of somebody else's: said in one line
        arguments = f" and {', '.join(f'{name}={brief(value)}' for name, value in given.items())}" if given else ""
        raise ParameterError(f"{public_name(cls)} cannot be made of parameters{arguments}: {said(error)}") from error
