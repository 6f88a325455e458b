"""An engine runs trials on a task and records them. It retries nothing and decides nothing."""

from __future__ import annotations

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import StepsizeError, TaskError
from stepsize.kernel.spec import NDArray
from stepsize.problems import Task, Trainable
from stepsize.problems.checks import describe
from stepsize.results.curves import Curves
from stepsize.strategy import Trial

Progress = Callable[[int], None]
"""Called with how many replica-steps (one update of one trial) were done since the last call."""

LITTLE = 4.0
"""A score that costs less than so many updates does not count."""

CHUNK = 256
"""Steps of hyperparameters that are turned into coefficients at once."""

NO_RATIOS: Mapping[str, float] = MappingProxyType({})
"""Those of a group that is all there is."""


class Engine(ABC):
    """What every engine can do; the standings of a race do not depend on which one it was."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What runs, in a few words."""

    @property
    def alone(self) -> Engine:
        """What one trial by itself runs in quickest; itself, unless a subclass knows better.

        Watch out: where it is another engine its numbers are its own, so a trial must always run by itself, or never.
        """
        return self

    def split(self, trials: Sequence[Trial]) -> list[list[int]]:
        """Return the trials, by index, in batches that run at once; a batch is what an interruption can lose.

        Each trial is a batch by itself, where the engine runs one after the other.
        """
        return [[index] for index in range(len(trials))]

    def run(
        self,
        task: Trainable,
        trials: Sequence[Trial],
        steps: int,
        *,
        score_every: int | None = None,
        progress: Progress | None = None,
    ) -> Curves:
        """Run `trials` for `steps` updates, scoring every `score_every` updates and at the end.

        Raises TaskError for a task that this engine cannot run, or that fails.
        """
        return self.train(task, trials, score_points(steps, score_every), progress or (lambda _: None))

    @abstractmethod
    def train(self, task: Trainable, trials: Sequence[Trial], points: list[int], progress: Progress) -> Curves:
        """Run `trials`, scoring after `points` updates, of which the last is the length of the run."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine, and why it runs: a part of a sentence, "" where there was no choice."""

    engine: Engine
    reason: str = ""

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.engine.label}: {self.reason}" if self.reason else self.engine.label


def coefficients(
    trials: Sequence[Trial], start: int, stop: int, ratios: Mapping[str, float] = NO_RATIOS
) -> dict[str, Floats]:
    """Return the coefficients of steps start..stop-1 of trials of one form of rule, each (steps, trials) float64.

    trials: their policies bound to the run. ratios: by which hyperparameters are multiplied, in a parameter group.
    """
    tables = [trial.strategy.table(start, stop) for trial in trials]
    rows = {name: np.stack([table[name] for table in tables], axis=1) for name in tables[0]}
    rows |= {name: rows[name] * ratio for name, ratio in ratios.items() if name in rows}
    k = np.arange(start + 1, stop + 1, dtype=np.float64)[:, None]
    values = trials[0].strategy.rule.coefficients(rows, k)
    return {name: np.broadcast_to(value, (stop - start, len(trials))) for name, value in values.items()}


def precision(dtype: Any) -> str:
    """Return the end of an engine's label: nothing in float32, else the dtype."""
    name = str(dtype).removeprefix("torch.")
    return "" if name == "float32" else f", {name}"


@contextmanager
def blamed(task: Trainable, step: int) -> Iterator[None]:
    """Turn an error of the user's model, loss or data into a TaskError that says at which update it arose."""
    try:
        yield
    except StepsizeError:
        raise
    except Exception as error:  # whatever the user's code raises is said in one line, and keeps its own trace
        raise TaskError(f"{task.name!r} fails at update {step}: {describe(error)}") from error


def updates_of(scoring: float, updating: float, apart: float = 2.0) -> float:
    """Return about how many updates a score costs, from the seconds of both: a power of `apart`, or 0 if it is little.

    Coarse, so that a search that is resumed plans the same runs.

    >>> updates_of(0.9, 0.1), updates_of(0.9, 0.1, apart=4), updates_of(0.3, 0.1)
    (8.0, 16.0, 0.0)
    """
    share = scoring / max(updating, 1e-9)
    return float(apart ** round(math.log2(share) / math.log2(apart))) if share > LITTLE else 0.0


def score_points(steps: int, every: int | None) -> list[int]:
    """Return after how many updates to score: every so many, and always at the end."""
    points = list(range(every, steps, every)) if every else []
    return [*points, steps]


def end_the_dead(losses: NDArray, scores: NDArray, points: Sequence[int]) -> None:
    """Write NaN over what was recorded of a trial after its first loss that is not finite.

    losses: (steps, trials). scores: (points, trials), after so many updates each.
    """
    dead = np.logical_or.accumulate(~np.isfinite(losses), axis=0)
    losses[1:][dead[:-1]] = np.nan
    scores[dead[np.array(points) - 1]] = np.nan


def record_trial(
    trial: Trial, points: list[int], losses: list[float], scores: list[float], *, began: float, label: str,
    dtype: Any = np.float64,
) -> Curves:  # fmt: skip
    """Return the record of one trial, filled up with NaN where it ended early; `began` by `time.perf_counter`."""
    steps = points[-1]
    table, judged = np.full((steps, 1), np.nan, dtype), np.full((len(points), 1), np.nan)
    table[: len(losses), 0], judged[: len(scores), 0] = losses, scores
    end_the_dead(table, judged, points)
    return Curves((trial,), steps, table, np.array(points), judged, time.perf_counter() - began, label)


def with_two_validation_samples(task: Task) -> Task:
    """Return `task` with two validation samples, so that a score costs next to nothing."""
    first = next(iter(task.validation_batches()))
    return dataclasses.replace(task, validation=tuple(part[:2] for part in first))


def bound(trials: Sequence[Trial], steps: int) -> list[Trial]:
    """Return the trials with their policies bound to a run of `steps` updates."""
    return [Trial(trial.strategy.over(steps), trial.seed) for trial in trials]


def by_rule(trials: Sequence[Trial]) -> list[list[int]]:
    """Return the trials, by index, grouped by the form of their rule, in order of first appearance."""
    groups: dict[Any, list[int]] = {}
    for index, trial in enumerate(trials):
        groups.setdefault(trial.strategy.rule.form, []).append(index)
    return list(groups.values())


def reordered(parts: Sequence[Curves], batches: Sequence[Sequence[int]]) -> Curves:
    """Return the records of batches in the order of the trials that `batches` was made from."""
    order = np.argsort([index for batch in batches for index in batch])
    return Curves.join(list(parts)).select(order)
