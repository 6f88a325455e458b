"""The loop: one trial after the other, with any torch model, the plain way."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from stepsize.engines import base
from stepsize.kernel import seeds
from stepsize.problems import Task
from stepsize.problems.base import seeded
from stepsize.results.curves import Curves
from stepsize.strategy import Trial


class Loop:
    """Runs one trial at a time: the model as it is, autograd as it is, and our update rule.

    dtype: of the parameters and the data.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype

    @property
    def label(self) -> str:
        """What ran, in a few words."""
        return "plain loop, one trial at a time" + base.precision(self.dtype)

    def waves(self, trials: Sequence[Trial]) -> list[list[int]]:
        """Return each trial by itself."""
        return [[index] for index in range(len(trials))]

    def run(
        self,
        task: Task,
        trials: Sequence[Trial],
        steps: int,
        *,
        score_every: int | None = None,
        progress: base.Progress | None = None,
    ) -> Curves:
        """Run `trials` for `steps` updates, one after the other."""
        return Curves.join([self._trial(task, trial, steps, score_every, progress) for trial in trials])

    def _trial(
        self, task: Task, trial: Trial, steps: int, score_every: int | None, progress: base.Progress | None
    ) -> Curves:
        began = time.perf_counter()
        rule = trial.strategy.rule
        model = task.build(trial.seed).to(self.dtype).train()
        parameters = [p for p in model.parameters() if p.requires_grad]
        slots = [tuple(torch.zeros_like(p) for _ in rule.slots) for p in parameters]
        points = base.score_points(steps, score_every)
        table = base.coefficients(base.bound([trial], steps), 0, steps)
        losses: list[float] = []
        scores: list[float] = []
        with seeded(seeds.child(trial.seed, "noise")):
            for step in range(steps):
                now = {name: float(values[step, 0]) for name, values in table.items()}
                x, y = (self._to(tensor) for tensor in task.batch(step, trial.seed))
                with base.blamed(task, step):
                    loss = task.loss(model(x), y)
                    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
                with torch.no_grad():
                    for i, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
                        if g is not None:
                            new, slots[i] = rule.step(p, g, slots[i], now, torch)
                            p.copy_(new)
                losses.append(loss.item())
                if step + 1 in points:
                    with base.blamed(task, step):
                        scores.append(self._score(task, model))
                if progress is not None:
                    progress(1)
        return Curves(
            (trial,), steps, torch.tensor(losses, dtype=self.dtype).numpy()[:, None], np.array(points),
            np.array(scores)[:, None], time.perf_counter() - began, self.label,
        )  # fmt: skip

    def _to(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def _score(self, task: Task, model: torch.nn.Module) -> float:
        """Return what `task.score` does, with the data in the precision of this engine."""
        total = 0.0
        model.eval()
        with torch.no_grad():
            for x, y in task.validation_batches():
                total += task.loss(model(self._to(x)), self._to(y)).item() * len(x)
        model.train()
        return total / len(task.validation[0])
