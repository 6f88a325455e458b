"""The parameter groups of a task in an optimizer of torch: it is made with them, and a policy keeps their ratios."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from stepsize.policies import Groups, Policy
from stepsize.problems import Task

ParameterGroups = list[dict[str, Any]]


def with_groups(
    task: Task, model: torch.nn.Module, make: Callable[[ParameterGroups], torch.optim.Optimizer]
) -> torch.optim.Optimizer:
    """Return the optimizer that `make` makes of the parameter groups of a task, each group at its ratios.

    make: gets the groups of `model` as torch takes them, one of all that is trained where the task has no groups.

    Watch out: drive it with `group_policy`, which moves the groups at the same ratios.
    """
    named, groups = dict(model.named_parameters()), task.parameter_groups(model)
    optimizer = make([{"params": [named[name] for name in group.names]} for group in groups])
    for own, group in zip(optimizer.param_groups, groups, strict=True):
        own.update({name: own[name] * ratio for name, ratio in group.ratios.items() if name in own})
    return optimizer


def group_policy(task: Task, model: torch.nn.Module, policy: Policy) -> Policy | Groups:
    """Return the policy that moves the groups of a task, each at its ratios; `policy` itself where it has none."""
    if task.groups is None:
        return policy
    driven = ({n: r for n, r in group.ratios.items() if n in policy} for group in task.parameter_groups(model))
    return Groups(policy, {str(index): ratios for index, ratios in enumerate(driven)})
