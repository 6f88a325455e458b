"""Several processes that train one model: what they agree on, so that all of them go on, or none."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import distributed

Made = TypeVar("Made")


def together() -> bool:
    """Whether this process trains together with others."""
    return distributed.is_available() and distributed.is_initialized()


def summed(values: list[float], device: torch.device) -> list[float]:
    """Return each of `values` summed over all processes."""
    if not together():
        return values
    sums = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(sums)
    return [float(value) for value in sums.tolist()]


def from_first(make: Callable[[], Made]) -> Made:
    """Return what the first process makes, in all of them; what it raises is raised in all of them."""
    if not together():
        return make()
    box: list[Any] = [None, None]
    if distributed.get_rank() == 0:
        try:
            box[0] = pickle.dumps(make())  # here, as a failure of its own would leave the others waiting
        except Exception as error:  # noqa: BLE001  (raised below, here and in the processes that wait for it)
            box[1] = error
    distributed.broadcast_object_list(box, src=0)
    if box[1] is not None:
        raise box[1]
    made: Made = pickle.loads(box[0])  # noqa: S301  (of our own first process)
    return made
