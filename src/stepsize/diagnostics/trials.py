"""The same instruments on our own rules: a trial runs in the plain loop, and is watched from outside.

The loop builds its model through the task and says when an update is done; that is all that a watcher needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from stepsize.diagnostics.steps import Move, StepLog
from stepsize.diagnostics.trails import Trail
from stepsize.engines import Loop
from stepsize.engines.base import bound, coefficients
from stepsize.kernel.arrays import Floats
from stepsize.problems import Task
from stepsize.results import StepSizes
from stepsize.results.step_sizes import LEVELS
from stepsize.strategy import Trial

Watch = Callable[[torch.nn.Module], Callable[[], None]]
"""Given the model of a run, returns what is to be called after each update."""


def record_steps(
    task: Task, trial: Trial, steps: int, *, most: int = 100, levels: Sequence[float] = LEVELS,
    dtype: torch.dtype = torch.float32,
) -> StepSizes:  # fmt: skip
    """Run `trial` on `task` for `steps` updates, and return the effective step sizes of its rule.

    most: between this and twice as many updates are recorded. levels: the quantiles. dtype: of the parameters.

    Decoupled weight decay is taken out of the step where the rule's coefficients say how much it leaves of the
    parameters. What momentum and L2 decay add is part of the step, and so is the decay of D-Adapted Adam, Prodigy and
    Schedule-Free AdamW, which depends on more than the coefficients.

    Raises ParameterError as `StepRecorder` does, before the run. Watch out as there.
    """
    log = StepLog(most, levels)
    keeps = _keeps(coefficients(bound([trial], steps), 0, steps), steps)
    lr = trial.strategy.over(steps).table(0, steps)["lr"]

    def watch(model: torch.nn.Module) -> Callable[[], None]:
        step = 0
        found: dict[torch.nn.Parameter, tuple[torch.Tensor, torch.Tensor]] = {}

        def look(p: torch.nn.Parameter, gradient: torch.Tensor) -> None:
            if log.due(step):  # between the gradient and the update, which reads it and writes p
                old, before = found.get(p) or (p.detach().clone(), torch.zeros_like(p))
                found[p] = old, before + gradient.detach()  # of several micro-batches, their sum

        def compare() -> None:
            nonlocal step
            if found:
                log.add(
                    step, [Move(old, p.detach(), g, keeps[step]) for p, (old, g) in found.items()], [float(lr[step])]
                )
                found.clear()
            step += 1

        for p in model.parameters():
            if p.requires_grad:
                p.register_hook(lambda gradient, p=p: look(p, gradient))  # type: ignore[no-untyped-call]  # torch has no types for it
        return compare

    watched(task, trial, steps, watch, dtype)
    return log.sizes(trial.strategy.rule.title)


def record_trail(
    task: Task, trial: Trial, steps: int, *, most: int = 50, dtype: torch.dtype = torch.float32
) -> tuple[torch.nn.Module, Trail]:
    """Run `trial` on `task` for `steps` updates, and return the trained model with the trail of its weights.

    most: between this and twice as many copies of the weights are kept.
    """
    kept: list[torch.nn.Module] = []
    trails: list[Trail] = []

    def watch(model: torch.nn.Module) -> Callable[[], None]:
        model.to(dtype)
        kept.append(model)
        trails.append(Trail(model, most))
        return trails[-1].record

    watched(task, trial, steps, watch, dtype)
    return kept[-1], trails[-1]


def _keeps(rows: Mapping[str, Floats], steps: int) -> list[float]:
    """Return what decoupled decay leaves of the parameters in each step, as the rules call it; 1 without."""
    if "DecoupledDecay" in rows:
        return [1 - float(taken) for taken in rows["DecoupledDecay"][:, 0]]
    left = rows.get("keep", rows.get("left"))
    return [1.0] * steps if left is None else [float(value) for value in left[:, 0]]


def watched(task: Task, trial: Trial, steps: int, watch: Watch, dtype: torch.dtype) -> None:
    """Run `trial` in the plain loop, in the precision `dtype`, with its model watched."""
    after: list[Callable[[], None]] = []

    def build() -> torch.nn.Module:
        model: torch.nn.Module = task.model()
        after.append(watch(model))
        return model

    Loop(dtype).run(replace(task, model=build), [trial], steps, progress=lambda _: after[-1]())
