"""What the pictures of range tests show, as numbers: curves, marks and the window around them. No matplotlib here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stepsize.kernel.arrays import Floats, floats
from stepsize.plots import style
from stepsize.policies import LR
from stepsize.results import Estimate, RangeTestRecord, RateGrid, RunGrid, Suggestion, Sweep
from stepsize.results.range_test import EXACT
from stepsize.theory.range_test import first_losses

BINS = 150
"""How fine a curve is when no suggestion brings a smoothed one."""

DECADE = 10.0
"""Numbers above 0 that span more than this are drawn on a logarithmic axis."""

DIGITS = 2
"""How many digits of a bound mean anything."""


@dataclass(frozen=True)
class Mark:
    """A rate to mark: which of a suggestion's it is, its value with its spread, and another name for it."""

    kind: str
    estimate: Estimate
    name: str = ""

    @property
    def text(self) -> str:
        """The name and the number."""
        return f"{self.name or self.kind} {style.rate(self.estimate.value, EXACT if self.name else DIGITS)}"


@dataclass(frozen=True)
class Window:
    """The part of an axis that is drawn: its ends, whether it is logarithmic, and where 0 then is, if anywhere."""

    low: float
    high: float
    log: bool
    zero: float | None = None

    def at(self, values: Floats | float) -> Floats:
        """Return where on the axis values are drawn: where they are, and 0 where it has its place."""
        numbers = np.asarray(values, dtype=np.float64)
        return floats(numbers if self.zero is None else np.where(numbers == 0, self.zero, numbers))

    def name(self, value: float) -> str:
        """Return how a number on the axis is written."""
        return "0" if self.zero is not None and math.isclose(value, self.zero) else style.rate(value)

    def share(self, values: Floats | float) -> Floats:
        """Return where values lie between the ends, 0 to 1, of any shape; NaN for what the axis does not have."""
        edges, numbers = np.array([self.low, self.high]), self.at(values)
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                edges, numbers = np.log(edges), np.where(numbers > 0, np.log(numbers), np.nan)
        return floats((numbers - edges[0]) / (edges[1] - edges[0]))


def marks(
    suggestion: Suggestion | None, kinds: tuple[str, ...] = ("min", "max", "base", "lr", "limit"), name: str = ""
) -> list[Mark]:
    """Return the rates of a suggestion that are there, by their kinds; name: another one for them."""
    if suggestion is None:
        return []
    rates = {"min": suggestion.min_lr, "max": suggestion.max_lr, "base": suggestion.base, "lr": suggestion.lr,
             "limit": suggestion.limit}  # fmt: skip
    known = [(kind, rates[kind]) for kind in kinds]
    return [Mark(kind, rate, name) for kind, rate in known if rate is not None and np.isfinite(rate.value)]


def marks_of_grid(grid: RunGrid, suggestion: Suggestion | None) -> list[Mark]:
    """Return what a suggestion has for a grid: its rate, or the value of another hyperparameter under its name."""
    return marks(suggestion, ("lr",), "" if isinstance(grid, RateGrid) else grid.swept.replace("_", " "))


def fit(record: RangeTestRecord, suggestion: Suggestion | None) -> tuple[Floats, Floats]:
    """Return the rates, (points,), and each seed's smoothed loss at them, (points, seeds); means without a suggestion.

    It is what decides (`judged_name`), with its own sign. NaN after divergence.
    """
    sign = sign_of(record)
    if suggestion is not None and suggestion.smooth.shape == record.losses.shape:
        at = np.unique(np.linspace(0, len(record.rates) - 1, style.FINEST).round().astype(np.int64))
        return floats(record.rates[at]), sign * floats(suggestion.smooth[at])
    if record.held_out is not None:
        return floats(record.rates[record.taken]), sign * floats(record.held_out[record.taken])
    return training_losses(record, BINS)


def sign_of(record: RangeTestRecord) -> int:
    """Return -1 where what decides was recorded as its negative, else 1."""
    return -1 if record.is_negative else 1


def training_losses(record: RangeTestRecord, bins: int) -> tuple[Floats, Floats]:
    """Return the rates in the middle of at most `bins` bins, and each seed's mean training loss in them."""
    steps, means = style.binned(record.losses, bins)
    return floats(record.rates[steps.round().astype(np.int64)]), means


def mean_final_losses(grid: RunGrid) -> Floats:
    """Return the loss that runs are compared by, the mean over seeds, (points,); NaN where one diverged."""
    means = grid.final_losses.mean(axis=1)
    return floats(np.where(np.isfinite(means), means, np.nan))


def loss_before(grid: RunGrid) -> float | None:
    """Return the mean validation loss before training; None when it is not known."""
    known = _losses_before(grid)
    return float(known.mean()) if len(known) else None


def _losses_before(grid: RunGrid) -> Floats:
    """Return the validation loss of each seed before training, as far as it is known and finite."""
    return floats([]) if grid.before is None else floats(grid.before[np.isfinite(grid.before)])


def loss_name(grid: RunGrid) -> str:
    """Return which loss the runs of a grid are compared by."""
    return "training loss" if grid.by_training_loss else grid.scored


def losses_of_range_test(curve: Floats, raw: Floats, sign: int = 1) -> Window:
    """Return the window around what a range test has learnt: from below the least loss to a little above the first.

    curve: the bold one, (points,). raw: of any shape; it stands in where the curve has nothing. sign: -1 for what is to
    be large, whose window is upside down.
    """
    if sign < 0:
        flipped = losses_of_range_test(-curve, -raw)
        return Window(-flipped.high, -flipped.low, log=False)
    finite = curve[np.isfinite(curve)]
    if not len(finite):
        finite = raw[np.isfinite(raw)]
    if not len(finite):
        return Window(0.0, 1.0, log=False)
    first, least = float(np.median(finite[: first_losses(len(finite))])), float(finite.min())
    if least > 0 and first / least > DECADE and (raw[np.isfinite(raw)] > 0).all():
        return Window(least / (first / least) ** 0.15, first * (first / least) ** 0.25, log=True)
    span = max(first - least, 0.4 * abs(first), 1e-12)
    return Window(least - 0.2 * span, first + 0.35 * span, log=False)


def losses_of_grid(grid: RunGrid) -> Window:
    """Return the window around where runs end: from below the best to a little above the loss before training."""
    start = _losses_before(grid)
    finite = grid.final_losses[np.isfinite(grid.final_losses)]
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


def swept_values(sweep: Sweep, shown: list[Mark]) -> Window:
    """Return the window over what was swept, and over the marks up to a decade beyond it.

    Logarithmic for learning rates, and for other numbers that span more than a decade; 0 then is a decade below the
    least of the others.
    """
    low, high = float(sweep.x.min()), float(sweep.x.max())
    above = floats(sweep.x[sweep.x > 0])
    if low == 0 and len(above) and high / above.min() > DECADE:
        zero = float(above.min()) / DECADE
        room = (high / zero) ** 0.03
        return Window(zero / room, high * room, log=True, zero=zero)
    if low > 0 and (sweep.swept == LR or high / low > DECADE):
        at = [mark.estimate.value for mark in shown if low / DECADE <= mark.estimate.value <= high * DECADE]
        low, high = min([low, *at]), max([high, *at])
        room = (high / low) ** 0.03 if high > low else DECADE**0.5
        return Window(low / room, high * room, log=True)
    span = (high - low) or max(abs(high), 1.0)
    at = [mark.estimate.value for mark in shown if low - span <= mark.estimate.value <= high + span]
    return Window(min([low, *at]) - 0.05 * span, max([high, *at]) + 0.05 * span, log=False)
