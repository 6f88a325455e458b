"""Gradient descent, and with memory of where it was going."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.kernel.spec import NonNegative
from stepsize.rules.base import Facts, Rule, Scalars, Slots, Twin


@dataclass(frozen=True)
class SGD(Rule):
    """Gradient descent: `p -= lr * g`.

    Watch out: one rate for all coordinates; the steepest one limits it to `2 / lambda_max`.

    >>> SGD().step(1.0, 2.0, (), {"lr": 0.1, "weight_decay": 0.0}, None)
    (0.8, ())
    """

    facts = Facts(
        scale_free=False, parameter_free=False, accumulates=False, same_size=False, schedule_free=False,
        euclidean=True, decoupled=False, threshold=lambda _: 2.0, torch=Twin("SGD"), optax=Twin("identity"),
        keras=Twin("SGD"),
    )  # fmt: skip

    lr: NonNegative = 0.1
    weight_decay: NonNegative = 0.0

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:  # noqa: ARG002  (the signature is every rule's)
        """Return `p - lr * g`."""
        return p - c["lr"] * (g + c["weight_decay"] * p), ()


def _heavy_ball(h: Mapping[str, float]) -> float:
    """Return the threshold of the heavy ball; a velocity that takes in no gradient is stable at any rate."""
    kept = 1 - h["dampening"]
    return (2 + 2 * h["momentum"]) / kept if kept > 0 else math.inf


@dataclass(frozen=True)
class Momentum(Rule):
    """Heavy ball: `v = mu*v + (1 - dampening)*g; p -= lr * v` [polyak1964some].

    momentum: mu. dampening: not applied to the first gradient, as in torch.
    rate_inside: the velocity holds the rate, `v = mu*v + lr*g; p -= v`, as in Keras and [sutskever2013importance].

    Watch out: in torch and optax the velocity is not scaled by the rate, so a scheduled rate rescales all of it at
    once; with `rate_inside` it moves only what is still to come. Stable up to `(2 + 2*mu) / lambda_max`.
    """

    facts = replace(
        SGD.facts, threshold=_heavy_ball, torch=Twin("SGD", ("momentum", "dampening")),
        optax=Twin("trace", ("momentum",)), keras=Twin("SGD", ("momentum",)),
    )  # fmt: skip
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

    facts = replace(
        SGD.facts, threshold=lambda h: (2 + 2 * h["momentum"]) / (1 + 2 * h["momentum"]),
        torch=Twin("SGD", ("momentum",), {"nesterov": True}), optax=Twin("trace", ("momentum",), {"nesterov": True}),
        keras=Twin("SGD", ("momentum",), {"nesterov": True}),
    )  # fmt: skip
    slots: ClassVar[tuple[str, ...]] = ("v",)

    lr: NonNegative = 0.1
    weight_decay: NonNegative = 0.0
    momentum: MomentumRange = 0.9
    rate_inside: bool = False

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:  # noqa: ARG002  (the signature is every rule's)
        """Return the step along the velocity, looked ahead by one."""
        (v,) = slots
        g = g + c["weight_decay"] * p
        if self.rate_inside:
            g = c["lr"] * g
            v = c["momentum"] * v + g
            return p - (g + c["momentum"] * v), (v,)
        v = c["momentum"] * v + g
        return p - c["lr"] * (g + c["momentum"] * v), (v,)
