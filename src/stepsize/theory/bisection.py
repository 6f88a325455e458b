"""Which value to try next of what counts by its exponent, as weight decay does [smith2018disciplined, sec. 4.4]."""

from __future__ import annotations

import math

import numpy as np

from stepsize.kernel.arrays import Floats


def middle_exponent(values: Floats, losses: Floats) -> float | None:
    """Return the value between the best one and the better of its neighbours, its exponent in the middle of theirs.

    `10 ** ((log10(a) + log10(b)) / 2)`. None where there is no such neighbour: 0 has no exponent.

    values: rising, at least 0, (points,). losses: of runs with them, (points,); not finite where they diverged.

    Watch out: between neighbours that noise has put in the wrong order it looks on the wrong side.

    Source: [smith2018disciplined, sec. 4.4].

    >>> round(middle_exponent(np.array([0.0, 1e-5, 1e-4, 1e-3]), np.array([0.5, 0.4, 0.2, 0.3])), 6)
    0.000316
    """
    finite = np.where(np.isfinite(losses), losses, math.inf)
    best = int(finite.argmin())
    beside = [i for i in (best - 1, best + 1) if 0 <= i < len(values) and values[i] > 0]
    if not beside or values[best] <= 0 or not math.isfinite(finite[best]):
        return None
    other = min(beside, key=lambda i: float(finite[i]))
    return float(10 ** ((math.log10(values[best]) + math.log10(values[other])) / 2))
