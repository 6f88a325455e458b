"""Which updates the steps of a log are, and how long its run was: one convention for every job.

Updates are counted from 0 here. A log counts them from 0 or from 1, and has a row for every update, or for one in n,
before it or after it. Which, is seen from the steps:

=====================  =================================  ==========
steps                  what they count                    the run
=====================  =================================  ==========
0, 1, ..., 999         updates from 0                     1000
1, 2, ..., 1000        updates from 1                     1000
9, 19, ..., 999        from 0, after each tenth           1000
10, 20, ..., 1000      from 1, after each tenth           1000
0, 10, ..., 990        from 0, before each tenth          1000: up to where the next row would be
1, 11, ..., 991        from 1, before each tenth          1000: up to where the next row would be
=====================  =================================  ==========

Steps that are no multiples count from 0, and the run ends with the update of the last row. Whoever knows the length
says it, and it settles what the steps count where it equals the last of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError


class Updates(NamedTuple):
    """first: what the log calls update 0. total: how many updates the run had."""

    first: int
    total: int


def interval_of(steps: Floats) -> float:
    """Return how many updates apart the rows of a log are, as most of them: 1 for a single row."""
    apart = np.diff(steps)
    rising = apart[apart > 0]
    return float(np.floor(np.median(rising))) if len(rising) else 1.0


def number_updates(steps: Floats, total: int | None = None, *, stopped: bool = False) -> Updates:
    """Return what the steps of a log count, and how long the run was.

    steps: of the rows, rising, whole numbers from 0, (rows,). total: how long the run was, where that is known.
    stopped: whether the rate of the last row is 0, so that no update came after it.

    Raises ParameterError for a run that is shorter than the log.

    >>> number_updates(np.arange(10.0, 1001, 10)), number_updates(np.arange(0.0, 1000, 10))
    (Updates(first=1, total=1000), Updates(first=0, total=1000))
    >>> number_updates(np.arange(0.0, 1001, 10), 1000)
    Updates(first=1, total=1000)
    """
    last, apart = int(steps[-1]), int(interval_of(steps))
    before = int(steps[0]) in (0, 1) and apart > 1 and _share(steps, apart, int(steps[0])) and last % apart == steps[0]
    after = apart > 1 and _share(steps, apart, 0) and steps[0] > 0
    first = int(steps[0] == 1 if apart == 1 or (before and steps[0] == 1) else after)
    if before and stopped and steps[0] == 0 and total is None:
        return Updates(1, last)  # the last row is of after the run, so the steps are updates that were done
    if total is None:
        return Updates(first, last - first + (apart if before else 1))
    if total < last:
        raise ParameterError(f"the log goes on to step {last}, beyond a run of {total} steps; raise the steps.")
    return Updates(1 if total == last else first, total)


def _share(steps: Floats, apart: int, remainder: int) -> bool:
    """Return whether most steps leave this remainder when they are divided by how far they are apart."""
    return bool(np.mean(steps % apart == remainder) > 0.5)
