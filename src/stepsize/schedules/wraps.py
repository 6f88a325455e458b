"""Operators: what makes one schedule out of another, beside `>>`, `*` and `+`.

>>> from stepsize.schedules import Cosine, Linear, Sqrt
>>> cycle = Linear(0.0, 1.0, 2) >> Linear(1.0, 0.0, 2)
>>> Repeat(cycle, scale=0.5).table(0, 9).tolist()
[0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25, 0.0]
>>> Clipped(Cosine(1.0, 0.0, 4), low=0.2).table(0, 5).round(4).tolist()
[1.0, 0.8536, 0.5, 0.2, 0.2]
>>> Reversed(Sqrt(1.0, 0.0, 4)).table(0, 5).round(4).tolist()
[0.0, 0.134, 0.2929, 0.5, 1.0]
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from stepsize.kernel import length
from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.length import LARGEST, REST
from stepsize.kernel.spec import Bound, NonNegative, Ratio, Steps
from stepsize.schedules.base import Schedule, laps

Times = Annotated[int, Bound("a whole number from 1 to 2**53", low=1, high=LARGEST)]


@dataclass(frozen=True)
class Wrap(Schedule):
    """A schedule made out of one other, `schedule`, over the same steps."""

    schedule: Schedule

    @property
    def steps(self) -> int | str:  # type: ignore[override]  # derived here, a field in other schedules
        """The steps of the schedule inside."""
        return self.schedule.steps

    def _bind(self, steps: int, run: int) -> Self:
        lengths = self._lengths(lambda given: length.share(given, run))
        return replace(self, **lengths, schedule=self.schedule._bind(steps, run))


@dataclass(frozen=True)
class Clipped(Wrap):
    """A schedule held between two values: `min(max(f, low), high)`.

    low, high: the bounds; `high=None` is none.

    Watch out: a rate that is clipped at its end never cools down.
    """

    low: NonNegative = 0.0
    high: NonNegative | None = None

    def validate(self) -> None:
        """Refuse an empty interval."""
        if self.high is not None and self.high < self.low:
            raise ParameterError(f"Clipped.high must be at least Clipped.low, not {self.high!r} and {self.low!r}.")

    def value(self, t: Array, xp: Any) -> Array:
        """Return the value inside the bounds."""
        raised = xp.maximum(self.schedule.value(t, xp), self.low)
        return raised if self.high is None else xp.minimum(raised, self.high)


@dataclass(frozen=True)
class Reversed(Wrap):
    """A schedule backwards: `f(steps - t)`, held at both ends.

    Watch out: it begins at the *end value* of the schedule inside, which that schedule itself never reaches in a run.
    """

    def value(self, t: Array, xp: Any) -> Array:
        """Return the value as far from the end as `t` is from the start."""
        return self.schedule.value(xp.maximum(float(self._bound("steps")) - t, 0.0), xp)


@dataclass(frozen=True)
class Stepped(Wrap):
    """A schedule that moves only every so often: `f(floor(t / every) * every)`.

    every: (steps, optimizer updates), or a share of the run: the staircase form of any schedule.

    Watch out: the value lags behind the schedule inside, by half of `every` on average, and after its steps it stays,
    even where a cycle inside would go on.
    """

    every: Steps

    def value(self, t: Array, xp: Any) -> Array:
        """Return the value of the last stair."""
        t = self._held(t, xp)
        every = float(self._bound("every"))
        return self.schedule.value(laps(t, every, xp) * every, xp)


@dataclass(frozen=True)
class Retimed(Schedule):
    """A schedule made out of one other, `schedule`, which keeps a length of its own."""

    schedule: Schedule

    def _bind(self, steps: int, run: int) -> Self:
        inner = self.schedule
        return replace(super()._bind(steps, run), schedule=inner._bind(length.share(inner.steps, run), run))


@dataclass(frozen=True)
class Until(Retimed):
    """The first `steps` steps of a schedule, then its value at that step.

    With `>>` this lets a run leave its schedule at any step, as a cooldown does.

    Watch out: the schedule inside keeps its own length, so what it would do after `steps` never happens.

    >>> from stepsize.schedules import Linear, PowerLaw
    >>> early = Until(PowerLaw(1.0), 3)
    >>> (early >> Linear(early(3), 0.0, 2)).table(0, 6).round(4).tolist()
    [1.0, 0.7071, 0.5774, 0.5, 0.25, 0.0]
    """

    steps: Steps

    def value(self, t: Array, xp: Any) -> Array:
        """Return the schedule's value, held after `steps`."""
        return self.schedule.value(xp.minimum(t, float(self._bound("steps"))), xp)


@dataclass(frozen=True)
class Stretched(Retimed):
    """A schedule played slower or faster: `f(t * n / steps)` for a schedule of n steps.

    steps: how long it takes now. Shares inside are of the whole run, as everywhere, so "rest" inside is a run played in
        `steps`.

    Watch out: its values are those of the schedule between its own steps, so a staircase stays one.
    """

    steps: Steps

    def value(self, t: Array, xp: Any) -> Array:
        """Return the value at the same share of the schedule inside, held after `steps`."""
        steps = float(self._bound("steps"))
        return self.schedule.value(xp.minimum(t, steps) * float(self.schedule._bound("steps")) / steps, xp)


@dataclass(frozen=True)
class Repeat(Retimed):
    """A schedule again and again, each time longer and lower if asked.

    schedule: one cycle; its length is the length of the first. stretch: each cycle takes so many times as long as the
        one before, a whole number. scale: what each cycle multiplies the height by.
    `Repeat(Cosine(peak, 0, n), stretch=2)` is SGDR [loshchilov2017sgdr]; an up and a down make a cyclical rate.

    Which cycle a step is in is found by comparing with whole numbers, never by a logarithm, so restarts are exact.

    Watch out: right after a restart the loss rises; stop at the end of a cycle.

    >>> from stepsize.schedules import Cosine
    >>> Repeat(Cosine(1.0, 0.0, 3), stretch=2).table(0, 9).round(6).tolist()
    [1.0, 0.75, 0.25, 1.0, 0.933013, 0.75, 0.5, 0.25, 0.066987]
    """

    stretch: Times = 1
    scale: Ratio = 1.0
    steps: Steps = REST

    def __post_init__(self) -> None:
        """Say what serves for a stretch by a fraction, whose restarts would fall between two steps."""
        given: object = self.stretch
        if isinstance(given, float) and not given.is_integer():
            raise ParameterError(
                f"Repeat.stretch must be a whole number, not {given!r}: restarts are at whole steps. Write the "
                "cycles one after the other: Cosine(0.1, 0.0, 10) >> Cosine(0.1, 0.0, 15)."
            )
        super().__post_init__()

    def value(self, t: Array, xp: Any) -> Array:
        """Return the value of the cycle that each step is in."""
        first = self.schedule._bound("steps")
        if self.stretch == 1:
            cycle = laps(t, first, xp)
            position = xp.maximum(t - cycle * float(first), 0.0)
        else:
            cycle, position = self._cycle(t, first, xp)
        value = self.schedule.value(position, xp)
        return value if self.scale == 1 else value * self.scale**cycle

    def _cycle(self, t: Array, first: int, xp: Any) -> tuple[Array, Array]:
        """Return the number of the cycle, and the position in it on the clock of the first cycle."""
        cycle, position = 0.0 * t, t
        begin, size, number = first, first * self.stretch, 1
        while begin < LARGEST:
            inside = t >= float(begin)
            cycle = xp.where(inside, float(number), cycle)
            position = xp.where(inside, (t - float(begin)) / float(size // first), position)
            begin, size, number = begin + size, size * self.stretch, number + 1
        return cycle, position
