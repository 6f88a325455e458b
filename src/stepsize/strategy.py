"""A strategy is an update rule and a policy; a trial is a strategy with a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import LengthError, ParameterError, suggestion
from stepsize.kernel.spec import Spec
from stepsize.policies import LR, Policy
from stepsize.rules import Rule
from stepsize.schedules import Chain, Schedule

_PLACES = 1_000_000  # how many steps a peak is read off: all of them, but for the longest runs


@dataclass(frozen=True)
class Strategy(Spec):
    """An update rule, and the policy that moves its hyperparameters.

    name: how reports call it; by default the rule and the schedule of its rate.

    Raises ParameterError when the policy schedules what the rule does not have.

    >>> from stepsize.policies import cosine
    >>> from stepsize.rules import AdamW
    >>> Strategy(AdamW(), cosine(0.01)).name
    'AdamW Cosine 0.01'
    """

    noun: ClassVar[str] = "strategy"

    rule: Rule
    policy: Policy
    name: str = ""

    def validate(self) -> None:
        """Check that the policy speaks of the rule's hyperparameters, and complete the name."""
        known = self.rule.hyperparameters
        kind = self.rule.title
        for name in self.policy:
            if name not in known:
                raise ParameterError(
                    f"{kind} has no hyperparameter {name!r} to schedule. {suggestion(name, known)} "
                    f"Leave it out with policy.only(rule.hyperparameters)."
                )
        if LR not in self.policy:
            raise ParameterError(
                f"the policy of a strategy must schedule {LR!r}; it schedules {', '.join(self.policy)}."
            )
        if not self.name:
            object.__setattr__(self, "name", f"{kind} {self.family} {self.peak:.3g}")

    @property
    def family(self) -> str:
        """The shape of the rate's schedule in words, such as "Linear >> Cosine"."""
        schedule = self.policy[LR]
        parts = schedule.parts if isinstance(schedule, Chain) else (schedule,)
        return " >> ".join(type(part).__name__ for part in parts)

    @property
    def peak(self) -> float:
        """The largest rate; of a policy that is not bound yet, in a run of 1 000 steps, or longer if its parts are."""
        schedule = self.policy[LR]
        if isinstance(schedule.steps, int):
            return _largest(schedule, schedule.steps)
        run = 1000 + 2 * _whole_lengths(schedule)
        try:
            return _largest(schedule, run)
        except LengthError:  # parts in steps beside large shares need a run that is longer still
            return _largest(schedule, 100 * run)

    def over(self, total: int) -> Strategy:
        """Return this strategy with its policy bound to a run of `total` steps."""
        return Strategy(self.rule, self.policy.over(total), self.name)

    def scaled(self, factor: float) -> Strategy:
        """Return this strategy with its rate multiplied by `factor`, under the same name."""
        return Strategy(self.rule, self.policy.scaled(factor), self.name)

    def table(self, start: int, stop: int) -> dict[str, Floats]:
        """Return all of the rule's hyperparameters at steps start..stop-1, each (stop - start,) float64."""
        fixed = {name: np.full(stop - start, value) for name, value in self.rule.hyperparameters.items()}
        return {**fixed, **self.policy.table(start, stop)}


def _largest(schedule: Schedule, run: int) -> float:
    places = np.linspace(0, run, min(run, _PLACES) + 1).astype(np.int64)
    return float(schedule.over(run)(places).max())


def _whole_lengths(value: object) -> int:
    """Return the sum of all lengths in `value` that are steps already."""
    if isinstance(value, Spec):
        return _whole_lengths(tuple(value.spec_fields().values()))
    if isinstance(value, tuple):
        return sum(map(_whole_lengths, value))
    return value if isinstance(value, int) else 0


@dataclass(frozen=True)
class Trial(Spec):
    """A strategy with a seed, which decides the initial weights and the batches: trials of one seed are paired."""

    noun: ClassVar[str] = "trial"

    strategy: Strategy
    seed: int
