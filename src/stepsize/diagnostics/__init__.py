"""Diagnostics: instruments held to a model or a training, that leave it exactly as it was.

::

    sharpness(model, loss, batches)               # the largest curvature, and what it cost
    line(model, loss, batches), plane(...)        # slices of the loss around the model
    with Trail(model) as trail: ...               # where the weights went, in your own loop
    with StepRecorder(optimizer) as recorder: ... # how far each parameter moved, in your own loop

`batches` are pairs (inputs, targets), a list of them or a DataLoader; with a task, `[task.train]`.
"""

from stepsize.diagnostics.curvature import adam_preconditioner as adam_preconditioner
from stepsize.diagnostics.curvature import sharpness as sharpness
from stepsize.diagnostics.norms import record_norms as record_norms
from stepsize.diagnostics.slices import filter_normalised as filter_normalised
from stepsize.diagnostics.slices import line as line
from stepsize.diagnostics.slices import plane as plane
from stepsize.diagnostics.slices import training_plane as training_plane
from stepsize.diagnostics.steps import StepRecorder as StepRecorder
from stepsize.diagnostics.trails import Trail as Trail
from stepsize.diagnostics.trials import record_steps as record_steps
from stepsize.diagnostics.trials import record_trail as record_trail
