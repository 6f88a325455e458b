"""Smith's four steps: the rate, the batch size, the momentum and the weight decay, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.spec import Spec
from stepsize.results.range_test import Suggestion, Sweep
from stepsize.strategy import Strategy


@dataclass(frozen=True, eq=False, kw_only=True)
class TakenStep(Spec):
    """One of the four: why it is taken, what was run, what that suggests, and what is kept of it.

    name: of what is set. why: what the paper says of it, a sentence. kept: the decision, a sentence.
    """

    is_record: ClassVar[bool] = True

    name: str
    why: str
    sweep: Sweep
    found: Suggestion
    kept: str


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class FourSteps(Shown, Spec):
    """The four steps of a task with a rule, and the strategy that they come to.

    steps: how long the training is that is asked about, with batches of `batch_size` (optimizer updates). parts: the
    steps, in order. seconds: wall time.
    """

    is_record: ClassVar[bool] = True

    task: str
    steps: int
    batch_size: int
    strategy: Strategy
    parts: tuple[TakenStep, ...]
    seconds: float = 0.0

    def validate(self) -> None:
        """Check that there is a step."""
        if not self.parts:
            raise ParameterError("FourSteps has at least one step, not none.")

    def __str__(self) -> str:
        """The strategy, its batch size, and the task."""
        return f"{self.strategy.name} with batches of {self.batch_size}, on {self.task}"

    @property
    def cost(self) -> int:
        """Updates of all runs together."""
        return sum(part.sweep.cost for part in self.parts)

    def plot(self, ax: Any = None) -> Any:
        """Draw the steps in a panel each and return the first of the matplotlib Axes; with `ax`, the first alone."""
        return picture("plot_four_steps")(self, ax=ax)
