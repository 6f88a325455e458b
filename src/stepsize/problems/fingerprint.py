"""What makes a task this task and no other, as far as training sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepsize.kernel.optional import need
from stepsize.problems.data import digest
from stepsize.problems.loader import Loader

if TYPE_CHECKING:
    from stepsize.problems.base import Task


def parts(task: Task) -> dict[str, str]:
    """Return what makes a task this one, part by part, each a short hash; see `Task.fingerprint_parts`."""
    torch = need("torch")
    model = task.build(0)
    inputs, targets = task.batch(0, 0)
    with torch.no_grad(), task.casting():
        outputs = model.eval()(inputs)
        loss = float(task.loss(outputs, targets))
        score = float(task.judge(outputs, targets))
    more = {} if task.metric is None else {"metric": f"{task.mode} {score:.4e}"}
    more |= {} if task.clip_norm is None else {"clip norm": f"{float(task.clip_norm)!r}"}
    more |= {} if task.groups is None else {"parameter groups": digest(task.parameter_groups(model))}
    more |= {} if task.autocast is None else {"autocast": str(task.autocast)}
    return {
        "training data": _identity(task.train),
        "validation data": _identity(task.validation),
        "model": digest([repr(model), *model.state_dict().values()]),
        "loss": f"{loss:.4e}",  # the last digits depend on the number of threads
        "batch size": str(task.batch_size),
        **more,
    }


def _identity(data: Any) -> str:
    """Return a short hash of the data of a task."""
    return data.fingerprint if isinstance(data, Loader) else digest(data)
