"""The one family that a loop is tuned in: its optimizer's rule with the policy that was asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

from stepsize import rules
from stepsize.adapters.torch.groups import BETAS, MOMENTUM, applicable, plain
from stepsize.adapters.torch.optimizers import rule_of
from stepsize.adapters.torch.rates import usual
from stepsize.jobs.advise.field import NOMINAL
from stepsize.kernel.errors import DriveError, ParameterError, StepsizeError, brief
from stepsize.policies import LR, Policy
from stepsize.policies.base import whole_lengths
from stepsize.policies.recipes import RECIPES, recipe
from stepsize.rules import Rule
from stepsize.schedules import Schedule, Stretched
from stepsize.strategy import Strategy, find_rule

Asked = str | Policy | Schedule | Callable[[float], Policy]
"""A policy by name, as a function of its peak, or as a value; the peak of a value does not matter."""


def family(rule: Rule, policy: Asked, steps: int, optimizer: Any = None) -> Strategy:
    """Return the strategy of a rule with a policy, at a nominal rate, which a run of any length can follow.

    steps: of the run that is asked about; a policy with lengths in steps is that of this run, played faster in a
        shorter one. optimizer: whose hyperparameters the policy may move; when not given, it moves the rate alone.

    Raises ParameterError for what is no policy, LengthError for one that does not fit into the run, DriveError for one
    that the optimizer lacks a hyperparameter for; without momentum there is a warning.
    """
    whole = _policy(policy)
    whole.over(steps)
    asked = whole.only([LR]) if optimizer is None else _followed(rule, whole, plain(optimizer))
    name = policy if isinstance(policy, str) else next((key for key, made in RECIPES.items() if made is policy), None)
    if name is not None:
        return Strategy(rule, asked, recipe=name, rate=NOMINAL)
    if whole_lengths(asked):
        asked = Policy(**{name: Stretched(schedule.over(steps), "rest") for name, schedule in asked.schedules})
    return Strategy.of(rule, asked, NOMINAL)


def _followed(rule: Rule, policy: Policy, optimizer: Any) -> Policy:
    """Return what of a policy an optimizer follows; momentum only where it has some, as it then stays what it is."""
    asked = applicable(optimizer, policy)
    if MOMENTUM in asked and MOMENTUM not in rule.hyperparameters:
        warnings.warn(
            f"this {type(optimizer).__name__} has no momentum, so the policy's momentum is left out.", stacklevel=5
        )
        return asked.only(set(asked) - {MOMENTUM})
    return asked


def _policy(policy: Asked) -> Policy:
    """Return a policy that was asked for, at some peak."""
    if isinstance(policy, str):
        return recipe(policy)(NOMINAL)
    if isinstance(policy, Schedule):
        return Policy(lr=policy)
    made = policy(NOMINAL) if callable(policy) and not isinstance(policy, Policy) else policy
    if not isinstance(made, Policy):
        raise ParameterError(
            f"a loop is tuned with a policy, not with {brief(made)}. Give the name of one, such as 'one_cycle', a "
            "Policy or a Schedule, or a function that returns a Policy for a peak rate."
        )
    return made


def rule_like(optimizer: Any) -> Rule:
    """Return the rule that an optimizer follows: one of ours, or its class, or the one that it is most like, and warn.

    Raises DriveError for what is no optimizer.
    """
    inner = plain(optimizer)
    title = type(inner).__name__
    found = rule_of(inner) or named_rule(title) or _by_class(inner)
    if found is not None:
        return found
    momentum = any(group.get(MOMENTUM) for group in inner.param_groups)
    like: Rule = rules.AdamW() if BETAS in inner.defaults else rules.Momentum() if momentum else rules.SGD()
    warnings.warn(
        f"{title} is no update rule that is known here, so the search begins where {like.title} would. Its pilot runs "
        "are its own all the same; rule= says another.",
        stacklevel=3,
    )
    return like


def named_rule(title: str) -> Rule | None:
    """Return our rule of a name, in whatever case it is written, such as "Nadam"; None where there is none."""
    named = {kind.lower(): kind for kind, value in vars(rules).items() if isinstance(value, type(Rule))}
    return find_rule(named[title.lower()]) if title.lower() in named else None


def _by_class(optimizer: torch.optim.Optimizer) -> Rule | None:
    """Return an optimizer's class as a rule, of which nothing is believed but its default rate, within a decade."""
    for arguments in ({}, {LR: usual(optimizer)}):
        with suppress(StepsizeError):
            return rules.TorchRule(type(optimizer), arguments)
    return None


def rule_of_name(rule: Any) -> Rule:
    """Return a rule, or the one of that name; raise ParameterError for anything else."""
    if isinstance(rule, str):
        return find_rule(rule)
    if not isinstance(rule, Rule):
        raise ParameterError(f"rule= is an update rule, such as AdamW(), or the name of one, not {brief(rule)}.")
    return rule


def check_steps(steps: Any, least: int) -> None:
    """Raise DriveError for a length that is no whole number, or too short to be tuned."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < least:
        raise DriveError(
            f"a loop of {brief(steps)} updates is too short to tune: pilot runs would be as long as the run. Give "
            f"steps= of at least {least}, or drive it at a rate of your own: stepsize.drive(optimizer, policy, steps)."
        )
