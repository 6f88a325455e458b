"""The default search space: which rules and which policies are tried when none are named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stepsize.kernel.errors import ParameterError
from stepsize.policies import Policy
from stepsize.rules import (
    Adagrad,
    AdamW,
    Lion,
    Momentum,
    Nesterov,
    Prodigy,
    RMSProp,
    Rule,
    ScheduleFreeAdamW,
)
from stepsize.strategy import describe_rule

if TYPE_CHECKING:
    from stepsize.problems import Trainable

RULES: tuple[Rule, ...] = (
    AdamW(), Momentum(), Nesterov(), RMSProp(), Lion(), Adagrad(), Prodigy(), ScheduleFreeAdamW(),
)  # fmt: skip
"""The rules that are tried when none are named. Adam is AdamW without its decay, and SGD is slower than Momentum."""

POLICIES = (
    "constant",
    "step_decay",
    "exponential_decay",
    "polynomial_decay",
    "linear_to_zero",
    "cosine",
    "warmup_linear",
    "warmup_cosine",
    "wsd",
    "triangular",
    "triangular2",
    "exp_range",
    "one_cycle",
)
"""The policies that are tried when none are named."""


def usual_rules(task: Trainable) -> tuple[Rule, ...]:
    """Return the rules that are tried on a task when none are named: the usual ones, or that of a training function."""
    own = getattr(task, "rule", None)
    return RULES if own is None else (own,)


def policies_of(rule: Rule, names: Sequence[str | Policy]) -> tuple[str | Policy, ...]:
    """Return which of the policies, by name or as they are, are worth trying with `rule`."""
    if rule.facts.schedule_free and "constant" in names:
        return ("constant",)
    return tuple(names)


def variants(rules: Iterable[Rule], name: str, values: Sequence[float]) -> tuple[Rule, ...]:
    """Return each of `rules` that has the hyperparameter `name` once at each of `values`, and the others as they are.

    Raises ParameterError when no rule has it.

    >>> [describe_rule(rule) for rule in variants((AdamW(), Lion()), "weight_decay", (0.0, 0.1))]
    ['AdamW(weight_decay=0.0)', 'AdamW(weight_decay=0.1)', 'Lion', 'Lion(weight_decay=0.1)']
    """
    rules = tuple(rules)
    if not any(name in rule.hyperparameters for rule in rules):
        raise ParameterError(
            f"none of {', '.join(map(describe_rule, rules))} has a hyperparameter {name!r} to try values of."
        )
    found: list[Rule] = []
    for rule in rules:
        found += [rule.having(**{name: value}) for value in values] if name in rule.hyperparameters else [rule]
    return tuple(found)
