"""Adam and its family: a bias-corrected first moment over the root of a second one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.kernel.spec import NonNegative
from stepsize.rules.base import Facts, Rule, Scalars, Slots, Twin, column

BETAS = ("momentum", "beta2", "epsilon")
"""The fields that all libraries have of the family."""


@dataclass(frozen=True)
class Betas(Rule):
    """The hyperparameters that all of the family have."""

    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 0.0
    momentum: MomentumRange = 0.9
    beta2: MomentumRange = 0.999
    epsilon: NonNegative = 1e-8


@dataclass(frozen=True)
class Moments(Betas):
    """What most of it share: two running means, of the gradient and of its square, and their corrections."""

    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    epsilon_hat: bool = False

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the weights of the moments and the rate with both bias corrections folded in."""
        b1, b2 = h["momentum"], h["beta2"]
        root = (1 - b2**k) ** -0.5
        return {
            "b1": b1,
            "fresh1": 1 - b1,
            "b2": b2,
            "fresh2": 1 - b2,
            "rate": h["lr"] / (1 - b1**k),
            "root": root,
            "epsilon": h["epsilon"] * root if self.epsilon_hat else h["epsilon"],
            "l2": h["weight_decay"],
            "keep": 1.0 + 0.0 * h["lr"],
        }


@dataclass(frozen=True)
class Adam(Moments):
    """Adam: `m_hat / (sqrt(v_hat) + epsilon)` of bias-corrected moments [kingma2015adam, alg. 1].

    `m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g**2; p -= lr * (m/(1-b1**k)) / (sqrt(v/(1-b2**k)) + epsilon)`.
    momentum: beta1. beta2: of the second moment. weight_decay: L2, which Adam rescales (see AdamW).
    epsilon_hat: epsilon is added to the root of the uncorrected v, so that it is larger at the start, as in Keras.
    torch and optax: as here. Keras: epsilon 1e-7, `epsilon_hat`.

    Watch out: its step is about lr whatever the gradient's size, so it does not slow down by itself near a minimum;
    decay the rate.
    """

    facts = Facts(
        scale_free=False, parameter_free=False, accumulates=False, same_size=False, schedule_free=False,
        euclidean=False, decoupled=False, threshold=lambda h: (2 + 2 * h["momentum"]) / (1 - h["momentum"]),
        torch=Twin("Adam", BETAS), optax=Twin("scale_by_adam", BETAS), keras=Twin("Adam", BETAS),
    )  # fmt: skip

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step along the first moment, divided by the root of the second."""
        g, m, v = moments(p, g, slots, c)
        return c["keep"] * p - c["rate"] * m / (xp.sqrt(v) * c["root"] + c["epsilon"]), (m, v)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay [loshchilov2019decoupled, alg. 2].

    `p *= 1 - lr * weight_decay`, then Adam's step.
    torch: as here. Keras: weight_decay 4e-3, epsilon 1e-7, `epsilon_hat`. optax: weight_decay 1e-4.

    Watch out: the decay is multiplied by the scheduled rate, so another schedule is another total decay; compare
    `sum(lr) * weight_decay`.
    """

    facts = replace(Adam.facts, decoupled=True, torch=Twin("AdamW", BETAS), keras=Twin("AdamW", BETAS))

    weight_decay: NonNegative = 1e-2

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return Adam's, with the decay moved from the gradient to the parameters."""
        return {**super().coefficients(h, k), "l2": 0.0 * h["lr"], "keep": 1 - h["lr"] * h["weight_decay"]}


@dataclass(frozen=True)
class AMSGrad(Moments):
    """Adam with the largest second moment so far: `u = max(u, v)` in place of v [reddi2018convergence].

    corrected: the maximum is of the bias-corrected v, as in optax, where torch and Keras correct it afterwards.
    The paper corrects neither moment.

    Watch out: one huge gradient makes all later steps short, for ever.
    """

    facts = replace(
        Adam.facts, threshold=None, torch=Twin("Adam", BETAS, {"amsgrad": True}), optax=None,
        keras=Twin("Adam", BETAS, {"amsgrad": True}),
    )  # fmt: skip
    slots: ClassVar[tuple[str, ...]] = ("m", "v", "u")

    corrected: bool = False

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return Adam's step, divided by the root of the largest second moment."""
        g, m, v = moments(p, g, slots[:2], c)
        u = xp.maximum(slots[2], v * c["root"] * c["root"] if self.corrected else v)
        size = xp.sqrt(u) if self.corrected else xp.sqrt(u) * c["root"]
        return c["keep"] * p - c["rate"] * m / (size + c["epsilon"]), (m, v, u)


@dataclass(frozen=True)
class AdaMax(Betas):
    """AdaMax: the first moment over a decaying maximum [kingma2015adam, alg. 2].

    `u = max(b2*u, |g| + epsilon); p -= lr / (1 - b1**k) * m / u`.
    epsilon_in_max: as in torch and optax; Keras has `u = max(b2*u, |g|)` and divides by `u + epsilon`.
    torch: as here. Keras: lr 1e-3, epsilon 1e-7, not in the maximum.

    Watch out: one outlier sets the step of a coordinate for about `1 / (1 - b2)` steps.
    """

    facts = replace(Adam.facts, threshold=None, torch=Twin("Adamax", BETAS), optax=None, keras=Twin("Adamax", BETAS))
    slots: ClassVar[tuple[str, ...]] = ("m", "u")

    lr: NonNegative = 2e-3
    epsilon_in_max: bool = True

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the weights of the moment, the decay of the maximum, and the corrected rate."""
        b1 = h["momentum"]
        same = {"b1": b1, "fresh1": 1 - b1, "b2": h["beta2"], "epsilon": h["epsilon"], "l2": h["weight_decay"]}
        return same | {"rate": h["lr"] / (1 - b1**k)}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step along the moment, divided by the maximum."""
        m, u = slots
        g = g + c["l2"] * p
        m = c["b1"] * m + c["fresh1"] * g
        size = xp.abs(g) + c["epsilon"] if self.epsilon_in_max else xp.abs(g)
        u = xp.maximum(c["b2"] * u, size)
        return p - c["rate"] * m / (u if self.epsilon_in_max else u + c["epsilon"]), (m, u)


@dataclass(frozen=True)
class NAdam(Moments):
    """Adam with Nesterov's look-ahead, and a momentum that warms up [dozat2016incorporating].

    `mu_k = b1 * (1 - 0.5 * 0.96**(k*psi)); P_k = mu_1 * ... * mu_k`;
    `p -= lr * ((1-mu_k)*g/(1-P_k) + mu_(k+1)*m/(1-P_(k+1))) / (sqrt(v_hat) + epsilon)`.
    momentum_decay: psi: 0.004 in torch, 1 in Keras; from 1e5 on `mu_k` is b1 from the first step, which is optax's.
    The form is Dozat's and torch's: the moment is corrected by the product up to the next step, `1 - b1**(k+1)` for a
    constant momentum, where [ruder2016overview, sec. 4.8] prints `1 - b1**k`.

    Watch out: three libraries have three rules of this name, which differ in psi; say which.
    """

    facts = replace(Adam.facts, threshold=None, torch=Twin("NAdam", (*BETAS, "momentum_decay")), optax=None, keras=None)

    lr: NonNegative = 2e-3
    momentum_decay: NonNegative = 4e-3

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the moments, and the product of all mu so far, which is 1."""
        return (*super().init(p, xp), column(p, 1.0, xp))

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return Adam's, and the momenta of this step and the next."""
        mu, after = (h["momentum"] * (1 - 0.5 * 0.96 ** (each * h["momentum_decay"])) for each in (k, k + 1))
        return {**super().coefficients(h, k), "lr": h["lr"], "mu": mu, "now": 1 - mu, "after": after}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step along this gradient and the moment of the next step."""
        g, m, v = moments(p, g, slots[:2], c)
        product = c["mu"] * slots[2]
        ahead = c["now"] / (1 - product) * g + c["after"] / (1 - product * c["after"]) * m
        return p - c["lr"] * ahead / (xp.sqrt(v) * c["root"] + c["epsilon"]), (m, v, product)


@dataclass(frozen=True)
class RAdam(Moments):
    """Adam that waits until its second moment can be trusted [liu2020variance, alg. 2].

    `rho = 2/(1-b2) - 1; rho_k = rho - 2*k*b2**k/(1-b2**k)`; while `rho_k <= 5` the step is `lr * m_hat`; after that it
    is Adam's times `sqrt((rho_k-4)*(rho_k-2)*rho / ((rho-4)*(rho-2)*rho_k))`.
    epsilon_hat: as in torch; in optax epsilon is added to the corrected root.

    Watch out: the first steps (five at beta2 = 0.999) are plain momentum at a rate made for Adam: where the gradient is
    large they overshoot, and where it is small nothing moves.
    """

    facts = replace(Adam.facts, threshold=None, torch=Twin("RAdam", BETAS), optax=None, keras=None)

    epsilon_hat: bool = True

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return Adam's, with the rate of whichever of the two steps it is, and 0 for the other."""
        found = super().coefficients(h, k)
        b2 = h["beta2"]
        whole = 2 / (1 - b2) - 1
        rho = whole - 2 * k * b2**k / (1 - b2**k)
        trusted = rho > 5
        rho, whole = np.where(trusted, rho, 6.0), np.where(trusted, whole, 6.0)
        share = np.sqrt((rho - 4) * (rho - 2) * whole / ((whole - 4) * (whole - 2) * rho))
        rate = found["rate"]
        return {**found, "rate": np.where(trusted, share * rate, 0.0), "plain": np.where(trusted, 0.0, rate)}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return Adam's step, or the plain one."""
        g, m, v = moments(p, g, slots, c)
        return p - (c["plain"] + c["rate"] / (xp.sqrt(v) * c["root"] + c["epsilon"])) * m, (m, v)


def moments(p: Array, g: Array, slots: Slots, c: Scalars) -> tuple[Array, Array, Array]:
    """Return the gradient with its L2 decay, and both moments after it."""
    m, v = slots
    g = g + c["l2"] * p
    m = c["b1"] * m + c["fresh1"] * g
    return g, m, c["b2"] * v + c["fresh2"] * (g * g)
