"""What a search may spend, and what it has: with the validation of every run, and with the looks at the model."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from stepsize.jobs.race.budget import Budget
from stepsize.problems import Task, Trainable

FORWARD = 1 / 3
"""What a sample costs in validation, as a share of one in training, which goes backward too."""

VALIDATES = 0.2
"""The largest share of a run that its validation may cost."""

OVERRUN = 0.1
"""By which share a budget of time may be overrun."""

GUESS = 3.0
"""What a budget of time is taken for before anything has run, in full trainings."""

LEVELS = (0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""What a budget of time is taken for, in full trainings: coarse, so that a search that is resumed plans the same."""


@dataclass(eq=False)
class Account:
    """The budget of a search, and what it has spent.

    budget: None where there is none. horizon: steps of one full training. validation: of one run, in updates.
    spent: in full trainings, `inspected` of it on looks at the model. trials: how many runs. replayed: the seconds that
    runs took before an interruption. began: when, by `time.monotonic`.
    """

    budget: Budget | None
    horizon: int
    validation: float
    spent: float = 0.0
    inspected: float = 0.0
    trials: int = 0
    replayed: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The seconds spent, those before an interruption with them."""
        return self.replayed + time.monotonic() - self.began

    def price(self, steps: int) -> float:
        """Return what a run of `steps` updates costs, its validation included, in full trainings."""
        return (steps + self.validation) / (self.horizon + self.validation)

    def pay(self, steps: int, runs: int = 1) -> None:
        """Note that so many runs of `steps` updates have been made."""
        self.spent += runs * self.price(steps)
        self.trials += runs

    def inspect(self, updates: int) -> None:
        """Note that a look at the model took as long as so many updates."""
        self.inspected += updates / (self.horizon + self.validation)
        self.spent += updates / (self.horizon + self.validation)

    def affords(self, steps: int, runs: int = 1, *, reserve: float = 0.0) -> bool:
        """Whether so many runs of `steps` updates may still be made, with `reserve` trainings left after them."""
        if self.budget is None:
            return True
        cost = runs * self.price(steps) + reserve
        if self.budget.trainings is not None:
            return self.spent + cost <= self.budget.trainings * (1 + 1e-9)
        if self.budget.trials is not None:
            return self.trials + runs <= self.budget.trials
        return self.seconds + cost * self.seconds_a_training <= (self.budget.seconds or 0.0) * (1 + OVERRUN)

    @property
    def seconds_a_training(self) -> float:
        """How long a full training takes, by what was spent so far; 0 while nothing is known."""
        return (self.seconds / self.spent) if self.spent else 0.0

    @property
    def trainings(self) -> float:
        """The budget in full trainings, as far as it can be foreseen; inf without one."""
        if self.budget is None:
            return math.inf
        if self.budget.trainings is not None:
            return self.budget.trainings
        if self.budget.trials is not None:
            return self.budget.trials / 4
        if not self.trials:
            return GUESS
        found = (self.budget.seconds or 0.0) / self.seconds_a_training
        return max((level for level in LEVELS if level <= found), default=LEVELS[0])


def validation_updates(task: Trainable) -> float:
    """Return what one validation costs, in updates: counted for a `Task`, timed by a training function itself."""
    if not isinstance(task, Task):
        return float(getattr(task, "validation_updates", 0.0))
    return FORWARD * task.validation_samples / task.update_size


def least_steps(validation: float) -> int:
    """Return the fewest updates of a run whose validation is no more than its share."""
    return math.ceil(validation * (1 - VALIDATES) / VALIDATES)
