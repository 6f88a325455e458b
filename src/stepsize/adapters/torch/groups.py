"""The hyperparameters in a torch optimizer's parameter groups: which there are, and how each is read and written."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from stepsize.kernel.errors import DriveError, suggestion
from stepsize.policies import Policy

Group = dict[str, Any]

MOMENTUM = "momentum"
BETAS = "betas"

NUMBER, PAIR, TENSOR, OTHER = range(4)
"""What a parameter group may have: a number, a number first in its betas, a tensor, or what takes a closer look."""


def plain(optimizer: Any) -> torch.optim.Optimizer:
    """Return the torch optimizer inside of what a trainer may have wrapped around it.

    Raises DriveError for what is no optimizer.
    """
    found = optimizer
    while isinstance(inner := getattr(found, "optimizer", None), torch.optim.Optimizer):
        found = inner
    if not isinstance(found, torch.optim.Optimizer):
        raise DriveError(
            f"a policy drives a torch.optim.Optimizer, not {type(optimizer).__name__}. Give the optimizer itself; for "
            "several, make one driver for each."
        )
    return found


def applicable(optimizer: torch.optim.Optimizer, policy: Policy) -> Policy:
    """Return the part of `policy` that `optimizer` has hyperparameters for.

    Raises DriveError for a missing hyperparameter other than momentum; without momentum it warns.
    """
    known = {str(key) for key in optimizer.defaults if key != BETAS} | (
        {MOMENTUM, "beta2"} if BETAS in optimizer.defaults else set()
    )
    for name in policy:
        if name in known or (name == "epsilon" and "eps" in known):
            continue
        if name != MOMENTUM:
            numeric = {key for key in known if isinstance(optimizer.defaults.get(key, 0.0), float | int)}
            raise DriveError(
                f"{type(optimizer).__name__} has no hyperparameter {name!r} to schedule. {suggestion(name, numeric)}"
            )
        warnings.warn(
            f"{type(optimizer).__name__} has no momentum, so the policy's momentum is left out.", stacklevel=5
        )
        policy = policy.only(set(policy) - {MOMENTUM})
    return policy


def kind(group: Group, name: str) -> tuple[str, int]:
    """Return the key under which `group` has `name`, and what it has there."""
    if _in_betas(group, name):
        pair = name == MOMENTUM and len(group[BETAS]) == 2 and not isinstance(group[BETAS][0], torch.Tensor)
        return (BETAS, PAIR) if pair else (name, OTHER)
    key = _key(group, name)
    return key, TENSOR if isinstance(group[key], torch.Tensor) else NUMBER


def read(group: Mapping[str, Any], name: str) -> float:
    """Return the value of `name` in a group, or in an optimizer's defaults."""
    if _in_betas(group, name):
        return float(group[BETAS][_place(name)])
    return float(group[_key(group, name)])


def write(group: Group, name: str, value: float) -> None:
    """Set `name` in a group; a tensor is filled in place, so a compiled or captured update sees the new value."""
    if _in_betas(group, name):
        betas, place = list(group[BETAS]), _place(name)
        if isinstance(betas[place], torch.Tensor):
            betas[place].fill_(value)
        else:
            betas[place] = value
            group[BETAS] = tuple(betas)
        return
    key = _key(group, name)
    if isinstance(group[key], torch.Tensor):
        group[key].fill_(value)
    else:
        group[key] = value


def in_force(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, float]:
    """Return what the groups have now: by name, and by `name/group` where there is more than one group."""
    groups = optimizer.param_groups
    if len(groups) == 1:
        return {name: read(groups[0], name) for name in names}
    labels = [str(group.get("name", place)) for place, group in enumerate(groups)]
    return {f"{name}/{label}": read(group, name) for name in names for label, group in zip(labels, groups, strict=True)}


def _in_betas(group: Mapping[str, Any], name: str) -> bool:
    return BETAS in group and name in (MOMENTUM, "beta2")


def _place(name: str) -> int:
    return 0 if name == MOMENTUM else 1


def _key(group: Mapping[str, Any], name: str) -> str:
    return "eps" if name == "epsilon" and "eps" in group else name
