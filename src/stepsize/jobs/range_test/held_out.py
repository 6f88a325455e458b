"""What a range test sees of the validation data: the loss, or a metric by its name, and what the gap is a sign of.

Smith first watched the accuracy [smith2017cyclical, sec. 3.3], and then the test loss and how far it lies above the
training loss [smith2018disciplined, sec. 3].
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from stepsize.jobs.range_test.bounds import Bounds, smooth_curve
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import ParameterError, TaskError, suggestion
from stepsize.problems import Task, Trainable
from stepsize.problems.base import with_data
from stepsize.results import RangeTestRecord
from stepsize.theory.range_test import LEAST_DROP, first_losses

Tensor = Any

MARGIN = 0.3
"""Rates above this share of the largest one that no seed diverged at are not asked for signs of overfitting."""


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of targets, whole numbers, that are the largest output, `(outputs.argmax(1) == targets).mean()`.

    outputs: (samples, classes), or (samples, ..., classes) for targets of (samples, ...).
    """
    return (outputs.argmax(-1) == targets).float().mean()


def watched(task: Trainable, metric: str | None) -> Task:
    """Return `task` with the score that a range test watches: its loss, its own metric by name, or the accuracy.

    Raises TaskError for a training function, which keeps its validation data, and for an accuracy of what are no
    classes; ParameterError for another metric.
    """
    task = with_data(task)
    if metric is None:
        return task if task.metric is None else replace(task, metric=None, mode="min")
    own = getattr(task.metric, "__name__", None)
    if metric == own:
        return task
    if metric != accuracy.__name__:
        known = [accuracy.__name__, *([own] if own else [])]
        raise ParameterError(
            f"{task.name!r} has no metric {metric!r}. {suggestion(metric, known)} One of your own is Task(metric=...)."
        )
    if task.targets.is_floating_point():
        raise TaskError(
            f"the targets of {task.name!r} are no classes but numbers ({task.targets.dtype}), so it has no accuracy; "
            "watch the validation loss, or give Task a metric of its own."
        )
    return replace(task, metric=accuracy, mode="max")


def gap(record: RangeTestRecord) -> tuple[Floats, Floats, Floats]:
    """Return the rates of the scores, (scores,), the training losses there, and how far the scores lie above them.

    Both (scores, seeds). The training loss is smoothed as the bounds have it. NaN after divergence.
    """
    x = np.log10(floats(record.rates))
    first = first_losses(record.planned or len(x))
    smooth = np.column_stack([smooth_curve(x, column, first) for column in floats(record.losses).T])
    taken = record.taken
    training = floats(smooth[taken])
    held_out = floats(record.held_out[taken]) if record.held_out is not None else training
    return floats(record.rates[taken]), training, floats(np.where(np.isfinite(held_out), held_out, np.nan) - training)


def describe_gap(record: RangeTestRecord, bounds: Bounds) -> str:
    """Return what the gap is a sign of, as a sentence; "" where no validation loss was taken, or nothing is learned.

    Overfitting: the validation loss rises while the training loss goes on falling, mostly at small rates.
    Underfitting: at its lowest point it is still as low as the training loss. Medians over the seeds.

    Source: [smith2018disciplined, sec. 3].
    """
    if not record.has_gap or bounds.flaw in ("too fast", "no drop"):
        return ""
    rates, training, above = gap(record)
    alive = np.isfinite(above).all(axis=1)
    if not alive.any():
        return ""
    rates, training = rates[alive], np.median(training[alive], axis=1)
    held_out = np.median(bounds.smooth[record.taken][alive], axis=1)
    calm = slice(None) if alive.all() else rates < MARGIN * rates[-1]  # before a divergence losses are high anyway
    rise, start, end = _worst_rise(training[calm], held_out[calm])
    if rise > LEAST_DROP:
        return (
            f"signs of overfitting: from {rates[start]:.2g} to {rates[end]:.2g} the training loss goes on falling, "
            f"while the validation loss rises by {rise:.0%}; regularise more, or give more data"
        )
    low = int(np.abs(np.log(rates / np.median(bounds.highs))).argmin())
    at, size = f"{rates[low]:.2g}", abs(float(held_out[low])) or 1.0
    between = float(held_out[low] - training[low]) / size
    if between <= LEAST_DROP:
        return (
            f"signs of underfitting: at {at}, where the validation loss is lowest, the training loss is as high; a "
            "larger model, a longer training or less regularisation may gain"
        )
    return (
        f"the gap to the training loss is {between:.0%} of the validation loss at {at}, where that is lowest: no sign "
        "of under- or overfitting"
    )


def _worst_rise(training: Floats, held_out: Floats) -> tuple[float, int, int]:
    """Return by which share the validation loss rises most from a lowest point, where, while the training loss falls.

    training, held_out: smoothed, (scores,). The share, and between which scores; 0 where it does not.
    """
    worst = (0.0, 0, 0)
    for end in range(len(held_out)):
        start = int(held_out[: end + 1].argmin())
        rise = float(held_out[end] - held_out[start]) / (abs(float(held_out[start])) or 1.0)
        falls = training[start] - training[end] > LEAST_DROP * abs(float(training[start]))
        worst = max(worst, (rise, start, end)) if falls else worst
    return worst
