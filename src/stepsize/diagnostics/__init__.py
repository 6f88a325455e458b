"""Diagnostics: instruments held to a model or a training, that leave it exactly as it was.

::

    sharpness(model, loss, batches)               # the largest curvature, and what it cost
    record_norms(task, trial, steps)              # the gradient norms of a trial
    run_watched(task, trial, steps, watch)        # a trial, with an instrument of your own held to its model

`batches` are pairs (inputs, targets), a list of them or a DataLoader; with a task, `[task.train]`.
"""

from stepsize.diagnostics.curvature import adam_preconditioner as adam_preconditioner
from stepsize.diagnostics.curvature import sharpness as sharpness
from stepsize.diagnostics.watch import record_norms as record_norms
from stepsize.diagnostics.watch import run_watched as run_watched
