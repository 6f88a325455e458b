"""A schedule is a value: a frozen, pure function of the step, and a small algebra to make more of them.

::

    Linear(0.0, 0.1, "10%") >> Cosine(0.1, 0.0)      first the one, then the other
    0.1 * schedule                                   scaled
    schedule + other, schedule * other               added, and multiplied, step by step

The clock is an integer, optimizer updates counted from 0; `f(k)` is the value that update number k uses. A part of
n steps owns its steps 0..n-1, and its end value belongs to step n, where the next part begins. Past its horizon
a schedule holds its last value (a cycle goes on cycling): it never climbs back and never raises.

Lengths are `500`, `"30%"` or `"rest"`; `over(total)` turns them into steps, and until then a value that depends on
one raises `UnboundError`.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from stepsize.kernel import arrays, length
from stepsize.kernel.arrays import Array, Floats
from stepsize.kernel.errors import ParameterError, UnboundError, brief
from stepsize.kernel.length import REST
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.spec import NonNegative, Spec, Steps, hints

BLOCK = 1 << 14
"""Steps per block of a table: small enough to stay in the cache, bit-equal for every size."""

MOST = 5_000
"""Schedules that one may hold, each counted wherever it stands: what `s = s + s` passes at its twelfth time."""

MSG_UNBOUND = (
    "{schedule} has no value yet: its {field} is {given!r} of a run whose length it does not know. "
    "Bind it first: schedule.over(total), with total in optimizer updates."
)


class Schedule(Shown, Spec, ABC):
    """A hyperparameter as a pure function of the step."""

    __array_ufunc__: ClassVar[None] = (
        None  # so that `np.float32(0.1) * schedule` asks __rmul__ and makes no object array
    )
    steps: Steps

    def __post_init__(self) -> None:
        """Refuse a tree of schedules that nobody could work out, before it is asked for anything."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]  # all are dataclasses
        size = 1 + sum(getattr(part, "_size", 1) for name in names for part in _schedules(getattr(self, name)))
        if size > MOST:
            raise ParameterError(
                f"this {type(self).__name__} would hold {size} schedules, those inside of others counted each time; "
                f"at most {MOST} are allowed. A schedule added to itself is 2 * schedule; one again and again is "
                "Repeat(schedule)."
            )
        object.__setattr__(self, "_size", size)
        super().__post_init__()

    @abstractmethod
    def value(self, t: Array, xp: Any) -> Array:
        """Return the formula at steps `t`, in the ten words of the namespace `xp`.

        t: any shape, floating, whole numbers of at least 0 (steps, optimizer updates).
        """

    def over(self, total: int) -> Self:
        """Return this schedule bound to a run of `total` steps: shares and "rest" become steps.

        Raises LengthError when the lengths do not add up to `total` exactly.
        """
        total = whole_steps(total)
        (steps,) = length.divide([self.steps], total)
        return self._bind(steps, total)

    def bound_to(self, total: int) -> Self:
        """Return this schedule bound to a run of `total` steps; to its own length where it knows that already."""
        return self.over(self.steps if isinstance(self.steps, int) else total)

    def _bind(self, steps: int, run: int) -> Self:
        """Return this schedule as a part of `steps` steps inside a run of `run` steps, which its shares are of."""
        lengths = self._lengths(lambda given: length.share(given, run))
        return replace(self, **lengths, steps=steps)  # type: ignore[type-var]  # every concrete schedule is a dataclass

    def _lengths(self, turned: Callable[[Any], int]) -> dict[str, Any]:
        """Return the lengths in its fields, but `steps`, as `turned` makes them, by name."""
        given = {name: (hint, getattr(self, name)) for name, hint in hints(type(self)).items() if name != "steps"}
        one = {n: turned(v) for n, (hint, v) in given.items() if hint in (Steps, Steps | None) and v is not None}
        several = {n: tuple(map(turned, v)) for n, (hint, v) in given.items() if hint == tuple[Steps, ...]}
        return one | several

    def _held(self, t: Array, xp: Any) -> Array:
        """Return the steps `t`, held after the schedule's own, where those are known."""
        return t if isinstance(self.steps, str) else xp.minimum(t, float(self.steps))

    def __call__(self, step: Array = None) -> Any:
        """Return the value that update number `step` uses: a float for an int, an array for an array.

        Raises ParameterError without a step, which is how Keras asks for a rate that is no schedule of its own.
        """
        if arrays.is_array(step) and getattr(step, "ndim", 0) + (not isinstance(step, np.generic)) > 0:
            return self.value(arrays.real(step, arrays.namespace(step)), arrays.functions(step))
        first = whole_step(step)
        return float(self.table(first, first + 1)[0])

    def table(self, start: int, stop: int) -> Floats:
        """Return the values of steps start..stop-1, (stop - start,) float64, in one vectorised pass."""
        start, stop = whole_step(start), whole_step(stop)
        if stop - start <= BLOCK:
            return self._block(start, max(start, stop))
        values = np.empty(stop - start)
        for edge in range(start, stop, BLOCK):
            end = min(edge + BLOCK, stop)
            values[edge - start : end - start] = self._block(edge, end)
        return values

    def _block(self, start: int, stop: int) -> Floats:
        t = np.arange(start, stop, dtype=np.float64)
        return np.broadcast_to(self.value(t, arrays.NUMPY), t.shape).astype(np.float64)

    def __rshift__(self, other: Schedule) -> Chain:
        """Return this schedule followed by `other`; associative."""
        return Chain((self, other)) if isinstance(other, Schedule) else NotImplemented

    def __mul__(self, factor: float | Schedule) -> Schedule:
        """Return this schedule times the number, or step by step times the schedule, `factor`."""
        if isinstance(factor, Schedule):
            return Product(self, factor)
        return Scaled(self, factor) if _is_number(factor) else NotImplemented

    __rmul__ = __mul__

    def __add__(self, other: Schedule) -> Sum:
        """Return the sum of two schedules, step by step."""
        return Sum(self, other) if isinstance(other, Schedule) else NotImplemented

    @property
    def outline(self) -> str:
        """The kinds of its parts, such as "Linear >> Cosine"; a factor in front is left out."""
        return type(self).__name__

    def plot(self, steps: int | None = None, ax: Any = None) -> Any:
        """Draw the curve and return the matplotlib Axes; `steps` binds it to a run, when it is not bound yet."""
        return picture("plot_schedule")(self, steps=steps, ax=ax)

    def _bound(self, field: str) -> int:
        """Return the length in `field`, which must be a number of steps by now."""
        given = getattr(self, field)
        if isinstance(given, str):
            raise UnboundError(MSG_UNBOUND.format(schedule=type(self).__name__, field=field, given=given))
        return int(given)


@dataclass(frozen=True)
class Segment(Schedule):
    """A curve from `start` to `end`: `start*(1 - c) + end*c` with `c = curve(t / steps)`.

    start, end: the value at step 0 and at step `steps`, which it then holds.
    steps: how long it takes (steps, optimizer updates), or a share, or "rest".
    """

    start: NonNegative
    end: NonNegative
    steps: Steps = REST

    @abstractmethod
    def curve(self, u: Array, xp: Any) -> Array:
        """Return the shape: `curve(0) = 0`, `curve(1) = 1`."""

    def value(self, t: Array, xp: Any) -> Array:
        """Return the curve between `start` and `end`, held after `steps`."""
        c = self.curve(xp.clip(t / float(self._bound("steps")), 0.0, 1.0), xp)
        return self.start * (1 - c) + self.end * c


@dataclass(frozen=True, repr=False)
class Chain(Schedule):
    """Schedules one after the other: `a >> b >> c`.

    parts: at least two schedules; each owns its steps 0..n-1 and hands over at its step n. A chain inside a chain
        is flattened, so that `(a >> b) >> c == a >> (b >> c)`, and shares are always shares of the whole run.
    """

    parts: tuple[Schedule, ...]

    def validate(self) -> None:
        """Flatten nested chains."""
        flat = [part for parts in self.parts for part in (parts.parts if isinstance(parts, Chain) else (parts,))]
        if not flat:
            raise ParameterError("a Chain needs at least one part; write a >> b.")
        object.__setattr__(self, "parts", tuple(flat))

    @property
    def steps(self) -> int | str:  # type: ignore[override]  # derived here, a field in the other schedules
        """The sum of the parts' lengths, all steps or all shares; else "rest"."""
        return length.total([part.steps for part in self.parts])

    def over(self, total: int) -> Chain:
        """Return this chain bound to a run of `total` steps, to which its parts must add up exactly."""
        steps = whole_steps(total)
        length.divide([part.steps for part in self.parts], steps)
        return self._bind(steps, steps)

    def _bind(self, steps: int, run: int) -> Chain:
        sizes = length.divide([part.steps for part in self.parts], steps, of=run)
        bound = [part._bind(size, run) for part, size in zip(self.parts, sizes, strict=True) if size]
        return Chain(tuple(bound))

    @property
    def outline(self) -> str:
        """The kinds of its parts, in their order."""
        return " >> ".join(part.outline for part in self.parts)

    def _starts(self) -> list[int]:
        starts = [0]
        for part in self.parts[:-1]:
            starts.append(starts[-1] + part._bound("steps"))
        return starts

    def value(self, t: Array, xp: Any) -> Array:
        """Return the value of the part that owns each step."""
        starts = self._starts()
        result = self.parts[0].value(t, xp)
        for start, part in zip(map(float, starts[1:]), self.parts[1:], strict=True):
            result = xp.where(t < start, result, part.value(xp.maximum(t - start, 0.0), xp))
        return result

    def _block(self, start: int, stop: int) -> Floats:
        """Return the block by evaluating only the parts that it touches."""
        starts = self._starts()
        stops = [*starts[1:], max(stop, starts[-1])]
        pieces = [
            part._block(max(start, first) - first, min(stop, last) - first)
            for part, first, last in zip(self.parts, starts, stops, strict=True)
            if max(start, first) < min(stop, last)
        ]
        return np.concatenate(pieces) if pieces else np.empty(0)

    def __mul__(self, factor: float | Schedule) -> Schedule:
        """Return the chain of the scaled parts, so that shares stay shares of the whole run."""
        if not _is_number(factor):
            return super().__mul__(factor)
        return Chain(tuple(part * factor for part in self.parts))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        if len(self.parts) == 1:
            return f"Chain(({self.parts[0]!r},))"
        return " >> ".join(f"({part!r})" if isinstance(part, Sum) else repr(part) for part in self.parts)


@dataclass(frozen=True, repr=False)
class Scaled(Schedule):
    """A schedule times a number: `factor * schedule`."""

    schedule: Schedule
    factor: NonNegative

    @property
    def steps(self) -> int | str:  # type: ignore[override]  # derived here, a field in the other schedules
        """The steps of the schedule that is scaled."""
        return self.schedule.steps

    @property
    def outline(self) -> str:
        """The kinds of the parts of the schedule that is scaled."""
        return self.schedule.outline

    def _bind(self, steps: int, run: int) -> Scaled:
        return Scaled(self.schedule._bind(steps, run), self.factor)

    def value(self, t: Array, xp: Any) -> Array:
        """Return the scaled value."""
        return self.factor * self.schedule.value(t, xp)

    def _block(self, start: int, stop: int) -> Floats:
        return self.factor * self.schedule._block(start, stop)

    def __repr__(self) -> str:
        if isinstance(self.schedule, Chain):  # `factor * chain` is the chain of the scaled parts, and not this value
            return f"Scaled({self.schedule!r}, {self.factor!r})"
        inner = f"({self.schedule!r})" if isinstance(self.schedule, Scaled | Pair) else repr(self.schedule)
        return f"{self.factor!r} * {inner}"


@dataclass(frozen=True, repr=False)
class Pair(Schedule):
    """Two schedules side by side over the same steps."""

    first: Schedule
    second: Schedule

    @property
    def steps(self) -> int | str:  # type: ignore[override]  # derived here, a field in the other schedules
        """The steps of the one that knows them; "rest" when neither does."""
        known = self._known_steps()
        return known[0] if known else REST

    def _known_steps(self) -> list[int | str]:
        """Return the lengths that the two know, asking each once, or every level of a sum of sums would double it."""
        return [steps for steps in (self.first.steps, self.second.steps) if steps != REST]

    def validate(self) -> None:
        """Refuse two schedules whose lengths differ."""
        known = {steps for steps in self._known_steps() if length.amount(steps)[1] not in length.CLOCKS}
        if len(known) > 1:
            name, listed = type(self).__name__.lower(), sorted(map(str, known))
            raise ParameterError(f"a {name} runs both schedules over the same steps, not over {listed}.")

    def _bind(self, steps: int, run: int) -> Self:
        return replace(self, first=self.first._bind(steps, run), second=self.second._bind(steps, run))


@dataclass(frozen=True, repr=False)
class Sum(Pair):
    """Two schedules added step by step: `first + second`."""

    def value(self, t: Array, xp: Any) -> Array:
        """Return the sum of the two values."""
        return self.first.value(t, xp) + self.second.value(t, xp)

    def _block(self, start: int, stop: int) -> Floats:
        return self.first._block(start, stop) + self.second._block(start, stop)

    def __repr__(self) -> str:
        parts = [f"({part!r})" if isinstance(part, Chain | Sum) else repr(part) for part in (self.first, self.second)]
        return " + ".join(parts)


@dataclass(frozen=True, repr=False)
class Product(Pair):
    """Two schedules multiplied step by step: `first * second`, such as a decay of everything that a cycle does.

    Watch out: the product of two decays falls faster than either, and is small for most of the run.
    """

    def value(self, t: Array, xp: Any) -> Array:
        """Return the product of the two values."""
        return self.first.value(t, xp) * self.second.value(t, xp)

    def _block(self, start: int, stop: int) -> Floats:
        return self.first._block(start, stop) * self.second._block(start, stop)

    def __repr__(self) -> str:
        wide = Chain | Sum | Scaled | Product
        parts = [f"({part!r})" if isinstance(part, wide) else repr(part) for part in (self.first, self.second)]
        return " * ".join(parts)


def _schedules(value: Any) -> list[Schedule]:
    """Return the schedules that the value of a field is, or is a sequence of."""
    held = value if isinstance(value, tuple | list) else (value,)
    return [part for part in held if isinstance(part, Schedule)]


def laps(t: Array, period: float, xp: Any) -> Array:
    """Return how many whole periods lie before each step: `floor(t / period)`, exactly.

    It asks in the middle of the step, since a compiler may divide by multiplying, and 55 * (1/55) is below 1 in
    float32. A schedule that is stretched asks between steps, where a hundredth is still the step itself.
    """
    return xp.floor((xp.floor(t + 0.01) + 0.5) / float(period))


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real)


def whole_step(step: object) -> int:
    """Return `step` as an int of at least 0, or raise ParameterError."""
    if step is None:
        raise ParameterError(
            "a step is a whole number of optimizer updates, counted from 0, not None. A schedule that Keras has for "
            "a learning rate is asked for none: KerasSchedule(schedule) of stepsize.adapters.keras is what it takes."
        )
    if isinstance(step, bool) or not hasattr(step, "__index__"):
        raise ParameterError(f"a step is a whole number of optimizer updates, counted from 0, not {brief(step)}.")
    whole = int(step.__index__())
    if whole < 0:
        raise ParameterError(f"a step is counted from 0, so it cannot be {brief(whole)}.")
    if whole > length.LARGEST:
        raise ParameterError(f"a step is at most {length.LARGEST} (2**53), not {brief(whole)}.")
    return whole


def whole_steps(total: object) -> int:
    """Return a horizon as an int of at least 1, or raise LengthError."""
    parsed = length.parse(int(total) if isinstance(total, float) and total.is_integer() else total)
    if isinstance(parsed, str):
        raise ParameterError(f"a run is a whole number of steps, not {brief(total)}.")
    return parsed
