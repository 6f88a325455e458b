"""What is wrong with a task, in words: labels and token ids that the model has no place for, NaN, too little memory."""

from __future__ import annotations

import inspect
import math
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepsize.kernel.errors import TaskError, brief, said
from stepsize.kernel.optional import extra_of, installed, installs, need
from stepsize.problems.columns import Columns
from stepsize.problems.data import OWN_LOOP

Tensor = Any
Pair = tuple[Any, Any]


def check_settings(task: Any) -> None:
    """Raise TaskError for what a `Task` is given that it cannot be trained with, its data aside."""
    for part in ("model", "loss", "metric", "groups"):
        value = getattr(task, part)
        if not callable(value) and (value is not None or part == "model"):
            raise TaskError(f"Task.{part} must be a function, not {brief(value)}.")
        if inspect.iscoroutinefunction(value):
            raise TaskError(f"Task.{part} is an async function, which nothing awaits; write it as a plain `def`.")
    if isinstance(task.model, need("torch").nn.Module):
        raise TaskError(
            f"Task.model must be a function that returns a new module, not the {type(task.model).__name__} itself, "
            "which one run would leave trained to the next: Task(model=lambda: ...)."
        )
    if task.mode not in {"min", "max"}:
        raise TaskError(f'Task.mode must be "min" or "max", not {task.mode!r}.')
    if task.mode == "max" and task.metric is None:
        raise TaskError('Task.mode is "max", but there is no Task.metric, and a loss is minimised; give a metric.')
    if not isinstance(task.accumulate, int) or task.accumulate < 1:
        raise TaskError(f"Task.accumulate must be a whole number of at least 1, not {task.accumulate!r}.")
    norm, cast = task.clip_norm, task.autocast
    if norm is not None and not (isinstance(norm, int | float) and 0 < norm < float("inf")):
        raise TaskError(f"Task.clip_norm must be a number above 0, or None, not {norm!r}.")
    if cast is not None and cast is not need("torch").bfloat16:
        raise TaskError(
            f"Task.autocast must be torch.bfloat16, or None, not {cast!r}; float16 needs a GradScaler, and so "
            f"{OWN_LOOP}."
        )


def check_first_loss(name: str, loss: float) -> None:
    """Raise TaskError where the loss of a task called `name` is no finite number before any update."""
    if not math.isfinite(loss):
        raise TaskError(
            f"the loss of {name!r} is {loss} at the first step, before any update, so no learning rate can train it. "
            "Look at the data (NaN, infinities), the initial weights and the loss function."
        )


def describe(error: BaseException) -> str:
    """Return an error of the user's model, loss or data in one line, with what helps against it where that is known."""
    text = said(error)
    if isinstance(error, ModuleNotFoundError) and extra_of(error.name or "") is not None:
        return f"{text}; {installs([error.name or ''])} brings it"
    if not out_of_memory(error):
        return text
    return (
        f"out of memory ({text.partition('. ')[0]}). Make Task.batch_size smaller (Task.accumulate keeps the samples "
        "of an update), or the model; or end what else holds memory. A journal keeps what was finished before"
    )


def located(error: BaseException, path: Path) -> str:
    """Return an error of the user's file in one line, with the line of the file where it arose."""
    if isinstance(error, SyntaxError):
        return said(error)  # it names its file and line itself
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if path.name and Path(frame.filename).name == path.name]
    return f"{describe(error)} (line {lines[-1]})" if lines else describe(error)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory has run out, of a device or of the machine."""
    if isinstance(error, RuntimeError) and "allocate memory" in str(error):
        return True
    return isinstance(error, MemoryError) or (installed("torch") and isinstance(error, need("torch").OutOfMemoryError))


def hint(error: BaseException, batch: Pair, outputs: Any) -> str:
    """Return what the data have to do with an error, as the end of its message, or "".

    outputs: of the model, or None when it has failed itself.
    """
    if isinstance(error, IndexError):
        ranges = [
            f"{what} from {int(tensor.min())} to {int(tensor.max())}"
            for what, tensor in named(batch)
            if not tensor.is_floating_point() and tensor.numel()
        ]
        return (f" It holds {', '.join(ranges)}" if ranges else "") + _labels(outputs) + "."
    kinds = {str(tensor.dtype) for what, tensor in named(batch) if what.startswith("input")} - {"torch.float32"}
    if isinstance(error, RuntimeError) and "dtype" in str(error) and kinds:
        return f" Its inputs are {', '.join(sorted(kinds))}; layers of torch are float32 (inputs.float())."
    return ""


def _labels(outputs: Any) -> str:
    outputs = getattr(outputs, "logits", outputs)
    if not isinstance(outputs, need("torch").Tensor) or outputs.dim() < 2:
        return ""
    if outputs.dim() > 2:
        return f"; the model's outputs have the shape {tuple(outputs.shape)}"
    return f"; the model has {outputs.shape[1]} outputs, for labels from 0 to {outputs.shape[1] - 1}"


def named(batch: Pair) -> list[tuple[str, Tensor]]:
    """Return the tensors of a batch with what they are called."""
    inputs, targets = batch
    return [*_named("inputs", inputs), ("targets", targets)]


def _named(what: str, value: Any) -> list[tuple[str, Tensor]]:
    if not isinstance(value, Columns):
        return [(what, value)]
    return [found for name, each in value.items() for found in _named(f"{what}[{name!r}]", each)]


def rows(tensor: Tensor) -> Tensor:
    """Return a tensor as one row a sample, (samples, numbers)."""
    return tensor.flatten(1) if tensor.dim() > 1 else tensor.unsqueeze(1)


def suspects(data: Pair) -> Iterator[tuple[int, str]]:
    """Yield the samples that a model is most likely to have no place for, by number, and why if they are not finite.

    The smallest and the largest whole number of each tensor; the first that is not finite.
    """
    for what, tensor in named(data):
        flat = rows(tensor)
        if not flat.shape[1] or flat.is_complex():
            continue
        if flat.is_floating_point():
            bad = ~flat.isfinite().all(1)
            if bad.any():
                row = int(bad.int().argmax())
                yield row, f"{int(bad.sum())} of {len(bad)} samples have NaN or infinite {what}, the first is {row}"
        elif flat.dtype != need("torch").bool:
            yield int(flat.amin(1).argmin()), ""
            yield int(flat.amax(1).argmax()), ""
