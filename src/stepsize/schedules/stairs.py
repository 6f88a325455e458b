"""Values that stay for a while and then jump."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from stepsize.kernel import length
from stepsize.kernel.arrays import Array
from stepsize.kernel.length import REST
from stepsize.kernel.spec import NonNegative, Positive, Steps
from stepsize.schedules.base import Schedule


@dataclass(frozen=True)
class Staircase(Schedule):
    """Step decay: `f(t) = start * factor ** floor(t / every)` (torch StepLR).

    start: the value of the first stair.
    factor: what each stair multiplies by; above 0.
    every: the length of a stair (steps, optimizer updates), or a share of the run.
    steps: the length of the whole staircase, after which it holds; by itself it goes on for ever.

    Watch out: where and how deep the stairs are matters, and the good places move with the horizon; as a share of
    the run they move along.

    >>> Staircase(1.0, 0.5, every=3).table(0, 7).tolist()
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    """

    start: NonNegative
    factor: Positive
    every: Steps
    steps: Steps = REST

    def _bind(self, steps: int, run: int) -> Self:
        return replace(self, every=length.share(self.every, run), steps=steps)

    def value(self, t: Array, xp: Any) -> Array:
        """Return the stair that each step stands on."""
        if not isinstance(self.steps, str):
            t = xp.minimum(t, float(self.steps))
        # Half a step in, since a compiler may divide by multiplying, and 55 * (1/55) is below 1 in float32.
        return self.start * self.factor ** xp.floor((t + 0.5) / self._bound("every"))
