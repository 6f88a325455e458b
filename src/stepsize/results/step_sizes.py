"""What an update rule did to each parameter: how far it moved, and how far for its gradient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.optional import picture
from stepsize.kernel.spec import Spec

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The quantiles that are recorded."""


@dataclass(frozen=True, eq=False)
class StepSizes(Spec):
    """The distribution over all parameters of their steps in one update, along a training.

    The step of a parameter is `delta = p[k+1] - p[k]`, less what decoupled weight decay took from it, and its effective
    rate is `|delta| / |g|`: the rate at which plain gradient descent would have made this very step.

    name: of the rule. levels: the quantiles, (levels,), rising, 0.5 among them.
    steps: the updates that were recorded, counted from 0, (points,).
    moves: quantiles of `|delta|` over the parameters that had a gradient or moved, (points, levels) float64.
    rates: quantiles of `|delta| / |g|` over the parameters whose gradient is not 0, (points, levels); NaN without any.
    lr: the rate of each parameter group in that update, (points, groups).
    silent: the share of the parameters whose gradient was 0, (points,).
    stuck: the share of those with a gradient that stayed where they were, (points,): steps that rounding swallowed,
        or that the rule did not take.
    """

    noun: ClassVar[str] = "step sizes"

    name: str
    levels: tuple[float, ...]
    steps: np.ndarray = field(repr=False)  # the shapes are in the docstring
    moves: np.ndarray = field(repr=False)
    rates: np.ndarray = field(repr=False)
    lr: np.ndarray = field(repr=False)
    silent: np.ndarray = field(repr=False)
    stuck: np.ndarray = field(repr=False)

    def validate(self) -> None:
        """Check that the arrays fit each other."""
        if list(self.levels) != sorted(set(self.levels)) or 0.5 not in self.levels:
            raise ParameterError(f"StepSizes.levels must rise and hold the median, 0.5, not {self.levels!r}.")
        wanted = (len(self.steps), len(self.levels))
        if not self.moves.shape == self.rates.shape == wanted or len(self.lr) != len(self.steps):
            raise ParameterError(
                f"StepSizes.moves and rates must be of shape {wanted}, as steps and levels are, with a row of lr for "
                f"each step; they are {self.moves.shape} and {self.rates.shape}, with {len(self.lr)} rows."
            )

    def plot(self, what: Literal["rates", "moves"] = "rates", ax: Any = None) -> Any:
        """Draw the quantiles of the effective rates or of the moves over the steps; return the matplotlib Axes."""
        return picture("plot_step_sizes")(self, what, ax=ax)
