"""Torch's optimizers: the one that a rule names, and what there is to record about one."""

from __future__ import annotations

from typing import Any

import torch

from stepsize.adapters.torch.groups import plain
from stepsize.adapters.torch.rule_optimizer import RuleOptimizer
from stepsize.kernel.errors import DriveError
from stepsize.rules import Rule, TorchRule
from stepsize.rules.optimizer_class import make
from stepsize.rules.twins import torch_arguments as torch_arguments
from stepsize.rules.twins import twin_rule, twins
from stepsize.strategy import Strategy

TWINS = twins()
"""Our rules that `torch.optim` has, as their facts say."""


def build_optimizer(parameters: Any, strategy: Strategy | Rule) -> torch.optim.Optimizer:
    """Return the torch optimizer of a strategy or a rule, with every hyperparameter of the rule.

    parameters: what a torch optimizer takes, or a module.

    It is the class of `torch.optim` that is the rule, or the one that a `TorchRule` names, and where there is none a
    `RuleOptimizer`, which steps the rule itself. `drive` moves the hyperparameters of both.

    Watch out: what is scored at an average (Schedule-Free, EMA) is evaluated inside of `optimizer.averaged()`.
    """
    rule = strategy.rule if isinstance(strategy, Strategy) else strategy
    if isinstance(rule, TorchRule):
        return _by_class(parameters, rule)
    whole = isinstance(parameters, torch.nn.Module)
    tensors = list(parameters.parameters()) if whole else parameters
    try:
        name, arguments = torch_arguments(rule)
    except DriveError:
        return RuleOptimizer([p for p in tensors if p.requires_grad] if whole else tensors, rule)
    optimizer: torch.optim.Optimizer = getattr(torch.optim, name)(tensors, **arguments)
    return optimizer


def _by_class(parameters: Any, rule: TorchRule) -> torch.optim.Optimizer:
    """Return the optimizer of a class with its arguments, whose numbers are the rule's in each version of it."""
    given, here = dict(rule.arguments), TorchRule(rule.optimizer, dict(rule.arguments)).hyperparameters
    other = {name: value for name, value in rule.hyperparameters.items() if here.get(name) != value}
    optimizer: torch.optim.Optimizer = make(rule.load(), parameters, {**given, **rule.keyed(other)})
    return optimizer


def rule_of(optimizer: torch.optim.Optimizer) -> Rule | None:
    """Return the rule that `optimizer` is, with the numbers of its first group; None where it is none of ours.

    >>> from stepsize import rules
    >>> rule_of(torch.optim.SGD([torch.zeros(1)], lr=0.2, momentum=0.8)) == rules.Momentum(lr=0.2, momentum=0.8)
    True
    """
    group = {**optimizer.param_groups[0]}
    if isinstance(optimizer, RuleOptimizer):
        return optimizer.rule.having(**{name: float(group[name]) for name in optimizer.rule.hyperparameters})
    if "lr" not in group or not group["params"] or not type(optimizer).__module__.startswith("torch.optim"):
        return None
    return twin_rule(type(optimizer).__name__, group)


def configuration(optimizer: Any) -> dict[str, Any]:
    """Return everything that an optimizer is, as plain data: "Adam" alone names three different methods.

    framework, kind: such as "torch 2.13.0" and "AdamW". rule: of a `RuleOptimizer`, as it was made. groups: for each
    its hyperparameters as they stand, `betas` a list, and `parameters`, how many numbers it trains. JSON holds it, and
    `torch.load(weights_only=True)`.

    >>> configuration(torch.optim.SGD([torch.zeros(3)], lr=0.1))["groups"][0]["parameters"]
    3
    """
    optimizer = plain(optimizer)
    return {
        "framework": f"torch {torch.__version__}",
        "kind": type(optimizer).__name__,
        **({"rule": repr(optimizer.rule)} if isinstance(optimizer, RuleOptimizer) else {}),
        "groups": [_recorded(group) for group in optimizer.param_groups],
    }


def _recorded(group: dict[str, Any]) -> dict[str, Any]:
    plainly = {key: _plain(value) for key, value in group.items() if key not in ("params", "param_names")}
    return {**plainly, "parameters": sum(parameter.numel() for parameter in group["params"])}


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else repr(value)
