"""A trial watched from outside: it runs in the plain loop, and what it does is seen through its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from stepsize.engines import Loop
from stepsize.problems import Task
from stepsize.results import Curves
from stepsize.strategy import Trial

Watch = Callable[[torch.nn.Module], Callable[[], None]]
"""Takes the new model of a run, and returns what is to be called after each of its updates."""


def run_watched(
    task: Task, trial: Trial, steps: int, watch: Watch, *, dtype: torch.dtype = torch.float32
) -> Curves:  # fmt: skip
    """Run `trial` on `task` for `steps` updates in the plain loop, its model watched, and return the record.

    The loop builds its model through the task and says when an update is done; a watcher needs no more
    (docs/adr/0012). dtype: of the parameters.
    """
    after: list[Callable[[], None]] = []

    def build() -> torch.nn.Module:
        model: torch.nn.Module = task.model()
        after.append(watch(model))
        return model

    return Loop(dtype).run(replace(task, model=build), [trial], steps, progress=lambda _: after[-1]())
