"""The answer: which strategy, what it is expected to lose, what to expect of it, and what that rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from stepsize.codegen import OF_THE_TASK, function_script, loop_script, native_script, script
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.spec import Score, Spec
from stepsize.policies import Policy
from stepsize.problems import TASKS
from stepsize.results.race import Interval, Race
from stepsize.schedules import Chain, Constant
from stepsize.strategy import Strategy


@dataclass(frozen=True, kw_only=True)
class SearchRun(Spec):
    """One run of a search, and what the search would have answered after it.

    strategy: what ran, at its own rate. steps: how long (optimizer updates). seed: its own. score: at its end; inf
    where it diverged. stage: why it ran, in words. cost: of everything up to here, full trainings.
    answer: the strategy that was answered with then. loses: what that was expected to lose, a share of what training
    gains.
    """

    strategy: Strategy
    steps: int
    seed: int
    score: Score
    stage: str
    cost: float
    answer: Strategy
    loses: Score


@dataclass(frozen=True, eq=False, kw_only=True)
class RateBelief(Spec):
    """Where the best peak rate of one family lies at the full horizon, by all runs.

    family: what it is called. rates: (rates,) float64, rising. density: the probability of each, (rates,) float64, of
    sum 1. before: the same before any run.
    low, high: between which it lies with 90 %. source: what was read off the model for it, in words.
    """

    family: str
    rates: np.ndarray = field(repr=False)
    density: np.ndarray = field(repr=False)
    before: np.ndarray = field(repr=False)
    low: float
    high: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Insurance(Spec):
    """Something that makes an answer safe, and whether it was bought.

    name: in a few words, such as "a second seed". holds: None where it says nothing here. because: a sentence.
    """

    name: str
    holds: bool | None
    because: str


@dataclass(frozen=True, kw_only=True)
class Baseline(Spec):
    """What the user has now, beside the answer, on the same seeds.

    strategy: the one that was named, or the usual one. named: whether the user named it. steps: the length of the runs.
    seeds: paired. scores, answer: at the end of its runs and of the answer's, (seeds,); inf where one diverged.
    better: the mean difference, above 0 where the answer is better, with its 95 % interval where seeds are enough.
    share: that mean as a share of what training gains.
    """

    strategy: Strategy
    named: bool
    steps: int
    seeds: tuple[int, ...]
    scores: tuple[Score, ...]
    answer: tuple[Score, ...]
    better: Interval
    share: Score


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Advice(Shown, Spec):
    """A recommendation, and how far it can be trusted.

    task: its name, as `load_task` takes it. steps: the horizon (optimizer updates) that it holds for.
    seed: of the whole search.
    strategy: what to use; its policy is bound to `steps`.
    learned: whether any run did better than what needs no model; where none did, the strategy is no recommendation.
    loses: what it is expected to lose, a share of what training gains; worst: what it loses at most on nine of ten such
        tasks.
    next_run: what one more training would be spent on, and next_gain: what that is expected to gain, a share.
    insurances: what makes it safe, bought or not.
    scored: what a score is. score: the mean score on seeds that did not choose it, with the t-interval of the mean,
        cut off where no loss can lie; None with fewer than two of them. promise: where the score of one more run lies,
        with 95 % confidence; None as well. scored_on: those seeds.
    reasons, warnings: sentences with numbers.
    runs: of the search, in their order. belief: over the rate of the strategy's family. baseline: None where none ran.
    final: the finalists on fresh seeds, where the budget allowed a final.
    start: the score before any update; NaN when not known. cost: in full trainings. seconds: wall time.
    budget: as it was asked for, in words; "" for none. more: how to go on, a sentence.
    versions: of what was used, by name. command: the command line that repeats it; empty where there is none.
    function, loop: whether the task is a training function of the user's own, or a loop of theirs.
    engine: how trials were computed, and where.
    batch_size: that it holds for, where that is not the task's own; None where it is.
    untried_rules, untried_policies: of the default search space, those of which no family ran.
    """

    is_record: ClassVar[bool] = True

    former: ClassVar[tuple[str, ...]] = ("code", "sweeps", "suggestions", "search")

    task: str
    steps: int
    seed: int
    strategy: Strategy
    learned: bool
    loses: Score
    worst: Score
    next_run: str
    next_gain: Score
    insurances: tuple[Insurance, ...]
    scored: str
    score: Interval | None
    promise: Interval | None
    scored_on: tuple[int, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    runs: tuple[SearchRun, ...]
    belief: RateBelief
    baseline: Baseline | None
    final: Race | None
    start: Score
    cost: float
    seconds: float
    budget: str
    more: str
    versions: tuple[tuple[str, str], ...]
    command: str = ""
    function: bool = False
    loop: bool = False
    engine: str = ""
    batch_size: int | None = None
    untried_rules: tuple[str, ...] = ()
    untried_policies: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The answer in one line."""
        return (
            f"{self.strategy.name}, expected to lose {self.loses:.1%} of what training gains, after {self.cost:.1f} "
            "full trainings"
        )

    @property
    def policy(self) -> Policy:
        """The policy to drive an optimizer with, bound to `steps`."""
        return self.strategy.policy

    @property
    def best_score(self) -> float:
        """The score to expect: the mean of the confirming seeds, or else of the answer's own runs; NaN without any."""
        if self.score is not None:
            return self.score.mean
        full = (run for run in self.own_runs if run.steps == self.steps)
        own = [run.score for run in full if math.isclose(run.strategy.peak, self.strategy.peak)]
        return float(np.mean(own)) if own else math.nan

    @property
    def own_runs(self) -> tuple[SearchRun, ...]:
        """The runs of the answer's family, of any length, in their order."""
        family = self.strategy.family
        return tuple(run for run in self.runs if run.strategy.bound_to(self.steps).family == family)

    @property
    def indistinguishable(self) -> tuple[Strategy, ...]:
        """The finalists that fresh seeds cannot tell from the best, best first; the answer alone where none is best."""
        return (self.strategy,) if self.final is None or self.final.all_diverged else self.final.indistinguishable

    @property
    def simplest(self) -> Strategy:
        """Of the indistinguishable ones the one with the fewest pieces: slots of the rule, parts of the schedules."""
        return min(self.indistinguishable, key=_pieces)

    def code(self, framework: str = "torch", *, native: bool = False) -> str:
        """Return the script to paste: a training of the task with the strategy, which prints its validation loss.

        framework: "torch", "lightning", "transformers", "optax" or "keras"; a training function of yours has its own,
            and so has a loop, for the trainers among them the callback.
            The seed is one that the search has not seen.
        native: without stepsize: the framework's own optimizer and schedule, or a plain function of the step, around a
            model and data of yours.

        Raises ParameterError for a rule that the framework has no equal of; it names those that have.

        Watch out: in optax and keras a perceptron stands where your model belongs, so the promise holds for that model
        in plain torch, lightning and transformers alone.
        """
        if native:
            code = native_script(framework, self.strategy, self.steps)
            return code if self.loop or self.function or self.task in TASKS else f"{OF_THE_TASK}\n{code}"
        seen = [run.seed for run in self.runs] + ([] if self.final is None else list(self.final.rungs[-1].seeds))
        fresh = max((*seen, *self.scored_on), default=self.seed) + 1
        if self.loop:
            return loop_script(self.strategy, self.steps, framework)
        if self.function:
            return function_script(self.task, self.strategy, self.steps, fresh)
        return script(framework, self.task, self.strategy, self.steps, fresh, batch_size=self.batch_size or 0)

    def plot(self, ax: Any = None) -> Any:
        """Draw the belief over the rate with the runs in it and return the matplotlib Axes."""
        return picture("plot_advice")(self, ax=ax)


def _pieces(strategy: Strategy) -> int:
    schedules = [schedule for _, schedule in strategy.policy.schedules]
    parts = sum(len(each.parts) if isinstance(each, Chain) else not isinstance(each, Constant) for each in schedules)
    return len(strategy.rule.slots) + parts
