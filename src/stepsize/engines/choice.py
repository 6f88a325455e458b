"""Which engine runs a task, and why, in one line."""

from __future__ import annotations

from stepsize.engines.base import Engine
from stepsize.engines.ensemble import Ensemble, refusal
from stepsize.engines.function import Function, FunctionTask
from stepsize.engines.loop import Loop
from stepsize.problems import Task


def choose(task: Task) -> tuple[Engine, str]:
    """Return the ensemble where the model can be vectorised, else the loop, and one line that says why.

    Raises TaskError when the task cannot be trained at all.
    """
    if isinstance(task, FunctionTask):
        return Function(), Function.label
    reason = refusal(task)
    if reason is None:
        ensemble = Ensemble()
        return ensemble, f"{ensemble.label}: the model can be vectorised"
    return Loop(), f"plain loop, one trial at a time: the model cannot be vectorised ({reason})"
