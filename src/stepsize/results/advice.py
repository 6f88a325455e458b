"""The answer: which strategy, what to expect of it, and what that rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.codegen import function_script, script
from stepsize.kernel.optional import picture
from stepsize.kernel.spec import Score, Spec
from stepsize.policies import Policy
from stepsize.results.race import Interval, Race
from stepsize.results.range_test import Suggestion, Sweep
from stepsize.schedules import Chain, Constant
from stepsize.strategy import Strategy


@dataclass(frozen=True, eq=False, kw_only=True)
class Advice(Spec):
    """A recommendation that was measured.

    task: its name, as `load_task` takes it. steps: the horizon (optimizer updates) that it holds for.
    seed: of the whole search.
    strategy: what to use; its policy is bound to `steps`.
    score: the mean score on seeds that chose nothing (`final.scored` says of what), with the t-interval of the mean.
    promise: where the score of one more run lies, with 95 % confidence.
    reasons, warnings: sentences with numbers.
    sweeps, suggestions: one a rule. search: the rungs that chose the finalists. final: the finalists on fresh seeds.
    cost: of everything above, in full trainings. seconds: wall time. versions: of what was used, by name.
    more: what a larger budget would be spent on. start: the score before any update; NaN when not known.
    scored_on: the seeds of score and promise. command: the command line that repeats it; empty where there is none.
    function: whether the task is a training function of the user's own.
    batch_size: that it holds for, where that is not the task's own; None where it is.
    untried_rules, untried_policies: what the default search space held that day and this search did not race: the names
        of rules that were not even tried alone, and of policies that ran with no rule.
    """

    former: ClassVar[tuple[str, ...]] = ("code",)

    task: str
    steps: int
    seed: int
    strategy: Strategy
    score: Interval
    promise: Interval
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    sweeps: tuple[Sweep, ...]
    suggestions: tuple[Suggestion, ...]
    search: Race
    final: Race
    cost: float
    seconds: float
    versions: tuple[tuple[str, str], ...]
    more: str = ""
    start: Score = math.nan
    scored_on: tuple[int, ...] = ()
    command: str = ""
    function: bool = False
    batch_size: int | None = None
    untried_rules: tuple[str, ...] = ()
    untried_policies: tuple[str, ...] = ()

    @property
    def policy(self) -> Policy:
        """The policy to drive an optimizer with, bound to `steps`."""
        return self.strategy.policy

    @property
    def indistinguishable(self) -> tuple[Strategy, ...]:
        """The finalists that the fresh seeds cannot tell from the best, best first."""
        return self.final.indistinguishable

    @property
    def simplest(self) -> Strategy:
        """Of the indistinguishable ones the one with the fewest pieces: slots of the rule, parts of the schedules."""
        return min(self.indistinguishable, key=_pieces)

    @property
    def least_sensitive(self) -> Strategy:
        """Of the indistinguishable ones the one whose rate may be wrong by most, within 5 % of its family's best."""
        widths = {each.strategy.family: each.decades for each in self.search.sensitivities}
        return max(self.indistinguishable, key=lambda each: widths.get(each.family, 0.0))

    @property
    def losses(self) -> dict[str, float]:
        """How much each of the other finalists loses, as a share of what training gains; inf for one that diverged."""
        gain = self.start - self.score.mean
        return {
            each.strategy.name: math.inf if each.behind is None else each.behind.mean / gain
            for each in self.final.standings[1:]
        }

    def code(self, framework: str = "torch") -> str:
        """Return the script to paste: a training of the task with the strategy, which prints its validation loss.

        framework: "torch", "lightning", "transformers", "optax" or "keras"; a training function of yours has its own.
            The seed is one that the search has not seen.

        Raises ParameterError for a rule that the framework has no equal of; it names those that have.

        Watch out: in optax and keras a perceptron stands where your model belongs, so the promise holds for that model
        in plain torch, lightning and transformers alone.
        """
        seen = (*self.final.rungs[-1].seeds, *self.scored_on)
        if self.function:
            return function_script(self.task, self.strategy, self.steps, max(seen) + 1)
        return script(framework, self.task, self.strategy, self.steps, max(seen) + 1, batch_size=self.batch_size or 0)

    def plot(self, ax: Any = None) -> Any:
        """Draw the finalists' standings with their intervals and return the matplotlib Axes."""
        return picture("plot_race")(self.final, ax=ax)


def _pieces(strategy: Strategy) -> int:
    schedules = [schedule for _, schedule in strategy.policy.schedules]
    parts = sum(len(each.parts) if isinstance(each, Chain) else not isinstance(each, Constant) for each in schedules)
    return len(strategy.rule.slots) + parts
