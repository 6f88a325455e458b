"""A range test in a loop that is not ours: what rate comes next, and when it is over.

::

    record = ramp(step, low=1e-5, high=1.0)      step(rate) makes one update at that rate, and returns its loss

`Ramp` is the state machine behind it, and behind the adapters: it names the rate of the next update, takes its loss,
and stops where it explodes. It knows no framework, so `step` may be of any.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, Literal

import numpy as np

from stepsize.kernel.arrays import as_number, floats
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError, brief
from stepsize.kernel.spec import is_whole
from stepsize.results import RangeTestRecord
from stepsize.schedules import Exponential, Linear, Schedule
from stepsize.theory.range_test import (
    HIGH,
    LEAST_STEPS,
    LOW,
    PER_DECADE,
    count_before_explosion,
    first_losses,
    range_test_steps,
)

SPACINGS: dict[str, type[Exponential | Linear]] = {"exponential": Exponential, "linear": Linear}

Step = Callable[[float], Any]
"""Makes one update at the rate that it is given, and returns the loss before that update."""


class Ramp:
    """The rates of a range test, the losses that came of them, and whether it goes on.

    low, high: the first and the last rate. points: how many rates, those two included; 40 a decade when not given.
    spacing: equal ratios ("exponential") or equal differences ("linear") between the rates.
    batches: updates at each rate, whose losses are averaged. every: points between two validation losses; 0 for none.
    schedule: the rate as a function of the point. point: the one that comes next. updates: how many were made.

    It stops at the first loss that is no number, or at two in a row that have exploded: that rise above the losses of
    the first twentieth of the points by three times their size, their scatter or the fall, whichever is largest
    (`stepsize.theory.range_test`). A loss that falls never stops it, negative as it may be. The last loss is recorded.

    Raises ParameterError for a range or a count that cannot be, BudgetError for less than 20 points.

    Watch out: a loss that is 0 from the start has no size, so only one that is no number stops such a ramp.

    >>> ramp = Ramp(0.001, 1.0, 31)
    >>> while ramp.going:
    ...     ramp.tell(1.0 if ramp.rate < 0.1 else 9.0)
    >>> float(ramp.record().rates[-1]) < 0.2
    True
    """

    def __init__(
        self,
        low: float = LOW,
        high: float = HIGH,
        points: int | None = None,
        *,
        spacing: Literal["exponential", "linear"] = "exponential",
        batches: int = 1,
        every: int = 0,
    ) -> None:
        if not 0 < low < high < math.inf:
            raise ParameterError(f"a range test climbs from low to high, above 0, not from {low!r} to {high!r}.")
        if spacing not in SPACINGS:
            raise ParameterError(f"the spacing of a ramp is 'exponential' or 'linear', not {brief(spacing)}.")
        self.batches, self.every = _count("batches", batches, 1), _count("every", every, 0)
        self.points = range_test_steps(low, high) if points is None else points
        if _count("points", self.points, 1) < LEAST_STEPS:
            raise BudgetError(
                f"a ramp of {points} points is too short to be read; give it at least {LEAST_STEPS}, "
                f"such as {PER_DECADE} a decade."
            )
        self.schedule: Schedule = SPACINGS[spacing](float(low), float(high), self.points - 1)
        self.point = self.updates = 0
        self._rates = self.schedule.table(0, self.points)
        self._losses: list[float] = []
        self._held_out: dict[int, float] = {}
        self._here: list[float] = []
        self._over = False

    @property
    def going(self) -> bool:
        """Whether there is another update to make."""
        return not self._over and self.point < self.points

    @property
    def rate(self) -> float:
        """The rate of the next update."""
        return float(self._rates[min(self.point, self.points - 1)])

    @property
    def due(self) -> bool:
        """Whether a validation loss is wanted before the next update."""
        return self.every > 0 and self.point % self.every == 0 and self.point not in self._held_out

    def tell(self, loss: Any, updates: int = 1) -> None:
        """Tell the loss of the batch that the update at `rate` was made on, before that update.

        loss: a number, or an array of no dimensions. updates: how many it stands for.

        Raises TaskError for what is no number, and when the first loss is NaN or infinite.
        """
        value = as_number(loss, "loss")
        if not self._losses and not self._here and not math.isfinite(value):
            raise TaskError(
                f"the first loss is {value}, before any update, so no learning rate can help. Look at the data and at "
                "the initial weights."
            )
        self.updates += updates
        self._here.append(value)
        if len(self._here) < self.batches and math.isfinite(value):
            return
        self._losses.append(fmean(self._here))
        self._here.clear()
        self._over = not math.isfinite(self._losses[-1]) or self._exploded()
        self.point += 1

    def tell_held_out(self, loss: Any) -> None:
        """Tell the validation loss at the point that comes next, before its update.

        Raises TaskError for what is no number.
        """
        self._held_out[self.point] = as_number(loss, "loss")

    def record(self, task: str = "", *, seed: int = 0, **known: Any) -> RangeTestRecord:
        """Return what was recorded: the rates that were used, each with the loss that belongs to it.

        task: its name. seed: the label of the only column. known: more fields of the `RangeTestRecord`.

        Raises TaskError when there was no loss.
        """
        count = len(self._losses)
        if not count:
            raise TaskError("there was no loss, so there is nothing to read; tell each loss: test.tell(loss).")
        scores = floats([self._held_out.get(point, np.nan) for point in range(count)])
        with np.errstate(over="ignore"):  # what is beyond float32 has exploded
            losses = floats(self._losses)[:, None].astype(np.float32)
        fields: dict[str, Any] = {"steps": self.updates, "cost": self.updates, "rule": None, **known}
        return RangeTestRecord(
            task=task, rates=self._rates[:count], losses=losses, held_out=scores[:, None] if self._held_out else None,
            seeds=(seed,), planned=self.points if count < self.points else None, **fields,
        )  # fmt: skip

    def _exploded(self) -> bool:
        first = first_losses(self.points)
        # until the losses that stand for the start are all there, there is nothing to compare one with
        return len(self._losses) > first and count_before_explosion(floats(self._losses), first) < len(self._losses) - 1


def ramp(
    step: Step | None = None,
    low: float = LOW,
    high: float = HIGH,
    points: int | None = None,
    *,
    make: Callable[[int], Step] | None = None,
    seeds: Sequence[int] = (0,),
    spacing: Literal["exponential", "linear"] = "exponential",
    batches: int = 1,
    validate: Callable[[], Any] | None = None,
    every: int = 10,
    horizon: int | None = None,
    task: str = "step",
    optimizer: str | None = None,
) -> RangeTestRecord:
    """Return the losses of `step(rate)` while the rate climbs from `low` to `high`.

    step: makes one update at the rate, and returns the loss of its batch before that update, as a number or an array
        of no dimensions, of any framework.
    make: instead of `step`, `make(seed)` returns one that begins anew; there is a column for each of `seeds`.
    low, high, points, spacing, batches: as in `Ramp`, which says when it stops.
    validate: returns the validation loss; called before the first update of each `every` points.
    horizon: how long one full training is (steps, optimizer updates), if known. task, optimizer: names for the record.

    Raises TaskError for a loss that is no number, and for a first one that is NaN; ParameterError and BudgetError as
    `Ramp` does, and ParameterError unless there is one of `step` and `make`.

    Watch out: nothing is put back. Where `step` trains in place what you go on with, keep a copy, or use a `RangeTest`.

    >>> weight = [1.0]
    >>> def step(rate):
    ...     loss = weight[0] ** 2
    ...     weight[0] -= rate * 2 * weight[0]
    ...     return loss
    >>> record = ramp(step, 1e-3, 100.0, optimizer="gradient descent")
    >>> len(record.rates) < 200, record.losses.shape[1], record.title
    (True, 1, 'gradient descent')
    """
    if (step is None) == (make is None):
        raise ParameterError(
            "a ramp takes one of step= and make=: step(rate) makes an update, and make(seed) returns such a step."
        )
    if not seeds:
        raise BudgetError("a ramp needs at least one seed.")
    named: dict[str, Any] = {"task": task, "optimizer": optimizer, "horizon": horizon}
    records = []
    for seed in seeds if make is not None else seeds[:1]:
        state = Ramp(low, high, points, spacing=spacing, batches=batches, every=0 if validate is None else every)
        began = time.perf_counter()
        turn = step if make is None else make(seed)
        while state.going:
            if validate is not None and state.due:
                state.tell_held_out(validate())
            state.tell(turn(state.rate))  # type: ignore[misc]  # one of step and make is there
        records.append(state.record(seed=seed, seconds=time.perf_counter() - began, **named))
    return join_range_tests(records)


def join_range_tests(records: Sequence[RangeTestRecord]) -> RangeTestRecord:
    """Return several range tests over the same rates as one, a column for each of their seeds.

    One that stopped earlier than another has no losses, NaN, behind its last. Costs, seconds and updates add up.

    Raises ParameterError when there is none, and when their rates differ.
    """
    if not records:
        raise ParameterError("there is no range test to join; give at least one.")
    longest = max(records, key=lambda record: len(record.rates))
    for record in records:
        if not np.array_equal(record.rates, longest.rates[: len(record.rates)]):
            raise ParameterError(
                "only range tests over the same rates can be joined; give them the same low, high, points."
            )
    rows = len(longest.rates)
    held_out = [_lengthened(record.held_out, rows) for record in records if record.held_out is not None]
    return replace(
        longest,
        losses=np.hstack([_lengthened(record.losses, rows) for record in records]),
        held_out=np.hstack(held_out) if len(held_out) == len(records) else None,
        limits=None,
        seeds=tuple(seed for record in records for seed in record.seeds),
        seconds=sum(record.seconds for record in records),
        cost=sum(record.cost for record in records),
        memory=max((record.memory for record in records if record.memory is not None), default=None),
    )


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches of `loader` again and again; raise TaskError when a pass over it yields none."""
    for passes in itertools.count():
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise no_batches(passes)


def no_batches(passes: int) -> TaskError:
    """Return the error of a loader that has no batch after some passes over it."""
    return TaskError(
        f"the loader has no batch{' any more' * (passes > 0)} after {passes} passes over it. Give one that can "
        "be gone through again, such as a DataLoader, and is not empty."
    )


def _lengthened(column: np.ndarray, rows: int) -> np.ndarray:
    missing = np.full((rows - len(column), column.shape[1]), np.nan, dtype=column.dtype)
    return np.vstack([column, missing])


def _count(name: str, value: Any, least: int) -> int:
    if not is_whole(value) or value < least:
        raise ParameterError(f"{name} of a ramp is a whole number from {least} on, not {brief(value)}.")
    return int(value)
