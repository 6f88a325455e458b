"""Which class of `torch.optim` a rule is, and which rule a class is, by its name and what its parameter groups have."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from stepsize.kernel.errors import DriveError
from stepsize.rules.base import Facts, Rule, Twin

BETAS = "betas"
PAIR = ("momentum", "beta2")
"""What torch has as a pair, its betas."""

NAMES = {"epsilon": "eps", "initial": "initial_accumulator_value"}
"""What torch calls a field of ours by another name."""

SWITCHES = {"momentum", "nesterov", "amsgrad", "maximize", "decoupled_weight_decay"}
"""What makes another rule of one of torch's classes, where it is not 0."""

ITSELF = {"AdamW": {"decoupled_weight_decay"}}
"""The switches that are always on in a class."""


@functools.cache
def twins() -> dict[type[Rule], Twin]:
    """Return our rules that `torch.optim` has, as their facts say."""
    ours = (kind for kind in _kinds(Rule) if kind.__module__.rpartition(".")[0] == __package__)
    facts = {kind: kind.__dict__.get("facts") for kind in ours}
    return {kind: each.torch for kind, each in facts.items() if isinstance(each, Facts) and each.torch is not None}


def _kinds(kind: type[Rule]) -> Iterator[type[Rule]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)


def twin_rule(name: str, group: Mapping[str, Any]) -> Rule | None:
    """Return our rule that the class of `torch.optim` called `name` is; None where there is none.

    group: what a parameter group has, whose numbers may be tensors; they say which of its methods it is.
    """
    for kind, twin in twins().items():
        if twin.name == name and _is(twin, group):
            return kind(**{field: _value(group, field) for field in ("lr", "weight_decay", *twin.fields)})
    return None


def _is(twin: Twin, group: Mapping[str, Any]) -> bool:
    """Whether a group has the arguments that make torch's class this rule, and none that make it another."""
    foreign = SWITCHES - {*twin.fields, *twin.more} - ITSELF.get(twin.name, set())
    return all(group.get(key) == value for key, value in twin.more.items()) and not any(map(group.get, foreign))


def torch_arguments(rule: Rule) -> tuple[str, dict[str, Any]]:
    """Return the class in `torch.optim` that is `rule`, and its arguments.

    Raises DriveError for a rule, or a switch of one, that torch does not have.
    """
    if not rule.formula:
        raise DriveError(f"{rule.title} is a class itself; build_optimizer makes one of it.")
    twin = rule.facts.torch
    if rule.core is not rule or twin is None:
        raise DriveError(f"torch.optim has no {rule.title}; build_optimizer makes one of it.")
    fields = ("lr", "weight_decay", *twin.fields)
    usual = type(rule)()
    for field, value in rule.spec_fields().items():
        if field not in fields and value != getattr(usual, field):
            raise DriveError(
                f"torch.optim.{twin.name} has no {field}={value!r} of {rule!r}: its convention is {field}="
                f"{getattr(usual, field)!r}. build_optimizer makes one of the rule as it is."
            )
    arguments = {NAMES.get(field, field): getattr(rule, field) for field in fields}
    if set(PAIR) <= set(arguments):
        arguments = {BETAS: tuple(arguments.pop(field) for field in PAIR), **arguments}
    return twin.name, {**arguments, **twin.more}


def twin_in(library: Literal["optax", "keras"], rule: Rule) -> Twin | None:
    """Return what a rule is in a library; None for one that it does not have, is wrapped, or has other switches."""
    twin: Twin | None = getattr(rule.facts, library) if rule.core is rule else None
    return None if twin is None or rule.form != type(rule)().form else twin


def _value(group: Mapping[str, Any], field: str) -> Any:
    value = group[BETAS][PAIR.index(field)] if BETAS in group and field in PAIR else group[NAMES.get(field, field)]
    return value if isinstance(value, bool | int) else float(value)
