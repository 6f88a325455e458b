"""A refined schedule, and the gradient norms that it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.spec import Score, Spec
from stepsize.kernel.text import count
from stepsize.policies import Policy
from stepsize.results.race import Race
from stepsize.strategy import Strategy

Norm = Literal["l2", "l1"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Refinement(Shown, Spec):
    """The schedule that the gradient norms of a run ask for.

    name: of the log or the task. steps: how long the run was (steps, optimizer updates).
    norm: "l2", for SGD and its kind, or "l1", for Adam and its kind.
    recorded: the steps whose norms are known, (points,). norms: there, (points,).
    smooth: the running median of the norms, where `shape` is, (points,). shape: the refined rates, from a peak of 1,
        (points,) float64; a point is a step, or a whole share of the run where it is longer than 10 000 steps.
    policy: the refined schedule at its peak, bound to `steps`; the peak is 1 where no rates were recorded.
    original: what the recorded run followed, where that is known: its rates at a peak of 1, (points,); else empty.
    gain: the last-iterate bound of the refined schedule over that of linear decay, both for these norms.
    strategy: what was run, and refined; None for a log. race: refined against original, both at their best of five
        peaks; None when they were not raced.
    warnings: sentences.
    """

    is_record: ClassVar[bool] = True

    name: str
    steps: int
    norm: Norm
    recorded: np.ndarray = field(repr=False)
    norms: np.ndarray = field(repr=False)
    smooth: np.ndarray = field(repr=False)
    shape: np.ndarray = field(repr=False)
    policy: Policy = field(repr=False)
    original: np.ndarray = field(repr=False)
    gain: Score
    strategy: Strategy | None = None
    race: Race | None = field(repr=False, default=None)
    warnings: tuple[str, ...] = ()

    def validate(self) -> None:
        """Check that the arrays fit each other."""
        pairs = ((self.recorded, self.norms), (self.smooth, self.shape))
        if any(first.shape != second.shape or first.ndim != 1 for first, second in pairs):
            raise ParameterError(
                "Refinement needs as many norms as recorded steps, and a smooth norm for each rate of its shape, not "
                f"{', '.join(str(each.shape) for pair in pairs for each in pair)}."
            )

    def __str__(self) -> str:
        """What was refined, and the worth of it."""
        return f"{self.name}, {count(self.steps, 'step')}: a bound of {self.gain:.3g} of that of linear decay"

    @property
    def warmup(self) -> int:
        """How many updates the refined schedule rises for, before its peak."""
        return int(self.shape.argmax()) * self.steps // len(self.shape)

    def plot(self, ax: Any = None) -> Any:
        """Draw the refined schedule beside linear decay and the original; return the matplotlib Axes."""
        return picture("plot_refinement")(self, ax=ax)
