"""The ensemble: all replicas of a model in one vectorised training step.

The parameters of a replica are one flat row; `torch.func.vmap` trains all rows with one sequence of kernels, and the
update rule runs in place, a block of rows at a time. Hyperparameters differ from row to row, which is all that a race
needs. Rows that diverge are left behind, and the size of a batch comes from the memory (docs/adr/0016).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from stepsize.engines import base
from stepsize.engines.group_update import GroupUpdate, clip, some
from stepsize.engines.inplace.program import Row
from stepsize.engines.loop import Loop
from stepsize.engines.machine import keep_memory
from stepsize.engines.threads import threads_for
from stepsize.engines.vectorised import memory
from stepsize.engines.vectorised.replicas import Replicas
from stepsize.kernel.errors import ParameterError
from stepsize.policies import constant
from stepsize.problems import Task, Trainable
from stepsize.problems.base import with_data
from stepsize.results.curves import Curves
from stepsize.strategy import Strategy, Trial

UPDATE_BLOCK = 1 << 17
"""Elements that a rule of many passes updates at once, on a CPU: they stay in the cache from one pass to the next."""

MOST_REPLICAS = 32
"""Replicas in a batch at most, unless a size is given: on a CPU more of them bring nothing, or less."""

CACHE = 1 << 25
"""Bytes that a step of a batch takes at most on a CPU, unless a size is given: beyond the cache it is slower."""

WORTH_RECORDING = 64
"""Updates from which on a run pays for the recording of its gradient, which takes some ten updates of time."""

CHECK = 32
"""Steps from one check of which replicas are still alive to the next; on a GPU, a check waits for it."""

_NEEDS: WeakKeyDictionary[Task, dict[Any, tuple[int, int]]] = WeakKeyDictionary()


class Ensemble(base.Engine):
    """Runs the trials of one form of rule as replicas of one vectorised model.

    size: the most replicas in one batch; None takes 32, or fewer where they would take more than 32 MiB on a CPU, or
        half of the memory that is free. dtype: of the parameters. device: "auto" takes a GPU where there is one.

    Raises ParameterError for a size below 1, and from `run` TaskError where not even one replica fits.
    """

    def __init__(
        self, size: int | None = None, dtype: torch.dtype = torch.float32, device: str | torch.device = "auto"
    ) -> None:
        if size is not None and size < 1:
            raise ParameterError(f"an ensemble needs a size of at least 1 replica, not {size}.")
        self.size = size
        self.dtype = dtype
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)

    @property
    def label(self) -> str:
        """What ran, in a few words; the size of its batches changes no result, and is no part of it."""
        return f"ensemble on {self.device.type}{base.precision(self.dtype)}"

    @property
    def alone(self) -> base.Engine:
        """A plain loop, in place of an ensemble of one on a CPU."""
        return Loop() if self.device.type == "cpu" and self.dtype == torch.float32 else self

    def split(self, trials: Sequence[Trial]) -> list[list[int]]:
        """Return groups of one form of rule, of at most `size` trials, as even as they can be."""
        groups = base.by_rule(trials)
        return [part for group in groups for part in _even(group, self._together(trials[group[0]]))]

    def _together(self, trial: Trial) -> int:
        """Return how many replicas of a rule may be in one batch: what is no formula is stepped by itself."""
        return (self.size or MOST_REPLICAS) if trial.strategy.rule.formula else 1

    def train(self, task: Trainable, trials: Sequence[Trial], points: list[int], progress: base.Progress) -> Curves:
        """Run `trials`, batch after batch."""
        task = with_data(task)
        keep_memory()
        with quiet():
            groups = base.by_rule(trials)
            batches = [part for group in groups for part in _even(group, self.most(task, trials[group[0]]))]
            parts = [self._run(task, [trials[i] for i in batch], points, progress) for batch in batches]
        return base.reordered(parts, batches)

    def _run(self, task: Task, trials: Sequence[Trial], points: list[int], progress: base.Progress) -> Curves:
        """Run a batch of one form of rule: vectorised, or in a plain loop where the rule is a class of torch."""
        if trials[0].strategy.rule.formula:
            return self._train(task, trials, points, progress)
        return replace(Loop(self.dtype).train(task, trials, points, progress), engine=self.label)

    def most(self, task: Task, trial: Trial) -> int:
        """Return how many replicas like `trial` may be in one batch.

        Raises TaskError where not even one fits into the memory.
        """
        if self.size is not None or not trial.strategy.rule.formula:
            return self._together(trial)
        training, whole = self._needs(task, trial)
        fitting = memory.fitting(task.name, whole, self.device)
        return min(MOST_REPLICAS, fitting, max(1, CACHE // training) if self.device.type == "cpu" else MOST_REPLICAS)

    def _needs(self, task: Task, trial: Trial) -> tuple[int, int]:
        """Return the bytes that a replica takes in a step, and with a score after it; measured once."""
        known = _NEEDS.setdefault(task, {})
        key = trial.strategy.rule.form, self.dtype, self.device
        if key not in known:
            with quiet():
                known[key] = self._need(base.with_two_validation_samples(task), trial), self._need(task, trial)
        return known[key]

    def _need(self, task: Task, trial: Trial) -> int:
        rule = trial.strategy.rule
        one = Trial(Strategy(rule, constant(rule.lr)), trial.seed)  # a policy of its own may need more steps than one
        return memory.per_replica(lambda count: self._train(task, [one] * count, [1], lambda _: None))

    def _train(self, task: Task, trials: Sequence[Trial], points: list[int], progress: base.Progress) -> Curves:
        began, steps, due = time.perf_counter(), points[-1], set(points)
        batch = _Batch(task, trials, steps, self.dtype, self.device)
        losses: list[torch.Tensor] = []
        scores: list[torch.Tensor] = []
        with threads_for(batch.elements * task.batch_size * task.accumulate):
            for step in range(steps):
                with base.blamed(task, step):
                    losses.append(batch.step(step))
                    if step + 1 in due:
                        scores.append(batch.score(step))
                progress(len(trials))
                if (step + 1) % CHECK == 0:
                    batch.leave_dead(torch.stack(losses[-CHECK:]))
        recorded, judged = (torch.stack(series).cpu().numpy() for series in (losses, scores))
        base.end_the_dead(recorded, judged, points)
        seconds, scored = time.perf_counter() - began, judged.astype(np.float64)
        return Curves(tuple(trials), steps, recorded, np.array(points), scored, seconds, self.label)


class _Batch:
    """Some trials at once: their replicas, the rule with its slots, group by group, and which of them live.

    living: the trials of the rows, by index, or None while all of them are there.
    """

    def __init__(
        self, task: Task, trials: Sequence[Trial], steps: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        replayed = device.type == "cpu" and steps >= WORTH_RECORDING  # on a GPU it was not tried
        self._bound, self._steps, self._clip_norm = base.bound(trials, steps), steps, task.clip_norm
        self._replicas = Replicas(task, [trial.seed for trial in trials], dtype, device, updates=steps * replayed)
        rule, flat = trials[0].strategy.rule, self._replicas.flat
        self._parts = [
            (span, GroupUpdate(rule, group, shapes, flat[:, span], number=number, steps=steps))
            for number, (group, span, shapes) in enumerate(self._replicas.groups)
        ]
        self._living: torch.Tensor | None = None
        self._dead = torch.zeros(len(trials), dtype=torch.bool, device=device)

    @property
    def elements(self) -> int:
        """The parameters of all replicas together."""
        return self._replicas.flat.numel()

    def step(self, step: int) -> torch.Tensor:
        """Make update number `step`, and return the loss before it of each trial, (trials,)."""
        if step % base.CHUNK == 0:
            for span, part in self._parts:
                part.expect(self._bound, step, min(step + base.CHUNK, self._steps), self._replicas.flat[:, span])
                if self._living is not None:
                    part.of(self._living)
        if self._gone:
            return self._replicas.flat.new_full((len(self._bound),), torch.nan)
        gradient, loss = self._replicas.gradient(step)
        clip([gradient], self._clip_norm)
        for span, part in self._parts:
            c = part.coefficients(step % base.CHUNK, loss)
            _in_blocks(part, self._replicas.flat[:, span], gradient[:, span], c)
        return self._spread(loss)

    def score(self, step: int) -> torch.Tensor:
        """Return the validation loss of each trial, (trials,)."""
        if self._gone:
            return self._spread(self._replicas.flat.new_empty(0))
        read = [part.readout(self._replicas.flat[:, span]) for span, part in self._parts]
        return self._spread(self._replicas.score(read[0] if len(read) == 1 else torch.cat(read, dim=1), step))

    def leave_dead(self, losses: torch.Tensor) -> None:
        """Go on with the living alone when more than half of the rows are dead; losses: the latest, (steps, trials)."""
        # A batch is halved at most log2 times: each time costs a copy of all rows, and saves half of every later step.
        self._dead |= ~losses.isfinite().all(0)
        here = self._dead if self._living is None else self._dead[self._living]
        if 2 * int(here.sum()) <= len(here):
            return
        kept = (~here).nonzero()[:, 0]
        self._replicas.keep(kept)
        for _, part in self._parts:
            part.keep(kept)
        self._living = kept if self._living is None else self._living[kept]

    @property
    def _gone(self) -> bool:
        return self._living is not None and not len(self._living)

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values of the rows at the indices of their trials, NaN elsewhere."""
        if self._living is None:
            return values
        return values.new_full((len(self._bound),), torch.nan).index_copy_(0, self._living, values)


def _even(group: Sequence[int], most: int) -> list[list[int]]:
    """Return the trials of `group` in pieces of at most `most`, as even as they can be."""
    return [part.tolist() for part in np.array_split(group, -(-len(group) // most))]


def _in_blocks(part: GroupUpdate, flat: torch.Tensor, gradient: torch.Tensor, c: Row) -> None:
    """Update all rows of a parameter group: at once where one pass does it, else a block of rows at a time."""
    if part.one_pass or flat.device.type != "cpu":
        part.step(flat, gradient, part.slots, c)
        return
    height = max(1, UPDATE_BLOCK // flat.shape[1])
    for start in range(0, len(flat), height):
        block = slice(start, start + height)
        part.step(flat[block], gradient[block], tuple(slot[block] for slot in part.slots), some(c, block))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch from saying that an operation of the model is vectorised by a loop: it is right, if slower."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        yield
