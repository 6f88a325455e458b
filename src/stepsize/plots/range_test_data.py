"""What the pictures of range tests show, as numbers: curves, marks and the window around them. No matplotlib here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.plots import style
from stepsize.results import Estimate, Suggestion, Sweep

BINS = 150
"""How fine a curve is when no suggestion brings a smoothed one."""

DECADE = 10.0
"""Numbers above 0 that span more than this are drawn on a logarithmic axis."""

DIGITS = 2
"""How many digits of a bound mean anything."""


@dataclass(frozen=True)
class Mark:
    """A rate to mark: what it is, its value with its spread, and another name for it."""

    word: str
    estimate: Estimate
    name: str = ""

    @property
    def text(self) -> str:
        """The name and the number."""
        return f"{self.name or self.word} {style.rate(self.estimate.value, DIGITS)}"


@dataclass(frozen=True)
class Window:
    """The part of an axis that is drawn: its ends, and whether it is logarithmic."""

    low: float
    high: float
    log: bool

    def share(self, values: Floats | float) -> Floats:
        """Return where values lie between the ends, 0 to 1, of any shape; NaN where there is no such place."""
        ends, given = np.array([self.low, self.high]), np.asarray(values, dtype=np.float64)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                ends, given = np.log(ends), np.where(given > 0, np.log(given), np.nan)
        return floats((given - ends[0]) / (ends[1] - ends[0]))

    def at(self, share: float) -> float:
        """Return the value that lies at `share`, 0 to 1."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + share * (self.high - self.low)


def parts(sweep: Sweep) -> tuple[Sweep | None, tuple[Sweep, ...]]:
    """Return the ramp of a search, if it has one, and its fans in their order."""
    each = (*sweep.earlier, sweep)
    return next((one for one in each if not one.fan), None), tuple(
        one for one in each if one.fan and one.of == sweep.of
    )


def marks(suggestion: Suggestion | None, words: tuple[str, ...] = ("min", "max", "base", "lr", "limit")) -> list[Mark]:
    """Return the rates of a suggestion that are there, by their words."""
    if suggestion is None:
        return []
    found = {"min": suggestion.min_lr, "max": suggestion.max_lr, "base": suggestion.base, "lr": suggestion.lr,
             "limit": suggestion.limit}  # fmt: skip
    return [
        Mark(word, estimate) for word in words if (estimate := found[word]) is not None and np.isfinite(estimate.value)
    ]


def mark_of_fan(fan: Sweep, suggestion: Suggestion | None) -> list[Mark]:
    """Return what a suggestion has for a fan: its rate, or the value of another hyperparameter under its name."""
    name = "" if fan.of == "lr" else fan.of.replace("_", " ")
    return [replace(mark, name=name) for mark in marks(suggestion, ("lr",))]


def fit(ramp: Sweep, suggestion: Suggestion | None) -> tuple[Floats, Floats]:
    """Return the rates, (points,), and each seed's smoothed loss at them, (points, seeds); means without a suggestion.

    NaN after divergence.
    """
    if suggestion is not None and suggestion.smooth.shape == ramp.losses.shape:
        at = np.unique(np.linspace(0, len(ramp.rates) - 1, style.FINEST).round().astype(np.int64))
        return floats(ramp.rates[at]), floats(suggestion.smooth[at])
    steps, means = style.binned(ramp.losses, BINS)
    return floats(ramp.rates[steps.round().astype(np.int64)]), means


def ends(fan: Sweep) -> Floats:
    """Return where the runs of a fan end, the mean over seeds, (points,); NaN where a seed diverged."""
    found = floats(fan.judged)
    return floats(np.where(np.isfinite(found), found, np.nan).mean(axis=1))


def losses_of_ramp(curve: Floats, raw: Floats) -> Window:
    """Return the window around what a ramp has learnt: from below the least loss to a little above the first.

    curve: the bold one, (points,). raw: of any shape; it stands in where the curve has nothing.
    """
    finite = curve[np.isfinite(curve)]
    if not len(finite):
        finite = raw[np.isfinite(raw)]
    if not len(finite):
        return Window(0.0, 1.0, log=False)
    first, least = float(np.median(finite[: max(1, len(finite) // 20)])), float(finite.min())
    if least > 0 and first / least > DECADE and (raw[np.isfinite(raw)] > 0).all():
        return Window(least / (first / least) ** 0.15, first * (first / least) ** 0.25, log=True)
    span = max(first - least, 0.4 * abs(first), 1e-12)
    return Window(least - 0.2 * span, first + 0.35 * span, log=False)


def losses_of_fans(fans: tuple[Sweep, ...]) -> Window:
    """Return the window around where runs end: from below the best to a little above the loss before training."""
    every = np.concatenate([floats(fan.judged).ravel() for fan in fans])
    start = np.concatenate([floats(fan.before) for fan in fans])
    finite, start = every[np.isfinite(every)], start[np.isfinite(start)]
    if not len(finite):
        finite = start
    if not len(finite):
        return Window(0.0, 1.0, log=False)
    least = float(min(finite.min(), start.min(initial=math.inf)))
    most = float(start.mean()) if len(start) else float(finite.max())
    most = max(most, float(np.median(finite)) if len(start) == 0 else least)
    if least > 0 and most / least > DECADE:
        return Window(least / (most / least) ** 0.1, most * (most / least) ** 0.15, log=True)
    span = max(most - least, 0.1 * abs(most), 1e-12)
    return Window(least - 0.1 * span, most + 0.2 * span, log=False)


def values(sweeps: tuple[Sweep, ...], shown: list[Mark]) -> Window:
    """Return the window over what was swept, and over the marks up to a decade beyond it.

    Logarithmic for learning rates, and for other numbers above 0 that span more than a decade.
    """
    every = np.concatenate([floats(sweep.rates) for sweep in sweeps])
    low, high = float(every.min()), float(every.max())
    if low > 0 and (sweeps[-1].of == "lr" or high / low > DECADE):
        at = [mark.estimate.value for mark in shown if low / DECADE <= mark.estimate.value <= high * DECADE]
        low, high = min([low, *at]), max([high, *at])
        room = (high / low) ** 0.03 if high > low else DECADE**0.5
        return Window(low / room, high * room, log=True)
    span = (high - low) or max(abs(high), 1.0)
    at = [mark.estimate.value for mark in shown if low - span <= mark.estimate.value <= high + span]
    return Window(min([low, *at]) - 0.05 * span, max([high, *at]) + 0.05 * span, log=False)
