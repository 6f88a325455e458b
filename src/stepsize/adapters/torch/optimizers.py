"""Torch's optimizers: the one that a rule names, and what there is to record about one."""

from __future__ import annotations

from typing import Any

import torch

from stepsize.adapters.torch.groups import BETAS, MOMENTUM, plain
from stepsize.kernel.errors import DriveError
from stepsize.rules import SGD, Adam, AdamW, Momentum, Nesterov, RMSProp, Rule
from stepsize.strategy import Strategy


def torch_arguments(rule: Rule) -> tuple[str, dict[str, Any]]:
    """Return the class in `torch.optim` that is `rule`, and its arguments.

    Raises DriveError for a rule that torch does not have.
    """
    shared = {"lr": rule.lr, "weight_decay": rule.weight_decay}
    if isinstance(rule, Adam):
        name = "AdamW" if isinstance(rule, AdamW) else "Adam"
        return name, {
            "lr": rule.lr,
            BETAS: (rule.momentum, rule.beta2),
            "eps": rule.epsilon,
            "weight_decay": rule.weight_decay,
        }
    if isinstance(rule, RMSProp):
        return "RMSprop", {**shared, "alpha": rule.alpha, "eps": rule.epsilon}
    if isinstance(rule, Nesterov):
        return "SGD", {**shared, MOMENTUM: rule.momentum, "nesterov": True}
    if isinstance(rule, Momentum):
        return "SGD", {**shared, MOMENTUM: rule.momentum, "dampening": rule.dampening}
    if isinstance(rule, SGD):
        return "SGD", shared
    raise DriveError(f"torch.optim has no {type(rule).__name__}; run it in an engine of stepsize.")


def build_optimizer(parameters: Any, strategy: Strategy | Rule) -> torch.optim.Optimizer:
    """Return the torch optimizer of a strategy or a rule, with every hyperparameter of the rule.

    parameters: what a torch optimizer takes, or a module.
    """
    rule = strategy.rule if isinstance(strategy, Strategy) else strategy
    name, arguments = torch_arguments(rule)
    found = parameters.parameters() if isinstance(parameters, torch.nn.Module) else parameters
    optimizer: torch.optim.Optimizer = getattr(torch.optim, name)(found, **arguments)
    return optimizer


def configuration(optimizer: Any) -> dict[str, Any]:
    """Return everything that an optimizer is, as plain data: "Adam" alone names three different methods.

    framework, kind: such as "torch 2.13.0" and "AdamW". groups: for each its hyperparameters as they stand, `betas` a
    list, and `parameters`, how many numbers it trains. JSON holds it, and `torch.load(weights_only=True)`.

    >>> configuration(torch.optim.SGD([torch.zeros(3)], lr=0.1))["groups"][0]["parameters"]
    3
    """
    found = plain(optimizer)
    return {
        "framework": f"torch {torch.__version__}",
        "kind": type(found).__name__,
        "groups": [_recorded(group) for group in found.param_groups],
    }


def _recorded(group: dict[str, Any]) -> dict[str, Any]:
    plainly = {key: _plain(value) for key, value in group.items() if key not in ("params", "param_names")}
    return {**plainly, "parameters": sum(parameter.numel() for parameter in group["params"])}


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | int | float | str | None) else repr(value)
