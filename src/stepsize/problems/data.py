"""Data as users have them, made into tensors: pairs, NumPy arrays, tables, samples with names, and batches of these."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from stepsize.kernel.errors import TaskError, brief, said
from stepsize.kernel.optional import need
from stepsize.problems.columns import Columns

Tensor = Any

LABELS = "labels"
"""The column that holds the targets of samples with names."""

DTYPES: dict[str, type] = {"f": np.float32, "i": np.int64, "u": np.int64, "b": np.int64}
"""What NumPy's kinds of numbers become: what the layers and losses of torch take."""

OWN_LOOP = "train it in your own loop, as a FunctionTask: docs/how-to/function.md"
"""What is left for data that a Task cannot take."""

MSG_PAIRS = (
    "Task.{part}: the samples must be (input, target) pairs, one tensor each, not {sample}. Wrap the Dataset in one "
    "that returns such pairs; or, for a model that computes its own loss from the whole sample, leave the loss to it: "
    f"Task(loss=None); or {OWN_LOOP}."
)


def pair(data: Any, part: str, sample: Any = None) -> tuple[Tensor, Tensor]:
    """Return `data` as (inputs, targets), samples first.

    data: a pair of tensors or arrays, or tables of them; as a loader's batch is, or samples that are `stacked`.
    part: "train" or "validation", for the errors. sample: what they show; the data when not given.

    Raises TaskError when it has another form, when it is empty, or when there are not as many of both.
    """
    found = _parts(data, part)
    if not isinstance(found, tuple) or len(found) != 2:
        raise TaskError(MSG_PAIRS.format(part=part, sample=brief(data if sample is None else sample)))
    inputs, targets = found
    _check(inputs, targets, part)
    return inputs, targets


def whole(data: Any, part: str, sample: Any = None) -> tuple[Columns, Tensor]:  # noqa: ARG001  (the form of `pair`)
    """Return `data` as (whole samples, targets), for a model that computes its own loss.

    Samples without names get the names "0", "1" and so on. The targets are the labels, or else the last of each sample.

    Raises TaskError as `pair` does.
    """
    found = _parts(data, part)
    columns = found if isinstance(found, Columns) else Columns({str(i): each for i, each in enumerate(found)})
    if not columns.keys():
        raise TaskError(f"Task.{part} is empty; it needs at least one column, and one sample.")
    targets = columns[LABELS] if LABELS in columns else columns.values()[-1]
    _check(columns, targets, part)
    return columns, targets


def _parts(data: Any, part: str) -> tuple[Tensor, ...] | Columns:
    """Return the data as one tensor for each part of a sample, or as columns."""
    if is_table(data):
        columns: Columns = _tensor(data, f"Task.{part}")
        return columns
    if not isinstance(data, tuple | list) or not data:
        raise TaskError(MSG_PAIRS.format(part=part, sample=brief(data)))
    return tuple(_tensor(each, f"Task.{part}") for each in data)


def is_values(data: Any) -> bool:
    """Whether `data` is tensors or arrays: a pair of inputs and targets, or a table of columns."""
    return is_table(data) or (isinstance(data, tuple | list) and len(data) == 2 and _is_pair(*data))


def _is_pair(inputs: Any, targets: Any) -> bool:
    return (_is_array(inputs) or is_table(inputs)) and _is_array(targets)


def _is_array(value: Any) -> bool:
    return isinstance(value, need("torch").Tensor | np.ndarray) or hasattr(value, "to_numpy")


def is_table(value: Any) -> bool:
    """Whether `value` is columns by name."""
    return isinstance(value, Columns | Mapping)


def _tensor(value: Any, where: str) -> Tensor:
    """Return a tensor, or columns."""
    torch = need("torch")
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, Mapping | Columns):
        return Columns({str(name): _tensor(each, f"{where}[{name!r}]") for name, each in value.items()})
    try:
        array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    except ValueError as error:
        raise TaskError(f"{where} has rows of several lengths ({error}). Pad them to one.") from None
    if array.dtype.kind in DTYPES:
        return torch.from_numpy(array.astype(DTYPES[array.dtype.kind]))
    raise TaskError(
        f"{where} must be tensors or arrays of numbers, not {brief(value)}. Names of classes become numbers with "
        "numpy.unique(y, return_inverse=True)[1]; leave out what the model does not take."
    )


def stacked(samples: list[Any], part: str) -> Any:
    """Return samples as what `pair` and `whole` take; lists in samples with names are rows, as in tokenised data.

    Raises TaskError when there is none, or when they do not have one shape.
    """
    if not samples:
        raise TaskError(f"Task.{part} is empty; it needs at least one sample.")
    try:
        if isinstance(samples[0], Mapping):
            return {name: _column([sample[name] for sample in samples]) for name in samples[0]}
        return need("torch").utils.data.default_collate(samples)
    except (TypeError, ValueError, RuntimeError, KeyError) as error:
        raise TaskError(
            f"Task.{part}: the samples must be (input, target) pairs of one shape ({said(error)}). "
            "Pad sequences to one length, or give a DataLoader whose collate_fn does."
        ) from None


def _column(values: list[Any]) -> Any:
    """Return one part of all samples with names; lists are rows, as in tokenised data."""
    torch = need("torch")
    if isinstance(values[0], str):
        return values
    return torch.stack([torch.as_tensor(value) for value in values])


def _check(inputs: Tensor | Columns, targets: Tensor, part: str) -> None:
    tensors = [*(inputs.values() if isinstance(inputs, Columns) else [inputs]), targets]
    if not all(tensor.shape for tensor in tensors) or len({len(tensor) for tensor in tensors}) > 1:
        raise TaskError(
            f"Task.{part} has inputs of shape {_shape(inputs)} and targets of shape {_shape(targets)}; "
            "it needs as many of both, at least one, samples first."
        )
    if not len(targets):
        raise TaskError(f"Task.{part} is empty: inputs of shape {_shape(inputs)}; it needs at least one sample.")


def _shape(value: Any) -> Any:
    return value.shape if isinstance(value, Columns) else tuple(value.shape)


def leaves(value: Any) -> Iterator[Any]:
    """Yield the tensors, arrays and whatever else is in a sample, its names left out."""
    if isinstance(value, Mapping | Columns):
        value = list(value.values())
    if isinstance(value, tuple | list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def size(value: Any) -> int:
    """Return about how many bytes a sample or a batch takes."""
    return sum(int(getattr(leaf, "nbytes", 0)) or sys.getsizeof(leaf) for leaf in leaves(value))


def digest(values: Iterable[Any]) -> str:
    """Return a short hash of tensors, columns and anything with a repr."""
    torch = need("torch")
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            found.update(f"{tuple(value.shape)} {value.dtype}".encode())
            found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(value, np.ndarray) and value.dtype != object:
            found.update(f"{value.shape} {value.dtype}".encode() + value.tobytes())
        elif isinstance(value, Columns):
            found.update(digest(part for pair in value.items() for part in pair).encode())
        else:
            found.update(repr(value).encode())
    return found.hexdigest()[:16]
