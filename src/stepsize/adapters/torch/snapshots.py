"""Everything that a loop changes in a model and in what trains it, kept, and put back in place.

::

    with Snapshot(model, optimizer, scaler, loader):
        ...                                  # train, look, raise, or press Ctrl-C
                                             # and all of it is as it was

Nothing is exchanged: the same tensors, groups and modules have their old contents again, so whatever holds one of
them (a compiled step, a DDP wrapper, a scheduler) goes on as if nothing had been.
"""

from __future__ import annotations

import copy
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch.nn.parameter import is_lazy
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Sampler

from stepsize.adapters.torch import generators
from stepsize.kernel.errors import DriveError, brief

OWN_DICT = (torch.nn.Module, torch.optim.Optimizer, LRScheduler, torch.amp.GradScaler)
"""Objects whose attributes are all kept, and what those hold."""

MAPPINGS = (dict, OrderedDict, defaultdict, Counter)
GENERATORS = (torch.Generator, np.random.Generator, random.Random)
KEPT = (*OWN_DICT, *MAPPINGS, *GENERATORS, DataLoader, Sampler, torch.Tensor, list, deque, set, tuple)
"""What a snapshot looks into; whatever else there is stays in its place, as it is."""

DATA = ("dataset", "data_source")
"""Attributes of a loader or a sampler that are left alone; a list of tensors may be a whole data set."""

WRAPPERS = ("torch.nn.parallel.", "torch.distributed.")
"""Where modules come from that keep books on what happens outside of Python; only their modes are put back."""


class Snapshot:
    """What `things` hold now, and the states of the generators of Python, NumPy, torch and every CUDA device.

    In a `with` statement all of it is put back when the block is left, by an error or Ctrl-C too; else by `restore()`.

    things: models, optimizers, GradScalers, schedulers, DataLoaders, samplers, generators, lists and dicts of such or
        of tensors, and anything else that has `state_dict` and `load_state_dict`.
    device: where the copies are kept, such as "cpu" for a model on a GPU; where the tensors are, when not given.
    skip_frozen: leave out parameters that need no gradient, as of a large pretrained body. If the loop writes one all
        the same, as a momentum encoder does, `restore` raises DriveError.
    bytes: of the copies: one of each tensor that is reached, whatever the number of its names.

    Kept are parameters, buffers, gradients, `requires_grad`, modes, hooks and the plain attributes of every module
    (numbers, lists, dicts, arrays: counters, the states of metrics); the state, groups and hooks of an optimizer,
    so a fresh one is fresh again; all of a GradScaler and of a scheduler; and of a DataLoader its generator, its
    samplers, its iterator if it has one, and the state of a dataset that has `state_dict`.

    Raises DriveError for a thing that it cannot put back, and for a lazy module before its first batch.

    Watch out: an object of a class of yours is left alone unless it has `state_dict` and `load_state_dict`: so are
    your own iterators, a dataset that changes as it is read, and workers that a DataLoader has already started.

    >>> weight = torch.ones(3)
    >>> with Snapshot([weight]) as snapshot:
    ...     _ = weight.zero_()
    >>> weight.tolist(), snapshot.bytes
    ([1.0, 1.0, 1.0], 12)
    """

    def __init__(self, *things: Any, device: torch.device | str | None = None, skip_frozen: bool = False) -> None:
        self.bytes = 0
        self._device, self._skip_frozen = device, skip_frozen
        self._undo: list[Callable[[], object]] = []
        self._later(generators.set_process_wide, generators.process_wide())
        self._seen: dict[int, Any] = {}
        self._frozen: list[tuple[torch.Tensor, int]] = []
        for thing in things:
            self._keep_all(self._accepted(thing))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.restore()

    def restore(self) -> None:
        """Put everything back, and drop the copies; a second call does nothing.

        Raises DriveError when a parameter that was left out has changed.
        """
        changed = [tuple(tensor.shape) for tensor, version in self._frozen if tensor._version != version]  # noqa: SLF001  (torch's count of writes)
        self._frozen.clear()
        try:
            self.put_back()
        finally:
            self._undo.clear()
            self._seen.clear()
        if changed:
            raise DriveError(
                f"{len(changed)} parameters that need no gradient were written all the same, the first of shape "
                f"{changed[0]}, and could not be put back. Take the snapshot with skip_frozen=False."
            )

    def put_back(self) -> None:
        """Put everything back, and keep the copies for another time."""
        with torch.no_grad(), ExitStack() as stack:  # it runs all, last first, even where one fails
            for undo in self._undo:
                stack.callback(undo)

    def _later(self, undo: Callable[..., object], *given: Any) -> None:
        self._undo.append(partial(undo, *given))

    def _accepted(self, thing: Any) -> Any:
        """Return what is kept of an argument, or keep it here; raise DriveError where neither can be."""
        if isinstance(thing, KEPT) or thing is None:
            return thing
        if isinstance(inner := getattr(thing, "optimizer", None), torch.optim.Optimizer):
            return inner
        if not resumable(thing):
            raise DriveError(
                f"a snapshot cannot put back {brief(thing)}: give modules, optimizers, scalers, schedulers, "
                "DataLoaders, generators, or what has state_dict() and load_state_dict()."
            )
        return self._keep_state(thing)

    def _keep_all(self, thing: Any) -> None:
        waiting = [thing]
        while waiting:
            value = waiting.pop()
            if id(value) not in self._seen:
                self._seen[id(value)] = value
                waiting.extend(self._keep(value))

    def _keep(self, value: Any) -> Iterable[Any]:
        """Remember what `value` holds, and return what it holds."""
        if isinstance(value, torch.Tensor):
            return self._keep_tensor(value)
        if isinstance(value, (*OWN_DICT, DataLoader, Sampler)):
            return self._keep_object(value)
        if isinstance(value, GENERATORS):
            self._later(generators.set_state, value, generators.state_of(value))
        if isinstance(value, np.ndarray) and value.flags.writeable:
            self.bytes += value.nbytes
            self._later(np.copyto, value, value.copy())
        if type(value) in (*MAPPINGS, list, deque, set):
            items = self._keep_container(value)
            return list(items.values() if isinstance(items, dict) else items)
        return value if isinstance(value, tuple) else ()

    def _keep_object(self, value: Any) -> list[Any]:
        if isinstance(value, torch.nn.Module) and type(value).__module__.startswith(WRAPPERS):
            self._later(setattr, value, "training", value.training)
            return list(value.children())
        if isinstance(value, OWN_DICT):
            return [vars(value)]
        if resumable(getattr(value, "dataset", None)):
            self._keep_state(value.dataset)
        held = self._keep_container(vars(value))
        return [value for name, value in held.items() if name not in DATA]

    def _keep_container(self, value: Any) -> Any:
        """Remember what is in a dict, list, deque or set, and return a copy of it."""
        items = copy.copy(value)

        def undo() -> None:
            value.clear()
            (value.extend if isinstance(value, list | deque) else value.update)(items)

        self._later(undo)
        return items

    def _keep_state(self, thing: Any) -> None:
        saved = copy.deepcopy(thing.state_dict())
        self._later(lambda: thing.load_state_dict(copy.deepcopy(saved)))

    def _keep_tensor(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Remember a tensor's numbers and its gradient; one that was worked out from others is as it is."""
        if is_lazy(tensor):
            raise DriveError("a lazy module has no parameters yet; let the model see one batch before the snapshot.")
        if tensor.is_meta or tensor.is_inference() or not tensor.is_leaf:
            return []
        gradient, needs = tensor.grad, tensor.requires_grad
        self._later(setattr, tensor, "grad", gradient)
        self._later(tensor.requires_grad_, needs)
        if self._skip_frozen and isinstance(tensor, torch.nn.Parameter) and not needs:
            self._frozen.append((tensor, tensor._version))  # noqa: SLF001  (as above)
            return []
        alias = tensor.detach()
        written = _written(alias)
        kept = written.to(self._device or written.device, copy=True)
        self.bytes += _size(kept)
        plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.layout is torch.strided

        def undo() -> None:
            if plain and tensor.data_ptr() != alias.data_ptr():
                tensor.data = alias  # somebody has given it another storage
            written.copy_(kept)

        self._later(undo)
        return [] if gradient is None else [gradient]


def _written(tensor: torch.Tensor) -> torch.Tensor:
    """Return the part of an expanded tensor that is in memory, which alone can be written."""
    if tensor.layout is torch.strided:
        for dimension, stride in enumerate(tensor.stride()):
            if stride == 0 and tensor.shape[dimension] > 1:
                tensor = tensor.narrow(dimension, 0, 1)
    return tensor


def _size(tensor: torch.Tensor) -> int:
    """Return how many bytes the numbers of a tensor take; of a sparse one, such as a gradient, those that it has."""
    if tensor.layout is torch.strided:
        return tensor.nbytes
    if not tensor.is_sparse:
        return tensor.values().nbytes
    held = tensor.coalesce()
    return held.values().nbytes + held.indices().nbytes


def resumable(thing: Any) -> bool:
    """Whether a thing can say where it is, and go there again."""
    return callable(getattr(thing, "state_dict", None)) and callable(getattr(thing, "load_state_dict", None))


def modules(model: Any) -> list[torch.nn.Module]:
    """Return the modules that a loop trains, one or a list of them; raise DriveError for anything else."""
    found = list(model) if isinstance(model, list | tuple) else [model]
    if not found or not all(isinstance(module, torch.nn.Module) for module in found):
        raise DriveError(
            f"this takes the module that the loop trains, or a list of them, not {brief(model)}: its buffers "
            "and modes are put back too. Tensors of your own go into a torch.nn.ParameterList."
        )
    return found
