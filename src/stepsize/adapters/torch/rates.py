"""The learning rate of several optimizers at once, each parameter group at its own ratio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from stepsize.adapters.torch.groups import read, write
from stepsize.adapters.torch.writer import Writer
from stepsize.kernel.errors import DriveError
from stepsize.policies import LR, Policy
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
    ratios = Writer(optimizer, Policy(lr=Constant(1.0)), drives=False).ratios(LR)
    owns = [read(group, BASE if BASE in group else LR) for group in optimizer.param_groups]
    return next((own / ratio for own, ratio in zip(owns, ratios, strict=True) if ratio), 0.0)


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
