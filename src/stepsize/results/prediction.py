"""Predicted loss curves: what several laws say of schedules that were not run, and how far to believe it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.spec import Score, Spec
from stepsize.policies import LR, Policy
from stepsize.results.range_test import Estimate

TAIL = 0.03
"""The final loss of a recorded run is the mean over its last part, so that one noisy row decides nothing."""

SAME = 0.02
"""Rates that differ by less than this share of the peak are the same schedule."""


@dataclass(frozen=True, eq=False)
class LossCurve(Spec):
    """One recorded run.

    rates: of each update, (T,) float64. at: after how many updates a loss was recorded, (points,), rising.
    losses: there, (points,), above 0.
    """

    name: str
    rates: np.ndarray = field(repr=False)
    at: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)

    def validate(self) -> None:
        """Check that the arrays fit each other."""
        if self.at.shape != self.losses.shape or self.at.ndim != 1 or self.rates.ndim != 1:
            raise ParameterError(
                f"LossCurve {self.name!r} needs a loss for each of its moments, not {self.losses.shape} for "
                f"{self.at.shape}."
            )
        if not len(self.at) or self.at[0] < 1 or self.at[-1] > len(self.rates) or (np.diff(self.at) <= 0).any():
            raise ParameterError(
                f"the moments of LossCurve {self.name!r} must rise, from 1 up to {len(self.rates)} updates."
            )

    @property
    def final(self) -> float:
        """The mean loss over the last 3 % of the run."""
        return float(self.losses[self.at > (1 - TAIL) * self.at[-1]].mean())


@dataclass(frozen=True, kw_only=True)
class LawFit(Spec):
    """A law as it was fitted.

    law: its name. parameters: by name. error: the mean absolute error on the losses that it was fitted to.
    curve_error: the mean absolute error on runs that it was not fitted to; NaN without any. final_error: the largest
        error of the final loss of such a run; infinite without any.
    """

    noun: ClassVar[str] = "fit of a law"

    law: str
    parameters: tuple[tuple[str, Score], ...]
    error: Score
    curve_error: Score
    final_error: Score


@dataclass(frozen=True, eq=False, kw_only=True)
class Forecast(Spec):
    """What the laws say of one schedule.

    policy: bound to its run. at: after how many updates, (points,). losses: of each law, (laws, points) float64.
    final: the median of the laws' final losses, and the lowest and the highest.
    tied: whether it cannot be separated from the schedule that is predicted best.
    """

    name: str
    policy: Policy = field(repr=False)
    at: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)
    final: Estimate
    tied: bool


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Prediction(Shown, Spec):
    """Predicted loss curves.

    name: of the logs or the task. steps: the horizon (steps, optimizer updates).
    runs: what the laws were fitted to. held_out: runs that were recorded to hold the laws to; may be empty.
    fits: one a law. forecasts: lowest predicted final loss first.
    error: the largest error of a final loss on a run that a law was not fitted to, the median over the laws; infinite
        where there is no such run. Schedules that lie closer are not ranked.
    verdict: which schedule is best, or why none is. warnings: sentences.
    """

    is_record: ClassVar[bool] = True

    name: str
    steps: int
    runs: tuple[LossCurve, ...] = field(repr=False)
    held_out: tuple[LossCurve, ...] = field(repr=False)
    fits: tuple[LawFit, ...]
    forecasts: tuple[Forecast, ...]
    error: Score
    verdict: str
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What is predicted."""
        return self.verdict

    def measured(self, forecast: Forecast) -> LossCurve | None:
        """Return the recorded run that followed the schedule of a forecast, or None where there is none."""
        rates = forecast.policy[LR].table(0, int(forecast.at[-1]))
        for run in (*self.held_out, *self.runs):
            if len(run.rates) == len(rates) and np.abs(run.rates - rates).max() <= SAME * rates.max():
                return run
        return None

    def plot(self, ax: Any = None) -> Any:
        """Draw the recorded runs and the predicted curves with their spread; return the matplotlib Axes."""
        return picture("plot_prediction")(self, ax=ax)
