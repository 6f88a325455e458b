"""The batches of a loader, epoch after epoch, and where among them a loop is: exactly, for a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader

from stepsize.adapters.range_test import no_batches
from stepsize.adapters.torch import generators
from stepsize.adapters.torch.snapshots import resumable

END = object()
"""What stands for a batch that is not there."""


class Epochs:
    """The batches of `loader`, again and again.

    epoch: passes that are over. taken: batches of this one that were given.

    A sampler, a batch sampler or a dataset that has `set_epoch` gets each epoch's number before it.

    Raises TaskError when a pass over the loader has no batch.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.epoch = self.taken = 0
        self._batches: Iterator[Any] | None = None
        self._began: dict[str, Any] = {}
        self._resumed: Mapping[str, Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._resumed is not None:
            self._go_on(self._resumed)
        if self._batches is None:
            self._batches = self._begin()
        batch = next(self._batches, END)
        if batch is END:
            if not self.taken:
                raise no_batches(self.epoch)
            self.epoch, self.taken = self.epoch + 1, 0
            self._batches = self._begin()
            batch = next(self._batches, END)
            if batch is END:
                raise no_batches(self.epoch)
        self.taken += 1
        return batch

    def close(self) -> None:
        """Let go of the iterator over the loader, and of its workers."""
        self._batches = None

    def state_dict(self) -> dict[str, Any]:
        """Return where it is: the epoch, the batches of it, and the generators at its start and now."""
        own = {"loader": self.loader.state_dict()} if _resumable(self.loader) else {}
        return {"epoch": self.epoch, "taken": self.taken, "began": self._began, "now": _states(self.loader), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where `state` was taken, when the next batch is asked for.

        A loader that has a state of its own goes there by itself; of another the batches before are gone through, with
        the generators as they were at the start of the epoch.
        """
        self.close()
        self._resumed = state

    def _begin(self) -> Iterator[Any]:
        for part in _parts(self.loader):
            if callable(number := getattr(part, "set_epoch", None)):
                number(self.epoch)
        self._began = _states(self.loader)
        return iter(self.loader)

    def _go_on(self, state: Mapping[str, Any]) -> None:
        self._resumed = None
        self.epoch, self.taken = int(state["epoch"]), int(state["taken"])
        if not state["began"]:
            return
        if "loader" in state and _resumable(self.loader):
            self.loader.load_state_dict(state["loader"])
            self._batches = self._begin()
        elif not is_iterator(self.loader):
            _set_states(self.loader, state["began"])
            self._batches = self._begin()
            for _ in range(self.taken):
                next(self._batches, END)
        _set_states(self.loader, state["now"])
        self._began = dict(state["began"])


def is_iterator(loader: Any) -> bool:
    """Whether a loader can be gone through but once."""
    return iter(loader) is loader if hasattr(loader, "__next__") else False


def own_generators(loader: Any) -> list[torch.Generator]:
    """Return the generators that a loader and its samplers have, each once."""
    found = [getattr(part, "generator", None) for part in _parts(loader)]
    return list({id(each): each for each in found if isinstance(each, torch.Generator)}.values())


def _parts(loader: Any) -> list[Any]:
    """Return a loader, its samplers and its dataset, as far as it has them."""
    sampler, batches = getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)
    return [loader, sampler, batches, getattr(batches, "sampler", None), getattr(loader, "dataset", None)]


def _resumable(loader: Any) -> bool:
    return not isinstance(loader, DataLoader) and resumable(loader)


def _states(loader: Any) -> dict[str, Any]:
    return {**generators.process_wide(), "own": [each.get_state() for each in own_generators(loader)]}


def _set_states(loader: Any, state: Mapping[str, Any]) -> None:
    generators.set_process_wide(state)
    for own, saved in zip(own_generators(loader), state["own"], strict=True):
        own.set_state(saved)
