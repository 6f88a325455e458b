"""Values that stay for a while and then jump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import UnboundError
from stepsize.kernel.length import REST
from stepsize.kernel.spec import NonNegative, Positive, Steps
from stepsize.schedules.base import MSG_UNBOUND, Schedule, laps


@dataclass(frozen=True)
class MultiStep(Schedule):
    """Step decay at given moments: `f(t) = start * factor ** (how many of at are <= t)` (torch MultiStepLR).

    start: the value of the first stair. factor: what each stair multiplies by.
    at: where the stairs are (steps, optimizer updates), or shares of the run; one that stands twice counts twice.
    steps: the length, where another part follows. For stairs of any height write `Constant(a, 30) >> Constant(b, 50)`.

    Watch out: moments that were good for one horizon are not for another; write them as shares.

    >>> MultiStep(1.0, 0.5, at=(2, 2, 5)).table(0, 7).tolist()
    [1.0, 1.0, 0.25, 0.25, 0.25, 0.125, 0.125]
    """

    start: NonNegative
    factor: Positive
    at: tuple[Steps, ...]
    steps: Steps = REST

    def value(self, t: Array, xp: Any) -> Array:
        """Return the stair that each step stands on."""
        t = self._held(t, xp)
        result = self.start + 0.0 * t
        for moment in self.at:
            if isinstance(moment, str):
                raise UnboundError(MSG_UNBOUND.format(schedule="MultiStep", field="at", given=moment))
            result = xp.where(t >= float(moment), result * self.factor, result)
        return result


@dataclass(frozen=True)
class Staircase(Schedule):
    """Step decay: `f(t) = start * factor ** floor(t / every)` (torch StepLR).

    start: the value of the first stair.
    factor: what each stair multiplies by; above 0.
    every: the length of a stair (steps, optimizer updates), or a share of the run.
    steps: the length of the whole staircase, after which it holds; by itself it goes on for ever.

    Watch out: where and how deep the stairs are matters, and the good moments move with the horizon; as a share of
    the run they move along.

    >>> Staircase(1.0, 0.5, every=3).table(0, 7).tolist()
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    """

    start: NonNegative
    factor: Positive
    every: Steps
    steps: Steps = REST

    def value(self, t: Array, xp: Any) -> Array:
        """Return the stair that each step stands on."""
        return self.start * self.factor ** laps(self._held(t, xp), self._bound("every"), xp)
