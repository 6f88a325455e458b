"""What a task is, in numbers: so that a worker trains the same one, and a journal tells it from a changed one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from stepsize.kernel.optional import need
from stepsize.problems import Task


def identity(task: Task) -> dict[str, str]:
    """Return what makes `task` this one, part by part, each a short hash.

    The training data, the validation data, the model with the weights of seed 0, the loss on the first batch, and the
    batch size; another kind of task says its own parts in a method `identity`.

    Watch out: two loss functions that agree on the first batch are taken for one.
    """
    if hasattr(task, "identity"):
        parts: dict[str, str] = task.identity()
        return parts
    torch = need("torch")
    model = task.build(0)
    inputs, targets = task.batch(0, 0)
    with torch.no_grad():
        loss = float(task.loss(model.eval()(inputs), targets))
    return {
        "training data": _short(task.train),
        "validation data": _short(task.validation),
        "model": _short([repr(model), *model.state_dict().values()]),
        "loss": f"{loss:.4e}",  # the last digits depend on the number of threads
        "batch size": str(task.batch_size),
    }


def fingerprint(parts: Mapping[str, str]) -> str:
    """Return one hash of the parts of an identity."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return in which parts two identities differ, in words; "" when they do not.

    Another model or another batch also has another loss, which then says nothing of the loss function.

    >>> difference({"loss": "1", "model": "a"}, {"loss": "2", "model": "a"})
    'loss'
    >>> difference({"loss": "1", "model": "a"}, {"loss": "2", "model": "b"})
    'model'
    """
    differs = [part for part in now if before.get(part) != now[part]]
    if {"model", "training data", "batch size"} & {*differs}:
        differs = [part for part in differs if part != "loss"]
    return ", ".join(differs)


def _short(values: Iterable[Any]) -> str:
    torch = need("torch")
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            digest.update(f"{tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()[:16]
