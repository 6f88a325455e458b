"""What a range test is when nobody says otherwise, and when a loss has exploded: for tasks and for loops alike."""

from __future__ import annotations

import math

import numpy as np

from stepsize.kernel.arrays import Floats

LOW, HIGH = 1e-6, 10.0
"""The range that a range test climbs when none is given."""

PER_DECADE = 40
"""Updates per decade of the rate: more matters more than any rule that reads the curve."""

LEAST_STEPS = 20
"""The shortest range test whose curve can be smoothed."""

SCORES = 70
"""How often a range test looks at the validation data at most, however long it is: ten times a decade."""

LEAST_RUN = 8
"""The shortest run of a grid that can be compared with others, optimizer updates."""

EXPLODED = 4.0
"""A loss that rises above the first by so many times its size, or its fall, less one, is a divergence."""

LEAST_DROP = 0.05
"""The least share of the loss that counts as a drop."""


def range_test_steps(low: float = LOW, high: float = HIGH) -> int:
    """Return how many updates a range test from `low` to `high` takes, 40 a decade."""
    return max(LEAST_STEPS, round(PER_DECADE * math.log10(high / low)))


def first_losses(points: int) -> int:
    """Return how many losses stand for the start of a range test of so many points: a twentieth of them."""
    return max(1, points // 20)


def count_before_explosion(losses: Floats, first: int) -> int:
    """Return how many of `losses`, (points,), there are before one explodes or is no number; all where none does.

    A loss has exploded when it rises above the median of the `first` losses by three times their size, their scatter
    or the fall so far, whichever is largest, and so does the next one, where there is a next: one batch that is an
    outlier ends no range test. A loss that falls below 0 never explodes by falling.

    Watch out: losses that are 0 from the start have no size, and then only what is no number ends them.

    >>> count_before_explosion(np.array([2.0, 2.1, 1.9, 9.0, 9.5]), first=2)
    3
    >>> count_before_explosion(np.array([2.0, 2.1, 1.9, 9.0, 1.8]), first=2)
    5
    >>> count_before_explosion(np.array([-2.0, -2.1, -900.0]), first=1)
    3
    """
    head = losses[:first]
    # a first loss that is no number leaves nothing to compare with, and is itself the first bad one
    start = float(np.median(head)) if np.isfinite(head).all() else math.nan
    scale = np.maximum(max(abs(start), float(np.ptp(head))), start - np.fmin.accumulate(losses))
    far = ~np.isfinite(losses) | ((scale > 0) & (losses - start > (EXPLODED - 1) * scale))
    bad = ~np.isfinite(losses) | (far & np.append(far[1:], True))
    return int(bad.argmax()) if bad.any() else len(losses)
