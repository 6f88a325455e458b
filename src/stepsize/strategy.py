"""A strategy is an update rule and a policy; a trial is a strategy with a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError, suggestion
from stepsize.kernel.spec import Spec
from stepsize.policies import LR, Policy
from stepsize.rules import Rule


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
        kind = type(self.rule).__name__
        for name in self.policy:
            if name not in known:
                raise ParameterError(
                    f"{kind} has no hyperparameter {name!r} to schedule. {suggestion(name, known)} "
                    f"Leave it out with policy.only(rule.hyperparameters)."
                )
        if LR not in self.policy:
            raise ParameterError(f"the policy of a strategy must schedule {LR!r}; it schedules {', '.join(self.policy)}.")
        if not self.name:
            parts = getattr(self.policy[LR], "parts", (self.policy[LR],))
            shape = " >> ".join(type(part).__name__ for part in parts)
            object.__setattr__(self, "name", f"{kind} {shape} {self.peak:.3g}")

    @property
    def peak(self) -> float:
        """The largest rate, read off a run of 1 000 steps if the policy is not bound yet."""
        schedule = self.policy[LR]
        steps = schedule.steps
        run = steps if isinstance(steps, int) else 1000
        bound = schedule if isinstance(steps, int) else schedule.over(run)
        return float(bound.table(0, run + 1).max())

    def over(self, total: int) -> Strategy:
        """Return this strategy with its policy bound to a run of `total` steps."""
        return Strategy(self.rule, self.policy.over(total), self.name)

    def scaled(self, factor: float) -> Strategy:
        """Return this strategy with its rate multiplied by `factor`, under the same name."""
        return Strategy(self.rule, self.policy.scaled(factor), self.name)

    def table(self, start: int, stop: int) -> dict[str, Floats]:
        """Return every hyperparameter of the rule at steps start..stop-1, scheduled or not, each (stop - start,) float64."""
        fixed = {name: np.full(stop - start, value) for name, value in self.rule.hyperparameters.items()}
        return {**fixed, **self.policy.table(start, stop)}


@dataclass(frozen=True)
class Trial(Spec):
    """A strategy with a seed: the seed decides the initial weights and the batches, so trials of one seed are paired."""

    noun: ClassVar[str] = "trial"

    strategy: Strategy
    seed: int
