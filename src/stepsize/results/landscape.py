"""A descent's record: where thousands of starts on a landscape ended, under one or several strategies."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.optional import need
from stepsize.kernel.spec import NDArray, Spec
from stepsize.kernel.text import count
from stepsize.problems.landscapes import Landscape
from stepsize.problems.noise import Noise
from stepsize.results.race import Interval
from stepsize.strategy import Strategy

ELSEWHERE = -1
"""The basin of a point from which gradient flow ends at no listed minimum: another one, a saddle or a plateau."""

UNKNOWN = -2
"""The basin of a trajectory that diverged, or of a point from which gradient flow did not end in its budget."""


@dataclass(frozen=True)
class Goal:
    """What there is to reach, in words.

    does, got: of a start that did it, in a table and in a title. steps: until then. done: of one that had done it once.
    lacking: of strategies of which none did.
    """

    does: str
    got: str
    steps: str
    done: str
    lacking: str


MINIMUM = Goal(
    "ends at a global minimum", "gets to a global minimum", "median steps to come near",
    "has been near a global minimum", "No strategy got to a global minimum",
)  # fmt: skip
LEAVING = Goal(
    "leaves the saddle", "leaves the saddle", "median steps to leave it", "has left the saddle",
    "No strategy left the saddle",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Outcome(Spec):
    """How one strategy did, with 95 % intervals.

    share: of the starts that ended in the basin of a global minimum (Wilson); on a saddle, that left it.
    escape: the same among the trapped, the starts from which gradient flow ends elsewhere; None when there are none.
    time: the median number of updates to the first visit near a global minimum, or until the saddle was left; inf where
        most never came. trapped, diverged: how many starts.
    """

    strategy: Strategy
    share: Interval
    escape: Interval | None
    time: Interval
    trapped: int
    diverged: int


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Descent(Shown, Spec):
    """The record of strategies that descended on a landscape from the same starts, under the same noise.

    noise: of the gradient; None for none. steps: how long (steps, optimizer updates). seed: of starts and noise.
    starts: (starts, dimensions) float64. home: the basin that each start lies in, (starts,).
    last: the last point, (strategies, starts, dimensions); for a trajectory that diverged, the last finite one.
    basins: the basin that each end lies in, (strategies, starts).
    entered: after how many updates a trajectory first came near a global minimum (`Landscape.arrived`), (strategies,
        starts); -1 for never.
    died_at: the first update whose result was not finite, (strategies, starts); -1 for a trajectory that lived.
    path_steps: after how many updates the first few trajectories were looked at, (points,).
    paths: those trajectories, (strategies, points, watched, dimensions). seconds: wall time.

    A basin is the index of a minimum of the landscape, ELSEWHERE (-1) or UNKNOWN (-2); it is where gradient flow leads.
    """

    is_record: ClassVar[bool] = True

    landscape: Landscape
    noise: Noise | None
    steps: int
    seed: int
    strategies: tuple[Strategy, ...]
    starts: np.ndarray = field(repr=False)  # the shapes are in the docstring
    home: np.ndarray = field(repr=False)
    last: np.ndarray = field(repr=False)
    basins: np.ndarray = field(repr=False)
    entered: np.ndarray = field(repr=False)
    died_at: np.ndarray = field(repr=False)
    path_steps: np.ndarray = field(repr=False)
    paths: np.ndarray = field(repr=False)
    seconds: float = 0.0

    def validate(self) -> None:
        """Check that the arrays fit each other."""
        rows = (len(self.strategies), len(self.starts))
        shapes = {
            "starts": (rows[1], self.landscape.dimensions), "home": rows[1:],
            "last": (*rows, self.landscape.dimensions), "basins": rows, "entered": rows, "died_at": rows,
            "paths": (rows[0], len(self.path_steps), min(self.watched, rows[1]), self.landscape.dimensions),
        }  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ParameterError(f"Descent.{name} must have the shape {shape}, not {getattr(self, name).shape}.")

    def __str__(self) -> str:
        """Who descended where, and from how many starts."""
        names = ", ".join(strategy.name for strategy in self.strategies)
        return f"{names} on {self.landscape}, {count(len(self.starts), 'start')}, {count(self.steps, 'step')}"

    @property
    def watched(self) -> int:
        """How many trajectories were recorded: those of the first starts."""
        return self.paths.shape[2] if self.paths.ndim == 4 else 0

    @property
    def goal(self) -> Goal:
        """What the shares and the times are of, in words."""
        return LEAVING if self.landscape.saddle else MINIMUM

    @cached_property
    def trapped(self) -> NDArray:
        """Which starts lie in a basin that is not a global minimum's, (starts,) bool."""
        return np.asarray((self.home >= self.landscape.goals) | (self.home == ELSEWHERE))

    @cached_property
    def reached(self) -> NDArray:
        """Which trajectories ended in the basin of a global minimum, or left the saddle, (strategies, starts) bool."""
        if self.landscape.saddle:
            return self.entered >= 0
        return (self.basins >= 0) & (self.basins < self.landscape.goals)

    @cached_property
    def outcomes(self) -> tuple[Outcome, ...]:
        """How each strategy did, in their order."""
        return tuple(map(self._outcome, range(len(self.strategies))))

    def _outcome(self, index: int) -> Outcome:
        escaped = self.reached[index, self.trapped]
        return Outcome(
            strategy=self.strategies[index],
            share=wilson(int(self.reached[index].sum()), len(self.starts)),
            escape=wilson(int(escaped.sum()), len(escaped)) if len(escaped) else None,
            time=median_time(self.entered[index]),
            trapped=len(escaped),
            diverged=int((self.died_at[index] >= 0).sum()),
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the share and the escape rate of each strategy with their intervals and return the matplotlib Axes."""
        return picture("plot_rates")(self, ax=ax)


def wilson(successes: int, trials: int) -> Interval:
    """Return a share with Wilson's 95 % interval [wilson1927probable].

    >>> str(wilson(8, 10))
    '0.8000 (0.4902 to 0.9433)'
    """
    found = need("scipy.stats").binomtest(successes, trials).proportion_ci(method="wilson")
    return Interval(successes / trials, float(found.low), float(found.high))


def median_time(times: NDArray) -> Interval:
    """Return the median of `times`, (starts,), with its 95 % interval; -1 is a time beyond the end of the run.

    The interval is that of the order statistics, which assumes nothing of the times: those beyond the end count as
    later than all others, and where the median or a bound is one of them, it is inf.

    >>> str(median_time(np.array([3, 1, 2, -1, -1, 5, 4, 6, 7])))
    '5.0000 (2.0000 to inf)'
    """
    ordered = np.sort(np.where(times < 0, np.inf, times))
    n = len(ordered)
    below = max(int(need("scipy.stats").binom.ppf(0.025, n, 0.5)), 1)
    return Interval(float(np.median(ordered)), float(ordered[below - 1]), float(ordered[n - below]))
