"""What other range tests would suggest from the same curve, by name, for comparison.

    python bench/range_test/peer_rules.py record.json       a range test that `stepsize range-test --save` has written

They read one number off one curve. Each is here as its library has it, smoothing and cuts at the ends included, so
that a curve of ours can be held against what people use.

::

    fastai          loss averaged over the past (.98, debiased), the first tenth and the last 5 points dropped
      valley        about the middle of the longest strictly falling subsequence, taken for contiguous
      slide         from the right, until the slope 15 points to the left differs by at most .005
      minimum       a tenth of the rate at the lowest point
      steep         the steepest fall over the log of the rate
    torch-lr-finder loss averaged over the past (.95, not debiased), the first 10 and the last 5 dropped
      steepest      the steepest fall from point to point
    Lightning       loss averaged over the past (.98, debiased), the first 10 and the last dropped
      lightning     the steepest fall over the rate itself, as since its version 2.5.3

Watch out: all of them move with the length of the range test and with its noise, by up to decades.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from stepsize import load
from stepsize.kernel.arrays import Floats, floats
from stepsize.results import Estimate, RangeTestRecord, Sweep

PeerRule = Callable[[Floats, Floats], float]
"""Of rates and losses as they were recorded, both (points,), the rate; NaN where it has none."""

WINDOW, CLOSE = 15, 0.005
"""How far `slide` compares with its left, and which difference of slopes stops it."""


def compare(record: RangeTestRecord) -> dict[str, Estimate]:
    """Return what each rule would suggest from a range test, the median and the range over its seeds.

    A rule that has no answer for any of the seeds is left out.
    """
    rates, estimates = floats(record.rates), {}
    for name, rule in PEER_RULES.items():
        of_seeds = floats([rule(rates, _finite(column)) for column in record.losses.T])
        if np.isfinite(of_seeds).any():
            estimates[name] = Estimate.of(of_seeds[np.isfinite(of_seeds)])
    return estimates


def valley(rates: Floats, losses: Floats) -> float:
    """About the middle of the longest strictly falling subsequence."""
    kept, curve = _fastai(rates, losses)
    if len(curve) < 2:
        return np.nan
    lengths = _falling(curve)
    end = int(lengths.argmax())
    third = int(lengths[end]) / 3
    return float(kept[end - int(lengths[end]) + int(third) + int(third / 2)])


def slide(rates: Floats, losses: Floats) -> float:
    """The rate where the slope has stopped changing, seen from the right."""
    kept, curve = _fastai(rates, losses)
    if len(curve) <= WINDOW:
        return np.nan
    slope = np.gradient(curve)
    change = np.abs(slope[WINDOW:] - slope[:-WINDOW])
    steady = np.flatnonzero(change <= CLOSE)
    left = min(int(steady[-1]) + 1 if steady.size else 0, len(change) - 1)
    return float(kept[left])


def minimum(rates: Floats, losses: Floats) -> float:
    """A tenth of the rate at the lowest point."""
    kept, curve = _fastai(rates, losses)
    return float(kept[curve.argmin()]) / 10 if len(curve) else np.nan


def steep(rates: Floats, losses: Floats) -> float:
    """The rate of the steepest fall over the log of the rate."""
    kept, curve = _fastai(rates, losses)
    return float(kept[(np.diff(curve) / np.diff(np.log(kept))).argmin()]) if len(curve) > 1 else np.nan


def steepest(rates: Floats, losses: Floats) -> float:
    """The rate of the steepest fall from point to point, as torch-lr-finder has it."""
    kept, curve = rates[10 : len(losses) - 5], averaged(losses, 0.95, debias=False)[10:-5]
    return float(kept[np.gradient(curve).argmin()]) if len(curve) > 1 else np.nan


def lightning(rates: Floats, losses: Floats) -> float:
    """The rate of the steepest fall over the rate, as Lightning has it."""
    kept, curve = rates[10 : len(losses) - 1], averaged(losses, 0.98)[10:-1]
    return float(kept[np.gradient(curve, kept).argmin()]) if len(curve) > 1 else np.nan


PEER_RULES: dict[str, PeerRule] = {
    rule.__name__: rule for rule in (valley, slide, minimum, steep, steepest, lightning)
}  # fmt: skip
"""The rules of other range tests by name."""


def averaged(losses: Floats, keep: float, *, debias: bool = True) -> Floats:
    """Return the exponential average over the past, (points,): `a = keep * a + (1 - keep) * loss`.

    debias: divide by `1 - keep**k`; without it the average begins at the first loss.
    """
    average, averages = 0.0 if debias else float(losses[0]) if len(losses) else 0.0, []
    for k, loss in enumerate(losses.tolist(), 1):
        average = keep * average + (1 - keep) * loss
        averages.append(average / (1 - keep**k) if debias else average)
    return floats(averages)


def _fastai(rates: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Return rates and averaged losses without the first tenth and the last 5, up to 4 times the lowest loss."""
    curve = averaged(losses, 0.98)
    far = np.flatnonzero(curve > 4 * np.minimum.accumulate(curve)) if len(curve) else np.empty(0, dtype=np.int64)
    end = int(far[0]) + 1 if far.size else len(curve)
    first = len(rates) // 10
    return rates[first : max(first, end - 5)], curve[first : max(first, end - 5)]


def _falling(curve: Floats) -> np.ndarray:
    """Return the length of the longest strictly falling subsequence that ends at each point, (points,)."""
    lasts: list[float] = []  # the last value of the best subsequence of each length
    lengths = np.empty(len(curve), dtype=np.int64)
    for i, value in enumerate((-curve).tolist()):
        at = bisect_left(lasts, value)
        lasts[at : at + 1] = [value]
        lengths[i] = at + 1
    return lengths


def _finite(losses: np.ndarray) -> Floats:
    """Return the losses up to the first that is not finite."""
    bad = np.flatnonzero(~np.isfinite(losses))
    return floats(losses[: int(bad[0])] if bad.size else losses)


def main() -> None:
    record = load(sys.argv[1], Sweep)
    if not isinstance(record, RangeTestRecord):
        sys.exit(f"{sys.argv[1]} holds no range test")
    for name, estimate in compare(record).items():
        print(f"{name:10} {estimate}")


if __name__ == "__main__":
    main()
