"""How much memory a replica needs, measured on a few of them, and how much there is."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from stepsize.engines import machine
from stepsize.engines.vectorised.dispatched import Dispatched
from stepsize.kernel.errors import TaskError

SHARE = 0.5
"""How much of the memory that is free is used: the allocator, and whatever else runs, need some too."""


class Peak(Dispatched):  # type: ignore[no-untyped-call]  # torch has no types for what makes a subclass
    """A context that notes how much memory the tensors made inside of it held at most.

    most: in bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._live: dict[int, int] = {}
        self.most: int = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, and note what it made."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor) and leaf.layout is torch.strided and not leaf.is_meta:
                self._note(leaf.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        # Views share a storage, so storages are counted, not tensors. A finalizer sees each of them freed, which no
        # counter of a CPU's allocator says; an id is used again only after that.
        key = id(storage)
        if key not in self._live:
            self._live[key] = storage.nbytes()
            weakref.finalize(storage, self._live.pop, key, None)
            self.most = max(self.most, sum(self._live.values()))


def per_replica(run: Callable[[int], object]) -> int:
    """Return the bytes that one more replica takes; `run(count)` trains so many of them for a step.

    It is the difference between four and two, so that what is there only once does not count.
    """
    peaks: list[int] = []
    for count in (2, 4):
        with Peak() as peak:
            run(count)
        peaks.append(peak.most)
    return max(1, (peaks[1] - peaks[0]) // 2)


def available(device: torch.device) -> float:
    """Return the bytes that are free on `device`."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else machine.available()


def fitting(task: str, need: int, device: torch.device) -> int:
    """Return how many replicas of `need` bytes each fit.

    Raises TaskError when not even one does.
    """
    free = available(device)
    count = SHARE * free / need
    if count < 1:
        raise TaskError(
            f"too little memory for one replica of {task!r} on {device.type}: a step of it needs {_size(need)}, and "
            f"{_size(free)} are free, of which {SHARE:.0%} are used. Make Task.batch_size smaller (Task.accumulate "
            "keeps the samples of an update), or the model; or end what else holds memory."
        )
    return int(min(count, sys.maxsize))


def _size(count: float) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
