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
from stepsize.engines.group_update import GroupUpdate, clip
from stepsize.engines.threads import threads_for
from stepsize.kernel import seeds
from stepsize.problems import Task, Trainable
from stepsize.problems.base import seeded, with_data
from stepsize.problems.loader import Batch
from stepsize.problems.parameter_groups import ParameterGroup
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
        weights, keys = _weights(task, model, base.bound([trial], steps)[0], steps), Keys([trial.seed])
        losses: list[float] = []
        scores: list[float] = []
        updates = task.updates(trial.seed)
        work = sum(each.numel() for each in weights.parameters) * task.batch_size * task.accumulate
        with threads_for(work), seeded(seeds.child(trial.seed, "noise")):
            for step in range(steps):
                key = keys(step)[0]
                with base.blamed(task, step):
                    again = partial(self.gradient, task, model, weights.parameters, next(updates), key)
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
        batches: Sequence[Batch], key: torch.Tensor,
    ) -> tuple[Gradients, torch.Tensor]:  # fmt: skip
        """Return the mean gradient and the mean loss of the micro-batches of an update."""
        total: list[torch.Tensor | None] = [None] * len(parameters)
        losses: Any = 0.0
        for piece, (x, y) in enumerate(batches):
            with Dropout(key, piece), task.casting():
                loss = task.loss(model(self._to(x)), self._to(y))
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
        total, samples = 0.0, 0
        model.eval()
        with torch.no_grad():
            for piece, (x, y) in enumerate(task.validation_batches(), task.accumulate):
                with Dropout(key, piece), task.casting():
                    total += float(task.judge(model(self._to(x)), self._to(y))) * len(y)
                samples += len(y)
        model.train()
        return total / samples


def _weights(task: Task, model: torch.nn.Module, trial: Trial, steps: int) -> _Weights | ClassWeights:
    if trial.strategy.rule.formula:
        return _Weights(task, model, trial, steps)
    return ClassWeights(task, model, trial.strategy, steps)


class _Weights:
    """The parameters of one model as rows, one for each parameter group, with the rule that steps them and its slots.

    trial: bound to the run. parameters: in the order of the gradients that `update` takes.
    """

    def __init__(self, task: Task, model: torch.nn.Module, trial: Trial, steps: int) -> None:
        named = dict(model.named_parameters())
        self._most = task.clip_norm
        self._parts = [
            _Part(trial.strategy, group, [named[name] for name in group.names], number, steps)
            for number, group in enumerate(task.parameter_groups(model))
        ]
        self.parameters = [tensor for part in self._parts for tensor in part.flat.tensors]
        for part in self._parts:
            part.update.expect([trial], 0, steps, part.row)

    def update(self, step: int, gradients: Gradients, loss: torch.Tensor, again: Again) -> None:  # noqa: ARG002  (one gradient is enough)
        """Make update number `step`; what the loss did not use stays as it is, as in `torch.optim`."""
        left = iter(gradients)
        own = [[next(left) for _ in part.flat.tensors] for part in self._parts]
        slopes = [part.flat.gradient(each) for part, each in zip(self._parts, own, strict=True)]
        with torch.no_grad():
            clip(slopes, self._most)
            for part, each, slope in zip(self._parts, own, slopes, strict=True):
                part.step(step, each, slope, loss)

    @contextmanager
    def read_out(self) -> Iterator[None]:
        """Put the weights to evaluate at into the model, and the others back."""
        for part in self._parts:
            part.flat.write(part.update.readout(part.row))
        yield
        for part in self._parts:
            part.flat.write(part.row)


class _Part:
    """One parameter group of a model: its tensors, and their row."""

    def __init__(
        self, strategy: Strategy, group: ParameterGroup, tensors: Sequence[torch.Tensor], number: int, steps: int
    ) -> None:
        self.flat = FlatParameters(tensors)
        self.row = self.flat.row()
        self.update = GroupUpdate(strategy.rule, group, self.flat.shapes, self.row, number=number, steps=steps)

    def step(self, step: int, gradients: Gradients, slope: torch.Tensor, loss: torch.Tensor) -> None:
        """Step the row by its gradient, `slope`, and write it into the tensors."""
        arrays = [self.row, *self.update.slots]
        unused = any(g is None for g in gradients)
        before = [array.clone() for array in arrays] if unused else []  # the step writes over them
        self.update.step(self.row, slope, self.update.slots, self.update.coefficients(step, loss.reshape(1)))
        if unused:
            for array, kept in zip(arrays, self.flat.keep_unused(gradients, before, arrays), strict=True):
                array.copy_(kept)
        self.flat.write(self.row)
