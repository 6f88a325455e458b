"""A range test's record, and what it suggests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.optional import picture
from stepsize.kernel.spec import Score, Spec
from stepsize.policies import Policy
from stepsize.rules import Rule


@dataclass(frozen=True, eq=False)
class Sweep(Spec):
    """A range test: the loss against the learning rate, once per seed.

    A *ramp* is one run a seed, whose rate climbs from update to update, so that a point is an update. A *fan* is a run
    of its own for every rate and every seed, so that a point is a run.

    task: its name. rule: the update rule that was tested; None where it is none of ours.
    rates: (points,) float64, rising. Of a fan, the peak of each run.
    losses: of the training batches, (points, seeds) float32; NaN or inf once diverged. Of a ramp, the loss before
        the update that the rate is used in, or the mean of several batches at that rate; of a fan, the mean over the
        last tenth of the run.
    seeds: one a column. seconds: wall time.
    steps: how long one run was (steps, optimizer updates); 0 stands for one update a point.
    policy: what each run of a fan follows, at a peak of 1; None for a ramp.
    held_out: validation losses, (points, seeds) float64, NaN where none was taken; of shape (0, 0) when never.
    before: the same loss before any update, (seeds,); of a fan only.
    limits: the largest stable rate of each seed's initial weights, by their curvature, (seeds,); empty when not
        measured.
    horizon: how long one full training is (steps, optimizer updates); 0 when not known.
    earlier: the sweeps that led to this one, in their order.
    cost: updates of all runs together, without those of earlier sweeps. memory: bytes of the snapshot that was kept to
        put everything back; 0 when none was needed. optimizer: its name, where `rule` is None.
    of: what was swept: "lr", or the name of another hyperparameter or "batch_size", whose values `rates` are then.
    """

    noun: ClassVar[str] = "sweep"

    task: str
    rule: Rule | None
    rates: np.ndarray = field(repr=False)  # any dtype; the shape is in the docstring
    losses: np.ndarray = field(repr=False)
    seeds: tuple[int, ...]
    seconds: float = 0.0
    steps: int = 0
    policy: Policy | None = None
    held_out: np.ndarray = field(repr=False, default_factory=lambda: np.empty((0, 0)))
    before: np.ndarray = field(repr=False, default_factory=lambda: np.empty(0))
    limits: np.ndarray = field(repr=False, default_factory=lambda: np.empty(0))
    horizon: int = 0
    earlier: tuple[Sweep, ...] = ()
    cost: int = 0
    memory: int = 0
    optimizer: str = ""
    of: str = "lr"

    def validate(self) -> None:
        """Check that the arrays fit each other, and complete the length and the cost."""
        shape = (len(self.rates), len(self.seeds))
        for name, wanted in {
            "losses": (shape,), "held_out": (shape, (0, 0)), "before": (shape[1:], (0,)), "limits": (shape[1:], (0,)),
        }.items():  # fmt: skip
            if getattr(self, name).shape not in wanted:
                raise ParameterError(
                    f"Sweep.{name} must have the shape {wanted[0]}, as rates and seeds have, not "
                    f"{getattr(self, name).shape}."
                )
        if not self.steps:
            object.__setattr__(self, "steps", len(self.rates))
        if not self.cost:
            runs = shape[0] * shape[1] if self.fan else shape[1]
            object.__setattr__(self, "cost", runs * self.steps)

    @property
    def fan(self) -> bool:
        """Whether each rate had a run of its own."""
        return self.policy is not None

    @property
    def title(self) -> str:
        """The name of the rule or optimizer that was tested."""
        return self.optimizer if self.rule is None else self.rule.title

    @property
    def judged(self) -> np.ndarray:
        """The losses to read bounds from, (points, seeds): those held out where they were taken, else the batches'."""
        return self.held_out if self.held_out.size else self.losses

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
    """What a range test suggests, or why there is no clear answer.

    min_lr: just before the sharp drop of the loss. max_lr: just before the loss rises again. None where there is
        none.
    clear: whether what was asked for can be used. reason: which rule decided, or what stands in the way.
    smooth: the smoothed loss of each seed that the bounds were read from, (points, seeds) float64, NaN after
        divergence.
    lr: the rate to use, the peak of `policy`; None where there is no clear answer, or nothing was asked for. Of a sweep
        of another hyperparameter, the value to use of that.
    base: the lower bound of a cycle up to `lr`. policy: what was asked for, at `lr`; bound to the horizon, where it is
        known.
    limit: the largest stable rate by the curvature of the initial weights. warnings: sentences.
    """

    noun: ClassVar[str] = "suggestion"

    min_lr: Estimate | None
    max_lr: Estimate | None
    clear: bool
    reason: str
    smooth: np.ndarray = field(repr=False)  # (points, seeds) float64
    lr: Estimate | None = None
    base: Estimate | None = None
    policy: Policy | None = None
    limit: Estimate | None = None
    warnings: tuple[str, ...] = ()
