"""Policies that go up and down: 1cycle in the forms that carry its name, cyclical rates, restarts."""

from __future__ import annotations

from typing import Literal

from stepsize.kernel.errors import one_of
from stepsize.kernel.length import REST
from stepsize.policies.base import Policy
from stepsize.schedules import (
    Constant,
    Cosine,
    Cycle,
    ExpRange,
    Geometric,
    Linear,
    Polynomial,
    Repeat,
    Schedule,
    Segment,
    Square,
    Triangular,
    Triangular2,
)

Curve = Literal["cosine", "linear"]
CycleShape = Literal["triangular", "triangular2", "exp_range"]

CURVES: dict[Curve, type[Segment]] = {"cosine": Cosine, "linear": Linear}
CYCLES: dict[CycleShape, type[Cycle]] = {"triangular": Triangular, "triangular2": Triangular2, "exp_range": ExpRange}


def one_cycle(
    peak: float,
    *,
    warmup: int | str = "30%",
    start: float = 1 / 25,
    end: float = 1 / 250_000,
    momentum: tuple[float, float] | None = (0.85, 0.95),
    curve: Curve = "cosine",
) -> Policy:
    """1cycle: up to `peak`, then down to far below the start; momentum moves the other way.

    Source: [smith2018disciplined, sec. 4.1].

    warmup: the length of the climb. start, end: the first and the last rate, as fractions of the peak.
    momentum: the least (at the peak) and the most (at both ends), or None to leave momentum alone.
    curve: "cosine" (fastai, torch) or "linear" (the paper).

    Watch out: judged in the middle of its run it looks worst of all; its best peak is several times the best constant
    rate.

    Matches torch's OneCycleLR(peak, n, pct_start=p) as `one_cycle(peak, warmup=round(p*n) - 1).over(n - 1)`.
    """
    shape = CURVES[one_of(curve, "one_cycle's curve", CURVES)]

    def there_and_back(first: float, middle: float, last: float) -> Schedule:
        return shape(first, middle, warmup) >> shape(middle, last, REST)

    rate = there_and_back(start * peak, peak, end * peak)
    if momentum is None:
        return Policy(lr=rate)
    least, most = momentum
    return Policy(lr=rate, momentum=there_and_back(most, least, most))


def cyclical(
    peak: float,
    *,
    base: float = 0.25,
    half_cycle: int | str = "12.5%",
    momentum: tuple[float, float] | None = (0.8, 0.9),
    shape: CycleShape = "triangular",
    left: float = 0.1,
) -> Policy:
    """Cyclical rates between `base * peak` and `peak`; momentum moves the other way [smith2017cyclical, sec. 3].

    base: the lower bound as a fraction of the upper one. half_cycle: Smith's "stepsize"; four cycles a run by default.
    momentum: the least (at the peak) and the most (at the base), or None to leave momentum alone.
    shape: "triangular", "triangular2" or "exp_range". left: what exp_range leaves of the height after 1 000 steps.

    Watch out: it beats a constant rate, and does not beat a tuned decay.
    """
    kind = CYCLES[one_of(shape, "cyclical's shape", CYCLES)]

    def cycle(first: float, middle: float) -> Schedule:
        if kind is ExpRange:
            return ExpRange(first, middle, half_cycle, gamma=left**0.001)
        return kind(first, middle, half_cycle)

    rate = cycle(base * peak, peak)
    return Policy(lr=rate) if momentum is None else Policy(lr=rate, momentum=cycle(momentum[1], momentum[0]))


def triangular(peak: float, *, base: float = 0.25) -> Policy:
    """Four triangular cycles between `base * peak` and `peak`."""
    return cyclical(peak, base=base, shape="triangular")


def triangular2(peak: float, *, base: float = 0.25) -> Policy:
    """Four cycles whose height halves each time."""
    return cyclical(peak, base=base, shape="triangular2")


def exp_range(peak: float, *, base: float = 0.25) -> Policy:
    """Four cycles whose height shrinks every step."""
    return cyclical(peak, base=base, shape="exp_range")


def exp_range_paper(peak: float, *, half_cycle: int | str = "12.5%", gamma: float = 0.9995) -> Policy:
    """exp_range as the paper words it: *both* bounds decline, by `gamma` a step [smith2017cyclical, sec. 3.1].

    Every library scales the height alone and leaves the base where it is; see `exp_range`.
    """
    return Policy(lr=Geometric(1.0, gamma) * Triangular(0.25 * peak, peak, half_cycle))


def welch(peak: float, *, base: float = 0.25, half_cycle: int | str = "12.5%") -> Policy:
    """Cycles in the shape of Welch's window, a parabola [smith2017cyclical, sec. 3.1]."""
    return Policy(
        lr=Repeat(Polynomial(base * peak, peak, half_cycle, power=2.0) >> Square(peak, base * peak, half_cycle))
    )


def hann(peak: float, *, base: float = 0.25, half_cycle: int | str = "12.5%") -> Policy:
    """Cycles in the shape of Hann's window, a raised cosine [smith2017cyclical, sec. 3.1]."""
    return Policy(lr=Repeat(Cosine(base * peak, peak, half_cycle) >> Cosine(peak, base * peak, half_cycle)))


def restarts(
    peak: float, *, first: int | str = "10%", stretch: int = 2, scale: float = 1.0, end: float = 0.0
) -> Policy:
    """Cosine decay with warm restarts, SGDR [loshchilov2017sgdr].

    first: the length of the first cycle. stretch: what each cycle's length is multiplied by. scale: what each cycle's
        height is multiplied by. end: the floor, as a fraction of the peak; it stays where it is.

    Watch out: stop at the end of a cycle; right after a restart the model is at its worst.
    """
    cycles = Repeat(Cosine((1 - end) * peak, 0.0, first), stretch=stretch, scale=scale)
    return Policy(lr=Constant(end * peak) + cycles if end else cycles)


def smith_one_cycle(
    peak: float,
    *,
    half_cycle: int | str = "46%",
    base: float = 0.1,
    momentum: tuple[float, float] | None = (0.85, 0.95),
) -> Policy:
    """1cycle as in its author's own training logs: up from `base`, down to 0, then a small constant.

    `base*peak` to `peak` over a half-cycle, `peak` to 0 over another, then `base * peak / 1000` to the end; momentum
    falls and rises against it and then holds. Typical: 46 % + 46 % + 8 % of the run [smith2018disciplined, sec. 4.1].
    """
    low = base * peak
    rate = Linear(low, peak, half_cycle) >> Linear(peak, 0.0, half_cycle) >> Constant(low / 1000, REST)
    if momentum is None:
        return Policy(lr=rate)
    least, most = momentum
    against = Linear(most, least, half_cycle) >> Linear(least, most, half_cycle) >> Constant(most, REST)
    return Policy(lr=rate, momentum=against)
