"""A range test in a loop that is not ours: what rate comes next, and when it is over.

::

    sweep = ramp(step, low=1e-5, high=1.0)       step(rate) makes one update at that rate, and returns its loss

`Ramp` is the state machine behind it, and behind the adapters: it names the rate of the next update, is told losses,
and stops at the first loss that explodes. It knows no framework, so `step` may be of any.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean, median
from typing import Any, Literal

import numpy as np

from stepsize.kernel.arrays import as_number
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError, brief
from stepsize.results import Sweep
from stepsize.schedules import Exponential, Linear, Schedule
from stepsize.theory.range_test import EXPLODED, HIGH, LEAST_STEPS, LOW, PER_DECADE

HEAD = 5
"""The first losses, whose median and scatter a rise is measured by; a twentieth of the ramp where that is more."""

SPACINGS: dict[str, type[Exponential | Linear]] = {"exponential": Exponential, "linear": Linear}

Step = Callable[[float], Any]
"""Makes one update at the rate that it is given, and returns the loss before that update."""


class Ramp:
    """The rates of a range test, the losses that it is told, and whether it goes on.

    low, high: the first and the last rate. points: rates between them, ends included; 40 a decade when not given.
    spacing: equal ratios ("exponential") or equal differences ("linear") between the rates.
    batches: updates at each rate, whose losses are averaged. every: points between two validation losses; 0 for none.
    schedule: the rate as a function of the point. point: the one that comes next. updates: told so far.

    It stops at the first loss that is no number, or that rises above the first ones by three times their size, their
    scatter or their fall, whichever is largest; a loss that falls never stops it, negative as it may be. The last loss
    is recorded.

    Raises ParameterError for a range or a count that cannot be, BudgetError for less than 20 points.

    Watch out: a loss that is 0 from the start has no size, so only one that is no number stops such a ramp.

    >>> ramp = Ramp(0.001, 1.0, 31)
    >>> while ramp.going:
    ...     ramp.tell(1.0 if ramp.rate < 0.1 else 9.0)
    >>> float(ramp.sweep().rates[-1]) < 0.2
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
        self.points = max(LEAST_STEPS, round(PER_DECADE * math.log10(high / low))) if points is None else points
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
        self._over = exploded(self._losses, max(HEAD, self.points // 20))
        self.point += 1

    def tell_held_out(self, loss: Any) -> None:
        """Tell the validation loss at the point that comes next, before its update.

        Raises TaskError for what is no number.
        """
        self._held_out[self.point] = as_number(loss, "loss")

    def sweep(self, task: str = "", *, seed: int = 0, **known: Any) -> Sweep:
        """Return what was recorded: the rates that were used, each with the loss that belongs to it.

        task: its name. seed: the label of the only column. known: more fields of the `Sweep`.

        Raises TaskError when no loss was told.
        """
        losses = self._losses
        if not losses:
            raise TaskError("no loss was told, so there is nothing to read; tell each loss: test.tell(loss).")
        count = len(losses)
        held_out = np.full((count, 1), np.nan) if self._held_out else np.empty((0, 0))
        for point, value in self._held_out.items():
            if point < count:
                held_out[point] = value
        with np.errstate(over="ignore"):  # what is beyond float32 has exploded
            column = np.asarray(losses, dtype=np.float64)[:, None].astype(np.float32)
        made: dict[str, Any] = {"steps": self.updates, "cost": self.updates, "rule": None, **known}
        return Sweep(task=task, rates=self._rates[:count], losses=column, held_out=held_out, seeds=(seed,), **made)


def exploded(losses: Sequence[float], head: int = HEAD) -> bool:
    """Return whether the last of `losses` is no number, or has risen far above the first `head` of them.

    >>> exploded([2.0, 2.1, 1.9, 2.0, 9.0]), exploded([-2.0, -2.1, -1.9, -2.0, -900.0])
    (True, False)
    """
    last = losses[-1]
    if not math.isfinite(last):
        return True
    first = losses[:-1][:head]
    if len(first) < min(head, 3):
        return False
    start = median(first)
    scale = max(abs(start), max(first) - min(first), start - min(losses))
    return scale > 0 and last - start > (EXPLODED - 1) * scale


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
    horizon: int = 0,
    task: str = "step",
    optimizer: str = "",
) -> Sweep:
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
    >>> sweep = ramp(step, 1e-3, 100.0, optimizer="gradient descent")
    >>> len(sweep.rates) < 200, sweep.losses.shape[1], sweep.fan
    (True, 1, False)
    """
    if (step is None) == (make is None):
        raise ParameterError(
            "a ramp takes one of step= and make=: step(rate) makes an update, and make(seed) returns such a step."
        )
    if not seeds:
        raise BudgetError("a ramp needs at least one seed.")
    named: dict[str, Any] = {"task": task, "optimizer": optimizer, "horizon": horizon}
    found = []
    for seed in seeds if make is not None else seeds[:1]:
        state = Ramp(low, high, points, spacing=spacing, batches=batches, every=0 if validate is None else every)
        began = time.perf_counter()
        turn = step if make is None else make(seed)
        while state.going:
            if validate is not None and state.due:
                state.tell_held_out(validate())
            state.tell(turn(state.rate))  # type: ignore[misc]  # one of step and make is there
        found.append(state.sweep(seed=seed, seconds=time.perf_counter() - began, **named))
    return joined(found)


def joined(sweeps: Sequence[Sweep]) -> Sweep:
    """Return several ramps over the same rates as one, a column for each of their seeds.

    A ramp that stopped earlier than another has no losses, NaN, behind its end. Costs, seconds and updates add up.

    Raises ParameterError when there is none, when one is a fan, and when their rates differ.
    """
    if not sweeps:
        raise ParameterError("there is no sweep to join; give at least one.")
    first = max(sweeps, key=lambda sweep: len(sweep.rates))
    for sweep in sweeps:
        if sweep.fan or not np.array_equal(sweep.rates, first.rates[: len(sweep.rates)]):
            raise ParameterError("only ramps over the same rates can be joined; give them the same low, high, points.")
    rows = len(first.rates)
    judged = [sweep.held_out for sweep in sweeps if sweep.held_out.size]
    fields = {name: getattr(first, name) for name in ("task", "rule", "rates", "optimizer", "horizon")}
    return Sweep(
        **fields,
        losses=np.hstack([_longer(sweep.losses, rows) for sweep in sweeps]),
        held_out=np.hstack([_longer(each, rows) for each in judged])
        if len(judged) == len(sweeps)
        else np.empty((0, 0)),
        seeds=tuple(seed for sweep in sweeps for seed in sweep.seeds),
        seconds=sum(sweep.seconds for sweep in sweeps),
        steps=first.steps,
        cost=sum(sweep.cost for sweep in sweeps),
        memory=max(sweep.memory for sweep in sweeps),
    )


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches of `loader` again and again; raise TaskError when a pass over it yields none."""
    passes = 0
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise TaskError(
                f"the loader has no batch{' any more' * (passes > 0)} after {passes} passes over it. Give one that can "
                "be gone through again, such as a DataLoader, and is not empty."
            )
        passes += 1


def _longer(column: np.ndarray, rows: int) -> np.ndarray:
    missing = np.full((rows - len(column), column.shape[1]), np.nan, dtype=column.dtype)
    return np.vstack([column, missing])


def _count(name: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ParameterError(f"{name} of a ramp is a whole number from {least} on, not {brief(value)}.")
    return value
