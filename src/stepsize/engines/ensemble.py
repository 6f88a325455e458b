"""The ensemble: all replicas of a model in one vectorised training step.

The parameters of a replica are one flat row; `torch.func.vmap` trains all rows with one sequence of kernels, and the
update rule runs in place, a block of rows at a time. Hyperparameters differ from row to row, which is all that a race
needs.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from stepsize.engines import base
from stepsize.engines.inplace import Row, Update, rows
from stepsize.kernel import seeds
from stepsize.kernel.errors import TaskError
from stepsize.problems import Task
from stepsize.problems.base import seeded
from stepsize.results.curves import Curves
from stepsize.rules.base import Slots
from stepsize.strategy import Trial

Tensors = dict[str, torch.Tensor]

UPDATE_BLOCK = 1 << 17
"""Elements that the rule updates at once, on a CPU: they stay in the cache from one operation to the next."""


class Ensemble:
    """Runs the trials of one form of rule as replicas of one vectorised model.

    size: the most replicas in one wave. dtype: of the parameters. device: "auto" takes a GPU where there is one.
    """

    def __init__(self, size: int = 64, dtype: torch.dtype = torch.float32, device: str = "auto") -> None:
        self.size = size
        self.dtype = dtype
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)

    @property
    def label(self) -> str:
        """What ran, in a few words."""
        return f"ensemble of up to {self.size} replicas on {self.device.type}{base.precision(self.dtype)}"

    def waves(self, trials: Sequence[Trial]) -> list[list[int]]:
        """Return groups of one form of rule, of at most `size` trials, as even as they can be."""
        found = []
        for group in base.by_rule(trials):
            pieces = -(-len(group) // self.size)
            found += [part.tolist() for part in np.array_split(group, pieces)]
        return found

    def run(
        self,
        task: Task,
        trials: Sequence[Trial],
        steps: int,
        *,
        score_every: int | None = None,
        progress: base.Progress | None = None,
    ) -> Curves:
        """Run `trials` for `steps` updates, wave after wave."""
        waves = self.waves(trials)
        with _quiet():
            parts = [self._wave(task, [trials[i] for i in wave], steps, score_every, progress) for wave in waves]
        return base.reordered(parts, waves)

    def _wave(
        self, task: Task, trials: Sequence[Trial], steps: int, score_every: int | None, progress: base.Progress | None
    ) -> Curves:
        began = time.perf_counter()
        bound = base.bound(trials, steps)
        replicas = Replicas(task, [trial.seed for trial in trials], self.dtype, self.device)
        rule = trials[0].strategy.rule.over(replicas.shapes)
        points = base.score_points(steps, score_every)
        due = set(points)
        slots = rule.init(replicas.flat, torch)
        update = Update(rule)
        losses, scores, table = [], [], []  # type: tuple[list[torch.Tensor], list[torch.Tensor], list[Row]]
        for step in range(steps):
            if step % base.CHUNK == 0:
                found = base.coefficients(bound, step, min(step + base.CHUNK, steps))
                update.expect(found, replicas.flat, slots)
                table = rows(found, replicas.flat)
            with base.blamed(task, step):
                gradient, loss = replicas.gradient(step)
            now = table[step % base.CHUNK]
            if rule.core.takes_loss:
                now = {**now, "loss": loss.unsqueeze(-1)}
            _in_blocks(update, replicas.flat, gradient, slots, now)
            losses.append(loss)
            if step + 1 in due:
                with base.blamed(task, step):
                    scores.append(replicas.score(rule.readout(replicas.flat, slots, torch)))
            if progress is not None:
                progress(len(trials))
        return Curves(
            tuple(trials), steps, torch.stack(losses).cpu().numpy(), np.array(points),
            torch.stack(scores).cpu().numpy().astype(np.float64), time.perf_counter() - began, self.label,
        )  # fmt: skip


def _in_blocks(update: Update, flat: torch.Tensor, gradient: torch.Tensor, slots: Slots, c: Row) -> None:
    """Update all rows, a block of rows at a time."""
    height = max(1, UPDATE_BLOCK // flat.shape[1]) if flat.device.type == "cpu" else len(flat)
    for start in range(0, len(flat), height):
        block = slice(start, start + height)
        now = {name: value[block] if isinstance(value, torch.Tensor) else value for name, value in c.items()}
        update(flat[block], gradient[block], tuple(slot[block] for slot in slots), now)


class Replicas:
    """The parameters and buffers of many copies of a model, and one gradient or score of all of them.

    flat: the trainable parameters, (replicas, parameters); buffers: by name, each (replicas, ...).
    """

    def __init__(self, task: Task, seeds: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        self._task, self._dtype, self._device = task, dtype, device
        self._seeds = sorted(set(seeds))
        self._seed_of = torch.tensor([self._seeds.index(seed) for seed in seeds], device=device)
        models = {seed: task.build(seed).to(device=device, dtype=dtype) for seed in self._seeds}
        self._model = models[self._seeds[0]]
        self._model.train()
        self._shapes = {name: p.shape for name, p in self._model.named_parameters() if p.requires_grad}
        starts = {seed: _flat(model, self._shapes) for seed, model in models.items()}
        self.flat = torch.stack([starts[seed] for seed in seeds])
        self._gradient = torch.empty_like(self.flat)
        self.buffers = {
            name: torch.stack([_state(models[seed])[name] for seed in seeds])
            for name in _state(self._model)
            if name not in self._shapes
        }
        self._data = [self._to(tensor) for tensor in task.train]
        self._epoch: tuple[int, torch.Tensor] | None = None
        self._train = vmap(self._loss, randomness="error")
        self._evaluate = vmap(self._loss, in_dims=(0, 0, None, None), randomness="error")

    def _to(self, tensor: torch.Tensor) -> torch.Tensor:
        floating = tensor.is_floating_point()
        return tensor.to(self._device, self._dtype) if floating else tensor.to(self._device)

    def _tensors(self, rows: torch.Tensor) -> Tensors:
        """Return the model's tensors as views of `rows`, each (replicas, ...)."""
        pieces = torch.split(rows, [shape.numel() for shape in self._shapes.values()], dim=1)
        return {name: piece.view(-1, *shape) for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)}

    def _loss(
        self, parameters: Tensors, buffers: Tensors, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, Tensors]:
        outputs = functional_call(self._model, {**parameters, **buffers}, (x,))
        return self._task.loss(outputs, y).reshape(()), buffers

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch of each replica at `step`, (replicas, batch, ...)."""
        epoch, place = divmod(step, self._task.batches_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            orders = np.stack([self._task.order(epoch, seed) for seed in self._seeds])
            self._epoch = epoch, torch.from_numpy(orders).to(self._device)
        rows = self._epoch[1][:, place]
        x, y = (data[rows][self._seed_of] for data in self._data)
        return x, y

    def gradient(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradient, (replicas, parameters), and the loss, (replicas,), of the batch at `step`.

        The next gradient is written over it. Its leaves are the model's tensors and not the rows, which autograd would
        put together again in new memory.
        """
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self._tensors(self.flat).items()}
        with sdpa_kernel(SDPBackend.MATH):
            losses, self.buffers = self._train(leaves, self.buffers, *self.batch(step))
            found = torch.autograd.grad(losses.sum(), list(leaves.values()), materialize_grads=True)
        for part, slope in zip(self._tensors(self._gradient).values(), found, strict=True):
            part.copy_(slope)
        return self._gradient, losses.detach()

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the tensors in a row, in order."""
        return [tuple(shape) for shape in self._shapes.values()]

    def score(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the validation loss of each replica, (replicas,), in evaluation mode, at the parameters `rows`."""
        parameters = self._tensors(rows)
        self._model.eval()
        total = torch.zeros(len(rows), device=self._device, dtype=self._dtype)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            for x, y in self._task.validation_batches():
                losses, _ = self._evaluate(parameters, self.buffers, self._to(x), self._to(y))
                total += losses * len(x)
        self._model.train()
        return total / len(self._task.validation[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from saying that an operation of the model is vectorised by a loop: it is right, if slower."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        yield


def refusal(task: Task) -> str | None:
    """Return why the model of `task` cannot be vectorised, in one line, or None when it can."""
    task.check()
    try:
        with _quiet(), seeded(seeds.child(0, "noise")):
            return _difference(task, Replicas(task, [0, 1], torch.float32, torch.device("cpu")))
    except TaskError:
        raise
    except Exception as error:  # noqa: BLE001  (vmap refuses with many kinds of error; each is a reason)
        if "random operation" in str(error):
            return "it draws random numbers while it trains, as dropout does"
        first = str(error).strip().partition("\n")[0].partition(". ")[0]
        return f"{type(error).__name__}: {first[:160]}"


def _difference(task: Task, replicas: Replicas) -> str | None:
    """Return in what a replica differs from the model by itself, over two batches and no update, or None.

    A model that assigns to a buffer, where it should write into it, runs under vmap without a word, and learns nothing.
    """
    model = task.build(0).float().train()
    for step in range(2):
        _, losses = replicas.gradient(step)
        x, y = (tensor.float() if tensor.is_floating_point() else tensor for tensor in task.batch(step, 0))
        alone = task.loss(model(x), y).detach().reshape(())
        if not torch.allclose(losses[0], alone, rtol=1e-3, atol=1e-5, equal_nan=True):
            return f"its loss is {losses[0].item():.6g} as a replica and {alone.item():.6g} alone"
    for name, buffer in model.named_buffers():
        if not torch.allclose(replicas.buffers[name][0].float(), buffer.float(), rtol=1e-3, atol=1e-5, equal_nan=True):
            return f"its buffer {name!r} is not updated in place"
    replicas.score(replicas.flat)
    return None


def _state(model: torch.nn.Module) -> Tensors:
    return {name: tensor.detach() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


def _flat(model: torch.nn.Module, names: Any) -> torch.Tensor:
    state = _state(model)
    return torch.cat([state[name].reshape(-1) for name in names])
