"""The loss of a model as a function of its weights alone: one flat row in, one number out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.dropout import _DropoutNd

from stepsize.adapters.torch.flat_parameters import FlatParameters, make_dense
from stepsize.kernel.errors import TaskError
from stepsize.problems import Columns
from stepsize.problems.base import seeded

Batches = Iterable[tuple[Any, torch.Tensor]]
"""Pairs (inputs, targets), as `loss(model(inputs), targets)` takes them: a list, or a DataLoader."""

Loss = Callable[[Any, torch.Tensor], torch.Tensor]
"""`loss(model(inputs), targets)`: the mean over the batch, a scalar."""


class Objective:
    """The mean loss of a model over some batches, in evaluation mode, as a function of its trainable parameters.

    row: the model's own weights, (parameters,), detached. Frozen parameters stay what they are in the model; buffers
    are copies; batches are read once, kept on the device of the model, and weighted by their numbers of samples.

    Raises TaskError for a model without trainable parameters, and for batches that are none or no pairs.
    """

    def __init__(self, model: torch.nn.Module, loss: Loss, batches: Batches) -> None:
        named = trainable(model)
        self._model, self._loss = model, loss
        self._names = list(named)
        self._flat = FlatParameters(named.values())
        self._buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        row = self._flat.row()[0]
        self.row = row.float() if row.element_size() < 4 else row  # a Hessian in half precision is noise
        self.batches = _read(batches, self.row.device)
        self._samples = sum(len(targets) for _, targets in self.batches)

    def terms(self, row: torch.Tensor) -> Iterator[torch.Tensor]:
        """Return the share of each batch in the loss at `row`; they add up to the mean over all samples."""
        views = zip(self._names, self._flat.views(row), self._flat.tensors, strict=True)
        weights = {name: view.to(p.dtype) for name, view, p in views}
        for inputs, targets in self.batches:
            outputs = functional_call(self._model, {**weights, **self._buffers}, (inputs,))
            yield self._loss(outputs, targets).reshape(()) * (len(targets) / self._samples)

    def gradient(self, row: torch.Tensor) -> torch.Tensor:
        """Return the gradient at `row`, (parameters,), one batch at a time."""
        row, total = row.detach().requires_grad_(), torch.zeros_like(row)
        for term in self.terms(row):
            total += torch.autograd.grad(term, row)[0]
        return total


def trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the parameters of `model` that are trained, by name; raise TaskError when there are none."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not named:
        raise TaskError(f"{type(model).__name__} has no trainable parameter; unfreeze what you want to look at.")
    return named


@contextmanager
def untouched(model: torch.nn.Module, *, batch_statistics: bool = False) -> Iterator[None]:
    """Look at `model` in evaluation mode; its modes, module by module, and the generators are then as they were.

    batch_statistics: let all but dropout be in training mode, so that batch norm is the function that is trained.
    """
    modes = [(module, module.training) for module in model.modules()]
    for module, _ in modes:
        module.training = batch_statistics and not isinstance(module, _DropoutNd)
    sparse = make_dense(model)
    try:
        with seeded(0), sdpa_kernel(SDPBackend.MATH):  # fused attention can be neither mapped nor derived twice
            yield
    finally:
        for module, training in modes:
            module.training = training
        for module in sparse:
            module.sparse = True  # type: ignore[assignment]  # a flag of Embedding, and Module has none


def _read(batches: Batches, device: torch.device) -> list[tuple[Any, torch.Tensor]]:
    pairs = []
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2 or not isinstance(batch[1], torch.Tensor):
            raise TaskError(f"a batch must be a pair (inputs, targets of a tensor), not {type(batch).__name__}.")
        pairs.append(tuple(part.to(device) if isinstance(part, torch.Tensor | Columns) else part for part in batch))
    if not pairs:
        raise TaskError("there are no batches to take the loss over; give at least one pair (inputs, targets).")
    return pairs  # type: ignore[return-value]  # pairs, as was just checked
