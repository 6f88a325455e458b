"""Rules that divide each coordinate's step by a running size of its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.kernel.spec import NonNegative
from stepsize.rules.base import Rule, Scalars, Slots


@dataclass(frozen=True)
class RMSProp(Rule):
    """RMSProp, as torch has it: the gradient over the root of its running mean square [ruder2016overview, sec. 4.5].

    `s = alpha*s + (1 - alpha)*g**2; p -= lr * g / (sqrt(s) + epsilon)`.
    alpha: how slowly the mean square forgets. epsilon: outside of the root (Keras has it inside).

    Watch out: the mean square starts at 0 and is not corrected, so the first steps are `1 / sqrt(1 - alpha)` too long:
    ten times at torch's default. "Default RMSProp" differs between torch, Keras and optax; record all of it.
    """

    slots: ClassVar[tuple[str, ...]] = ("s",)

    lr: NonNegative = 1e-2
    alpha: MomentumRange = 0.99
    epsilon: NonNegative = 1e-8

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:  # noqa: ARG002  (no step of RMSProp is special)
        """Return the rate, the two weights of the mean square, epsilon and weight decay."""
        return {
            "lr": h["lr"],
            "alpha": h["alpha"],
            "fresh": 1 - h["alpha"],
            "epsilon": h["epsilon"],
            "weight_decay": h["weight_decay"],
        }

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step divided by the root of the mean square."""
        (s,) = slots
        g = g + c["weight_decay"] * p
        s = c["alpha"] * s + c["fresh"] * (g * g)
        return p - c["lr"] * g / (xp.sqrt(s) + c["epsilon"]), (s,)


@dataclass(frozen=True)
class Adam(Rule):
    """Adam: `m_hat / (sqrt(v_hat) + epsilon)` of bias-corrected moments [kingma2015adam, alg. 1].

    `m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g**2; p -= lr * (m/(1-b1**k)) / (sqrt(v/(1-b2**k)) + epsilon)`.
    momentum: beta1. beta2: of the second moment. weight_decay: L2, which Adam rescales (see AdamW).

    Watch out: its step is about lr whatever the gradient's size, so it does not slow down by itself near a minimum;
    decay the rate.
    """

    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    momentum: MomentumRange = 0.9
    beta2: MomentumRange = 0.999
    epsilon: NonNegative = 1e-8

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the weights of the moments and the rate with both bias corrections folded in."""
        b1, b2 = h["momentum"], h["beta2"]
        return {
            "b1": b1,
            "fresh1": 1 - b1,
            "b2": b2,
            "fresh2": 1 - b2,
            "rate": h["lr"] / (1 - b1**k),
            "root": (1 - b2**k) ** -0.5,
            "epsilon": h["epsilon"],
            "l2": h["weight_decay"],
            "keep": 1.0 + 0.0 * h["lr"],
        }

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step along the first moment, divided by the root of the second."""
        m, v = slots
        g = g + c["l2"] * p
        m = c["b1"] * m + c["fresh1"] * g
        v = c["b2"] * v + c["fresh2"] * (g * g)
        return c["keep"] * p - c["rate"] * m / (xp.sqrt(v) * c["root"] + c["epsilon"]), (m, v)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay [loshchilov2019decoupled, alg. 2].

    `p *= 1 - lr * weight_decay`, then Adam's step.

    Watch out: the decay is multiplied by the scheduled rate, so another schedule is another total decay; compare
    `sum(lr) * weight_decay`.
    """

    weight_decay: NonNegative = 1e-2

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return Adam's, with the decay moved from the gradient to the parameters."""
        return {**super().coefficients(h, k), "l2": 0.0 * h["lr"], "keep": 1 - h["lr"] * h["weight_decay"]}
