"""Schedule-Free rules: an average in place of a schedule [defazio2024road].

Three points move together: z, which takes the steps; x, the average of all z; and `y = (1-b1)*z + b1*x` between them,
where the gradient is taken. The parameters are y; x is what to evaluate at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.kernel.spec import NonNegative
from stepsize.rules.base import Facts, Rule, Scalars, Slots, column, quotient


@dataclass(frozen=True)
class ScheduleFreeSGD(Rule):
    """Schedule-Free SGD: steps from z, gradients at y, weights in x [defazio2024road].

    `z -= lr*g(y); w = k**r * max(lr)**weight_lr_power; x += w/sum(w) * (z - x); y = (1-b1)*z + b1*x`.
    momentum: b1. r, weight_lr_power: how much later and larger steps count in the average.
    The constants are those of schedulefree 1.4.1.

    Watch out: schedule a warmup alone; a decay on top only slows it. Its evaluation weights are not what it trains:
    the statistics of batch normalisation belong to y, and have to be measured again at x.
    """

    facts = Facts(
        scale_free=False, parameter_free=False, accumulates=False, same_size=False, schedule_free=True,
        euclidean=True, decoupled=False, threshold=None, torch=None, optax=None, keras=None,
    )  # fmt: skip
    anchored: ClassVar[bool] = True

    lr: NonNegative = 1.0
    weight_decay: NonNegative = 0.0
    momentum: MomentumRange = 0.9
    r: NonNegative = 0.0
    weight_lr_power: NonNegative = 2.0

    def init(self, p: Array, xp: Any) -> Slots:
        """Return x, z, the largest rate so far, and the sum of all weights."""
        return 1.0 * p, 1.0 * p, column(p, 0.0, xp), column(p, 0.0, xp)

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the rate, where y lies, weight decay, and what the step counts."""
        same = {"lr": h["lr"], "b1": h["momentum"], "weight_decay": h["weight_decay"], "power": h["weight_lr_power"]}
        return same | {"count": 1.0 * k ** h["r"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return y after z took a step of gradient descent."""
        return between(g + c["weight_decay"] * p, slots, c, xp)

    def readout(self, p: Array, slots: Slots, xp: Any) -> Array:  # noqa: ARG002  (the signature is every rule's)
        """Return x, the average."""
        return slots[0]


@dataclass(frozen=True)
class ScheduleFreeAdamW(ScheduleFreeSGD):
    """Schedule-Free AdamW: the same, where z takes steps of RMSProp with bias correction [defazio2024road].

    `v = b2*v + (1-b2)*g**2; z -= lr * (g / (sqrt(v/(1-b2**k)) + epsilon) + weight_decay*y)`; x and y as above.
    The constants are those of schedulefree 1.4.1.

    Watch out: as for ScheduleFreeSGD; its best rate is one to ten times AdamW's.
    """

    facts = replace(ScheduleFreeSGD.facts, euclidean=False)

    lr: NonNegative = 2.5e-3
    beta2: MomentumRange = 0.999
    epsilon: NonNegative = 1e-8

    def init(self, p: Array, xp: Any) -> Slots:
        """Return those of Schedule-Free SGD, and the second moment."""
        return (*super().init(p, xp), xp.zeros_like(p))

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return those of Schedule-Free SGD, and the weights of the second moment with its correction."""
        b2 = h["beta2"]
        more = {"b2": b2, "fresh2": 1 - b2, "root": (1 - b2**k) ** -0.5, "epsilon": h["epsilon"]}
        return {**super().coefficients(h, k), **more}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return y after z took a step of RMSProp."""
        *points, v = slots
        v = c["b2"] * v + c["fresh2"] * (g * g)
        direction = g / (xp.sqrt(v) * c["root"] + c["epsilon"]) + c["weight_decay"] * p
        y, after = between(direction, tuple(points), c, xp)
        return y, (*after, v)


def between(direction: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
    """Return y, and the slots, after z took a step along `direction`."""
    x, z, largest, total = slots
    largest = xp.maximum(largest, 0.0 * largest + c["lr"])
    weight = c["count"] * largest ** c["power"]
    total = total + weight
    z = z - c["lr"] * direction
    x = x + quotient(weight, total, xp) * (z - x)
    return z + c["b1"] * (x - z), (x, z, largest, total)
