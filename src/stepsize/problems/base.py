"""A task is what is to be trained: a model, a loss, and data to train and to be judged on.

Everything random is a pure function of the trial's seed and the step, so trials of one seed see the same initial
weights and the same batches, whichever strategy trains them, and any batch can be asked for at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count, islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stepsize.kernel import seeds, text
from stepsize.kernel.errors import LengthError, StepsizeError, TaskError
from stepsize.kernel.length import amount, parse
from stepsize.kernel.notebook import Shown
from stepsize.kernel.optional import need
from stepsize.problems import checks, fingerprint, sources, trial_batches
from stepsize.problems.columns import joined
from stepsize.problems.loader import Batch, Loader
from stepsize.problems.parameter_groups import Groups, ParameterGroup, parameter_groups
from stepsize.problems.random_state import seeded as seeded
from stepsize.problems.task_files import split_source
from stepsize.problems.trainable import Trainable as Trainable

Indices = npt.NDArray[np.int64]
Module = Any
Tensor = Any

PIECE = 64
"""Samples that are judged at once, at least; so many of each replica in a batch of
trials, which are to stay in the cache."""

SOME = 16
"""Updates of a loader that stand for its data."""


@dataclass(frozen=True, eq=False, repr=False)
class Task(Shown):
    """A model, a loss and data.

    model: returns a new `torch.nn.Module`; called once per seed, with torch's generator seeded.
    loss: `loss(model(inputs), targets)`, the mean over the batch, a scalar. None: the model computes it from whole
        samples, in its `training_step(batch, 0)` (Lightning), or else in `model(**batch)` (transformers) or
        `model(*batch)`; what it returns is the loss, or has it as `loss`.
    train, validation: a pair (inputs, targets) of tensors or NumPy arrays, a Dataset of such pairs, or a DataLoader.
        Inputs may be a dict of them, and so may whole samples. Of NumPy, floats become float32 and whole numbers int64.
        What reads the same twice, draws no random number and takes less than a GiB is held in memory; everything else,
        and a DataLoader with a sampler or a collate function of its own, is read anew in every epoch, as a `Loader`.
        Of a LightningDataModule as `train` both are taken.
    batch_size: samples per forward pass; a DataLoader brings its own.
    accumulate: forward passes per update (micro-batches); the loss and the gradient of an update are their means.
    steps: how long one full training is by default: optimizer updates, or "3 epochs" of the training data.
    name: how reports and journals call it.
    metric: `metric(model(inputs), targets)`, the mean over the batch, a number; the score in place of the loss.
    mode: "min", or "max" for a metric that is to be large. Scores are minimised everywhere, so of such a metric they
        are the negative: an accuracy of 0.9 is a score of -0.9 in every result, a "negative validation accuracy".
    clip_norm: the gradient of an update is shortened to this norm at most, as by `torch.nn.utils.clip_grad_norm_`.
    groups: `groups(model)` returns parameter groups as `torch.optim` takes them, `{"params": ..., "weight_decay": 0}`,
        with ratios to the strategy's values as `lr` and `weight_decay`; or the optimizer that has them, to whose
        defaults they are ratios. See `problems.parameter_groups`.
    group_rates: what the rates of groups are multiplied by on top of that, by their key `name`: {"head": 3.0}.
    autocast: `torch.bfloat16`: the model and the loss run in `torch.autocast`, in training and in validation.
    baseline: what you train with now, a strategy or "AdamW linear_to_zero 1e-3"; `advise` runs it beside its answer.

    Watch out: the score is a mean over pieces of the validation data; the F1 or AUC of pieces is not that of the whole.
    A model with batch norm sees one micro-batch at a time, so with it `accumulate` is not a larger batch.

    Raises TaskError when the data cannot be read, or is smaller than a batch.
    """

    noun: ClassVar[str] = "task"

    model: Callable[[], Module]
    loss: Any  # a function, or None, which is replaced by one that takes what the model computed
    train: Any
    validation: Any = None
    batch_size: int = 0
    steps: Any = 500  # an int, once it is made
    name: str = "task"
    accumulate: int = 1
    metric: Callable[[Tensor, Tensor], Any] | None = None
    mode: str = "min"
    baseline: Any = None
    clip_norm: float | None = None
    groups: Groups | None = None
    autocast: Any = None
    group_rates: Mapping[str, float] = field(default_factory=dict)
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        checks.check_settings(self)
        size = self.batch_size or getattr(self.train, "batch_size", None) or 0
        if not isinstance(size, int) or size < 0:
            raise TaskError(f"Task.batch_size must be a whole number of at least 1, not {size!r}.")
        self._read(size)
        self._check_size()
        object.__setattr__(self, "steps", self.updates_of(self.steps))

    def __str__(self) -> str:
        """Its name, how long it is, and what it is scored by."""
        return (
            f"{self.name}, {text.count(self.steps, 'step')} in batches of {self.update_size}, scored by {self.scored}"
        )

    def _read(self, size: int) -> None:
        given = {"train": self.train, "validation": self.validation}
        if sources.is_module(self.train):
            parts = ("train", "val") if self.validation is None else ("train",)
            given |= dict(zip(given, sources.of_module(self.train, *parts), strict=False))
        for part, data in given.items():
            read = sources.read(data, part, own_loss=self.loss is None, batch_size=size)
            object.__setattr__(self, part, read)
        if isinstance(self.train, Loader):
            object.__setattr__(self, "train", self.train.resized(self.batch_size or self.train.batch_size))
            size = self.train.batch_size
        object.__setattr__(self, "batch_size", size or getattr(given["train"], "batch_size", None) or 64)
        if self.loss is None:
            own = need("stepsize.problems.own_loss")
            object.__setattr__(self, "model", own.Whole(self.model))
            object.__setattr__(self, "loss", own.own_loss)

    def _check_size(self) -> None:
        size, samples = self.batch_size, self.samples_per_epoch
        if samples is None or (isinstance(self.train, Loader) and self.accumulate == 1):
            return
        if size > samples:
            raise TaskError(
                f"Task.batch_size is {size}, but there are {samples} training samples; make it 1 to {samples}."
            )
        if not self.batches_per_epoch:
            raise TaskError(
                f"Task.accumulate is {self.accumulate}: an update takes so many batches of {size}, "
                f"{self.update_size} samples, but there are {samples}; make it 1 to {samples // size}."
            )

    def __len__(self) -> int:
        """The number of training samples; TaskError for a stream that does not say."""
        samples = self.samples_per_epoch
        if samples is None:
            raise self._endless()
        return samples

    def _endless(self) -> TaskError:
        return TaskError(
            f"Task.train of {self.name!r} is a stream without a length, so it has no epochs to count in; count in "
            "updates, or give its IterableDataset a __len__."
        )

    @property
    def samples_per_epoch(self) -> int | None:
        """The number of training samples; None for a stream without a length."""
        return self.train.samples if isinstance(self.train, Loader) else len(self.train[0])

    @property
    def validation_samples(self) -> int:
        """The number of samples that a score is the mean over; a stream without a length is read to count them."""
        if isinstance(self.validation, Loader):
            return self.validation.samples or sum(len(targets) for _, targets in self.validation.once())
        return len(self.validation[0])

    @property
    def update_size(self) -> int:
        """Samples per update: `batch_size * accumulate`."""
        return self.batch_size * self.accumulate

    @property
    def batches_per_epoch(self) -> int:
        """How many whole updates the training data holds; the remainder of an epoch is left out.

        Raises TaskError for a stream, which does not say how long it is.
        """
        if not isinstance(self.train, Loader):
            return len(self.train[0]) // self.update_size
        if self.train.batches is None:
            raise self._endless()
        return self.train.batches // self.accumulate

    def updates_of(self, length: int | str) -> int:
        """Return a length of a run in updates: 500, "3 epochs" or "10000 samples", rounded, at least 1.

        Raises TaskError for what is no length of a run, and for epochs of a stream without a length.
        """
        number, unit = Fraction(0), ""
        if not isinstance(length, bool) and isinstance(length, int | str):
            try:
                number, unit = amount(parse(length))
            except LengthError:
                unit = ""
        if unit not in {"updates", "epochs", "samples"}:
            raise TaskError(
                f"Task.steps must be a whole number of at least 1, or a length such as '3 epochs' or '10000 samples', "
                f"not {length!r}."
            )
        if unit == "epochs":
            number *= self.batches_per_epoch
        elif unit == "samples":
            number /= self.update_size
        return max(1, int(number + Fraction(1, 2)))

    @property
    def samples(self) -> list[tuple[Any, Tensor]]:
        """The training samples one by one, as pairs (input, target): a Dataset; an input of several names is a dict.

        Raises TaskError for those that are read as a loader.
        """
        inputs, targets = self._held()
        return list(zip(inputs.unbind(), targets.unbind(), strict=True))

    @property
    def targets(self) -> Tensor:
        """The training targets; of a loader, those of its first 16 updates of seed 0."""
        if not isinstance(self.train, Loader):
            return self.train[1]
        some = islice(self.updates(0), SOME)
        return joined([batch for pieces in some for batch in pieces])[1]

    def _held(self) -> Batch:
        if isinstance(self.train, Loader):
            raise TaskError(f"the samples of {self.name!r} are not in memory; read them with Task.train.loader.")
        inputs, targets = self.train
        return inputs, targets

    def order(self, epoch: int, seed: int) -> Indices:
        """Return the order of the samples in one epoch, (batches_per_epoch, update_size) int64.

        Raises TaskError for samples that are read as a loader, which orders them itself.
        """
        shuffled = seeds.generator(seed, "batches", epoch).permutation(len(self._held()[0]))
        whole = self.batches_per_epoch * self.update_size
        return shuffled[:whole].reshape(-1, self.update_size)

    def batch(self, step: int, seed: int) -> Batch:
        """Return the inputs and targets that update number `step` of a trial with `seed` trains on, all of them.

        Its micro-batches are pieces of `batch_size` of it, in order.

        Watch out: a loader is read from the beginning of the epoch for it, a stream from its beginning; `updates` goes
        on where it is. Of micro-batches that a loader has padded to several lengths, it is the first.
        """
        if isinstance(self.train, Loader):
            return joined(next(self.updates(seed, step)))
        epoch, batch = divmod(step, self.batches_per_epoch)
        rows = need("torch").from_numpy(self.order(epoch, seed)[batch])
        inputs, targets = self.train
        return inputs[rows], targets[rows]

    def updates(self, seed: int, start: int = 0) -> Iterator[list[Batch]]:
        """Yield the micro-batches of each update of a trial with `seed`, from update number `start` on, without end."""
        if isinstance(self.train, Loader):
            yield from self.train.updates(seed, start, self.accumulate)
            return
        for step in count(start):
            pieces = (part.split(self.batch_size) for part in self.batch(step, seed))
            yield list(zip(*pieces, strict=True))

    def casting(self, device: str = "cpu") -> AbstractContextManager[Any]:
        """Return the context that the model and the loss run in: `torch.autocast`, or none."""
        if self.autocast is None:
            return nullcontext()
        context: AbstractContextManager[Any] = need("torch").autocast(device, dtype=self.autocast)
        return context

    def parameter_groups(self, model: Module) -> list[ParameterGroup]:
        """Return the groups of the parameters of `model` that are trained, with their ratios; one without `groups`.

        Raises TaskError for what are no groups of it.
        """
        return parameter_groups(model, self.groups, self.group_rates)

    def batches(self, seed: int, start: int = 0) -> Iterator[Batch]:
        """Yield what `batch` returns of update number `start` and of those after it, without end, each read once."""
        return map(joined, self.updates(seed, start))

    def build(self, seed: int) -> Module:
        """Return a new model with the initial weights of `seed`; torch's global generator is left as it was."""
        torch = need("torch")
        with seeded(seeds.child(seed, "init")):
            try:
                model = self.model()
            except (StepsizeError, KeyboardInterrupt):
                raise
            except BaseException as error:  # also SystemExit: none of the user's code may end this process
                where = checks.located(error, Path(split_source(self.source)[0]))
                raise TaskError(f"Task.model of {self.name!r} fails: {where}") from error
        if not isinstance(model, torch.nn.Module):
            raise TaskError(f"Task.model must return a torch.nn.Module, not {type(model).__name__}.")
        if found := [name for name, parameter in model.named_parameters() if parameter.is_complex()]:
            raise TaskError(
                f"the engines train real parameters, and {len(found)} of this model are complex, first {found[0]!r}. "
                "Keep its real view, torch.view_as_real(parameter), and make it complex in forward(); or give your "
                "training as a FunctionTask (docs/how-to/function.md)."
            )
        return model

    def score(self, model: Module) -> float:
        """Return the mean of `judge` over the validation samples, `model` in evaluation mode; lower is better."""
        torch = need("torch")
        was_training = model.training
        model.eval()
        total, samples = 0.0, 0
        with torch.no_grad():
            for inputs, targets in self.validation_batches():
                with self.casting():
                    total += float(self.judge(model(inputs), targets)) * len(targets)
                samples += len(targets)
        model.train(was_training)
        return total / samples

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

    def validation_batches(self) -> Iterable[Batch]:
        """Return the validation data in pieces of a batch, or of 64 samples where a batch is smaller.

        Of a loader its own batches, the same each time; read once where they take less than a GiB, else for each score.
        """
        if isinstance(self.validation, Loader):
            return self.validation.once()
        inputs, targets = self.validation
        size = max(PIECE, self.batch_size)
        return list(zip(inputs.split(size), targets.split(size), strict=True))

    def fingerprint_parts(self) -> dict[str, str]:
        """Return what makes it this task, part by part, each a short hash.

        The training data, the validation data, the model with the weights of seed 0, the loss on the first batch, the
        batch size; and, where there is one, the metric on that batch, the clipping, the groups and the dtype of
        autocast; and the losses and gradients of the first batches in training mode, by `first_gradients`. Of data that
        is read as a loader it is the kind and the length of the Dataset, and the first two batches of seed 0.

        Watch out: two loss functions that agree on the first batches are taken for one, and so are two streams.
        """
        return fingerprint.parts(self)

    def check(self, seed: int = 0) -> None:
        """Hold a batch of each kind against the model and the loss; raise TaskError that says what does not fit."""
        trial_batches.check(self, seed)


def with_data(task: Trainable) -> Task:
    """Return `task`, whose model, loss and data are there to be used; raise TaskError for one that keeps them."""
    if not isinstance(task, Task):
        raise TaskError(
            f"{task.name!r} is a training function, whose model, loss and data cannot be looked at; this needs a "
            "stepsize.Task, with a model, a loss and data."
        )
    return task
