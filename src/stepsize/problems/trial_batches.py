"""What a task is held to before anything is trained: a batch of each kind, and the samples that models fail on most."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from stepsize.kernel import seeds
from stepsize.kernel.errors import StepsizeError, TaskError, brief, said
from stepsize.kernel.optional import need
from stepsize.problems import checks
from stepsize.problems.data import digest
from stepsize.problems.loader import Loader
from stepsize.problems.random_state import seeded

if TYPE_CHECKING:
    from stepsize.problems.base import Task

Module = Any
Batch = tuple[Any, Any]


def check(task: Task, seed: int) -> None:
    """Hold a batch of each kind against the model and the loss; raise TaskError that says what does not fit."""
    torch = need("torch")
    model = task.build(seed)
    _check_parameters(task, model, seed)
    task.parameter_groups(model)
    first = next(task.updates(seed))[0]
    with seeded(seeds.child(seed, "noise")):
        loss = _tried(task, model, first, "first batch")
        with torch.no_grad():
            judged = next(iter(task.validation_batches()))
            _tried(task, model.eval(), judged, "first validation batch")
            _check_metric(task, model, judged)
            for part in ("train", "validation"):
                _check_rare(task, model, part)
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        raise TaskError(f"the loss of {task.name!r} must be one floating-point number, not {_described(loss)}.")
    checks.check_first_loss(task.name, loss.item())
    if isinstance(task.train, Loader) and digest(next(task.updates(seed))[0]) != digest(first):
        raise TaskError(
            f"Task.train of {task.name!r} gives another first batch each time that it is read with one seed, so the "
            "trials of one seed would not see the same batches. Draw from the global generators of torch, NumPy or "
            "Python, which are seeded, and let a stream begin anew each time that it is iterated over."
        )


def _described(loss: Any) -> str:
    """Return what a loss is instead of a number, however large it is, and what makes a number of it."""
    if not isinstance(loss, need("torch").Tensor):
        return brief(loss)
    mean = '; take the mean of the batch, as reduction="mean" does' if loss.numel() != 1 else ""
    return f"a tensor of {loss.dtype} in the shape {tuple(loss.shape)}{mean}"


def _check_parameters(task: Task, model: Module, seed: int) -> None:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TaskError(f"the model of {task.name!r} has no parameter to train.")
    if any(need("torch").nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise TaskError(
            f"the model of {task.name!r} has parameters without a shape (lazy modules); "
            "pass one batch through it before Task.model returns it."
        )
    first = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    if any(id(parameter) in first for parameter in task.build(seed).parameters()):
        raise TaskError(
            f"Task.model of {task.name!r} returns the same parameters each time, so one run would go on where "
            "another ended; make a new module inside of it (copy.deepcopy of a trained one)."
        )


def _check_metric(task: Task, model: Module, batch: Batch) -> None:
    if task.metric is None:
        return
    try:
        with task.casting():
            found = task.judge(model(batch[0]), batch[1])
        float(found)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # as in `_tried`
        raise TaskError(f"the metric of {task.name!r} must be one number: {said(error)}") from error


def _check_rare(task: Task, model: Module, part: str) -> None:
    """Try the samples of a part that no model may have a place for, each in a batch with others."""
    data = getattr(task, part)
    if isinstance(data, Loader):  # they are not looked at before they are read
        return
    inputs, targets = data
    for row, broken in checks.suspects(data):
        rows = need("torch").arange(min(task.batch_size, len(targets)))
        rows[0] = row
        what = f"batch with sample {row} of Task.{part}"
        loss = _tried(task, model, (inputs[rows], targets[rows]), what)
        if broken and not math.isfinite(float(loss)):
            raise TaskError(
                f"the {what} has the loss {float(loss)}: {broken}. Drop such samples, or fill in what is missing."
            )


def _tried(task: Task, model: Module, batch: Batch, what: str) -> Any:
    inputs, targets = batch
    outputs = None
    try:
        with warnings.catch_warnings():  # a loss that broadcasts is another loss
            warnings.filterwarnings("error", r"Using a (target|input) size", UserWarning)
            with task.casting():
                outputs = model(inputs)
                return task.loss(outputs, targets)
    except (StepsizeError, KeyboardInterrupt):
        raise
    except BaseException as error:  # also SystemExit: none of the user's code may end this process
        said = checks.describe(error) + checks.hint(error, batch, outputs)
        raise TaskError(f"the {what} of {task.name!r} fails: {said}") from error
