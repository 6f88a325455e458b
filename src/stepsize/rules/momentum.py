"""Gradient descent, and with memory of where it was going."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.kernel.spec import NonNegative
from stepsize.rules.base import Rule, Scalars, Slots


@dataclass(frozen=True)
class SGD(Rule):
    """Gradient descent: `p -= lr * g`.

    Watch out: one rate for all coordinates; the steepest one limits it to `2 / lambda_max`.

    >>> SGD().step(1.0, 2.0, (), {"lr": 0.1, "weight_decay": 0.0}, None)
    (0.8, ())
    """

    lr: NonNegative = 0.1
    weight_decay: NonNegative = 0.0

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:  # noqa: ARG002  (no step of SGD is special)
        """Return lr and weight decay."""
        return {"lr": h["lr"], "weight_decay": h["weight_decay"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:  # noqa: ARG002  (the signature is every rule's)
        """Return `p - lr * g`."""
        return p - c["lr"] * (g + c["weight_decay"] * p), ()


@dataclass(frozen=True)
class Momentum(Rule):
    """Heavy ball: `v = mu*v + (1 - dampening)*g; p -= lr * v` [polyak1964some].

    momentum: mu. dampening: not applied to the first gradient, as in torch.
    rate_inside: the velocity holds the rate, `v = mu*v + lr*g; p -= v`, as in Keras and [sutskever2013importance].

    Watch out: in torch and optax the velocity is not scaled by the rate, so a scheduled rate rescales all of it at
    once; with `rate_inside` it moves only what is still to come. Stable up to `(2 + 2*mu) / lambda_max`.
    """

    slots: ClassVar[tuple[str, ...]] = ("v",)

    lr: NonNegative = 0.1
    weight_decay: NonNegative = 0.0
    momentum: MomentumRange = 0.9
    dampening: NonNegative = 0.0
    rate_inside: bool = False

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return mu, weight decay, the gain of the gradient, 1 in the first step, and the rate, wherever it is."""
        gain = 1.0 - h["dampening"] * (k > 1)
        inside = {"lr": 1.0 + 0.0 * h["lr"], "gain": gain * h["lr"]}
        rate = inside if self.rate_inside else {"lr": h["lr"], "gain": gain}
        return {"mu": h["momentum"], "weight_decay": h["weight_decay"], **rate}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:  # noqa: ARG002  (the signature is every rule's)
        """Return the step along the velocity."""
        (v,) = slots
        v = c["mu"] * v + c["gain"] * (g + c["weight_decay"] * p)
        return p - c["lr"] * v, (v,)


@dataclass(frozen=True)
class Nesterov(Rule):
    """Nesterov's momentum: `v = mu*v + g; p -= lr * (g + mu*v)` [sutskever2013importance].

    momentum: mu. rate_inside: the velocity holds the rate, `v = mu*v + lr*g; p -= lr*g + mu*v`, as in Keras.

    Watch out: stable only up to `(2 + 2*mu) / ((1 + 2*mu) * lambda_max)`, less than plain gradient descent at mu = 0.9.
    """

    slots: ClassVar[tuple[str, ...]] = ("v",)

    lr: NonNegative = 0.1
    weight_decay: NonNegative = 0.0
    momentum: MomentumRange = 0.9
    rate_inside: bool = False

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:  # noqa: ARG002  (the signature is every rule's)
        """Return lr, mu and weight decay."""
        return {"lr": h["lr"], "mu": h["momentum"], "weight_decay": h["weight_decay"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:  # noqa: ARG002  (the signature is every rule's)
        """Return the step along the velocity, looked ahead by one."""
        (v,) = slots
        g = g + c["weight_decay"] * p
        if self.rate_inside:
            g = c["lr"] * g
            v = c["mu"] * v + g
            return p - (g + c["mu"] * v), (v,)
        v = c["mu"] * v + g
        return p - c["lr"] * (g + c["mu"] * v), (v,)
