"""The answer: which strategy, what to expect of it, and what that rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.optional import picture
from stepsize.kernel.spec import Spec
from stepsize.policies import Policy
from stepsize.results.race import Interval, Race
from stepsize.results.sweep import Suggestion, Sweep
from stepsize.strategy import Strategy


@dataclass(frozen=True, eq=False)
class Advice(Spec):
    """A recommendation that was measured.

    task: its name, as `load_task` takes it. steps: the horizon (optimizer updates) that it holds for.
    seed: of the whole search.
    strategy: what to use; its policy is bound to `steps`.
    score: the mean validation loss on seeds that chose nothing, with the t-interval of the mean.
    promise: where the validation loss of one more run lies, with 95 % confidence.
    reasons, warnings: sentences with numbers. code: the script to paste.
    sweeps, suggestions: one a rule. search: the rungs that chose the finalists. final: the finalists on fresh seeds.
    cost: of everything above, in full trainings. seconds: wall time. versions: of what was used, by name.
    """

    noun: ClassVar[str] = "advice"

    task: str
    steps: int
    seed: int
    strategy: Strategy
    score: Interval
    promise: Interval
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    code: str
    sweeps: tuple[Sweep, ...]
    suggestions: tuple[Suggestion, ...]
    search: Race
    final: Race
    cost: float
    seconds: float
    versions: tuple[tuple[str, str], ...]

    @property
    def policy(self) -> Policy:
        """The policy to drive an optimizer with, bound to `steps`."""
        return self.strategy.policy

    def plot(self, ax: Any = None) -> Any:
        """Draw the finalists' standings with their intervals and return the matplotlib Axes."""
        return picture("plot_race")(self.final, ax=ax)
