"""The learning rate of several optimizers at once, each parameter group at its own ratio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from stepsize.adapters.given_policy import PolicyLike, read_policy
from stepsize.adapters.torch.groups import defaults_of, read, write
from stepsize.adapters.torch.writer import CLAIMS, Writer
from stepsize.kernel.errors import DriveError
from stepsize.policies import LR, Groups, Policy
from stepsize.schedules import Constant, Schedule

BASE = "initial_lr"
"""Where torch's schedulers keep the rate that they multiply."""

SCALED = ("lr", BASE, "max_lr", "min_lr")
"""What a scheduler of torch keeps in a parameter group, in proportion to the rate."""

DRIVEN = (
    "apply= sets the rate that a range test finds, and a PolicyCallback drives the rate of the same optimizer. Keep "
    "one of the two: without apply=, read callback.record, and make the policy from it."
)


class Rates:
    """Sets the rate of each group of `optimizers` to its own share of one that climbs.

    A group's ratio is to the default of its optimizer, as in `drive`, and an optimizer's to the first one; the rate
    that a warmup has set for now does not count, but the one that it warms up to.

    Raises DriveError for an optimizer without a learning rate, or with several where one has the rate 0.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], schedule: Schedule) -> None:
        self._groups = [optimizer.param_groups for optimizer in optimizers]
        wholes = [usual(optimizer) for optimizer in optimizers]
        if len(wholes) > 1 and not all(wholes):
            raise DriveError(
                f"an optimizer has the learning rate 0, so its share of the rate that climbs is unknown: {wholes}. "
                "Give each of them a rate."
            )
        scales = [whole / wholes[0] if len(wholes) > 1 else 1.0 for whole in wholes]
        self._writers = []
        for optimizer, scale in zip(optimizers, scales, strict=True):
            policy = Policy(lr=schedule if scale == 1.0 else scale * schedule)
            self._writers.append(Writer(optimizer, policy, drives=False))

    def set(self, point: int) -> None:
        """Set every group to its share of the rate at `point`."""
        for writer, groups in zip(self._writers, self._groups, strict=True):
            writer.write(point, groups)


def usual(optimizer: torch.optim.Optimizer) -> float:
    """Return the rate that the ratios of an optimizer's groups are to."""
    ratios = [values[LR] for values in Writer(optimizer, Policy(lr=Constant(1.0)), drives=False).at(0)]
    owns = [read(group, BASE if BASE in group else LR) for group in optimizer.param_groups]
    return next((own / ratio for own, ratio in zip(owns, ratios, strict=True) if ratio), 0.0)


def policy_of(given: PolicyLike, optimizer: torch.optim.Optimizer, start: int = 0) -> Policy | Groups:
    """Return the policy that was given for an optimizer; a recipe peaks at the rate that its maker gave it.

    That rate is noted in the groups as torch's schedulers do, so a second driver and a resumed run find it there.
    start: the update that comes next.

    Raises DriveError for a recipe where the optimizer's own rate is 0, or has been moved since it was made; and what
    `read_policy` raises.
    """
    policy = read_policy(given)
    if isinstance(policy, Policy | Groups):
        return policy
    rate, groups = usual(optimizer), optimizer.param_groups
    changed = start > 0 or (optimizer in CLAIMS and CLAIMS[optimizer].holder is not None)
    if changed and not all(BASE in group for group in groups) and rate != read(defaults_of(optimizer), LR):
        raise DriveError(
            f"a recipe by name peaks at the optimizer's own rate, and this one has been moved, to {rate:.6g}. Give the "
            "recipe its peak, such as cosine(0.1)."
        )
    if not rate:
        raise DriveError(
            "a recipe by name peaks at the optimizer's own rate, which is 0. Give the recipe its peak, such as "
            "cosine(0.1), or the optimizer a rate."
        )
    for group in groups:
        own = group[LR]
        group.setdefault(BASE, own.clone() if isinstance(own, torch.Tensor) else own)
    return policy(rate)


def set_rate(optimizers: Sequence[torch.optim.Optimizer], rate: float, schedulers: Iterable[Any] = ()) -> None:
    """Set the learning rate of the first optimizer to `rate`, and every other in proportion, schedulers included.

    A scheduler's base rates are multiplied, so its warmup and decay go on, at another height.

    Raises DriveError when the first optimizer has the rate 0.
    """
    whole = usual(optimizers[0])
    if not whole:
        raise DriveError("the learning rate of the first optimizer is 0, and cannot be multiplied; give it one.")
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for name in SCALED:
                if name in group:
                    write(group, name, read(group, name) / whole * rate)
    for scheduler in schedulers:
        _scale(scheduler, rate / whole)


def _scale(scheduler: Any, factor: float) -> None:
    for name in ("base_lrs", "_last_lr"):
        if hasattr(scheduler, name) and not isinstance(getattr(type(scheduler), name, None), property):
            setattr(scheduler, name, [value * factor for value in getattr(scheduler, name)])
    for inner in getattr(scheduler, "_schedulers", ()):
        _scale(inner, factor)
