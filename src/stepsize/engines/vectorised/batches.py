"""The batches of many replicas at once: of data in memory by their numbers, of a loader read once a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_map

from stepsize.problems import Loader, Task

Batch = tuple[torch.Tensor, torch.Tensor]
"""Inputs and targets; inputs of several names are `problems.Columns`, which are cut and moved as a tensor is."""

Convert = Callable[[Any], Any]


def batches_of(task: Task, seeds: Sequence[int], convert: Convert) -> Held | Read:
    """Return the batches of the trials of some seeds; `convert` moves a tensor to where it is trained on."""
    return (Read if isinstance(task.train, Loader) else Held)(task, seeds, convert)


class Held:
    """Batches of data in memory: rows of it."""

    def __init__(self, task: Task, seeds: Sequence[int], convert: Convert) -> None:
        self._task, self._seeds = task, seeds
        self._data = [convert(tensor) for tensor in task.train]
        self._epoch: tuple[int, torch.Tensor] | None = None

    def __call__(self, step: int, seed_of: torch.Tensor) -> Iterator[Batch]:
        """Yield the micro-batches of each replica at `step`, (replicas, batch, ...); seed_of: the seed of each."""
        epoch, index = divmod(step, self._task.batches_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            orders = np.stack([self._task.order(epoch, seed) for seed in self._seeds])
            self._epoch = epoch, torch.from_numpy(orders).to(seed_of.device)
        rows = self._epoch[1][:, index]
        x, y = (torch.split(data[rows[seed_of]], self._task.batch_size, dim=1) for data in self._data)
        return zip(x, y, strict=True)


class Read:
    """Batches of a loader, which is read once for all replicas of a seed, step after step."""

    def __init__(self, task: Task, seeds: Sequence[int], convert: Convert) -> None:
        self._updates = [task.updates(seed) for seed in seeds]
        self._convert = convert

    def __call__(self, step: int, seed_of: torch.Tensor) -> Iterator[Batch]:  # noqa: ARG002  (they come in order)
        """Yield the micro-batches of each replica at the next step, (replicas, batch, ...); seed_of: as in `Held`."""
        for pieces in zip(*(next(updates) for updates in self._updates), strict=True):
            yield tree_map(lambda *tensors: torch.stack(tensors)[seed_of], *map(self._converted, pieces))

    def _converted(self, batch: Batch) -> Batch:
        x, y = batch
        return self._convert(x), self._convert(y)
