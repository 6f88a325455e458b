"""What makes a task this task and no other, as far as training sees it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from stepsize.kernel import seeds
from stepsize.kernel.optional import need
from stepsize.problems.data import digest
from stepsize.problems.first_gradients import decimals, first_gradients, seen_in_training
from stepsize.problems.loader import Loader
from stepsize.problems.random_state import RandomState, seeded

if TYPE_CHECKING:
    from stepsize.problems.base import Task

BATCHES = 2
"""Batches by whose loss and gradient a task is known."""


def parts(task: Task) -> dict[str, str]:
    """Return what makes a task this one, part by part, each a short hash; see `Task.fingerprint_parts`."""
    torch = need("torch")
    model = task.build(0)
    digits = decimals(task, model)
    inputs, targets = task.batch(0, 0)
    with torch.no_grad(), task.casting():
        outputs = model.eval()(inputs)
        loss = float(task.loss(outputs, targets))
        score = float(task.judge(outputs, targets))
    more = {} if task.metric is None else {"metric": f"{task.mode} {score:.{digits}e}"}
    more |= {} if task.clip_norm is None else {"clip norm": f"{float(task.clip_norm)!r}"}
    more |= {} if task.groups is None else {"parameter groups": digest(task.parameter_groups(model))}
    more |= {} if task.autocast is None else {"autocast": str(task.autocast)}
    return {
        "training data": _identity(task.train),
        "validation data": _identity(task.validation),
        "model": digest([repr(model), *model.state_dict().values()]),
        "loss": f"{loss:.{digits}e}",
        "batch size": str(task.batch_size),
        **more,
        **seen_in_training(lambda: _in_training(task, digits)),
    }


def _in_training(task: Task, digits: int) -> dict[str, str]:
    """Return what training sees of the first micro-batches of seed 0."""
    batches = [pieces[0] for pieces in islice(task.updates(0), BATCHES)]
    seed = seeds.child(0, "noise")
    with seeded(seed), RandomState(seed), task.casting():
        return first_gradients(task.build(0), batches, task.loss, digits)


def _identity(data: Any) -> str:
    """Return a short hash of the data of a task."""
    return data.fingerprint if isinstance(data, Loader) else digest(data)
