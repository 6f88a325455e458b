"""Parameter groups of a task: what the learning rate and the weight decay of some parameters are multiplied by."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from stepsize.kernel.errors import TaskError, brief, suggestion
from stepsize.kernel.optional import need
from stepsize.problems.data import OWN_LOOP

Module = Any
Group = dict[str, Any]
Groups = Callable[[Module], Any]
"""Returns the groups of a model, as `torch.optim` takes them, or an optimizer that has them."""

NO_RATES: Mapping[str, float] = MappingProxyType({})

SCALED = ("lr", "weight_decay")
"""What a group may have a ratio of."""


@dataclass(frozen=True)
class ParameterGroup:
    """Some parameters of a model by name, and the ratios of what an optimizer does with them; 1 where none is given.

    called: the group's own name, its key `name`; None for one without.
    """

    names: tuple[str, ...]
    ratios: dict[str, float] = field(default_factory=dict)
    called: str | None = None


def parameter_groups(
    model: Module, groups: Groups | None, rates: Mapping[str, float] = NO_RATES
) -> list[ParameterGroup]:
    """Return the groups of the parameters of `model` that are trained, in order; one of all of them without `groups`.

    groups: gets the model, and returns dicts of `params` and of ratios, `lr` and `weight_decay`: 1 is the strategy's
        own value, 0.1 a tenth of it. Or it returns an optimizer: a value of a group is then a ratio to its default. Of
        decays that are one value and 0, 0 is none, and the value is the strategy's own.
    rates: what the rates of groups, by their key `name`, are multiplied by on top of that.

    Raises TaskError for what are no groups, for a parameter in none of them or in two, where no group has the rate of
    the strategy itself, and for rates of a group that there is not.
    """
    named = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
    if groups is None:
        _check_rates(rates, [])
        return [ParameterGroup(tuple(named.values()))]
    made = groups(model.model if isinstance(model, need("stepsize.problems.own_loss").TakesSamples) else model)
    found, defaults = getattr(made, "param_groups", made), getattr(made, "defaults", dict.fromkeys(SCALED, 1.0))
    dicts = isinstance(found, list) and all(isinstance(each, dict) and "params" in each for each in found)
    if not dicts or not found:
        raise TaskError(
            "Task.groups must return dicts with 'params', as torch.optim takes them, or an optimizer, not "
            f"{brief(made)}."
        )
    names = [_names(group, named) for group in found]
    _check_cover([name for group in names for name in group], list(named.values()))
    ratios = {name: _ratios(found, name, float(defaults.get(name, 1.0))) for name in SCALED}
    _check_others(found)
    called = [None if group.get("name") is None else str(group["name"]) for group in found]
    _check_rates(rates, called)
    return [
        ParameterGroup(
            own, {name: ratios[name][index] * (rates.get(str(title), 1.0) if name == "lr" else 1.0) for name in SCALED},
            title,
        )
        for index, (own, title) in enumerate(zip(names, called, strict=True)) if own
    ]  # fmt: skip


def _names(group: Group, named: dict[int, str]) -> tuple[str, ...]:
    """Return the names of the trained parameters of a group."""
    given = group["params"]
    given = [given] if hasattr(given, "requires_grad") else list(given)
    tensors = [each[1] if isinstance(each, tuple) else each for each in given]  # named_parameters gives pairs
    foreign = [each for each in tensors if getattr(each, "requires_grad", True) and id(each) not in named]
    if foreign:
        raise TaskError(
            f"Task.groups returns {brief(foreign[0])}, which is no parameter of the model that it was given; take the "
            "parameters from its argument: lambda model: [...]."
        )
    return tuple(named[id(each)] for each in tensors if each.requires_grad)


def _check_cover(grouped: Sequence[str], trained: Sequence[str]) -> None:
    twice = next((name for name in grouped if grouped.count(name) > 1), None)
    if twice is not None:
        raise TaskError(f"Task.groups has the parameter {twice!r} in two groups; a parameter is in one.")
    left = [name for name in trained if name not in grouped]
    if left:
        raise TaskError(
            f"Task.groups leaves out {len(left)} of {len(trained)} parameters, {left[0]!r} first. Give them a group, "
            "or freeze them in Task.model: requires_grad_(False)."
        )


def _check_rates(rates: Mapping[str, float], called: Sequence[str | None]) -> None:
    """Refuse rates of a group that there is not, or that are none."""
    known = [name for name in called if name is not None]
    for name, rate in rates.items():
        if name not in known:
            near = suggestion(name, known) if known else "Name the groups in Task.groups: {'name': 'head', ...}."
            raise TaskError(f"no parameter group of Task.groups is called {brief(name)}. {near}")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < math.inf:
            raise TaskError(f"Task.group_rates has {brief(rate)} for {name!r}; give a finite number of at least 0.")


def _check_others(groups: Sequence[Group]) -> None:
    """Refuse groups that differ in what no ratio is for."""
    for name in {name for group in groups for name in group} - {"params", "name", "param_names", "initial_lr", *SCALED}:
        if len({repr(group.get(name)) for group in groups}) > 1:
            raise TaskError(
                f"Task.groups gives groups a {name!r} of their own, and a Task has ratios of lr and weight_decay "
                f"alone. Leave it out; or {OWN_LOOP}."
            )


def _number(value: Any, name: str) -> float:
    """Return a group's value, which an optimizer may hold in a tensor, as a float."""
    if isinstance(value, bool | str) or not (isinstance(value, numbers.Real) or hasattr(value, "item")):
        raise TaskError(
            f"Task.groups gives a group {name}={brief(value)}, and a group of a task has numbers, ratios to the "
            "strategy's own. A group with a policy of its own is for a loop of yours: drive(optimizer, Groups(...))."
        )
    return float(value)


def _ratios(groups: Sequence[Group], name: str, whole: float) -> list[float]:
    """Return the ratios of the groups' values to `whole`, which a group without a value has."""
    own = [_number(group.get(name, whole), name) for group in groups]
    if not all(0 <= value < float("inf") for value in own):
        raise TaskError(f"Task.groups gives a group {name}={min(own)!r}; a ratio is a finite number of at least 0.")
    if len(set(own)) == 1 and own[0]:
        return [1.0] * len(own)
    if name == "weight_decay" and len({*own, 0.0}) <= 2:
        return [float(value > 0) for value in own]
    if not whole or whole not in own:
        raise TaskError(
            f"Task.groups has groups with {name} {', '.join(f'{value:g}' for value in own)}, none of which is "
            f"{whole:g}, the value of the strategy itself. Ratios to it are meant: leave {name} out of the group whose "
            f"{name} the strategy says, and give the others their share, 0.1 for a tenth; or return the optimizer, "
            "torch.optim.AdamW(groups, lr=...), with the whole as its default."
        )
    return [value / whole for value in own]
