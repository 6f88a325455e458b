"""A task is what is to be trained: a model, a loss, and data to train and to be judged on.

Everything random is a pure function of the trial's seed and the step, so trials of one seed see the same initial
weights and the same batches, whichever strategy trains them, and any batch can be asked for at any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stepsize.kernel import seeds
from stepsize.kernel.errors import TaskError, brief
from stepsize.kernel.optional import need

Indices = npt.NDArray[np.int64]
Module = Any
Tensor = Any


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators for a while, and leave them as they were, those of the GPUs too."""
    torch = need("torch")
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True, eq=False)
class Task:
    """A model, a loss and data.

    model: returns a new `torch.nn.Module`; called once per seed, with torch's generator seeded.
    loss: `loss(model(inputs), targets)`, the mean over the batch, a scalar.
    train, validation: a pair of tensors (inputs, targets), a Dataset of such pairs, or a DataLoader over one; read into
        memory once.
    batch_size: samples per forward pass; a DataLoader brings its own.
    accumulate: forward passes per update (micro-batches); the loss and the gradient of an update are their means.
    steps: how long one full training is by default (steps, optimizer updates).
    name: how reports and journals call it.

    Watch out: a Dataset is read once, so a random augmentation inside it is frozen; put augmentation into the model.
    A model with batch norm sees one micro-batch at a time, so with it `accumulate` is not a larger batch.

    Raises TaskError when the data cannot be read, or is smaller than a batch.
    """

    opaque: ClassVar[bool] = False  # whether it is a closed box, without a model, a loss and data to look at

    model: Callable[[], Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    train: Any
    validation: Any
    batch_size: int = 0
    steps: int = 500
    name: str = "task"
    accumulate: int = 1
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for part in ("model", "loss"):
            if not callable(getattr(self, part)):
                raise TaskError(f"Task.{part} must be a function, not {getattr(self, part)!r}.")
        for part in ("steps", "accumulate"):
            value = getattr(self, part)
            if not isinstance(value, int) or value < 1:
                raise TaskError(f"Task.{part} must be a whole number of at least 1, not {value!r}.")
        size = self.batch_size or getattr(self.train, "batch_size", None) or 64
        if not isinstance(size, int):
            raise TaskError(f"Task.batch_size must be a whole number of at least 1, not {size!r}.")
        object.__setattr__(self, "batch_size", size)
        for part in ("train", "validation"):
            object.__setattr__(self, part, _tensors(getattr(self, part), part))
        if not 1 <= size <= len(self):
            raise TaskError(
                f"Task.batch_size is {size}, but there are {len(self)} training samples; make it 1 to {len(self)}."
            )
        if self.update_size > len(self):
            raise TaskError(
                f"Task.accumulate is {self.accumulate}: an update takes so many batches of {size}, "
                f"{self.update_size} samples, but there are {len(self)}; make it 1 to {len(self) // size}."
            )

    def __len__(self) -> int:
        """The number of training samples."""
        return len(self.train[0])

    @property
    def update_size(self) -> int:
        """Samples per update: `batch_size * accumulate`."""
        return self.batch_size * self.accumulate

    @property
    def batches_per_epoch(self) -> int:
        """How many whole updates the training data holds; the remainder of an epoch is left out."""
        return len(self) // self.update_size

    def order(self, epoch: int, seed: int) -> Indices:
        """Return the order of the samples in one epoch, (batches_per_epoch, update_size) int64."""
        shuffled = seeds.generator(seed, "batches", epoch).permutation(len(self))
        whole = self.batches_per_epoch * self.update_size
        return shuffled[:whole].reshape(-1, self.update_size)

    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return the inputs and targets that update number `step` of a trial with `seed` trains on, all of them.

        Its micro-batches are pieces of `batch_size` of it, in order.
        """
        epoch, place = divmod(step, self.batches_per_epoch)
        rows = need("torch").from_numpy(self.order(epoch, seed)[place])
        inputs, targets = self.train
        return inputs[rows], targets[rows]

    def build(self, seed: int) -> Module:
        """Return a new model with the initial weights of `seed`; torch's global generator is left as it was."""
        torch = need("torch")
        with seeded(seeds.child(seed, "init")):
            model = self.model()
        if not isinstance(model, torch.nn.Module):
            raise TaskError(f"Task.model must return a torch.nn.Module, not {type(model).__name__}.")
        return model

    def score(self, model: Module) -> float:
        """Return the validation loss of `model` in evaluation mode, the mean over samples; lower is better."""
        torch = need("torch")
        was_training = model.training
        model.eval()
        total = 0.0
        with torch.no_grad():
            for inputs, targets in self.validation_batches():
                total += float(self.loss(model(inputs), targets)) * len(inputs)
        model.train(was_training)
        return total / len(self.validation[0])

    def validation_batches(self, size: int = 512) -> list[tuple[Tensor, Tensor]]:
        """Return the validation data in pieces of at most `size` samples."""
        inputs, targets = self.validation
        return list(zip(inputs.split(size), targets.split(size), strict=True))

    def check(self, seed: int = 0) -> None:
        """Hold a batch of each kind against the model and the loss; raise TaskError that says what does not fit."""
        torch = need("torch")
        model = self.build(seed)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise TaskError(f"the model of {self.name!r} has no parameter to train.")
        if any(torch.nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
            raise TaskError(
                f"the model of {self.name!r} has parameters without a shape (lazy modules); "
                "pass one batch through it before Task.model returns it."
            )
        first = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        if any(id(parameter) in first for parameter in self.build(seed).parameters()):
            raise TaskError(
                f"Task.model of {self.name!r} returns the same parameters each time, so one run would go on where "
                "another ended; make a new module inside of it (copy.deepcopy of a trained one)."
            )
        with seeded(seeds.child(seed, "noise")):
            loss = self._tried(model, self._first(seed), "batch")
            with torch.no_grad():
                self._tried(model.eval(), self.validation_batches()[0], "validation batch")
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or not loss.is_floating_point():
            raise TaskError(f"the loss of {self.name!r} must be one floating-point number, not {loss!r}.")
        if not math.isfinite(loss.item()):
            raise TaskError(
                f"the loss of {self.name!r} is {loss.item()} at the first step, before any update, so no learning rate "
                "can train it. Look at the data (NaN, infinities), the initial weights and the loss function."
            )

    def _first(self, seed: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self.batch(0, seed)
        return inputs[: self.batch_size], targets[: self.batch_size]

    def _tried(self, model: Module, batch: tuple[Tensor, Tensor], what: str) -> Any:
        inputs, targets = batch
        try:
            return self.loss(model(inputs), targets)
        except Exception as error:
            raise TaskError(f"the first {what} of {self.name!r} fails: {type(error).__name__}: {error}") from error


def _tensors(data: Any, part: str) -> tuple[Tensor, Tensor]:
    torch = need("torch")
    collate = torch.utils.data.default_collate
    if isinstance(data, torch.utils.data.DataLoader):
        data, collate = data.dataset, data.collate_fn if data.batch_size is not None else collate
    if not isinstance(data, tuple | list) or not _is_pair(data):
        if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
            raise TaskError(
                f"Task.{part} must be a pair of tensors, a Dataset with a length, or a DataLoader over one, "
                f"not {type(data).__name__}."
            )
        data = _stack([data[i] for i in range(len(data))], part, collate)
    inputs, targets = data
    if not inputs.dim() or not targets.dim() or len(inputs) != len(targets) or not len(inputs):
        raise TaskError(
            f"Task.{part} has inputs of shape {tuple(inputs.shape)} and targets of shape {tuple(targets.shape)}; "
            "it needs as many of both, at least one, samples first."
        )
    return inputs.detach(), targets.detach()


def _is_pair(data: Any) -> bool:
    torch = need("torch")
    return len(data) == 2 and all(isinstance(each, torch.Tensor) for each in data)


def _stack(samples: list[Any], part: str, collate: Callable[[list[Any]], Any]) -> Any:
    if not samples:
        raise TaskError(f"Task.{part} is empty; it needs at least one sample.")
    try:
        found = collate(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TaskError(f"Task.{part}: the samples must be (input, target) pairs of one shape ({error}).") from None
    if not isinstance(found, tuple | list) or not _is_pair(found):
        raise TaskError(
            f"Task.{part}: the samples must be (input, target) pairs, one tensor each, not {brief(samples[0])}. Wrap "
            "the Dataset in one that returns such pairs, or pass two tensors (of NumPy arrays: torch.from_numpy)."
        )
    return found
