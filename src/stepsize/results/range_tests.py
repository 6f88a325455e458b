"""Several range tests that differ in one thing, to be seen in one picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.arrays import floats
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.notebook import Shown, picture
from stepsize.kernel.spec import Spec
from stepsize.results.range_test import RangeTestRecord, Suggestion


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RangeTests(Shown, Spec):
    """Several range tests that differ in one thing, with what each suggests.

    compared: what differs: "rule", "batch_size" or a hyperparameter. names: of each test, what it has. tests, found:
        one a name.
    """

    noun: ClassVar[str] = "comparison of range tests"
    is_record: ClassVar[bool] = True

    compared: str
    names: tuple[str, ...]
    tests: tuple[RangeTestRecord, ...]
    found: tuple[Suggestion, ...]

    def __str__(self) -> str:
        """What is compared, and on what."""
        return f"{self.compared} {', '.join(self.names)} on {self.tests[0].task}"

    def validate(self) -> None:
        """Check that there is a test and what it suggests for every name."""
        counts = {"names": len(self.names), "tests": len(self.tests), "found": len(self.found)}
        if len(set(counts.values())) > 1 or not self.tests:
            raise ParameterError(f"RangeTests has one test and one suggestion a name, at least one, not {counts!r}.")

    @property
    def cost(self) -> int:
        """Updates of all tests together."""
        return sum(test.cost for test in self.tests)

    @property
    def lows(self) -> tuple[float, ...]:
        """The lowest median over the seeds of what decides in each test, smoothed; inf where there is none."""
        return tuple(_lowest(found) for found in self.found)

    @property
    def table(self) -> tuple[tuple[str, ...], ...]:
        """What each test shows, as text: the heads of the columns, then a row for each."""
        first = self.tests[0]
        head = (self.compared.replace("_", " "), "from", "to", "seeds", f"best {first.judged_name}")
        sign = -1 if first.is_negative else 1
        return head, *(
            (
                name, *(f"{bound.value:.2g}" if bound else "-" for bound in (found.min_lr, found.max_lr)),
                f"{found.max_lr.low:.2g} to {found.max_lr.high:.2g}" if found.max_lr else "no clear answer",
                f"{sign * low:.3g}",
            )
            for name, found, low in zip(self.names, self.found, self.lows, strict=True)
        )  # fmt: skip

    def plot(self, ax: Any = None) -> Any:
        """Draw all tests over one axis and return the matplotlib Axes."""
        return picture("plot_range_tests")(self, ax=ax)


def _lowest(found: Suggestion) -> float:
    alive = floats(found.smooth[np.isfinite(found.smooth).all(axis=1)])
    return float(np.median(alive, axis=1).min()) if len(alive) else math.inf
