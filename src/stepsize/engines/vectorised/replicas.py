"""Many copies of a model as rows of one array: their parameters, buffers and batches, and gradients of all at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_flatten, tree_structure, tree_unflatten

from stepsize.adapters.torch.flat_parameters import FlatParameters, make_dense
from stepsize.engines.dropout import Dropout, Keys
from stepsize.engines.vectorised.batches import Batch, batches_of
from stepsize.engines.vectorised.replay import Function, Replay
from stepsize.engines.vectorised.stateless import is_stateless
from stepsize.problems import Task
from stepsize.problems.parameter_groups import ParameterGroup
from stepsize.rules.base import Shape

Tensors = dict[str, torch.Tensor]
Measure = Callable[[Any, torch.Tensor], torch.Tensor]

_KNOWN: WeakKeyDictionary[Task, dict[int, dict[Any, Function]]] = WeakKeyDictionary()


class Replicas:
    """The parameters and buffers of many copies of a model, and one gradient or score of all of them.

    flat: the trainable parameters, (replicas, parameters), group by group; names: of their tensors, in that order.
    buffers: by name, each (replicas, ...).
    updates: how often a gradient is taken. Where it is not 0, and the model has no state of its own, what the gradient
        does is recorded and replayed.
    """

    def __init__(
        self, task: Task, seeds: Sequence[int], dtype: torch.dtype, device: torch.device, *, updates: int = 0
    ) -> None:
        self._task, self._dtype, self._device = task, dtype, device
        self._seeds = sorted(set(seeds))
        self._seed_of = torch.tensor([self._seeds.index(seed) for seed in seeds], device=device)
        self._keys = Keys(self._seeds, device)
        models = {seed: task.build(seed).to(device=device, dtype=dtype) for seed in self._seeds}
        self._model = models[self._seeds[0]]
        self._model.train()
        make_dense(self._model)
        self._groups = task.parameter_groups(self._model)
        self.names = [name for group in self._groups for name in group.names]
        self._tensors_of_one = self.flat_of(self._model)
        starts = {seed: self.flat_of(model).row()[0] for seed, model in models.items()}
        self.flat = torch.stack([starts[seed] for seed in seeds])
        self._gradient = torch.empty_like(self.flat)
        self.buffers = {
            name: torch.stack([_state(models[seed])[name] for seed in seeds])
            for name in _state(self._model)
            if name not in self.names
        }
        self._batches = batches_of(task, self._seeds, self._to)
        self._tree, self._form = tree_structure(()), ""
        recorded = updates and is_stateless(self._model, task.loss)
        known = _KNOWN.setdefault(task, {}).setdefault(updates, {})
        self._replay = Replay(self._slopes, known, updates) if recorded else None
        self._train = vmap(partial(self._value, of=task.loss), in_dims=(0, 0, 0, None, 0), randomness="error")
        self._evaluate = vmap(partial(self._value, of=task.judge), in_dims=(0, 0, 0, None, None), randomness="error")

    def _to(self, tensor: torch.Tensor) -> torch.Tensor:
        floating = tensor.is_floating_point()
        return tensor.to(self._device, self._dtype) if floating else tensor.to(self._device)

    def flat_of(self, model: torch.nn.Module) -> FlatParameters:
        """Return the parameters of a model in the order of the rows."""
        named = dict(model.named_parameters())
        return FlatParameters(named[name] for name in self.names)

    @property
    def groups(self) -> list[tuple[ParameterGroup, slice, list[Shape]]]:
        """The parameter groups, with the columns of the rows and the shapes of the tensors of each."""
        shapes, found, start = iter(self._tensors_of_one.shapes), [], 0
        for group in self._groups:
            own = list(islice(shapes, len(group.names)))
            stop = start + sum(math.prod(shape) for shape in own)
            found.append((group, slice(start, stop), own))
            start = stop
        return found

    def _tensors(self, rows: torch.Tensor) -> Tensors:
        """Return the model's tensors as views of `rows`, each (replicas, ...)."""
        return dict(zip(self.names, self._tensors_of_one.views(rows), strict=True))

    def _value(
        self, parameters: Tensors, buffers: Tensors, key: torch.Tensor, piece: int, batch: Batch, *, of: Measure
    ) -> tuple[torch.Tensor, Tensors]:
        x, y = batch
        with Dropout(key, piece, mapped=True), self._task.casting(self._device.type):
            outputs = functional_call(self._model, {**parameters, **buffers}, (x,))
            return of(outputs, y).reshape(()).to(self._dtype), buffers

    def gradient(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradient, (replicas, parameters), and the loss, (replicas,), of the batch at `step`.

        The next gradient is written over it.
        """
        leaves, tree = tree_flatten([*self._batches(step, self._seed_of)])
        if tree != self._tree:
            self._tree, self._form = tree, repr(tree)  # which can be hashed in every version of torch
        inputs = self.flat, self._gradient, self._keys(step)[self._seed_of], *self.buffers.values(), *leaves
        found = self._slopes(*inputs) if self._replay is None else self._replay(*inputs, tree=self._form)
        self.buffers = dict(zip(self.buffers, found[1:], strict=True))
        return self._gradient, found[0]

    def _slopes(
        self, flat: torch.Tensor, gradient: torch.Tensor, key: torch.Tensor, *rest: torch.Tensor
    ) -> list[torch.Tensor]:
        """Write the gradient at the rows `flat`; rest: the buffers, and what the batches hold.

        Return the loss, and the buffers after it. The leaves of the gradient are the model's tensors and not the rows,
        which autograd would put together again in new memory.
        """
        buffers = dict(zip(self.buffers, rest, strict=False))
        batches = tree_unflatten(rest[len(buffers) :], self._tree)
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self._tensors(flat).items()}
        total: Any = 0.0
        for piece, batch in enumerate(batches):
            with sdpa_kernel(SDPBackend.MATH):
                losses, buffers = self._train(leaves, buffers, key, piece, batch)
                losses = losses / self._task.accumulate if self._task.accumulate > 1 else losses
                # The sum over replicas has each one's own gradient in its own row: no replica's loss knows another's.
                slopes = torch.autograd.grad(losses.sum(), list(leaves.values()), materialize_grads=True)
            with torch.no_grad():
                for part, slope in zip(self._tensors(gradient).values(), slopes, strict=True):
                    part.add_(slope) if piece else part.copy_(slope)
            total = total + losses.detach() if piece else losses.detach()
        return [total, *buffers.values()]

    def score(self, rows: torch.Tensor, step: int = 0) -> torch.Tensor:
        """Return the validation loss of each replica, (replicas,), in evaluation mode, at the parameters `rows`.

        step: the update before; a model that draws random numbers in evaluation draws those of this step.
        """
        parameters, key = self._tensors(rows), self._keys(step)[self._seed_of]
        self._model.eval()
        total, samples = torch.zeros(len(rows), device=self._device, dtype=self._dtype), 0
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            for piece, (x, y) in enumerate(self._task.validation_batches(), self._task.accumulate):
                losses, _ = self._evaluate(parameters, self.buffers, key, piece, (self._to(x), self._to(y)))
                total += losses * len(y)
                samples += len(y)
        self._model.train()
        return total / samples

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some of the replicas, by index."""
        self.flat, self._seed_of = self.flat[rows], self._seed_of[rows]
        self._gradient = torch.empty_like(self.flat)
        self.buffers = {name: buffer[rows] for name, buffer in self.buffers.items()}


def _state(model: torch.nn.Module) -> Tensors:
    return {name: tensor.detach() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
