"""The losses of a loop that is not ours: of each update, and on held-out data; the same in all processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from stepsize.adapters.torch import processes
from stepsize.kernel.arrays import as_number


class Losses:
    """The losses that a loop gives between two updates. device: on which processes add theirs up."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._given: list[Any] = []

    def add(self, loss: Any) -> None:
        """Take the loss of a batch: a number or a tensor of one. Raises TaskError for anything else."""
        if isinstance(loss, torch.Tensor) and not loss.shape:
            self._given.append(loss.detach())  # read at the end of the turn, when the device is done with it
        else:
            self._given.append(as_number(loss, "loss"))

    def clear(self) -> None:
        """Forget them."""
        self._given.clear()

    def agreed(self, updates: int) -> tuple[float | None, int]:
        """Return the mean of the losses over all processes, None for none, and how many updates there were.

        All processes have the same answer, so all of them go on, or none.
        """
        values = [as_number(loss, "loss") for loss in self._given]
        sums = processes.summed([sum(values), len(values), updates, 1], self._device)
        return sums[0] / sums[1] if sums[1] else None, int(sums[2] / sums[3])

    def mean(self, value: float) -> float:
        """Return the mean of a number over all processes."""
        total, count = processes.summed([value, 1], self._device)
        return total / count


def held_out(validate: Callable[[], Any], models: Iterable[torch.nn.Module]) -> float:
    """Return a validation loss, taken without gradients; the modes of modules that it changes are put back.

    Raises TaskError for what is no number.
    """
    modes = [(module, module.training) for model in models for module in model.modules()]
    with torch.no_grad():
        loss = validate()
    for module, training in modes:
        module.training = training
    return as_number(loss, "loss")
