"""A trial watched from outside: it runs in the plain loop, and what it does is seen through its model.

So are the norms of its gradients, update by update: what a schedule is refined from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from stepsize.engines import Loop
from stepsize.kernel.arrays import Floats
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
    """Norms of each batch's gradient, all parameters together, before the update: L2 and L1, each (steps,) float64."""

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
        seen: list[tuple[float, float]] = []

        def measure(gradient: torch.Tensor) -> None:
            slope = gradient.detach().double()
            seen.append((float(slope.square().sum()), float(slope.abs().sum())))

        def close() -> None:
            if seen:  # a run that has diverged may end without another gradient
                sums.append((sum(square for square, _ in seen), sum(size for _, size in seen)))
                progress(1)
            seen.clear()

        for p in model.parameters():
            if p.requires_grad:
                p.register_hook(measure)  # type: ignore[no-untyped-call]  # torch has no types for it
        return close

    run_watched(task, trial, steps, watch, dtype=dtype)
    table = np.full((steps, 2), np.nan)
    table[: len(sums)] = sums
    return Norms(np.sqrt(table[:, 0]), table[:, 1])
