"""Schedules from numbers that somebody else made: points to interpolate, a recorded table, a function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from stepsize.kernel import arrays
from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError, SpecError
from stepsize.kernel.length import REST
from stepsize.kernel.spec import NonNegative, Steps
from stepsize.schedules.base import Schedule


@dataclass(frozen=True)
class Interpolated(Schedule):
    """Values at given moments, and a line or half a cosine between them; held after the last.

    at: the moments (steps; they may lie between two), not falling, from 0. values: one for each moment.
    curve: "linear" or "cosine". steps: the length, by default up to the last moment.
    Two values at one moment are a jump. (optax piecewise_interpolate; torch's OneCycleLR with its knots between steps.)

    Raises ParameterError for moments that fall, or as many values as moments are not there.

    Watch out: the moments are steps of one horizon; they do not move along with the run as shares do.

    >>> Interpolated((0.0, 2.0, 4.0), (0.0, 1.0, 0.5)).table(0, 6).tolist()
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.5]
    """

    at: tuple[NonNegative, ...]
    values: tuple[NonNegative, ...]
    curve: Literal["linear", "cosine"] = "linear"
    steps: Steps = REST

    def validate(self) -> None:
        """Refuse moments that are not in order."""
        if len(self.at) != len(self.values) or len(self.at) < 2:
            raise ParameterError(
                f"Interpolated needs as many values as moments, two or more, not {len(self.values)} and {len(self.at)}."
            )
        if self.at[0] != 0 or any(late < early for early, late in pairwise(self.at)):
            raise ParameterError(f"Interpolated.at must begin at 0 and not fall, not {self.at!r}.")

    def value(self, t: Array, xp: Any) -> Array:
        """Return the value between the two moments around each step."""
        t = self._held(t, xp)
        result = self.values[0] + 0.0 * t
        for (begin, first), (end, last) in pairwise(zip(self.at, self.values, strict=True)):
            u = (xp.clip(t, begin, end) - begin) / (end - begin) if end > begin else 1.0 + 0.0 * t
            c = u if self.curve == "linear" else 0.5 * (1 - xp.cos(math.pi * u))
            result = xp.where(t >= begin, first * (1 - c) + last * c, result)
        return result


@dataclass(frozen=True)
class Table(Schedule):
    """Recorded values, one a step, held after the last: `f(t) = values[t]`.

    values: at least one; what `schedule.table(0, n).tolist()` returns, or a column of a log.

    Watch out: it is as long as the run in memory and on disk; write a formula where there is one.

    >>> Table((0.1, 0.2, 0.3)).table(0, 5).tolist()
    [0.1, 0.2, 0.3, 0.3, 0.3]
    """

    values: tuple[NonNegative, ...]
    steps: Steps = REST

    def validate(self) -> None:
        """Refuse an empty table."""
        if not self.values:
            raise ParameterError("a Table needs at least one value.")

    def value(self, t: Array, xp: Any) -> Array:
        """Return the recorded values."""
        return arrays.values_at(self.values, self._held(t, xp), xp)


@dataclass(frozen=True)
class Custom(Schedule):
    """Your own function of the step: `f(t) = function(t)`.

    function: takes a whole step, an int, and returns a float of at least 0; for other arrays than NumPy's it is
        given the array itself, and where a schedule is stretched also what lies between two steps, a float.
    steps: the length, where another part follows.

    It compares by identity, and it cannot be saved: JSON holds no functions.

    Raises ParameterError when `function` cannot be called.

    Watch out: it may do what a schedule must not, such as raise in the middle of training; it is asked only when it
    runs.

    >>> Custom(lambda step: 0.1 / (1 + step)).table(0, 2).tolist()
    [0.1, 0.05]
    """

    function: Callable[[Any], Any]
    steps: Steps = REST

    def validate(self) -> None:
        """Refuse what is not a function."""
        if not callable(self.function):
            raise ParameterError(f"Custom.function must be a function of the step, not {self.function!r}.")

    def spec_fields(self) -> dict[str, Any]:
        """Say that a function cannot be saved."""
        raise SpecError(
            f"{self!r} holds a function, and a file holds no functions. Save its values instead: "
            "Table(tuple(schedule.table(0, steps).tolist()))."
        )

    def value(self, t: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return what the function makes of each step, or of the array where it is not NumPy's."""
        if not isinstance(t, np.ndarray):
            return self.function(t)
        steps = (int(step) if step.is_integer() else step for step in t.ravel().tolist())
        return np.array([float(self.function(step)) for step in steps], dtype=np.float64).reshape(t.shape)
