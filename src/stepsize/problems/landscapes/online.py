"""Online problems: every step shows another gradient, and no single one of them points to the minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel import seeds
from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import Count, Positive, Share
from stepsize.problems.landscapes.base import Landscape


@dataclass(frozen=True)
class Reddi(Landscape):
    """Where Adam goes to the worst point [reddi2018convergence].

    The loss is `large*x` once every `period` steps and `-small*x` in the others; x is held in [-1, 1], and the mean of
    the losses, which is the function shown here, is lowest at -1.
    large, small: the two slopes. period: the large one is seen in steps 0, period, 2*period...
    chance: when above 0, the large one is seen with this probability instead, drawn from the seed of the run.

    The paper's two examples are `Reddi()` for b1 = 0 and b2 = 1/(1 + large**2), and `Reddi(1010, 10, 101)`.

    Watch out: plain SGD solves it; it is a statement about a memory that forgets rare gradients.

    Raises ParameterError when the mean is not lowest at -1.
    """

    radius: ClassVar[float] = 0.5
    walls: ClassVar[bool] = True
    bounds = ((-1, 1),)
    lows = ((-1,),)

    large: Positive = 3.0
    small: Positive = 1.0
    period: Count = 3
    chance: Share = 0.0

    def validate(self) -> None:
        """Check that the mean slope is above 0."""
        if self._slope <= 0:
            raise ParameterError(
                f"the mean slope of this Reddi is {self._slope:g}, so its minimum is not at -1; "
                f"make large greater than {self.large - self._slope / self._share:g}."
            )

    @property
    def dimensions(self) -> int:
        """One."""
        return 1

    @property
    def _share(self) -> float:
        return self.chance or 1 / self.period

    @property
    def _slope(self) -> float:
        return self.large * self._share - self.small * (1 - self._share)

    def value(self, x: Array, xp: Any) -> Array:  # noqa: ARG002  (every formula has this signature)
        """Return the mean loss."""
        return self._slope * x[..., 0]

    def gradient(self, x: Array, xp: Any) -> Array:
        """Return the mean slope."""
        return self._slope * xp.ones_like(x)

    def observed(self, x: Array, xp: Any, step: int, seed: int) -> Array:
        """Return the slope that `step` shows: the same everywhere."""
        rare = seeds.generator(seed, "rare", step).random() < self.chance if self.chance else step % self.period == 0
        return (self.large if rare else -self.small) * xp.ones_like(x)
