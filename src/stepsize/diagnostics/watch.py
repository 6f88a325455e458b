"""A trial watched from outside: it runs in the plain loop, and what it does is seen through its model.

So are the norms of its gradients, update by update: what a schedule is refined from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from stepsize.engines import Loop
from stepsize.kernel.arrays import Floats, dense
from stepsize.problems import Task
from stepsize.results import Curves
from stepsize.strategy import Trial

Watch = Callable[[torch.nn.Module], Callable[[], None]]
"""Takes the new model of a run, and returns what is to be called after each of its updates."""


def run_watched(task: Task, trial: Trial, steps: int, watch: Watch, *, dtype: torch.dtype = torch.float32) -> Curves:
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


class Norms(NamedTuple):
    """Norms of each batch's gradient, all parameters together, before the update: L2 and L1, each (steps,) float64.

    Of accumulated micro-batches it is the gradient of all of them.
    """

    l2: Floats
    l1: Floats


def record_norms(
    task: Task, trial: Trial, steps: int, *, dtype: torch.dtype = torch.float32,
    progress: Callable[[int], None] = lambda _: None,
) -> Norms:  # fmt: skip
    """Run `trial` on `task` for `steps` updates, and return the norms of its gradients.

    dtype: of the parameters. progress: called after every update. Once the run has diverged the norms are NaN.
    """
    sums: list[tuple[float, float]] = []

    def watch(model: torch.nn.Module) -> Callable[[], None]:
        slopes: dict[torch.nn.Parameter, torch.Tensor] = {}

        def add(p: torch.nn.Parameter, gradient: torch.Tensor) -> None:
            slope = dense(gradient.detach()).to(torch.float64, copy=True)  # the update may clip it in place
            slopes[p] = slopes[p] + slope if p in slopes else slope  # micro-batches add up to the batch

        def close() -> None:
            if slopes:  # a run that has diverged may end without another gradient
                squares = sum(float(each.square().sum()) for each in slopes.values())
                sums.append((squares, sum(float(each.abs().sum()) for each in slopes.values())))
                progress(1)
            slopes.clear()

        for p in model.parameters():
            if p.requires_grad:
                p.register_hook(partial(add, p))  # type: ignore[no-untyped-call]  # torch has no types for it
        return close

    run_watched(task, trial, steps, watch, dtype=dtype)
    table = np.full((steps, 2), np.nan)
    table[: len(sums)] = sums
    return Norms(np.sqrt(table[:, 0]), table[:, 1])
