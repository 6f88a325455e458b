"""What a job may cost, as it is written, and what is left of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import NonNegative, Positive, Spec

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_TRIALS = "trials"
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(s|min|h|trials)?")


@dataclass(frozen=True)
class Budget(Spec):
    """What a job may cost: full trainings, seconds of wall time, or trials, runs of any length; one of the three."""

    trainings: NonNegative | None = None
    seconds: Positive | None = None
    trials: Positive | None = None

    def validate(self) -> None:
        """Refuse several, and none."""
        if sum(each is not None for each in (self.trainings, self.seconds, self.trials)) != 1:
            raise ParameterError("a budget is in full trainings, in seconds or in trials: give one of the three.")

    @staticmethod
    def of(amount: Budget | float | str) -> Budget:
        """Return a budget as it is written: full trainings, `30`; time, `"20min"`, `"90s"`, `"2h"`; or `"800 trials"`.

        Raises ParameterError for anything else.

        >>> Budget.of("20min").seconds, Budget.of("30").trainings, Budget.of("800 trials").trials
        (1200.0, 30.0, 800.0)
        """
        if isinstance(amount, Budget):
            return amount
        match = _AMOUNT.fullmatch(str(amount).strip())
        if match is None or not float(match[1]) > 0:
            raise ParameterError(
                f"a budget is a number of full trainings above 0, such as 30, a time, such as 20min, 90s or 2h, or "
                f"a number of runs, such as 800 trials, not {amount!r}; advice takes 0 as well."
            )
        number = float(match[1])
        if match[2] == _TRIALS:
            return Budget(trials=number)
        return Budget(seconds=number * _UNITS[match[2]]) if match[2] else Budget(trainings=number)

    def left(self, trainings: float, seconds: float, trials: int) -> float:
        """Return how many full trainings are left after `trainings`, which took `seconds` and were `trials` runs."""
        if self.seconds is not None:
            return (self.seconds - seconds) * trainings / seconds if seconds > 0 else math.inf
        return self.trainings - trainings if self.trainings is not None else (self.trials or 0.0) - trials
