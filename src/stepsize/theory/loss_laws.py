"""Laws of the loss curve: what the loss of a run will be, as a function of its schedule.

With the rates `eta[0], eta[1], ...`, the area `S(t)` under the first t of them, and a sum over every change of a rate,

::

    Annealing      L0 + A * S**-alpha - C * sum_k drop[k] * (1 - keep ** (t - k)) / (1 - keep)   [tissue2024scaling]
    MultiPower     L0 + A * S**-alpha - B * sum_k drop[k] * (1 - (1 + C * eta[k]**-gamma * D[k]) ** -beta)
                                                                                                 [luo2025multi]
    Functional     L0 + A * S**-alpha - B * sum_k drop[k] * (F + S(k)**-alpha) * (1 - (1 + C * D[k]) ** -gamma)
                                                                                                 [li2025functional]

where `drop[k] = eta[k-1] - eta[k]` and `D[k] = S(t) - S(k)` is the area since then. All have the same first part, what
training at a constant rate does; they differ in what a decay gains, and how soon. Annealing counts in updates
(`keep = exp(-1 / h)` is the authors' lambda), the other two in area. A warmup is no change: Annealing
counts it as if it were at the peak, the others take its area and leave its rises out, so that schedules with other
warmups can be compared.

A law is fitted to recorded runs (`fit`) and then asked about other schedules. Parameters are all above 0.

Watch out: each has five to seven parameters and no theory that fixes them; a run that is not like those that were
fitted is an extrapolation. None was checked where the rate rises again after it fell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import ParameterError

MOST = 128
"""The most changes of the rate that are kept apart; neighbours are put together where there are more."""

LEAST = 1e-12
"""A rate of 0 counts as this share of the peak, where a law takes a power of it."""

EQUAL = 1e-5
"""Rates that differ by less than this share are one rate, written with more or fewer digits."""

Guess = float | Callable[[float], float]
"""A first guess of a parameter, or what makes it from that of alpha."""


class Path(NamedTuple):
    """A schedule as the laws see it, at some moments t and for the changes k of its rate.

    times, areas: t, and the area up to it, (points,). drops: how far the rate falls, negative for a rise, (changes,).
    rates: after each change. since, before: its step, and the area before it, (changes,).
    """

    times: Floats
    areas: Floats
    drops: Floats
    rates: Floats
    since: Floats
    before: Floats


class Scale(NamedTuple):
    """The sizes that first guesses are made from: of losses, of their fall, of area, steps and rate."""

    low: float
    fall: float
    area: float
    steps: float
    rate: float


def path(table: npt.ArrayLike, at: npt.ArrayLike, most: int = MOST) -> Path:
    """Return the schedule with the rates `table`, (T,), at the moments `at`, (points,): after so many updates, 1 to T.

    most: how many changes of the rate are kept apart, on each side of 0. They are put together by size, so that a jump
        stays one, and where they lie is the mean over what was put together.

    Raises ParameterError for rates or moments that are none.
    """
    rates, times = floats(table), floats(at)
    if rates.ndim != 1 or not len(rates) or not (np.isfinite(rates).all() and (rates >= 0).all() and rates.any()):
        raise ParameterError("a schedule's table must be finite rates of at least 0, (T,), and not all 0.")
    if not (len(times) and times.min() >= 1 and times.max() <= len(rates)):
        raise ParameterError(f"losses are asked for after 1 to {len(rates)} updates, not at {times.tolist()[:5]}.")
    areas = floats(np.concatenate([[0.0], np.cumsum(rates)]))
    drops = rates[:-1] - rates[1:]
    groups = [_grouped(np.flatnonzero(side), rates, areas, most) for side in (drops > 0, drops < 0)]
    falls = [np.concatenate(each) for each in zip(*groups, strict=True)]
    order = np.argsort(falls[2], kind="stable")
    before = areas[times.astype(np.int64)]
    if not before.all():
        raise ParameterError(
            "nothing was learned yet where all rates so far are 0; ask for losses after the first that is not."
        )
    return Path(times, before, *(each[order] for each in falls))


def _grouped(changed: npt.NDArray[np.int64], rates: Floats, areas: Floats, most: int) -> tuple[Floats, ...]:
    """Return drops, rates, steps and areas of changes of one sign, neighbours put together into at most `most`."""
    sizes = floats(rates[changed] - rates[changed + 1])
    columns = (floats(np.maximum(rates[changed + 1], LEAST * rates.max())), floats(changed + 1.0), areas[changed + 1])
    if len(changed) <= most:
        return (sizes, *columns)
    shares = np.cumsum(np.abs(sizes)) - np.abs(sizes) / 2
    group = np.minimum((shares / np.abs(sizes).sum() * most).astype(np.int64), most - 1)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    total = np.add.reduceat(sizes, starts)
    return (floats(total), *(floats(np.add.reduceat(sizes * each, starts) / total) for each in columns))


def _falls(seen: Path) -> Path:
    kept = seen.drops > 0
    return Path(seen.times, seen.areas, *(each[kept] for each in seen[2:]))


def warmup_of(table: npt.ArrayLike) -> int:
    """Return how many updates the rates of a schedule, (T,), rise for: up to the first that is as good as the largest.

    A constant rate that was recorded with rounding has no warmup, wherever the largest of its numbers is.

    >>> warmup_of([0.5, 1.0, 1.0, 0.1]), warmup_of([0.1, 0.1, 0.10000001, 0.1])
    (1, 0)
    """
    rates = floats(table)
    return int(np.argmax(rates >= (1 - EQUAL) * rates.max()))


def at_peak(table: npt.ArrayLike) -> Floats:
    """Return a table with its warmup at the peak: everything before the first of its largest rates, (T,)."""
    rates = floats(table).copy()
    rates[: warmup_of(rates)] = rates.max()
    return rates


@dataclass(frozen=True)
class Law(ABC):
    """A formula for the loss, with parameters that are all above 0.

    Calculations are with their logarithms: `losses(logs, path)` returns the losses, (points,), and how they change with
    each logarithm, (points, parameters).
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]

    def path(self, table: npt.ArrayLike, at: npt.ArrayLike) -> Path:
        """Return the schedule as this law sees it."""
        return path(table, at)

    def losses(self, logs: npt.ArrayLike, seen: Path) -> tuple[Floats, Floats]:
        """Return the losses and their slopes."""
        values = floats(logs)
        base, alpha = np.exp(values[0]), np.exp(values[2])
        main = np.exp(values[1] - alpha * np.log(seen.areas))
        gain, slopes = self.gain(values, seen)
        columns = [np.full(len(main), base), main, -alpha * np.log(seen.areas) * main]
        jacobian = np.stack(columns + [np.zeros(len(main))] * (len(values) - 3), axis=1)
        return base + main - gain, jacobian - slopes

    def __call__(self, values: npt.ArrayLike, table: npt.ArrayLike, at: npt.ArrayLike) -> Floats:
        """Return the losses of a schedule after `at` updates, (points,), for parameters in their order."""
        return self.losses(np.log(floats(values)), self.path(table, at))[0]

    @abstractmethod
    def gain(self, logs: Floats, seen: Path) -> tuple[Floats, Floats]:
        """Return what the changes of the rate take off the loss, (points,), and its slopes, (points, parameters)."""

    @abstractmethod
    def starts(self, scale: Scale) -> Floats:
        """Return logarithms to begin a fit from, (starts, parameters)."""


def _starts(scale: Scale, *others: tuple[Guess, ...]) -> Floats:
    """Return the first guesses: of the common part several, and of the other parameters each of `others`."""
    found = []
    for level in (0.5, 0.9):
        for alpha in (0.3, 0.8):
            amount = (scale.fall + (1 - level) * scale.low) * (scale.area / 5) ** alpha
            found += [(level * scale.low, amount, alpha, *(each(alpha) if callable(each) else each for each in other))
                      for other in others]  # fmt: skip
    return np.log(floats(found))


class Annealing(Law):
    """The law of annealing, or of momentum: a drop of the rate pays off over about h updates [tissue2024scaling].

    The authors' lambda of .999 is h = 999.5.

    Watch out: it goes on paying for any decay, so it prefers long cooldowns to zero more than real runs do.

    >>> Annealing()([2.6, 0.4, 0.5, 0.4, 1000.0], np.full(20000, 2e-4), [20000]).round(4).tolist()
    [2.8]
    """

    name = "annealing"
    parameters = ("L0", "A", "alpha", "C", "h")

    def path(self, table: npt.ArrayLike, at: npt.ArrayLike) -> Path:
        """Return the schedule with its warmup counted at the peak."""
        return path(at_peak(table), at)

    def gain(self, logs: Floats, seen: Path) -> tuple[Floats, Floats]:
        """Return `C` times the sum of the momentum that the drops have left."""
        amount, h = np.exp(logs[3:5])
        age = np.maximum(seen.times[:, None] - seen.since, 0.0) / h
        left, unit = np.exp(-age), -np.expm1(-1 / h)
        gain = amount / unit * ((1 - left) @ seen.drops)
        by_h = gain * np.exp(-1 / h) / (h * unit) - amount / unit * ((left * age) @ seen.drops)
        zero = np.zeros(len(gain))
        return gain, np.stack([zero, zero, zero, gain, by_h], axis=1)

    def starts(self, scale: Scale) -> Floats:
        """Return guesses with memories of a hundredth, a tenth and half of the run."""
        spans = [share * scale.steps for share in (0.01, 0.1, 0.5)]
        return _starts(scale, *((0.3 * scale.fall / (scale.rate * span), span) for span in spans))


@dataclass(frozen=True)
class MultiPower(Law):
    """The multi-power law: a drop pays off as a power of the area since, the sooner the lower the rate after it is.

    With `D` the area since the drop, its share is `1 - (1 + C * eta**-gamma * D) ** -beta` [luo2025multi, eq. 3].
    rises: whether rises count too, as negative drops. The authors' fitting code counts those of the warmup, which adds
        about `B * peak` to every loss, and their code that optimises schedules does not: parameters of the one mean
        nothing in the other.

    Watch out: it overstates the gap between good schedules; on the authors' own curves it is twice too large.

    >>> law = MultiPower()
    >>> law([2.6, 0.6, 0.45, 440.0, 2.1, 0.6, 0.65], np.full(20000, 3e-4), [20000]).round(4).tolist()
    [2.8679]
    """

    name = "multi-power"
    parameters = ("L0", "A", "alpha", "B", "C", "beta", "gamma")
    rises: bool = False

    def path(self, table: npt.ArrayLike, at: npt.ArrayLike) -> Path:
        """Return the schedule, with its falls alone unless rises count."""
        return path(table, at) if self.rises else _falls(path(table, at))

    def gain(self, logs: Floats, seen: Path) -> tuple[Floats, Floats]:
        """Return `B` times the sum of the shares of the drops."""
        amount, pace, beta, gamma = np.exp(logs[3:7])
        since = np.maximum(seen.areas[:, None] - seen.before, 0.0)
        reach = pace * seen.rates**-gamma * since
        grown = np.log1p(reach)
        left = np.exp(-beta * grown)
        gain = amount * ((1 - left) @ seen.drops)
        rising = amount * beta * left * reach / (1 + reach) * seen.drops
        zero = np.zeros(len(gain))
        by_beta = amount * beta * ((left * grown) @ seen.drops)
        by_gamma = -gamma * (rising @ np.log(seen.rates))
        return gain, np.stack([zero, zero, zero, gain, rising.sum(1), by_beta, by_gamma], axis=1)

    def starts(self, scale: Scale) -> Floats:
        """Return guesses whose drops have paid half within a hundredth and a tenth of the run's area."""
        paces = [scale.rate**0.5 / (share * scale.area) for share in (0.01, 0.1)]
        return _starts(scale, *((scale.fall / scale.rate, pace, 0.5, 0.5) for pace in paces))


class Functional(Law):
    """The functional scaling law, fixed model: the gain of a drop shrinks as the run learns, and pays off in area.

    `B * drop * (F + S(k)**-alpha) * (1 - (1 + C * D) ** -gamma)` for each fall, S(k) the area before it
    [li2025functional, as a public reproduction has it].

    Watch out: its seven parameters can hardly be separated by one schedule.

    >>> law = Functional()
    >>> law([2.6, 0.4, 0.5, 1.0, 1.0, 1.0, 0.5], np.full(20000, 2e-4), [20000]).round(4).tolist()
    [2.8]
    """

    name = "functional"
    parameters = ("L0", "A", "alpha", "B", "F", "C", "gamma")

    def path(self, table: npt.ArrayLike, at: npt.ArrayLike) -> Path:
        """Return the schedule with its falls alone."""
        return _falls(path(table, at))

    def gain(self, logs: Floats, seen: Path) -> tuple[Floats, Floats]:
        """Return the sum over the falls of what each has gained."""
        (alpha, amount, floor, pace, gamma) = np.exp(logs[2:7])
        reach = pace * np.maximum(seen.areas[:, None] - seen.before, 0.0)
        grown = np.log1p(reach)
        left = np.exp(-gamma * grown)
        early = seen.before**-alpha
        size = amount * seen.drops * (floor + early)
        gain = (1 - left) @ size
        by_alpha = -alpha * ((1 - left) @ (amount * seen.drops * early * np.log(seen.before)))
        by_floor = (1 - left) @ (amount * seen.drops * floor)
        by_pace = (gamma * left * reach / (1 + reach)) @ size
        by_gamma = gamma * ((left * grown) @ size)
        zero = np.zeros(len(gain))
        return gain, np.stack([zero, zero, by_alpha, gain, by_floor, by_pace, by_gamma], axis=1)

    def starts(self, scale: Scale) -> Floats:
        """Return guesses whose drops have paid half within a hundredth and a tenth of the run's area."""
        paces = [1 / (share * scale.area) for share in (0.01, 0.1)]

        def amount(alpha: float) -> float:
            return 0.5 * scale.fall / scale.rate / floor(alpha)

        def floor(alpha: float) -> float:
            return float(scale.area**-alpha)

        return _starts(scale, *((amount, floor, pace, 0.5) for pace in paces))


LAWS: dict[str, Law] = {law.name: law for law in (Annealing(), MultiPower(), Functional())}
"""The laws by name."""
