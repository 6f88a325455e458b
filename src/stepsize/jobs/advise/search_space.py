"""The default search space: which rules and which policies are tried when none are named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from stepsize.engines import FunctionTask
from stepsize.kernel.errors import ParameterError
from stepsize.problems import Trainable
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
    "wsd",
    "triangular",
    "triangular2",
    "exp_range",
    "one_cycle",
)
"""The policies that are tried when none are named."""

SPACING = 10 ** (1 / 3)
"""The ratio of neighbouring candidate rates; the rates within 1 % of the best span about as much."""

PILOT_POLICIES = ("one_cycle", "linear_to_zero", "cosine")
"""The policies that a rule is tried out with, the first of them that is asked for."""


def usual_rules(task: Trainable) -> tuple[Rule, ...]:
    """Return the rules that are tried on a task when none are named: the usual ones, or that of a training function."""
    own = task.rule if isinstance(task, FunctionTask) else None
    return RULES if own is None else (own,)


def policies_of(rule: Rule, names: Sequence[str]) -> tuple[str, ...]:
    """Return which of the policies called `names` are worth trying with `rule`."""
    if rule.facts.schedule_free and "constant" in names:
        return ("constant",)
    return tuple(names)


def pilot_policy(rule: Rule, names: Sequence[str]) -> str:
    """Return the policy, one of `names`, that `rule` is tried out with."""
    own = policies_of(rule, names)
    return next((name for name in PILOT_POLICIES if name in own), own[0])


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
        found += [replace(rule, **{name: value}) for value in values] if name in rule.hyperparameters else [rule]
    return tuple(found)
