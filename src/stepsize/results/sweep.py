"""A range test's record, and what it suggests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.optional import picture
from stepsize.kernel.spec import Score, Spec
from stepsize.rules import Rule


@dataclass(frozen=True, eq=False)
class Sweep(Spec):
    """A range test: the learning rate climbs from step to step, and the loss tells how far it may.

    task: its name. rule: the update rule that was tested.
    rates: the learning rate of each step, (steps,) float64, rising.
    losses: the batch's loss at each step, (steps, seeds) float32; NaN or inf once diverged.
    seeds: one a column. seconds: wall time.
    """

    noun: ClassVar[str] = "sweep"

    task: str
    rule: Rule
    rates: np.ndarray = field(repr=False)  # any dtype; the shape is in the docstring
    losses: np.ndarray = field(repr=False)
    seeds: tuple[int, ...]
    seconds: float = 0.0

    def plot(self, suggestion: Suggestion | None = None, ax: Any = None) -> Any:
        """Draw loss against rate, with the bounds of `suggestion` when given, and return the matplotlib Axes."""
        return picture("plot_sweep")(self, suggestion, ax=ax)


@dataclass(frozen=True)
class Estimate(Spec):
    """A rate with its spread over seeds: the median, and the smallest and largest of the seeds."""

    noun: ClassVar[str] = "estimate"

    value: Score
    low: Score
    high: Score

    @staticmethod
    def of(values: Floats) -> Estimate:
        """Return the median of `values`, (seeds,), with their range."""
        return Estimate(float(np.median(values)), float(values.min()), float(values.max()))

    def __str__(self) -> str:
        return f"{self.value:.2g} ({self.low:.2g} to {self.high:.2g})"


@dataclass(frozen=True, eq=False)
class Suggestion(Spec):
    """The two bounds of a range test, or why there is no clear answer.

    min_lr: just before the sharp drop of the loss. max_lr: just before the loss rises again. None where there is none.
    clear: whether the bounds can be used. reason: which rule decided, or what stands in the way.
    smooth: the smoothed loss of each seed that the bounds were read from, (steps, seeds) float64, NaN after divergence.
    """

    noun: ClassVar[str] = "suggestion"

    min_lr: Estimate | None
    max_lr: Estimate | None
    clear: bool
    reason: str
    smooth: np.ndarray = field(repr=False)  # (steps, seeds) float64
