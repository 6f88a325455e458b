"""Steps as long as the loss is high: Polyak's rule and its stochastic form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import NonNegative, Positive
from stepsize.rules.base import FIXED, Facts, Rule, Scalars, Slots, column, dot, quotient


@dataclass(frozen=True)
class Polyak(Rule):
    """Polyak's step: `p -= lr * (f(p) - f_min) / (|g|**2 + epsilon) * g` [polyak1987introduction].

    lr: a factor; 1 is Polyak's own. f_min: the smallest loss that there is. clipped: a loss below f_min gives no step
    ("sps+" in optax), where without it the step would climb ("sps" there).
    Weight decay is part of the loss: `f + weight_decay/2 * |p|**2`.

    Watch out: f_min has to be known. With one that is too low the steps are too long near the minimum.
    """

    facts = Facts(
        scale_free=True, parameter_free=True, accumulates=False, same_size=False, schedule_free=False,
        euclidean=False, decoupled=False, threshold=None, torch=None, optax=None, keras=None,
    )  # fmt: skip
    takes_loss: ClassVar[bool] = True

    lr: NonNegative = 1.0
    weight_decay: NonNegative = 0.0
    f_min: float = 0.0
    epsilon: NonNegative = 0.0
    clipped: bool = True

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step that would reach f_min if the loss were linear."""
        g, rate = self.rate(p, g, c, xp)
        return p - c["lr"] * rate * g, slots

    def rate(self, p: Array, g: Array, c: Scalars, xp: Any) -> tuple[Array, Array]:
        """Return the gradient with its decay, and the loss to go over its squared norm, (replicas, 1)."""
        gap = c["loss"] + 0.5 * c["weight_decay"] * dot(p, p, xp) - c["f_min"]
        g = g + c["weight_decay"] * p
        return g, quotient(xp.clip(gap, 0.0, None) if self.clipped else gap, dot(g, g, xp) + c["epsilon"], xp)


@dataclass(frozen=True)
class SPS(Polyak):
    """The stochastic Polyak step, bounded: `min((f - f_min) / (c*(|g|**2 + epsilon)), lr)` [loizou2021stochastic].

    lr: the longest step, eta_b, which a policy schedules. c: 1/2 for convex losses.
    growth: where it is given, a step is also at most so many times the one before, the first at most `initial`;
    `2 ** (batch size / samples)` is the authors' smoothing.

    Watch out: f_min is the smallest loss of a batch: 0 only for models that can fit it, and not with label smoothing.
    """

    facts = Polyak.facts

    c: Positive = 0.5
    growth: Annotated[Positive, FIXED] | None = None
    initial: Annotated[Positive, FIXED] = 1.0

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the step before the first, where it bounds the next."""
        return () if self.growth is None else (column(p, self.initial, xp),)

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return Polyak's step within its bounds."""
        g, rate = self.rate(p, g, c, xp)
        rate = xp.clip(rate / c["c"], None, c["lr"])
        if self.growth is not None:
            rate = xp.minimum(rate, self.growth * slots[0])
        return p - rate * g, (rate,)[: len(slots)]
