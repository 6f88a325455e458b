"""What a run recorded: the losses of every trial at every step, and the scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.spec import NDArray, Spec
from stepsize.kernel.text import count
from stepsize.strategy import Trial


@dataclass(frozen=True, eq=False, repr=False)
class Curves(Shown, Spec):
    """The record of some trials on a task.

    trials: what was run; the last axis of every array below.
    steps: how long (steps, optimizer updates).
    losses: training loss of each update's batch, before the update, (steps, trials), in the precision of the run; NaN
        or inf once diverged.
    score_steps: after how many updates a score was taken, (points,) int64.
    scores: validation loss, (points, trials) float64.
    seconds: wall time. engine: which engine ran it, in one line.
    """

    is_record: ClassVar[bool] = True

    noun: ClassVar[str] = "record"

    trials: tuple[Trial, ...]
    steps: int
    losses: np.ndarray = field(repr=False)  # any dtype; the shape is in the docstring
    score_steps: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    seconds: float = 0.0
    engine: str = ""

    def __str__(self) -> str:
        """How many trials, and how long."""
        return f"{count(len(self.trials), 'trial')} of {count(self.steps, 'step')}"

    @property
    def died_at(self) -> NDArray:
        """The first step whose loss was not finite, (trials,) int64; -1 for a trial that lived."""
        dead = ~np.isfinite(self.losses)
        return np.where(dead.any(axis=0), dead.argmax(axis=0), -1)

    @property
    def final(self) -> Floats:
        """The last score of each trial, (trials,) float64; inf for a trial that diverged."""
        last = np.asarray(self.scores[-1], dtype=np.float64)
        return np.where(np.isfinite(last) & (self.died_at < 0), last, np.inf)

    def select(self, columns: Any) -> Curves:
        """Return the record of some of the trials, by index."""
        index = np.asarray(columns, dtype=np.int64)
        return Curves(
            tuple(self.trials[i] for i in index), self.steps, self.losses[:, index], self.score_steps,
            self.scores[:, index], self.seconds, self.engine,
        )  # fmt: skip

    @staticmethod
    def join(parts: list[Curves]) -> Curves:
        """Return records of one length, side by side."""
        return Curves(
            tuple(trial for part in parts for trial in part.trials), parts[0].steps,
            np.concatenate([part.losses for part in parts], axis=1), parts[0].score_steps,
            np.concatenate([part.scores for part in parts], axis=1),
            sum(part.seconds for part in parts), parts[0].engine,
        )  # fmt: skip

    def plot(self, ax: Any = None) -> Any:
        """Draw the learning curves and return the matplotlib Axes."""
        return picture("plot_curves")(self, ax=ax)
