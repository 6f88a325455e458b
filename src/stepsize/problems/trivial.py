"""Whether anything has learned: what a constant output scores, which needs no model."""

from __future__ import annotations

import math
from typing import Any

from stepsize.kernel.optional import need
from stepsize.problems.base import Task, Trainable

NOISE, OF_ONE_SAMPLE = 0.01, 0.25
"""A score by this share below that of the best constant, or of the start, is no more than noise; with few validation
samples by more: the second number over the root of how many they are."""


def learned_below(task: Trainable, start: float) -> float:
    """Return the score below which a run has learned something: what needs no training, less what is noise.

    start: the score before any update, which counts where the best constant output is not known; initial weights may be
    better by luck.
    """
    trivial = trivial_score(task)
    bar = trivial if math.isfinite(trivial) else start
    samples = task.validation_samples if isinstance(task, Task) else 0
    noise = max(NOISE, OF_ONE_SAMPLE / math.sqrt(samples)) if samples else NOISE
    return bar - noise * abs(bar)


def trivial_score(task: Trainable) -> float:
    """Return the validation score of the best constant output: the label frequencies, or the mean; inf where unknown.

    It is known of a `Task` without a metric, whose targets are classes or numbers.
    """
    if not isinstance(task, Task) or task.metric is not None:
        return math.inf
    torch = need("torch")
    inputs, _ = next(iter(task.validation_batches()))
    with torch.no_grad():
        constant = _constant(task, task.build(0).eval()(inputs))
        if constant is None:
            return math.inf
        total = 0.0
        for _, targets in task.validation_batches():
            outputs = constant.expand(len(targets), *constant.shape[1:])
            try:
                total += float(task.loss(outputs, targets)) * len(targets)
            except Exception:  # noqa: BLE001  (the loss is the user's, and need not take what no model of theirs returns)
                return math.inf
    return total / task.validation_samples if math.isfinite(total) else math.inf


def _constant(task: Task, outputs: Any) -> Any:
    """Return the constant output of one sample, (1, ...): the logarithm of the frequencies of classes, or the mean.

    None where targets and outputs are neither classes and scores of them nor numbers of one shape.
    """
    torch = need("torch")
    targets = task.targets
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor) or not outputs.ndim:
        return None
    if targets.is_floating_point():
        return targets.mean(dim=0, keepdim=True) if targets.shape[1:] == outputs.shape[1:] else None
    if outputs.ndim < 2 or int(targets.min()) < 0:
        return None
    axis = next((each for each in (outputs.ndim - 1, 1) if outputs.shape[each] > int(targets.max())), None)
    if axis is None:
        return None
    counts = torch.bincount(targets.flatten(), minlength=outputs.shape[axis]).float() + 0.5
    shape = [1] * outputs.ndim
    shape[axis] = -1
    return (counts / counts.sum()).log().reshape(shape).expand_as(outputs[:1])
