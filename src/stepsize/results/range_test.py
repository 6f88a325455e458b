"""The records of range tests, of grids of rates and of sweeps of other hyperparameters, and what they suggest.

::

    Sweep                       losses against a number that was swept, once a seed
    +-- RangeTestRecord         one run a seed, while the rate climbs: a point is an update
    +-- RunGrid                 a run of its own for each point and each seed
        +-- RateGrid            over constant rates, or peaks of one policy
        +-- HyperparameterSweep over momentum, weight decay, batch size, ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.spec import Score, Spec
from stepsize.kernel.text import count, thousands
from stepsize.policies import LR, Policy
from stepsize.rules import Rule
from stepsize.theory.range_test import LEAST_DROP

LOSS = "validation loss"
"""What a score is, where it is no metric."""

NEGATIVE = "negative "
"""Before the name of a metric that is to be large, which is minimised as its negative."""

BATCH_SIZE = "batch_size"
"""What is compared at equal running time."""

RULE = "rule"
"""What is compared where whole rules are."""

EXACT = 6
"""Digits of what was given, and not measured: a batch size, a momentum."""

OF_GROUP = "rate of "
"""Before the name of a parameter group: what is tested is by how much its rate is multiplied."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Sweep(Shown, Spec, ABC):
    """Losses against a number that was swept, once per seed: what the records below have in common.

    task: the name of the task. rule: the update rule that was tested; None where it is none of ours.
    losses: of the training batches, (points, seeds) float32; NaN or inf once diverged.
    seeds: one a column. steps: how long one run was (optimizer updates). cost: updates of all runs together.
    seconds: wall time.
    held_out: scores on the validation data, lower is better, (points, seeds) float64, NaN where none was taken; None
        when there are none at all. scored: what a score is, in words.
    horizon: how long one full training is (optimizer updates); None when not known.
    """

    is_record: ClassVar[bool] = True

    task: str
    rule: Rule | None
    losses: np.ndarray = field(repr=False)  # any dtype; the shape is in the docstring
    seeds: tuple[int, ...]
    steps: int
    cost: int
    seconds: float = 0.0
    held_out: np.ndarray | None = field(repr=False, default=None)
    scored: str = LOSS
    horizon: int | None = None

    def __str__(self) -> str:
        """What was swept, from where to where."""
        where = f"{self.title or 'an optimizer'}{f' on {self.task}' if self.task else ''}"
        values = f"{count(len(self.x), 'value')} of {self.swept} from {self.x[0]:.3g} to {self.x[-1]:.3g}"
        return f"{where}: the {self.judged_name} at {values}"

    @property
    @abstractmethod
    def x(self) -> np.ndarray:
        """The rates or other values that were swept, (points,) float64, rising."""

    @property
    def swept(self) -> str:
        """What was swept: "lr", or the name of another hyperparameter or "batch_size"."""
        return LR

    @property
    def title(self) -> str:
        """The name of the rule that was tested."""
        return "" if self.rule is None else self.rule.title

    @property
    def judged(self) -> np.ndarray:
        """The losses that decide, (points, seeds): those held out where they were taken, else the batches'."""
        return self.losses if self.held_out is None else self.held_out

    @property
    def judged_name(self) -> str:
        """What decides, in words, without the sign of a metric that is to be large: "loss", "validation accuracy"."""
        return "loss" if self.held_out is None else self.scored.removeprefix(NEGATIVE)

    @property
    def is_negative(self) -> bool:
        """Whether `judged` is the negative of what `judged_name` says."""
        return self.held_out is not None and self.scored.startswith(NEGATIVE)

    @property
    def directions(self) -> tuple[str, str]:
        """How `judged_name` goes when it gets better, and worse."""
        return ("rises", "falls") if self.is_negative else ("falls", "rises")

    @property
    def taken(self) -> np.ndarray:
        """At which points there is a score, (points,) of bool."""
        return np.zeros(len(self.x), bool) if self.held_out is None else ~np.isnan(self.held_out).all(axis=1)

    @property
    def has_gap(self) -> bool:
        """Whether what was held out is the loss that was trained on, so that the two can be compared."""
        return self.held_out is not None and self.scored == LOSS

    def validate(self) -> None:
        """Check that the arrays fit each other."""
        points, seeds = len(self.x), len(self.seeds)
        shapes = {"losses": (points, seeds), "held_out": (points, seeds), "before": (seeds,), "limits": (seeds,)}
        for name, shape in shapes.items():
            array = getattr(self, name, None)
            if array is not None and array.shape != shape:
                raise ParameterError(
                    f"{type(self).__name__}.{name} must have the shape {shape}, as the points and the seeds have, "
                    f"not {array.shape}."
                )

    def plot(self, suggestion: Suggestion | None = None, ax: Any = None) -> Any:
        """Draw loss against what was swept, with the bounds of `suggestion` if any, and return the matplotlib Axes."""
        return picture("plot_sweep")(self, suggestion, ax=ax)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RangeTestRecord(Sweep):
    """A range test: one run a seed, whose rate climbs from update to update, so that a point is an update.

    A loss is that of the batch before the update that the rate is used in, or the mean of several batches at that rate.

    rates: (points,) float64, rising. planned: how many points there were to be, where the test stopped early because
        a loss exploded; None where all were used.
    limits: the largest stable rate of each seed's initial weights, by their curvature, (seeds,); None when not
        measured. memory: bytes of the snapshot that was kept to put everything back; None when none was needed.
    optimizer: its name, where `rule` is None. momentum: from which one to which it went while the rate climbed, in
        equal steps; None where it stood still.
    """

    noun: ClassVar[str] = "range test"

    rates: np.ndarray = field(repr=False)
    planned: int | None = None
    limits: np.ndarray | None = field(repr=False, default=None)
    memory: int | None = None
    optimizer: str | None = None
    momentum: tuple[float, float] | None = None

    @property
    def x(self) -> np.ndarray:
        """The rates, (points,)."""
        return self.rates

    @property
    def title(self) -> str:
        """The name of the rule or optimizer that was tested."""
        return self.optimizer or "" if self.rule is None else self.rule.title


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RunGrid(Sweep, ABC):
    """A run of its own for each point and each seed, so that a point is a run.

    losses: the mean over the last tenth of each run. policy: what each run follows, whole.
    before: the validation loss before any update, (seeds,); None when not known.
    """

    policy: Policy
    before: np.ndarray | None = field(repr=False, default=None)

    @property
    def by_training_loss(self) -> bool:
        """Whether runs are compared by their training losses, for want of validation losses that say something."""
        return self.held_out is None

    @property
    def lasting(self) -> str:
        """How long the runs are, in words."""
        return count(self.steps, "step", thin=True)

    @property
    def final_losses(self) -> Floats:
        """The loss that each run ended with and is compared by, (points, seeds) float64; inf where it diverged."""
        return _infinite(self.losses if self.held_out is None or self.by_training_loss else self.held_out)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RateGrid(RunGrid):
    """A grid of rates: a run of its own for every rate and every seed.

    rates: the peak of each run, (points,) float64, rising. policy: at a peak of 1.
    """

    noun: ClassVar[str] = "grid of rates"
    former: ClassVar[tuple[str, ...]] = ("range_test", "shorter")

    rates: np.ndarray = field(repr=False)

    @property
    def x(self) -> np.ndarray:
        """The rates, (points,)."""
        return self.rates

    @property
    def by_training_loss(self) -> bool:
        """Whether runs are compared by their training losses.

        They are where there are no validation losses, and where short runs have hardly moved those yet, but have
        lowered the training losses.
        """
        if self.held_out is None or self.before is None:
            return self.held_out is None
        start = float(self.before.mean())
        score, loss = (float(_infinite(each).mean(axis=1).min()) for each in (self.held_out, self.losses))
        return score < start and is_little(start - score, start) and not is_little(start - loss, start)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class HyperparameterSweep(RunGrid):
    """Runs at several values of a hyperparameter other than the rate, all else the same.

    hyperparameter: its name, "batch_size", or "rate of head" for what the rate of that parameter group is multiplied
        by. values: of it, (points,) float64, rising. policy: with its rate.
    """

    noun: ClassVar[str] = "sweep of a hyperparameter"

    hyperparameter: str
    values: np.ndarray = field(repr=False)

    @property
    def x(self) -> np.ndarray:
        """The values, (points,)."""
        return self.values

    @property
    def swept(self) -> str:
        """The name of the hyperparameter."""
        return self.hyperparameter


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class BatchSizeSweep(HyperparameterSweep):
    """Runs with several batch sizes that all take the same time, each at its own rate, the best of those tried.

    values: the sizes, in samples. rates: of each, the peak of its runs, (points,) float64. updates: how many each of
        its runs makes, in the time that `steps` of the task's own size take. speeds: samples a second, (points,)
        float64. policy: at a peak of 1. accumulate: batches whose gradients make one update.
    """

    rates: np.ndarray = field(repr=False)
    updates: tuple[int, ...]
    speeds: np.ndarray = field(repr=False)
    accumulate: int = 1

    @property
    def lasting(self) -> str:
        """How long the runs are, in words."""
        return "equal running time"

    @property
    def table(self) -> tuple[tuple[str, ...], ...]:
        """What each size does in the same time, as text: the heads of the columns, then a row for each size."""
        head = ("batch size", "samples a second", "updates", "samples", "its rate", self.scored)
        means = self.final_losses.mean(axis=1)
        samples = np.array(self.updates) * self.values * self.accumulate
        rows = zip(self.values, self.speeds, self.updates, samples, self.rates, means, strict=True)
        return head, *(
            (f"{size:g}", *map(thousands, (round(speed), updates, round(seen))), f"{rate:.3g}", f"{mean:.4g}")
            for size, speed, updates, seen, rate, mean in rows
        )


def is_little(fall: float, start: float) -> bool:
    """Return whether a loss that began at `start` has fallen by less than counts as a drop."""
    return fall < LEAST_DROP * abs(start)


def _infinite(losses: np.ndarray) -> Floats:
    """Return `losses` as float64, with inf for what is no number."""
    return floats(np.where(np.isfinite(losses), losses, np.inf))


@dataclass(frozen=True)
class Estimate(Spec):
    """A rate with its spread over seeds: the median, and the smallest and largest of the seeds."""

    value: Score
    low: Score
    high: Score

    @staticmethod
    def of(values: Floats) -> Estimate:
        """Return the median of `values`, (seeds,), with their range."""
        return Estimate(float(np.median(values)), float(values.min()), float(values.max()))

    def rounded(self, digits: int) -> str:
        """Return it with so many digits; of one seed there is no range."""
        value, low, high = (f"{each:.{digits}g}" for each in (self.value, self.low, self.high))
        return value if low == high else f"{value} ({low} to {high})"

    def __str__(self) -> str:
        return self.rounded(2)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Suggestion(Shown, Spec):
    """What a range test or a grid suggests, or why there is no clear answer.

    clear: whether what was asked for can be used. reason: which rule decided, or what stands in the way.
    smooth: the smoothed loss of each seed that the bounds were read from, (points, seeds) float64, NaN after
        divergence.
    min_lr: just before the sharp drop of the loss. max_lr: just before the loss rises again. None where there is
        none.
    lr: the rate to use, the peak of `policy`; None where there is no clear answer, or nothing was asked for. Of a sweep
        of another hyperparameter, the value to use of that.
    base: the lower bound of a cycle up to `lr`. policy: what was asked for, at `lr`; bound to the horizon, where it is
        known.
    limit: the largest stable rate by the curvature of the initial weights. warnings: sentences.
    generalisation: what the gap between the validation loss and the training loss is a sign of; "" where there is none.
    """

    is_record: ClassVar[bool] = True

    clear: bool
    reason: str
    smooth: np.ndarray = field(repr=False)  # (points, seeds) float64
    min_lr: Estimate | None = None
    max_lr: Estimate | None = None
    lr: Estimate | None = None
    base: Estimate | None = None
    policy: Policy | None = None
    limit: Estimate | None = None
    warnings: tuple[str, ...] = ()
    generalisation: str = ""

    def __str__(self) -> str:
        """The rates, or why there is no clear answer."""
        if not self.clear:
            return self.reason
        named = {"": self.lr, "from ": self.min_lr, "to ": self.max_lr}
        return ", ".join(f"{word}{rate}" for word, rate in named.items() if rate is not None)
