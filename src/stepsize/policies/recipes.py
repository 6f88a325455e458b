"""The policies that people ask for by name, each from one learning rate: its peak.

Every recipe is a few words of the schedule algebra. Print one to see which:

>>> linear_to_zero(0.1)
Policy(lr=Linear(start=0.1, end=0.0, steps='rest'))
"""

from __future__ import annotations

from collections.abc import Callable

from stepsize.kernel.errors import ParameterError, suggestion
from stepsize.kernel.length import REST
from stepsize.policies.base import Policy
from stepsize.schedules import (
    Constant,
    Cosine,
    Cycle,
    Exponential,
    ExpRange,
    Linear,
    Polynomial,
    Schedule,
    Segment,
    Staircase,
    Triangular,
    Triangular2,
)

CURVES: dict[str, type[Segment]] = {"cosine": Cosine, "linear": Linear}
CYCLES: dict[str, type[Cycle]] = {"triangular": Triangular, "triangular2": Triangular2, "exp_range": ExpRange}


def constant(peak: float) -> Policy:
    """The fixed learning rate `peak`."""
    return Policy(lr=Constant(peak))


def step_decay(peak: float, *, factor: float = 0.1, every: int | str = "34%") -> Policy:
    """Step decay: `peak`, times `factor` after every `every`; by default three stairs."""
    return Policy(lr=Staircase(peak, factor, every))


def exponential_decay(peak: float, *, end: float = 0.01) -> Policy:
    """Exponential decay from `peak` to `end * peak` over the run."""
    return Policy(lr=Exponential(peak, end * peak))


def polynomial_decay(peak: float, *, power: float = 2.0) -> Policy:
    """Polynomial decay from `peak` to 0 over the run."""
    return Policy(lr=Polynomial(peak, 0.0, power=power))


def linear_to_zero(peak: float, *, warmup: int | str | None = None) -> Policy:
    """A straight line from `peak` to 0, after a linear warmup when one is given [defazio2023when]."""
    return Policy(lr=_warm(peak, Linear(peak, 0.0), warmup))


def cosine(peak: float) -> Policy:
    """Half a cosine from `peak` to 0 over the run [loshchilov2017sgdr]."""
    return Policy(lr=Cosine(peak, 0.0))


def warmup_cosine(peak: float, *, warmup: int | str = "5%", start: float = 0.01, end: float = 0.0) -> Policy:
    """A linear warmup from `start * peak`, then half a cosine to `end * peak`.

    Watch out: `start=0` wastes the first update, as transformers does.
    """
    return Policy(lr=_warm(peak, Cosine(peak, end * peak), warmup, start))


def one_cycle(
    peak: float,
    *,
    warmup: int | str = "30%",
    start: float = 1 / 25,
    end: float = 1 / 250_000,
    momentum: tuple[float, float] | None = (0.85, 0.95),
    curve: str = "cosine",
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
    if curve not in CURVES:
        raise ParameterError(f"one_cycle's curve cannot be {curve!r}. {suggestion(curve, CURVES)}")
    shape = CURVES[curve]

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
    shape: str = "triangular",
    left: float = 0.1,
) -> Policy:
    """Cyclical rates between `base * peak` and `peak`; momentum moves the other way [smith2017cyclical, sec. 3].

    base: the lower bound as a fraction of the upper one. half_cycle: Smith's "stepsize"; four cycles a run by default.
    momentum: the least (at the peak) and the most (at the base), or None to leave momentum alone.
    shape: "triangular", "triangular2" or "exp_range". left: what exp_range leaves of the height after 1 000 steps.

    Watch out: it beats a constant rate, and does not beat a tuned decay.
    """
    if shape not in CYCLES:
        raise ParameterError(f"cyclical's shape cannot be {shape!r}. {suggestion(shape, CYCLES)}")

    def wave(first: float, middle: float) -> Schedule:
        if shape == "exp_range":
            return ExpRange(first, middle, half_cycle, gamma=left**0.001)
        return CYCLES[shape](first, middle, half_cycle)

    rate = wave(base * peak, peak)
    return Policy(lr=rate) if momentum is None else Policy(lr=rate, momentum=wave(momentum[1], momentum[0]))


def triangular(peak: float) -> Policy:
    """Four triangular cycles between a quarter of `peak` and `peak`."""
    return cyclical(peak, shape="triangular")


def triangular2(peak: float) -> Policy:
    """Four cycles whose height halves each time."""
    return cyclical(peak, shape="triangular2")


def exp_range(peak: float) -> Policy:
    """Four cycles whose height shrinks every step."""
    return cyclical(peak, shape="exp_range")


def _warm(peak: float, rest: Schedule, warmup: int | str | None, start: float = 0.01) -> Schedule:
    return rest if warmup is None else Linear(start * peak, peak, warmup) >> rest


Recipe = Callable[[float], Policy]

RECIPES: dict[str, Recipe] = {
    recipe.__name__: recipe
    for recipe in (
        constant,
        step_decay,
        exponential_decay,
        polynomial_decay,
        linear_to_zero,
        cosine,
        warmup_cosine,
        triangular,
        triangular2,
        exp_range,
        one_cycle,
    )
}
"""The policies by name, each a function of its peak rate alone."""


def recipe(name: str) -> Recipe:
    """Return the recipe called `name`, or raise ParameterError with the near miss."""
    if name not in RECIPES:
        raise ParameterError(f"no policy is called {name!r}. {suggestion(name, RECIPES)}")
    return RECIPES[name]
