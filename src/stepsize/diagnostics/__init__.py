"""Diagnostics: instruments held to a model or a training, that leave it exactly as it was.

::

    sharpness(model, loss, batches)               # the largest curvature, and what it cost
    record_norms(task, trial, steps)              # the gradient norms of a trial
    run_watched(task, trial, steps, watch)        # a trial, with an instrument of your own held to its model

`batches` are pairs (inputs, targets), a list of them or a DataLoader; with a task, `[task.train]`.
"""

from typing import TYPE_CHECKING

from stepsize.kernel.optional import lazy

if TYPE_CHECKING:
    from stepsize.diagnostics.curvature import adam_preconditioner as adam_preconditioner
    from stepsize.diagnostics.curvature import sharpness as sharpness
    from stepsize.diagnostics.objective import Objective as Objective
    from stepsize.diagnostics.objective import untouched as untouched
    from stepsize.diagnostics.watch import record_norms as record_norms
    from stepsize.diagnostics.watch import run_watched as run_watched

_LATER = {
    "Objective": "objective",
    "adam_preconditioner": "curvature",
    "record_norms": "watch",
    "run_watched": "watch",
    "sharpness": "curvature",
    "untouched": "objective",
}
"""Where each name comes from; jobs that need none of them run without torch."""

__getattr__, __dir__ = lazy(__name__, _LATER)
