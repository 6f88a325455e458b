"""The budget of a race, and when it buys more seeds: a decision from the standings alone."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import Positive, Spec
from stepsize.results import Standing
from stepsize.strategy import Strategy

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_TIME = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(s|min|h)?")


@dataclass(frozen=True)
class Budget(Spec):
    """What a race may cost: full trainings, or seconds of wall time; one of the two."""

    trainings: Positive | None = None
    seconds: Positive | None = None

    def validate(self) -> None:
        """Refuse both, and neither."""
        if (self.trainings is None) == (self.seconds is None):
            raise ParameterError("a budget is in full trainings or in seconds: give one of the two.")

    @staticmethod
    def of(given: Budget | float | str) -> Budget:
        """Return a budget as it is written: full trainings, `30`; or time, `"20min"`, `"90s"`, `"2h"`.

        Raises ParameterError for anything else.

        >>> Budget.of("20min").seconds, Budget.of("30").trainings
        (1200.0, 30.0)
        """
        if isinstance(given, Budget):
            return given
        match = _TIME.fullmatch(str(given).strip())
        if match is None or not float(match[1]) > 0:
            raise ParameterError(
                f"a budget is a number of full trainings above 0, such as 30, or a time, such as 20min, 90s or 2h, "
                f"not {given!r}."
            )
        amount = float(match[1])
        return Budget(seconds=amount * _UNITS[match[2]]) if match[2] else Budget(trainings=amount)

    def left(self, trainings: float, seconds: float) -> float:
        """Return how many full trainings are left after `trainings`, which took `seconds`."""
        if self.seconds is None:
            return (self.trainings or 0.0) - trainings
        return (self.seconds - seconds) * trainings / seconds if seconds > 0 else math.inf


def more_seeds(standings: Sequence[Standing], seeds: int, left: float) -> int:
    """Return how many seeds the strategies that are tied for the best should run besides the `seeds` that they have.

    Half as many again, as far as `left` full trainings pay for them; 0 when the best stands alone.
    """
    leaders = sum(standing.tied for standing in standings)
    if leaders < 2:
        return 0
    return max(0, min(max(1, seeds // 2), math.floor(left / leaders)))


def fitting(ranked: Sequence[Strategy], each: float, left: float) -> list[Strategy]:
    """Return the best of `ranked` that `left` full trainings pay for, at `each` a strategy; two at least."""
    return list(ranked[: max(2, math.floor(min(left / each, len(ranked))))])


def alpha_of(look: int, alpha: float) -> float:
    """Return which part of `alpha` may be spent on look number `look`, from 1: `alpha / (look (look + 1))`.

    Standings that are looked at again with every new seed tell strategies apart by luck sooner or later; the parts
    add up to `alpha` over any number of looks.
    """
    return alpha / (look * (look + 1))
