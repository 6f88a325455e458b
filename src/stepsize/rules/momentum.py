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

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:  # noqa: ARG002  (no step of SGD is special)
        """Return lr and weight decay."""
        return {"lr": h["lr"], "weight_decay": h["weight_decay"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:  # noqa: ARG002
        """Return `p - lr * g`."""
        return p - c["lr"] * (g + c["weight_decay"] * p), ()


@dataclass(frozen=True)
class Momentum(Rule):
    """Heavy ball, as torch has it: `v = mu*v + (1 - dampening)*g; p -= lr * v` [polyak1964some].

    momentum: mu. dampening: not applied to the first gradient, as in torch.

    Watch out: the buffer is not scaled by the rate, so a scheduled rate rescales all of it at once; stable up to
    `(2 + 2*mu) / lambda_max`.
    """

    slots: ClassVar[tuple[str, ...]] = ("v",)

    lr: NonNegative = 0.1
    momentum: MomentumRange = 0.9
    dampening: NonNegative = 0.0

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return lr, mu, weight decay, and the gain of the gradient, which is 1 in the first step."""
        gain = 1.0 - h["dampening"] * (k > 1)
        return {"lr": h["lr"], "mu": h["momentum"], "gain": gain, "weight_decay": h["weight_decay"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:  # noqa: ARG002
        """Return the step along the velocity."""
        (v,) = slots
        v = c["mu"] * v + c["gain"] * (g + c["weight_decay"] * p)
        return p - c["lr"] * v, (v,)


@dataclass(frozen=True)
class Nesterov(Rule):
    """Nesterov's momentum, as torch has it: `v = mu*v + g; p -= lr * (g + mu*v)` [sutskever2013importance].

    Watch out: stable only up to `(2 + 2*mu) / ((1 + 2*mu) * lambda_max)`, less than plain gradient descent at mu = 0.9.
    """

    slots: ClassVar[tuple[str, ...]] = ("v",)

    lr: NonNegative = 0.1
    momentum: MomentumRange = 0.9

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:  # noqa: ARG002
        """Return lr, mu and weight decay."""
        return {"lr": h["lr"], "mu": h["momentum"], "weight_decay": h["weight_decay"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:  # noqa: ARG002
        """Return the step along the velocity, looked ahead by one."""
        (v,) = slots
        g = g + c["weight_decay"] * p
        v = c["mu"] * v + g
        return p - c["lr"] * (g + c["mu"] * v), (v,)
