"""The user's own training function as a task, in any framework, and the engine that calls it.

::

    def train(trial):
        model = make_model(trial.seed)
        optimizer = torch.optim.AdamW(model.parameters())
        for step in trial:
            trial.apply(optimizer)
            ...                                        # forward, backward, optimizer.step()
            trial.report(loss, score=lambda: validation_loss(model))

    def task():
        return FunctionTask(train, rule=AdamW(), steps=2000)
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import math
import numbers
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from stepsize.engines import base
from stepsize.kernel import seeds
from stepsize.kernel.arrays import Floats, as_number
from stepsize.kernel.errors import ParameterError, StepsizeError, TaskError, brief, said
from stepsize.kernel.notebook import Shown
from stepsize.kernel.optional import need
from stepsize.kernel.text import count
from stepsize.policies import LR, Policy, constant
from stepsize.problems import Trainable
from stepsize.problems.base import seeded
from stepsize.problems.checks import check_first_loss
from stepsize.problems.gradient_size import GradientSize, gradient_size
from stepsize.problems.random_state import RandomState
from stepsize.results.curves import Curves
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy, Trial

if TYPE_CHECKING:
    from stepsize.adapters.torch import Driver

REHEARSAL = 3
"""Updates of the run that shows, before all others, whether the function keeps to its part."""

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
        the race has it. step: the update that is being made; -1 before the first. key: a name for this very trial, of
        its strategy, seed and length, under which a function may keep what lets it go on where it was interrupted.
    """

    def __init__(
        self, trial: Trial, steps: int, points: Sequence[int], *, base: Rule | None = None,
        progress: Callable[[int], None] = lambda _: None,
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
        self._optimizers: list[Any] = []
        self.first_gradient: GradientSize | None = None
        self.seconds_updating = self.seconds_scoring = 0.0

    @property
    def rule(self) -> Rule:
        """The update rule of this trial, with all its hyperparameters."""
        self.rule_read = True
        return self._strategy.rule

    @property
    def key(self) -> str:
        """A short name for this very trial: of its rule, its hyperparameters at all updates, and its seed."""
        text = [repr(self._strategy.rule), str(self.seed), *self._table]
        values = b"".join(column.tobytes() for column in self._table.values())
        return hashlib.sha256("\n".join(text).encode() + values).hexdigest()[:16]

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
        self._optimizers.append(need("stepsize.adapters.torch").build_optimizer(parameters, self.rule))
        return self._optimizers[-1]

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
            driver = need("stepsize.adapters.torch").drive(optimizer, self._policy, self.steps, max(0, self.step))
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
        if self.step == 0:
            self.first_gradient = self._gradient_size()
        self._scored |= score is not None
        if len(self.losses) in self._points:
            began = time.perf_counter()
            self.scores.append(self._score(score) if self._lives else math.nan)
            self.seconds_scoring = time.perf_counter() - began
        self._progress(1)

    def _gradient_size(self) -> GradientSize | None:
        """Return how large the gradient of the torch optimizers' parameters is now; None where none can be seen."""
        optimizers = {id(each): each for each in (*self._optimizers, *(known for known, _ in self._drivers))}
        groups = [group for each in optimizers.values() for group in each.param_groups]
        return gradient_size(self.losses[0], [p for group in groups for p in group["params"]])

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
            began = time.perf_counter()
            yield self.step
            self.seconds_updating = time.perf_counter() - began - self.seconds_scoring
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
    if rule.kind != base.kind:
        raise ParameterError(
            f"this training function follows {base.title}, so a strategy of {rule.title} cannot be run by it: race "
            f"{base.title} alone. Or build the optimizer with trial.optimizer(parameters), and "
            "leave FunctionTask(rule=...) away: then it follows any rule."
        )
    own = base.hyperparameters
    more = {name: value for name, value in rule.hyperparameters.items() if value != own[name] and name not in policy}
    return Policy(**dict(policy.schedules), **more)


@dataclass(frozen=True, eq=False, repr=False)
class FunctionTask(Shown):
    """A training function as a task: it goes through the trial that it is given, and reports a loss in every step.

    train: `train(trial)`, see `FunctionTrial`. Python's, NumPy's and torch's global generators are seeded with the
        trial's seed before; what else is random must be seeded with `trial.seed`.
    steps: how long one full training is by default (steps, optimizer updates); `trial.steps` says how long this one is.
    name: how reports and journals call it; the function's own when not given.
    rule: the update rule that its optimizer follows, which says what can be scheduled. When not given the function
        follows any: it builds its optimizer with `trial.optimizer(parameters)`, or looks at `trial.rule`.
    baseline: what you train with now, a strategy or "AdamW linear_to_zero 1e-3"; `advise` runs it beside its answer.

    Watch out: it is a closed box. Its trials run one at a time, and each reported loss waits for the device. A journal
    knows it by the text of `train` and its first losses: other changes go unnoticed.

    Raises TaskError when `train` is no function.
    """

    noun: ClassVar[str] = "task"

    train: Callable[[FunctionTrial], object]
    steps: int = 500
    name: str = ""
    source: str = field(default="", repr=False)
    rule: Rule | None = None
    baseline: Any = None
    scored: ClassVar[str] = "validation loss"

    def __post_init__(self) -> None:
        if not callable(self.train):
            raise TaskError(f"FunctionTask.train must be a function of a trial, not {self.train!r}.")
        if not isinstance(self.steps, int) or self.steps < 1:
            raise TaskError(f"FunctionTask.steps must be a whole number of at least 1, not {self.steps!r}.")
        if self.rule is not None and not isinstance(self.rule, Rule):
            raise TaskError(f"FunctionTask.rule must be an update rule, such as AdamW(), not {self.rule!r}.")
        object.__setattr__(self, "name", self.name or getattr(self.train, "__name__", "training function"))

    def __str__(self) -> str:
        """Its name, how long it is, and what it is scored by."""
        return f"{self.name}, {count(self.steps, 'step')} of a function of yours, scored by {self.scored}"

    def check(self, seed: int = 0) -> None:  # noqa: ARG002  (it is looked at with one seed, once)
        """Run the function for three updates; raise TaskError that says in what it does not keep to its part."""
        _ = self._rehearsal  # asking for it runs it

    @property
    def first_gradient(self) -> GradientSize | None:
        """How large the first gradient is; None where no torch optimizer, or no gradient, is there when it reports."""
        return self._rehearsal.first_gradient

    @property
    def start(self) -> float:
        """The score after the few updates of the rehearsal, which stands for that before any."""
        return self._rehearsal.scores[-1] if self._rehearsal.scores else self._rehearsal.losses[0]

    @property
    def validation_updates(self) -> float:
        """About what one score costs, in updates, timed in the rehearsal."""
        return base.updates_of(self._rehearsal.seconds_scoring, self._rehearsal.seconds_updating)

    @property
    def _rehearsed(self) -> tuple[float, ...]:
        """The losses and the score of three updates."""
        return (*self._rehearsal.losses, *self._rehearsal.scores)

    @cached_property
    def _rehearsal(self) -> FunctionTrial:
        """The run of three updates, by which the function is known."""
        rule = self.rule or AdamW()
        trial = FunctionTrial(Trial(Strategy(rule, constant(rule.lr)), 0), REHEARSAL, [REHEARSAL], base=self.rule)
        _train(self, trial)
        check_first_loss(self.name, trial.losses[0])
        if len(trial.losses) == REHEARSAL and trial.read_at < REHEARSAL - 1:
            raise TaskError(
                f"{self.name!r} reads no rate in step {REHEARSAL - 1}, so no schedule can move it. Inside of the loop "
                "call trial.apply(optimizer), or give trial.lr to your optimizer."
            )
        if self.rule is None and not trial.rule_read:
            raise TaskError(
                f"{self.name!r} never looks at the update rule of its trial. Say which one its optimizer follows, "
                "FunctionTask(train, rule=AdamW()), or build the optimizer with trial.optimizer(parameters)."
            )
        return trial

    def fingerprint_parts(self) -> dict[str, str]:
        """Return what makes it this task, part by part, for the journal."""
        losses = ", ".join(f"{value:.4e}" for value in self._rehearsed)
        text = hashlib.sha256(_text(self.train).encode()).hexdigest()
        return {"training function": text[:16], "first losses": losses, "update rule": repr(self.rule)}

    def run(self, strategy: Strategy, *, steps: int | None = None, seed: int = 0) -> Curves:
        """Train once with a strategy, such as the one that was recommended, and return the record.

        steps: the task's own when not given.
        """
        return Function().run(self, [Trial(strategy, seed)], self.steps if steps is None else steps)


class Function(base.Engine):
    """Runs a FunctionTask, one trial after the other."""

    label = "the task's own training function, one trial at a time"

    def train(self, task: Trainable, trials: Sequence[Trial], points: list[int], progress: base.Progress) -> Curves:
        """Call the function for `trials`, one after the other.

        Raises TaskError for another kind of task, for strategies of a rule that it does not follow, and for what it
        does wrong.
        """
        if not isinstance(task, FunctionTask):
            raise TaskError(f"{task.name!r} is no training function; Function runs a FunctionTask alone.")
        return Curves.join([self._trial(task, trial, points, progress) for trial in trials])

    def _trial(self, task: FunctionTask, trial: Trial, points: list[int], progress: base.Progress) -> Curves:
        began = time.perf_counter()
        live = FunctionTrial(trial, points[-1], points, base=task.rule, progress=progress)
        _train(task, live)
        return base.record_trial(trial, points, live.losses, live.scores, began=began, label=self.label)


def _train(task: FunctionTask, trial: FunctionTrial) -> None:
    """Call the function; whatever it raises is a TaskError that says at which update."""
    try:
        seed = seeds.child(trial.seed, "function")
        with seeded(seed), RandomState(seed):
            trial.finish(task.train(trial))
    except TaskError as error:
        raise TaskError(f"{task.name!r}: {error}") from error
    except (StepsizeError, KeyboardInterrupt):
        raise
    except BaseException as error:  # also SystemExit: none of the user's code may end this process
        where = f"at update {trial.step}" if trial.step >= 0 else "before its first update"
        raise TaskError(f"{task.name!r} fails {where}: {said(error)}") from error


def _text(function: Any) -> str:
    """Return what a function does, as a text that comments and line breaks do not change; "" where it is unknown."""
    function = inspect.unwrap(getattr(function, "func", function))
    try:
        source = inspect.getsource(function if inspect.isroutine(function) else type(function))
    except (OSError, TypeError):
        return ""
    try:
        return ast.dump(ast.parse(textwrap.dedent(source)))
    except SyntaxError:  # a lambda within an expression
        return source
