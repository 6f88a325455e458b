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
import random
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from stepsize.engines import base
from stepsize.engines.function_trial import FunctionTrial
from stepsize.kernel import seeds
from stepsize.kernel.errors import StepsizeError, TaskError
from stepsize.policies import constant
from stepsize.problems import Trainable
from stepsize.problems.base import seeded
from stepsize.results.curves import Curves
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy, Trial

REHEARSAL = 3
"""Updates of the run that shows, before all others, whether the function keeps to its part."""


@dataclass(frozen=True, eq=False)
class FunctionTask:
    """A training function as a task: it goes through the trial that it is given, and reports a loss in every step.

    train: `train(trial)`, see `FunctionTrial`. Python's, NumPy's and torch's global generators are seeded with the
        trial's seed before; what else is random must be seeded with `trial.seed`.
    steps: how long one full training is by default (steps, optimizer updates); `trial.steps` says how long this one is.
    name: how reports and journals call it; the function's own when not given.
    rule: the update rule that its optimizer follows, which says what can be scheduled. When not given the function
        follows any: it builds its optimizer with `trial.optimizer(parameters)`, or looks at `trial.rule`.

    Watch out: it is a closed box. Its trials run one at a time, and each reported loss waits for the device. A journal
    knows it by the text of `train` and its first losses: other changes go unnoticed.

    Raises TaskError when `train` is no function.
    """

    train: Callable[[FunctionTrial], object]
    steps: int = 500
    name: str = ""
    source: str = field(default="", repr=False)
    rule: Rule | None = None
    scored: ClassVar[str] = "validation loss"

    def __post_init__(self) -> None:
        if not callable(self.train):
            raise TaskError(f"FunctionTask.train must be a function of a trial, not {self.train!r}.")
        if not isinstance(self.steps, int) or self.steps < 1:
            raise TaskError(f"FunctionTask.steps must be a whole number of at least 1, not {self.steps!r}.")
        if self.rule is not None and not isinstance(self.rule, Rule):
            raise TaskError(f"FunctionTask.rule must be an update rule, such as AdamW(), not {self.rule!r}.")
        object.__setattr__(self, "name", self.name or getattr(self.train, "__name__", "training function"))

    def check(self, seed: int = 0) -> None:  # noqa: ARG002  (it is looked at with one seed, once)
        """Run the function for three updates; raise TaskError that says in what it does not keep to its part."""
        _ = self._rehearsed  # asking for it runs it

    @cached_property
    def _rehearsed(self) -> tuple[float, ...]:
        """The losses and the score of three updates."""
        rule = self.rule or AdamW()
        trial = FunctionTrial(Trial(Strategy(rule, constant(rule.lr)), 0), REHEARSAL, [REHEARSAL], base=self.rule)
        _train(self, trial)
        if not math.isfinite(trial.losses[0]):
            raise TaskError(
                f"the loss of {self.name!r} is {trial.losses[0]} at the first step, before any update, so no learning "
                "rate can train it. Look at the data (NaN, infinities), the initial weights and the loss function."
            )
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
        return (*trial.losses, *trial.scores)

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


class Function:
    """Runs a FunctionTask, one trial after the other."""

    label = "the task's own training function, one trial at a time"

    def split(self, trials: Sequence[Trial]) -> list[list[int]]:
        """Return each trial by itself."""
        return [[index] for index in range(len(trials))]

    def run(
        self,
        task: Trainable,
        trials: Sequence[Trial],
        steps: int,
        *,
        score_every: int | None = None,
        progress: base.Progress | None = None,
    ) -> Curves:
        """Call the function for `trials`, one after the other.

        Raises TaskError for another kind of task, for strategies of a rule that it does not follow, and for what it
        does wrong.
        """
        if not isinstance(task, FunctionTask):
            raise TaskError(f"{task.name!r} is no training function; Function runs a FunctionTask alone.")
        points = base.score_points(steps, score_every)
        return Curves.join([self._trial(task, trial, steps, points, progress) for trial in trials])

    def _trial(
        self, task: FunctionTask, trial: Trial, steps: int, points: list[int], progress: base.Progress | None
    ) -> Curves:
        began = time.perf_counter()
        live = FunctionTrial(trial, steps, points, base=task.rule, progress=progress)
        _train(task, live)
        losses, scores = np.full((steps, 1), np.nan), np.full((len(points), 1), np.nan)
        losses[: len(live.losses), 0] = live.losses
        scores[: len(live.scores), 0] = live.scores
        seconds = time.perf_counter() - began
        return Curves((trial,), steps, losses, np.array(points), scores, seconds, self.label)


def _train(task: FunctionTask, trial: FunctionTrial) -> None:
    """Call the function; whatever it raises is a TaskError that says at which update."""
    try:
        with _seeded(seeds.child(trial.seed, "function")):
            trial.finish(task.train(trial))
    except TaskError as error:
        raise TaskError(f"{task.name!r}: {error}") from error
    except StepsizeError:
        raise
    except (Exception, SystemExit) as error:
        where = f"at update {trial.step}" if trial.step >= 0 else "before its first update"
        raise TaskError(f"{task.name!r} fails {where}: {type(error).__name__}: {error}") from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch for a while, and leave them as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (the user's code may use the global one)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (the same)
    try:
        with seeded(seed):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002  (the same)


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
