"""A task is what is to be trained: a model, a loss, and data to train and to be judged on.

Everything random is a pure function of the trial's seed and the step, so trials of one seed see the same initial
weights and the same batches, whichever strategy trains them, and any batch can be asked for at any time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from stepsize.kernel import seeds
from stepsize.kernel.errors import StepsizeError, TaskError
from stepsize.kernel.optional import need
from stepsize.problems import checks
from stepsize.problems.data import digest, pair, whole

Indices = npt.NDArray[np.int64]
Module = Any
Tensor = Any

PIECE = 64
"""Samples that are judged at once, at least; so many of each replica in a batch of
trials, which are to stay in the cache."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators for a while, and leave them as they were, those of the GPUs too."""
    torch = need("torch")
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@runtime_checkable
class Trainable(Protocol):
    """What can be trained and raced: a `Task`, whose model, loss and data are there to be used, or a training function.

    Whoever needs the model, the loss or the data asks `isinstance(task, Task)`.
    """

    @property
    def name(self) -> str:
        """How reports and journals call it."""

    @property
    def steps(self) -> int:
        """How long one full training is by default (steps, optimizer updates)."""

    @property
    def source(self) -> str:
        """What `load_task` made it from; "" where it was made otherwise."""

    @property
    def scored(self) -> str:
        """What a score is, in words, such as "validation loss"."""

    def check(self, seed: int = 0) -> None:
        """Raise TaskError where it cannot be trained."""

    def fingerprint_parts(self) -> dict[str, str]:
        """Return what makes it this task, part by part, each a short text; a journal tells by them what has changed."""


@dataclass(frozen=True, eq=False)
class Task:
    """A model, a loss and data.

    model: returns a new `torch.nn.Module`; called once per seed, with torch's generator seeded.
    loss: `loss(model(inputs), targets)`, the mean over the batch, a scalar. None: the model computes it from whole
        samples, in its `training_step(batch, 0)` (Lightning), or else in `model(**batch)` (transformers) or
        `model(*batch)`; what it returns is the loss, or has it as `loss`.
    train, validation: a pair (inputs, targets) of tensors or NumPy arrays, a Dataset of such pairs, or a DataLoader
        over one; read into memory once. Inputs may be a dict of them, and so may whole samples. Of NumPy, floats become
        float32 and whole numbers int64.
    batch_size: samples per forward pass; a DataLoader brings its own.
    accumulate: forward passes per update (micro-batches); the loss and the gradient of an update are their means.
    steps: how long one full training is by default (steps, optimizer updates).
    name: how reports and journals call it.
    metric: `metric(model(inputs), targets)`, the mean over the batch, a number; the score in place of the loss.
    mode: "min", or "max" for a metric that is to be large. Scores are minimised everywhere, so of such a metric they
        are the negative: an accuracy of 0.9 is a score of -0.9 in every result, a "negative validation accuracy".

    baseline: what you train with now, a strategy or "AdamW linear_to_zero 1e-3"; `advise` runs it beside its answer.

    Watch out: the score is a mean over pieces of the validation data; the F1 or AUC of pieces is not that of the whole.
    A Dataset is read once, so a random augmentation inside it is frozen; put augmentation into the model.
    A model with batch norm sees one micro-batch at a time, so with it `accumulate` is not a larger batch.

    Raises TaskError when the data cannot be read, or is smaller than a batch.
    """

    model: Callable[[], Module]
    loss: Any  # a function, or None, which is replaced by one that takes what the model computed
    train: Any
    validation: Any
    batch_size: int = 0
    steps: int = 500
    name: str = "task"
    accumulate: int = 1
    metric: Callable[[Tensor, Tensor], Any] | None = None
    mode: str = "min"
    baseline: Any = None
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self._check_functions()
        for part in ("steps", "accumulate"):
            value = getattr(self, part)
            if not isinstance(value, int) or value < 1:
                raise TaskError(f"Task.{part} must be a whole number of at least 1, not {value!r}.")
        size = self.batch_size or getattr(self.train, "batch_size", None) or 64
        if not isinstance(size, int):
            raise TaskError(f"Task.batch_size must be a whole number of at least 1, not {size!r}.")
        object.__setattr__(self, "batch_size", size)
        self._read()
        if not 1 <= size <= len(self):
            raise TaskError(
                f"Task.batch_size is {size}, but there are {len(self)} training samples; make it 1 to {len(self)}."
            )
        if self.update_size > len(self):
            raise TaskError(
                f"Task.accumulate is {self.accumulate}: an update takes so many batches of {size}, "
                f"{self.update_size} samples, but there are {len(self)}; make it 1 to {len(self) // size}."
            )

    def _check_functions(self) -> None:
        for part in ("model", "loss", "metric"):
            value = getattr(self, part)
            if not callable(value) and (value is not None or part == "model"):
                raise TaskError(f"Task.{part} must be a function, not {value!r}.")
        if isinstance(self.model, need("torch").nn.Module):
            raise TaskError(
                f"Task.model must be a function that returns a new module, not the {type(self.model).__name__} itself, "
                "which one run would leave trained to the next: Task(model=lambda: ...)."
            )
        if self.mode not in {"min", "max"}:
            raise TaskError(f'Task.mode must be "min" or "max", not {self.mode!r}.')
        if self.mode == "max" and self.metric is None:
            raise TaskError('Task.mode is "max", but there is no Task.metric, and a loss is minimised; give a metric.')

    def _read(self) -> None:
        for part in ("train", "validation"):
            read = whole if self.loss is None else pair
            object.__setattr__(self, part, read(getattr(self, part), part))
        if self.loss is None:
            own = need("stepsize.problems.own_loss")
            object.__setattr__(self, "model", own.Whole(self.model))
            object.__setattr__(self, "loss", own.own_loss)

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

    @property
    def samples(self) -> list[tuple[Any, Tensor]]:
        """The training samples one by one, as pairs (input, target): a Dataset; an input of several names is a dict."""
        inputs, targets = self.train
        return list(zip(inputs.unbind(), targets.unbind(), strict=True))

    def order(self, epoch: int, seed: int) -> Indices:
        """Return the order of the samples in one epoch, (batches_per_epoch, update_size) int64."""
        shuffled = seeds.generator(seed, "batches", epoch).permutation(len(self))
        whole = self.batches_per_epoch * self.update_size
        return shuffled[:whole].reshape(-1, self.update_size)

    def batch(self, step: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return the inputs and targets that update number `step` of a trial with `seed` trains on, all of them.

        Its micro-batches are pieces of `batch_size` of it, in order.
        """
        epoch, batch = divmod(step, self.batches_per_epoch)
        rows = need("torch").from_numpy(self.order(epoch, seed)[batch])
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
        """Return the mean of `judge` over the validation samples, `model` in evaluation mode; lower is better."""
        torch = need("torch")
        was_training = model.training
        model.eval()
        total = 0.0
        with torch.no_grad():
            for inputs, targets in self.validation_batches():
                total += float(self.judge(model(inputs), targets)) * len(inputs)
        model.train(was_training)
        return total / len(self.validation[0])

    @property
    def scored(self) -> str:
        """What a score is, in words: "validation loss", "validation accuracy"; "negative" before it with mode "max"."""
        if self.metric is None:
            return "validation loss"
        name = getattr(self.metric, "__name__", "metric").replace("_", " ").strip()
        name = name if name[:1].isalpha() else "metric"  # of a lambda
        return f"{'negative ' * (self.mode == 'max')}validation {name}"

    def judge(self, outputs: Any, targets: Tensor) -> Any:
        """Return what a score is the mean of: the loss or the metric, the metric's negative with mode "max"."""
        if self.metric is None:
            return self.loss(outputs, targets)
        found = self.metric(outputs, targets)
        return -found if self.mode == "max" else found

    def validation_batches(self) -> list[tuple[Tensor, Tensor]]:
        """Return the validation data in pieces of a batch, or of 64 samples where a batch is smaller."""
        inputs, targets = self.validation
        size = max(PIECE, self.batch_size)
        return list(zip(inputs.split(size), targets.split(size), strict=True))

    def fingerprint_parts(self) -> dict[str, str]:
        """Return what makes it this task, part by part, each a short hash.

        The training data, the validation data, the model with the weights of seed 0, the loss on the first batch, the
        batch size, and the metric on that batch if there is one.

        Watch out: two loss functions that agree on the first batch are taken for one.
        """
        torch = need("torch")
        model = self.build(0)
        inputs, targets = self.batch(0, 0)
        with torch.no_grad():
            outputs = model.eval()(inputs)
            loss = float(self.loss(outputs, targets))
            score = float(self.judge(outputs, targets))
        metric = {} if self.metric is None else {"metric": f"{self.mode} {score:.4e}"}
        return {
            "training data": digest(self.train),
            "validation data": digest(self.validation),
            "model": digest([repr(model), *model.state_dict().values()]),
            "loss": f"{loss:.4e}",  # the last digits depend on the number of threads
            "batch size": str(self.batch_size),
            **metric,
        }

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
            loss = self._tried(model, self._first(seed), "first batch")
            with torch.no_grad():
                judged = self.validation_batches()[0]
                self._tried(model.eval(), judged, "first validation batch")
                self._check_metric(model, judged)
                for part in ("train", "validation"):
                    self._check_rare(model, part)
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

    def _check_metric(self, model: Module, batch: tuple[Tensor, Tensor]) -> None:
        if self.metric is None:
            return
        try:
            found = self.judge(model(batch[0]), batch[1])
            float(found)
        except Exception as error:
            raise TaskError(
                f"the metric of {self.name!r} must be one number: {type(error).__name__}: {error}"
            ) from error

    def _check_rare(self, model: Module, part: str) -> None:
        """Try the samples of a part that no model may have a place for, each in a batch with others."""
        inputs, targets = data = getattr(self, part)
        for row, broken in checks.suspects(data):
            rows = need("torch").arange(min(self.batch_size, len(targets)))
            rows[0] = row
            what = f"batch with sample {row} of Task.{part}"
            loss = self._tried(model, (inputs[rows], targets[rows]), what)
            if broken and not math.isfinite(float(loss)):
                raise TaskError(
                    f"the {what} has the loss {float(loss)}: {broken}. Drop such samples, or fill in what is missing."
                )

    def _tried(self, model: Module, batch: tuple[Tensor, Tensor], what: str) -> Any:
        inputs, targets = batch
        outputs = None
        try:
            with warnings.catch_warnings():  # a loss that broadcasts is another loss
                warnings.filterwarnings("error", r"Using a (target|input) size", UserWarning)
                outputs = model(inputs)
                return self.loss(outputs, targets)
        except StepsizeError:
            raise
        except Exception as error:
            said = checks.describe(error) + checks.hint(error, batch, outputs)
            raise TaskError(f"the {what} of {self.name!r} fails: {said}") from error


def with_data(task: Trainable) -> Task:
    """Return `task`, whose model, loss and data are there to be used; raise TaskError for one that keeps them."""
    if not isinstance(task, Task):
        raise TaskError(
            f"{task.name!r} is a training function, whose model, loss and data cannot be looked at; this needs a "
            "stepsize.Task, with a model, a loss and data."
        )
    return task
