"""The pilot runs of a loop that is not ours: which comes next, and the answer, by the search of `advise`.

There is one family. It knows no framework: a loop makes each run that is named here, and gives its score.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from stepsize.jobs.advise.answer.baseline import usual_baseline
from stepsize.jobs.advise.answer.confidence import expected_loss
from stepsize.jobs.advise.answer.record import Asked, record
from stepsize.jobs.advise.belief.evidence import Run
from stepsize.jobs.advise.locate import LONG
from stepsize.jobs.advise.search import Proposal, Search
from stepsize.jobs.advise.stages import locate
from stepsize.jobs.race.budget import Budget
from stepsize.kernel.errors import DriveError, ParameterError, TaskError, brief
from stepsize.kernel.text import count
from stepsize.problems.gradient_size import GradientSize
from stepsize.results import Advice
from stepsize.rules import Rule
from stepsize.strategy import Strategy

SHARE_OF_LONG, SHARE_OF_SHORT = 0.35, 1.0
"""What pilot runs may cost when nothing is said, as a share of the run, from `LONG` updates on and below."""

TAIL, LEAST_TAIL = 10, 3
"""Where there is no validation, the mean loss of the last so-manieth part of a run scores it, of so many at least."""

RESTED, SURE = 5, 2.0
"""How many updates at rest show the loss before training; and by how many standard errors the mean loss of some batches
may be off, as a run is scored on others."""

APART, TIMED = 4.0, 2
"""A validation is timed, so many times unless it is short, and counted as a power of so many updates: coarse, so that
the same loop plans the same runs."""

BLINK = 0.05
"""A validation of fewer seconds does not count: nobody waits for it, and a process whose core is shared waits that long
for its turn, so a clock says nothing of it."""

SAME = 0.2
"""Training and held-out loss measure the same where a model that is untrained has both within this share."""

DEAD = 10
"""After so many runs of which every one diverged no more are made."""

AT_REST = 1e-12
"""The rate of the updates before the pilot runs, which move nothing; some of torch's optimizers divide by the rate."""

SCORED = {True: "validation loss", False: "training loss"}
"""What a score is, with and without a validation."""

ENGINE = "the training loop itself"
MORE = "A larger share= buys more pilot runs: stepsize.tune(..., share=...)."


@dataclass(frozen=True)
class LoopTask:
    """What is known of a loop before its pilot runs.

    name: how reports call it. steps: of the whole training. held_out: its loss before any update; None where training
    losses are the score. rested: the training losses of `RESTED` updates at rest. first_gradient: of the first update;
    None where it is not known. rule: that its optimizer follows. validation_updates: what one costs, in updates.
    """

    name: str
    steps: int
    held_out: float | None
    rested: Sequence[float]
    first_gradient: GradientSize | None
    rule: Rule
    validation_updates: float = 0.0
    source: str = ""

    @property
    def scored(self) -> str:
        """What a score is."""
        return SCORED[self.held_out is not None]

    @property
    def start(self) -> float:
        """The score before any update."""
        return fmean(self.rested) if self.held_out is None else self.held_out

    @property
    def doubt(self) -> float:
        """How much higher the training loss before any update may be on other batches."""
        return SURE * stdev(self.rested) * math.sqrt(1 / len(self.rested) + 1 / LEAST_TAIL)

    @property
    def training_start(self) -> float:
        """The training loss before any update, beside a held-out loss that measures the same; else NaN."""
        mean = fmean(self.rested)
        same = self.held_out is not None and abs(mean - self.start) <= SAME * abs(self.start) + self.doubt
        return mean if same else math.nan

    def check(self, seed: int = 0) -> None:  # noqa: ARG002  (a loop has been looked at already)
        """Raise TaskError where it cannot be trained: where the first loss is no number."""
        if not math.isfinite(self.start):
            raise TaskError(
                f"the first {self.scored} is {self.start}, before any update, so no learning rate can help. Look at "
                "the data and at the initial weights."
            )

    def fingerprint_parts(self) -> dict[str, str]:
        """Return what it is known by: its first loss and its rule."""
        return {"first losses": f"{self.start:.4e}", "update rule": repr(self.rule)}


@dataclass(frozen=True)
class PilotRun:
    """A pilot run: its peak rate and its length; and when it is over its score, inf where it diverged.

    training: its training loss, where that is not the score. made: the updates that it made. error: how far off the
    training loss may be, as its batches differ.
    """

    rate: float
    steps: int
    score: float = math.nan
    training: float = math.nan
    made: int = 0
    error: float = 0.0


def scored(run: PilotRun, losses: Sequence[float], validate: Callable[[], float] | None) -> PilotRun:
    """Return a run that is over, by the loss of each of its updates; the last is no number where it diverged.

    validate: returns the held-out loss; without it the training losses stand for that.
    """
    made = len(losses)
    if not math.isfinite(losses[-1]):
        return replace(run, score=math.inf, made=made)
    if validate is None:
        return replace(run, score=tail(losses), made=made)
    last = _last(losses)
    error = SURE * stdev(last) / math.sqrt(len(last))
    return replace(run, score=validate(), training=fmean(last), made=made, error=error)


def share_of(share: float | None, steps: int) -> float:
    """Return what pilot runs may cost, as a share of the run; raise ParameterError for what is none."""
    if share is None:
        return SHARE_OF_LONG if steps >= LONG else SHARE_OF_SHORT
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < math.inf:
        raise ParameterError(
            f"share= is what the pilot runs may cost, as a share of the run, such as 0.35, and 0 for none, not "
            f"{brief(share)}."
        )
    return float(share)


def check_validate(validate: Any) -> None:
    """Raise ParameterError for what cannot be called for a held-out loss."""
    if validate is not None and not callable(validate):
        raise ParameterError(f"validate= is a function that returns the held-out loss, not {brief(validate)}.")


def tail(losses: Sequence[float]) -> float:
    """Return the mean of the last tenth of some losses, and of three at least."""
    return fmean(_last(losses))


def _last(losses: Sequence[float]) -> Sequence[float]:
    return losses[-max(LEAST_TAIL, len(losses) // TAIL) :]


def warn_of_guess(answer: Advice) -> None:
    """Say where an answer is a guess."""
    rate = f"{answer.strategy.peak:.3g}"
    if not answer.runs:
        warnings.warn(
            f"no pilot run was made, so the rate {rate} is what other tasks and the first gradient say; the best one "
            f"lies in {answer.belief.low:.2g} to {answer.belief.high:.2g} with 90 %. A larger share= finds it.",
            stacklevel=4,
        )
    elif not answer.learned:
        warnings.warn(
            f"no pilot run did better than the loss before training, so {rate} is a guess. {answer.warnings[1]}",
            stacklevel=4,
        )


class Pilots:
    """The pilot runs of one family, one after the other.

    ::

        while (run := pilots.next()) is not None:
            ...                                  # train at run.rate for run.steps, from the beginning
            pilots.learn(scored(run, losses, validate))
        pilots.answer()

    task: what is known of the loop. family: at any rate. share: of the training that they may cost. finished: those of
    an earlier process, which are not made again.

    Raises TaskError where the first loss is no number, DriveError where the finished runs are of another search.
    """

    def __init__(self, task: LoopTask, family: Strategy, share: float, finished: Sequence[PilotRun] = ()) -> None:
        task.check()
        self._budget = Budget(trainings=share)
        self._search = Search(task, [family], task.steps, 0, self._budget)
        self._search.engine = ENGINE
        at_rest = len(task.rested) - (task.first_gradient is not None)  # which counts already
        self._search.account.inspect(at_rest + TIMED * round(task.validation_updates))
        belief = self._search.belief
        belief.doubt, belief.training_start = task.doubt * (task.held_out is None), task.training_start
        self._proposals = self._proposed()
        self._run: tuple[Strategy, Proposal] | None = None
        for known in finished:
            self._replay(known)

    def next(self) -> PilotRun | None:
        """Return the run that comes next; None where all are made."""
        self._run = next(self._proposals, None)
        return None if self._run is None else PilotRun(self._run[0].peak, self._run[1].steps)

    def learn(self, run: PilotRun) -> None:
        """Take the run that `next` has named, when it is over."""
        if self._run is None:
            raise DriveError("there is no pilot run to learn from; ask for one with next().")
        strategy, proposal = self._run
        score = run.score if math.isfinite(run.score) else math.inf
        learned = Run(strategy, proposal.steps, proposal.seeds[0], score, run.training, run.made, run.error)
        self._search.learn([learned], proposal.stage)
        answer = self._search.answer()
        self._search.note_answer(answer, expected_loss(self._search, answer).expected)

    def answer(self) -> Advice:
        """Return what is answered by the runs so far.

        Raises TaskError where every run diverged.
        """
        runs, task = self._search.belief.runs, self._search.task
        if runs and not self._lived:
            rates = [run.strategy.peak for run in runs]
            raise TaskError(
                f"none of {count(len(runs), 'pilot run')}, at rates from {min(rates):.2g} to {max(rates):.2g}, kept a "
                f"finite {task.scored}, so there is no rate to train at. Look at the loss and the data for what is no "
                "number, or drive at a rate of your own."
            )
        family = self._search.primary
        asked = Asked(
            task.steps, self._budget, 0, (family.rule,), (family.recipe or family.policy,), usual_baseline(task), False
        )
        found = record(self._search, asked)
        return replace(found, more=MORE, next_run="", command="", function=False, loop=True)

    def _proposed(self) -> Iterator[tuple[Strategy, Proposal]]:
        for proposal in locate(self._search):
            for strategy in proposal.strategies:
                if len(self._search.belief.runs) >= DEAD and not self._lived:
                    return
                yield strategy, proposal

    @property
    def _lived(self) -> bool:
        """Whether any run has kept a finite score."""
        return any(math.isfinite(run.score) for run in self._search.belief.runs)

    def _replay(self, known: PilotRun) -> None:
        run = self.next()
        if run is None or (run.rate, run.steps) != (known.rate, known.steps):
            raise DriveError(
                f"the pilot run at {known.rate:g} over {count(known.steps, 'step')} of this checkpoint is not one that "
                "the search would make here: it was saved by another version, or of another model, policy or share. "
                "Start anew, without loading it."
            )
        self.learn(known)
