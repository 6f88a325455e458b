"""What to be careful of in a task's data: nothing that stops a training, but what makes its score say less."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from stepsize.kernel.optional import need
from stepsize.problems.base import Task, Trainable
from stepsize.problems.checks import named, rows
from stepsize.problems.loader import Loader

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SHARED = 0.01
"""From this share of the validation samples on, samples that are also trained on are worth a word."""

FEW = 10
"""Below so many validation samples a score says next to nothing."""


def data_warnings(task: Trainable) -> tuple[str, ...]:
    """Return what to be careful of in the data of `task`, a sentence each; of data that it does not show, nothing."""
    if not isinstance(task, Task):
        return ()
    return tuple(sentence for sentence in (leaks(task), few(task)) if sentence)


def leaks(task: Task) -> str:
    """Return a sentence when validation samples are training samples too, bit by bit, or "".

    From 1 % of the validation samples on: a few equal samples are chance where samples are short.

    Watch out: a copy that was cropped, scaled or rounded is not found, nor two samples of one patient. Data that is
    read as a loader is not looked at.
    """
    if isinstance(task.train, Loader) or isinstance(task.validation, Loader):
        return ""
    trained = set(_digests(task.train))
    shared = sum(digest in trained for digest in _digests(task.validation))
    total = len(task.validation[0])
    if shared < max(1, SHARED * total):
        return ""
    return (
        f"{shared} of {total} validation samples ({shared / total:.0%}) are training samples too, inputs and targets, "
        "and the score on them is one of training, which favours what overfits. Validate on other samples."
    )


def few(task: Task) -> str:
    """Return a sentence when there are fewer than 10 validation samples, or ""."""
    count = task.validation_samples
    if count >= FEW:
        return ""
    samples = "sample" if count == 1 else "samples"
    return (
        f"The score rests on {count} validation {samples}, so it says little of other data, however narrow its "
        "interval over seeds is. Validate on some hundreds."
    )


def _digests(data: tuple[Any, Any]) -> list[bytes]:
    """Return a hash of each sample."""
    parts = [_bytes(rows(tensor).cpu().contiguous()) for _, tensor in named(data)]
    return [
        hashlib.blake2b(b"".join(part[row].tobytes() for part in parts), digest_size=16).digest()
        for row in range(len(parts[0]))
    ]


def _bytes(samples: Tensor) -> np.ndarray:
    """Return the bytes of each sample, (samples, bytes)."""
    # flat in between, as an axis of one element counts as contiguous whatever its stride
    flat = samples.reshape(-1).view(need("torch").uint8)
    return flat.reshape(len(samples), samples.shape[1] * samples.element_size()).numpy()
