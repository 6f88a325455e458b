"""Keras 3: a range test of a compiled model, by its own `train_on_batch`, on every backend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from importlib import import_module
from typing import Any

from stepsize.adapters.keras.policy import keras
from stepsize.adapters.range_test import Step, endless, ramp
from stepsize.kernel.errors import DriveError
from stepsize.results import RangeTestRecord


def climb(model: Any, batches: Iterable[Any], **options: Any) -> RangeTestRecord:
    """Return the range test of a compiled model, and leave it as it was.

    batches: what `train_on_batch` takes: pairs `(x, y)` or triples with sample weights; goes round again when it ends.
    options: `low`, `high`, `points`, `spacing`, `validate`, `horizon` and more, as `ramp` takes them.
    The variables of model, optimizer and metrics are put back, by an error or Ctrl-C too, and on the torch backend the
    generators as well. The optimizer may have accumulation, clipping, an average of the weights.

    Raises DriveError for a model that is not compiled or not built, and for an optimizer whose rate is a schedule;
    TaskError for no batches, and what `ramp` raises.

    Watch out: an iterator of yours stays where the test has left it, and so does a dataset that changes as it is read.

    >>> x = keras.ops.reshape(keras.ops.linspace(-1.0, 1.0, 32), (32, 1))
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> climb(model, [(x, 3 * x)], low=1e-3, high=100.0).optimizer
    'SGD'
    >>> round(float(model.optimizer.learning_rate), 6)
    0.1
    """
    check(model)
    with restored(model) as kept:
        record = ramp(
            updates(model, batches), **{"task": model.name, "optimizer": type(model.optimizer).__name__, **options}
        )
    return replace(record, memory=kept)


def updates(model: Any, batches: Iterable[Any]) -> Step:
    """Return what makes one update of a compiled model at the rate that it is given, and returns its loss.

    batches: as in `climb`. With `gradient_accumulation_steps` an update takes so many, and its loss is their mean.
    """
    optimizer, batch = model.optimizer, endless(batches)
    count = optimizer.gradient_accumulation_steps or 1

    def step(rate: float) -> Any:
        optimizer.learning_rate = rate
        for _ in range(count):  # the loss is a mean since the last reset
            logs = model.train_on_batch(*next(batch), return_dict=True)
        model.reset_metrics()
        return logs["loss"]

    return step


@contextmanager
def restored(model: Any) -> Iterator[int]:
    """Put every variable of a model, its optimizer and its metrics back; yields the bytes of the copies."""
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    saved = [keras.ops.stop_gradient(keras.ops.copy(variable.value)) for variable in variables]
    lazy = [vars(part) for part in (model._compile_loss, model._compile_metrics) if part is not None]  # noqa: SLF001  (made from the first batch, with random numbers)
    before = [dict(attributes) for attributes in lazy]
    with _generators():
        try:
            yield sum(value.nbytes for value in saved)
        finally:
            for variable, value in zip(variables, saved, strict=True):
                variable.assign(value)
            for attributes, items in zip(lazy, before, strict=True):
                attributes.clear()
                attributes.update(items)


def _generators() -> AbstractContextManager[Any]:
    """Put torch's generators back where Keras draws from them; on other backends its states are variables."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    return import_module("stepsize.adapters.torch").Snapshot()  # type: ignore[no-any-return]  # imported by its name


def check(model: Any) -> None:
    """Raise DriveError for a model that is not compiled or not built, or whose rate cannot be set."""
    if getattr(model, "optimizer", None) is None:
        raise DriveError("the model is not compiled; a range test trains it: model.compile(optimizer, loss).")
    if not model.built:
        raise DriveError("the model is not built, so it has no variables to keep; call it on one batch first.")
    try:
        model.optimizer.learning_rate = float(model.optimizer.learning_rate)
    except TypeError:
        raise DriveError(
            "the optimizer's learning rate is a schedule, which a range test cannot set. Compile the model with a "
            "number for it."
        ) from None
