"""The loop: one trial after the other, with any torch model, the plain way."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from stepsize.adapters.torch.flat_parameters import FlatParameters, Gradients
from stepsize.engines import base
from stepsize.engines.by_class import Again, ClassWeights
from stepsize.engines.dropout import Dropout, Keys
from stepsize.engines.inplace.program import Update, rows
from stepsize.kernel import seeds
from stepsize.problems import Task, Trainable
from stepsize.problems.base import seeded, with_data
from stepsize.results.curves import Curves
from stepsize.strategy import Strategy, Trial


class Loop(base.Engine):
    """Runs one trial at a time: the model as it is, autograd as it is, and our update rule.

    dtype: of the parameters and the data.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype

    @property
    def label(self) -> str:
        """What ran, in a few words."""
        return "plain loop, one trial at a time" + base.precision(self.dtype)

    def train(self, task: Trainable, trials: Sequence[Trial], points: list[int], progress: base.Progress) -> Curves:
        """Run `trials`, one after the other."""
        task = with_data(task)
        return Curves.join([self._trial(task, trial, points, progress) for trial in trials])

    def _trial(self, task: Task, trial: Trial, points: list[int], progress: base.Progress) -> Curves:
        began, steps = time.perf_counter(), points[-1]
        model = task.build(trial.seed).to(self.dtype).train()
        parameters = [p for p in model.parameters() if p.requires_grad]
        weights, keys = _weights(trial.strategy.over(steps), model, steps), Keys([trial.seed])
        losses: list[float] = []
        scores: list[float] = []
        with seeded(seeds.child(trial.seed, "noise")):
            for step in range(steps):
                key = keys(step)[0]
                with base.blamed(task, step):
                    batch = task.batch(step, trial.seed)
                    again = partial(self.gradient, task, model, parameters, batch, key)
                    gradients, loss = again()
                weights.update(step, gradients, loss, again)
                losses.append(loss.item())
                if step + 1 in points:
                    with base.blamed(task, step), weights.read_out():
                        scores.append(self._score(task, model, key))
                progress(1)
                if not math.isfinite(losses[-1]):
                    break
        if len(losses) < steps:
            progress(steps - len(losses))
        dtype = torch.empty(0, dtype=self.dtype).numpy().dtype
        return base.record_trial(trial, points, losses, scores, began=began, label=self.label, dtype=dtype)

    def gradient(
        self, task: Task, model: torch.nn.Module, parameters: Sequence[torch.Tensor],
        batch: tuple[torch.Tensor, torch.Tensor], key: torch.Tensor,
    ) -> tuple[Gradients, torch.Tensor]:  # fmt: skip
        """Return the mean gradient and the mean loss of the micro-batches of `batch`."""
        total: list[torch.Tensor | None] = [None] * len(parameters)
        losses: Any = 0.0
        pieces = (torch.split(self._to(part), task.batch_size) for part in batch)
        for piece, (x, y) in enumerate(zip(*pieces, strict=True)):
            with Dropout(key, piece):
                loss = task.loss(model(x), y)
            loss = loss / task.accumulate if task.accumulate > 1 else loss
            slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
            pairs = zip(total, slopes, strict=True)
            total = [old if new is None else new if old is None else old + new for old, new in pairs]
            losses = losses + loss.detach()
        return total, losses

    def _to(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def _score(self, task: Task, model: torch.nn.Module, key: torch.Tensor) -> float:
        """Return what `task.score` does, with the data in the precision of this engine."""
        total = 0.0
        model.eval()
        with torch.no_grad():
            for piece, (x, y) in enumerate(task.validation_batches(), task.accumulate):
                with Dropout(key, piece):
                    total += float(task.judge(model(self._to(x)), self._to(y))) * len(x)
        model.train()
        return total / len(task.validation[0])


def _weights(strategy: Strategy, model: torch.nn.Module, steps: int) -> _Weights | ClassWeights:
    return _Weights(strategy, model, steps) if strategy.rule.formula else ClassWeights(strategy, model, steps)


class _Weights:
    """The parameters of one model as a row, with the rule that steps it and its slots.

    strategy: bound to the run.
    """

    def __init__(self, strategy: Strategy, model: torch.nn.Module, steps: int) -> None:
        rule, table = strategy.rule, base.coefficients([Trial(strategy, 0)], 0, steps)
        self._flat = FlatParameters.of(model)
        self._rule = rule.over(self._flat.shapes)
        self._row = self._flat.row()
        self._slots = self._rule.init(self._row, torch)
        self._update = Update(self._rule)
        self._update.expect(table, self._row, self._slots)
        self._coefficients = rows(table, self._row)

    def update(self, step: int, gradients: Gradients, loss: torch.Tensor, again: Again) -> None:  # noqa: ARG002  (one gradient is enough)
        """Make update number `step`; what the loss did not use stays as it is, as in `torch.optim`."""
        c = self._coefficients[step]
        if self._rule.core.takes_loss:
            c = {**c, "loss": loss.reshape(1, 1)}
        arrays = [self._row, *self._slots]
        partial = any(g is None for g in gradients)
        before = [array.clone() for array in arrays] if partial else []  # the step writes over them
        with torch.no_grad():
            self._update(self._row, self._flat.gradient(gradients), self._slots, c)
            if partial:
                for array, kept in zip(arrays, self._flat.keep_unused(gradients, before, arrays), strict=True):
                    array.copy_(kept)
        self._flat.write(self._row)

    @contextmanager
    def read_out(self) -> Iterator[None]:
        """Put the weights to evaluate at into the model, and the others back."""
        self._flat.write(self._rule.readout(self._row, self._slots, torch))
        yield
        self._flat.write(self._row)
