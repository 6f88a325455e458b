"""The rate of every update of a run from those of some, with and without a table of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import ParameterError

JUMP = 4.0
"""A change of the rate between two rows that is so many times that of its neighbours happened at once."""


class Rates(NamedTuple):
    """A recorded rate as knots with lines between them. steps: not falling. values: there, (knots,)."""

    steps: Floats
    values: Floats

    @property
    def peak(self) -> float:
        """The largest rate."""
        return float(self.values.max())

    def at(self, updates: npt.ArrayLike) -> Floats:
        """Return the rate of these updates, or between two of them, (n,)."""
        return floats(np.interp(floats(updates), self.steps, self.values))

    def table(self, total: int) -> Floats:
        """Return the rate of each of the first `total` updates, (total,)."""
        return self.at(np.arange(total))


def rates_between(steps: Floats, rates: Floats, total: int, warmup: int = 0) -> Rates:
    """Return the rate of every update of a run from those of some.

    steps, rates: of the rows, (rows,), steps rising. total: how long the run was. warmup: how many updates the rate
        rose for, linearly from 0 to that of the first row after them; before the first row it is held otherwise.
    Between two rows it goes on a line, but for a jump, a change much larger than those beside it, which happens at the
    later row. After the last row it is held.

    Raises ParameterError for rates that are negative, or a warmup as long as the run.

    >>> rates_between(np.array([2.0, 4.0]), np.array([1.0, 0.5]), 6).table(6).tolist()
    [1.0, 1.0, 1.0, 0.75, 0.5, 0.5]
    """
    if not (np.isfinite(rates).all() and (rates >= 0).all() and rates.any()):
        raise ParameterError("the rates of a log must be finite, at least 0, and not all 0; look at its column lr.")
    if not 0 <= warmup < total:
        raise ParameterError(f"a warmup of {warmup} updates does not fit a run of {total}.")
    changes = np.abs(np.diff(rates, prepend=rates[0], append=rates[-1]))
    beside = np.maximum(changes[:-2], changes[2:]) if len(rates) > 2 else changes[1:-1]  # two rows make a line
    jumps = np.flatnonzero((changes[1:-1] > JUMP * beside) & (np.diff(steps) > 1)) + 1
    knots = np.concatenate([steps, steps[jumps] - 1])
    values = np.concatenate([rates, rates[jumps - 1]])
    order = np.argsort(knots, kind="stable")
    found = Rates(floats(knots[order]), floats(values[order]))
    return _warmed_up(found, warmup) if warmup else found


def _warmed_up(rates: Rates, warmup: int) -> Rates:
    """Return the same rates with a line from 0 before them."""
    late = rates.steps > warmup
    (top,) = rates.at([warmup])
    return Rates(
        floats(np.concatenate([[0.0, warmup], rates.steps[late]])), floats(np.append([0.0, top], rates.values[late]))
    )
