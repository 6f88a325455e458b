"""Whether anything has learned: what a constant output scores, which needs no model."""

from __future__ import annotations

import math
from typing import Any

from stepsize.kernel.optional import need
from stepsize.problems import Task, Trainable

NOISE, OF_ONE_SAMPLE = 0.01, 0.25
"""A score by this share below that of the best constant, or of the start, is no more than noise; with few validation
samples by more: the second number over the root of how many they are."""


def has_learned(task: Trainable, start: float, best: float) -> bool:
    """Whether the best score of a search is below what needs no training, by more than noise.

    start: the score before any update, which counts where the best constant output is not known; initial weights may be
    better by luck. best: the lowest score of any run.
    """
    trivial = trivial_score(task)
    bar = trivial if math.isfinite(trivial) else start
    samples = len(task.validation[1]) if isinstance(task, Task) else 0
    noise = max(NOISE, OF_ONE_SAMPLE / math.sqrt(samples)) if samples else NOISE
    return best < bar - noise * abs(bar)


def trivial_score(task: Trainable) -> float:
    """Return the validation score of the best constant output: the label frequencies, or the mean; inf where unknown.

    It is known of a `Task` without a metric, whose targets are classes or numbers.
    """
    if not isinstance(task, Task) or task.metric is not None:
        return math.inf
    torch = need("torch")
    try:
        with torch.no_grad():
            inputs, _ = task.validation_batches()[0]
            constant = _constant(task, task.build(0).eval()(inputs))
            total = sum(
                float(task.loss(constant.expand(len(y), *constant.shape[1:]), y)) * len(y)
                for _, y in task.validation_batches()
            )
    except Exception:  # noqa: BLE001  (a loss of the user's own may take something else than a tensor like the targets)
        return math.inf
    return total / len(task.validation[1]) if math.isfinite(total) else math.inf


def _constant(task: Task, outputs: Any) -> Any:
    """Return the constant output of one sample, (1, ...): the logarithm of the frequencies of classes, or the mean."""
    torch = need("torch")
    targets = task.train[1]
    if targets.is_floating_point():
        return targets.mean(dim=0, keepdim=True).expand_as(outputs[:1])
    axis = outputs.ndim - 1 if targets.ndim == outputs.ndim - 1 and outputs.ndim == 2 else _classes(outputs, targets)
    counts = torch.bincount(targets.flatten(), minlength=outputs.shape[axis]).float() + 0.5
    shape = [1] * outputs.ndim
    shape[axis] = -1
    return (counts / counts.sum()).log().reshape(shape).expand_as(outputs[:1])


def _classes(outputs: Any, targets: Any) -> int:
    """Return the axis of the outputs that has the classes: the one that the targets lack."""
    return next(axis for axis in (outputs.ndim - 1, 1) if outputs.shape[axis] > int(targets.max()))
