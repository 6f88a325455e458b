"""Rules whose steps have one size in every coordinate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.kernel.spec import NonNegative
from stepsize.rules.base import Facts, Rule, Scalars, Slots, Twin


@dataclass(frozen=True)
class Lion(Rule):
    """Lion: the sign of an interpolated momentum [chen2023symbolic, alg. 2].

    `p *= 1 - lr*weight_decay; p -= lr * sign(b1*m + (1-b1)*g); m = b2*m + (1-b2)*g`.
    momentum: beta1, of the direction. beta2: of the memory. weight_decay: decoupled.
    The formula is one in lion-pytorch, Keras (lr 1e-3) and optax (weight_decay 1e-3).

    Watch out: every coordinate moves by lr in every step, so take about a third to a tenth of AdamW's rate and three to
    ten times its decay, and let the rate go to 0.
    """

    facts = Facts(
        scale_free=False, parameter_free=False, accumulates=False, same_size=True, schedule_free=False,
        euclidean=False, decoupled=True, threshold=None, torch=None, optax=None,
        keras=Twin("Lion", ("momentum", "beta2")),
    )  # fmt: skip
    slots: ClassVar[tuple[str, ...]] = ("m",)

    lr: NonNegative = 1e-4
    weight_decay: NonNegative = 0.0
    momentum: MomentumRange = 0.9
    beta2: MomentumRange = 0.99

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:  # noqa: ARG002  (no step of Lion is special)
        """Return the rate, the weights of direction and memory, and what the decay leaves."""
        b1, b2 = h["momentum"], h["beta2"]
        keep = 1 - h["lr"] * h["weight_decay"]
        return {"lr": h["lr"], "b1": b1, "fresh1": 1 - b1, "b2": b2, "fresh2": 1 - b2, "keep": keep}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step along the sign."""
        (m,) = slots
        direction = xp.sign(c["b1"] * m + c["fresh1"] * g)
        return c["keep"] * p - c["lr"] * direction, (c["b2"] * m + c["fresh2"] * g,)
