"""A trial as a training function of the user's sees it: the rates of each update, and where to report its loss."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from stepsize.adapters.torch import Driver, build_optimizer
from stepsize.kernel.arrays import Floats, as_number
from stepsize.kernel.errors import ParameterError, TaskError, brief
from stepsize.policies import LR, Policy
from stepsize.rules import Rule
from stepsize.strategy import Trial

TAIL = 20
"""Where no score is given, the mean loss of the last so-manieth part of the run stands for it."""


class FunctionTrial:
    """What `train(trial)` is given.

    ::

        for step in trial:                    # 0, 1, ..., trial.steps - 1; ends early once the loss is no number
            trial.apply(optimizer)            # or read trial.lr, trial.values["momentum"]
            ...                               # forward, backward, one update
            trial.report(loss, score=lambda: validation_loss(model))

    seed: of the weights and the batches; trials of one seed are compared with each other. steps: of the whole run, as
        the race has it. step: the update that is being made; -1 before the first.
    """

    def __init__(
        self, trial: Trial, steps: int, points: Sequence[int], *, base: Rule | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        self.seed, self.steps, self.step = trial.seed, steps, -1
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.read_at, self.rule_read = -2, False
        self._strategy = trial.strategy.over(steps)
        self._policy = _applied(self._strategy.policy, self._strategy.rule, base)
        self._table = self._strategy.table(0, steps)
        self._points, self._progress = frozenset(points), progress
        self._scored = False
        self._drivers: list[tuple[Any, Driver]] = []

    @property
    def rule(self) -> Rule:
        """The update rule of this trial, with all its hyperparameters."""
        self.rule_read = True
        return self._strategy.rule

    @property
    def values(self) -> dict[str, float]:
        """Every hyperparameter of the rule at this update, such as {"lr": 0.01, "momentum": 0.9}."""
        self.read_at = self.step
        return {name: float(column[max(0, self.step)]) for name, column in self._table.items()}

    @property
    def lr(self) -> float:
        """The learning rate of this update."""
        return self.values[LR]

    @property
    def table(self) -> dict[str, Floats]:
        """Every hyperparameter at all updates, each (steps,) float64; for a loop that is compiled as a whole."""
        self.read_at = self.steps - 1
        return dict(self._table)

    def optimizer(self, parameters: Any) -> Any:
        """Return the torch optimizer of this trial's rule.

        parameters: what a torch optimizer takes, or a module.

        Raises DriveError for a rule that torch does not have.
        """
        return build_optimizer(parameters, self.rule)

    def apply(self, optimizer: Any) -> None:
        """Set in a torch optimizer what the policy schedules; all else, and the ratios of its groups, stay as they are.

        Raises DriveError for an optimizer that lacks one of them, ParameterError for one that is not torch's.
        """
        if not hasattr(optimizer, "param_groups"):
            raise ParameterError(
                f"trial.apply takes a torch optimizer, not {type(optimizer).__name__}; for another framework set "
                "trial.lr, or trial.values, yourself."
            )
        self.read_at = self.step
        driver = next((driver for known, driver in self._drivers if known is optimizer), None)
        if driver is None:
            driver = Driver(optimizer, self._policy, self.steps, max(0, self.step))
            self._drivers.append((optimizer, driver))
        driver.set(max(0, self.step))

    def report(self, loss: Any, score: Any = None) -> None:
        """Report the training loss of this update, once; a number, or an array of one. One that is no number ends it.

        score: the validation loss, or better a function that returns it, which is called only when a score is due:
            at the end, and at some points of a final rung. Without any, the training losses stand for it.

        Raises TaskError for what is no number, and for a second report in one update.
        """
        if self.step < 0:
            raise TaskError(
                "trial.report was called before the loop; the loss belongs to an update, `for step in trial`."
            )
        if len(self.losses) > self.step:
            raise TaskError(f"update {self.step} was reported twice; call trial.report(loss) once in every step.")
        self.losses.append(as_number(loss, "loss"))
        self._scored |= score is not None
        if len(self.losses) in self._points:
            self.scores.append(self._score(score) if self._lives else math.nan)
        if self._progress is not None:
            self._progress(1)

    def _score(self, score: Any) -> float:
        if score is not None:
            return as_number(score() if callable(score) else score, "score")
        if self._scored:
            raise TaskError(
                f"no score was given after update {self.step}, where one is due, but earlier ones were. Give a "
                "function in every step, trial.report(loss, score=lambda: ...); it is called only when a score is due."
            )
        return float(np.mean(self.losses[-max(1, self.steps // TAIL) :]))

    @property
    def _lives(self) -> bool:
        return not self.losses or math.isfinite(self.losses[-1])

    def __iter__(self) -> Iterator[int]:
        if self.step >= 0:
            raise TaskError("the trial was gone through already; one loop, `for step in trial`, is one training.")
        while self._lives and self.step + 1 < self.steps:
            self.step += 1
            yield self.step
            if len(self.losses) == self.step:
                raise TaskError(
                    f"the loss of update {self.step} was not reported; call trial.report(loss) once in every step."
                )

    def __len__(self) -> int:
        return self.steps

    def finish(self, returned: Any) -> None:
        """Raise TaskError unless the function went through all updates, or diverged."""
        if self.step < 0:
            raise TaskError("the training function never went through its trial; train in a loop, `for step in trial`.")
        if self._lives and len(self.losses) < self.steps:
            raise TaskError(
                f"the training function stopped after {len(self.losses)} of {self.steps} updates, so it cannot be "
                "compared; go through the whole trial, without break or return. The race decides when to stop."
            )
        if isinstance(returned, numbers.Number) or getattr(returned, "shape", None) == ():
            raise TaskError(
                f"the training function returned {brief(returned)}, which nobody reads; report a score instead: "
                "trial.report(loss, score=lambda: ...)."
            )


def _applied(policy: Policy, rule: Rule, base: Rule | None) -> Policy:
    """Return what `apply` sets: what is scheduled, and in what else the rule differs from the task's own."""
    if base is None:
        return policy
    if type(rule) is not type(base):
        kind = type(base).__name__
        raise ParameterError(
            f"this training function follows {base.title}, so a strategy of {rule.title} cannot be run by it: race "
            f"{kind} alone. Or build the optimizer with trial.optimizer(parameters), and "
            "leave FunctionTask(rule=...) away: then it follows any rule."
        )
    own = base.hyperparameters
    more = {name: value for name, value in rule.hyperparameters.items() if value != own[name] and name not in policy}
    return Policy(**dict(policy.schedules), **more)
