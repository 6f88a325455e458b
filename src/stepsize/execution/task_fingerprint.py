"""What a task is, in numbers: so that a worker trains the same one, and a journal tells it from a changed one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from stepsize.kernel.optional import need
from stepsize.problems import Columns, Task


def identity(task: Task) -> dict[str, str]:
    """Return what makes `task` this one, part by part, each a short hash.

    The training data, the validation data, the model with the weights of seed 0, the loss on the first batch, the
    batch size, and the metric on that batch if there is one; another kind of task says its own parts in a method
    `identity`.

    Watch out: two loss functions that agree on the first batch are taken for one.
    """
    if hasattr(task, "identity"):
        parts: dict[str, str] = task.identity()
        return parts
    torch = need("torch")
    model = task.build(0)
    inputs, targets = task.batch(0, 0)
    with torch.no_grad():
        outputs = model.eval()(inputs)
        loss = float(task.loss(outputs, targets))
        score = float(task.judge(outputs, targets))
    metric = {} if task.metric is None else {"metric": f"{task.mode} {score:.4e}"}
    return {
        "training data": _short(task.train),
        "validation data": _short(task.validation),
        "model": _short([repr(model), *model.state_dict().values()]),
        "loss": f"{loss:.4e}",  # the last digits depend on the number of threads
        "batch size": str(task.batch_size),
        **metric,
    }


def fingerprint(parts: Mapping[str, str]) -> str:
    """Return one hash of the parts of an identity."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return in which parts two identities differ, in words; "" when they do not.

    Another model or another batch also has another loss and metric, which then say nothing of the functions.

    >>> difference({"loss": "1", "model": "a"}, {"loss": "2", "model": "a"})
    'loss'
    >>> difference({"loss": "1", "model": "a"}, {"loss": "2", "model": "b"})
    'model'
    """
    differs = [part for part in {**now, **before} if before.get(part) != now.get(part)]
    if {"model", "training data", "batch size"} & {*differs}:
        differs = [part for part in differs if part not in {"loss", "metric"}]
    return ", ".join(differs)


def _short(values: Iterable[Any]) -> str:
    torch = need("torch")
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            digest.update(f"{tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(value, Columns):
            digest.update(_short(part for pair in value.items() for part in pair).encode())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()[:16]
