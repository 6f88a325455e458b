"""Rules that divide each coordinate's step by a running size of its gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.kernel.spec import NonNegative
from stepsize.rules.base import FIXED, Facts, Rule, Scalars, Slots, Twin


@dataclass(frozen=True)
class Adagrad(Rule):
    """Adagrad: the gradient over the root of the sum of all squares [duchi2011adaptive].

    `s += g**2; p -= lr / (1 + (k-1)*lr_decay) * g / (sqrt(s) + epsilon)`.
    initial: of s. epsilon_inside: of the root, `g / sqrt(s + epsilon)`.
    torch: as here. Keras: lr 1e-3, initial 0.1, epsilon 1e-7, inside. optax: initial 0.1, epsilon 1e-7, inside.

    Watch out: the sum only grows, so the steps shrink like `1 / sqrt(k)` whatever the schedule, and large early
    gradients are never forgotten.
    """

    facts = Facts(
        scale_free=True, parameter_free=False, accumulates=True, same_size=False, schedule_free=False,
        euclidean=False, decoupled=False, threshold=None,
        torch=Twin("Adagrad", ("lr_decay", "epsilon", "initial")), optax=None,
        keras=Twin("Adagrad", ("epsilon", "initial")),
    )  # fmt: skip
    slots: ClassVar[tuple[str, ...]] = ("s",)

    lr: NonNegative = 1e-2
    weight_decay: NonNegative = 0.0
    lr_decay: NonNegative = 0.0
    epsilon: NonNegative = 1e-10
    epsilon_inside: bool = False
    initial: Annotated[NonNegative, FIXED] = 0.0

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the sum of squares before the first one."""
        return (xp.zeros_like(p) + self.initial,)

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the decayed rate, epsilon and weight decay."""
        lr = h["lr"] / (1 + (k - 1) * h["lr_decay"])
        return {"lr": lr, "epsilon": h["epsilon"], "weight_decay": h["weight_decay"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step divided by the root of the sum."""
        g = g + c["weight_decay"] * p
        s = slots[0] + g * g
        return p - c["lr"] * g / root(s, c["epsilon"], inside=self.epsilon_inside, xp=xp), (s,)


@dataclass(frozen=True)
class Adadelta(Rule):
    """Adadelta: the gradient in units of the steps before [zeiler2012adadelta, alg. 1].

    `s = rho*s + (1-rho)*g**2; d = sqrt(a + epsilon) / sqrt(s + epsilon) * g; a = rho*a + (1-rho)*d**2; p -= lr * d`.
    torch: as here. Keras: lr 1e-3, rho 0.95, epsilon 1e-7, the same formula. optax: rho 0.9, epsilon 1e-6.

    Watch out: it begins with steps of about `sqrt(epsilon)`, so epsilon is its first learning rate.
    """

    facts = replace(
        Adagrad.facts, scale_free=False, accumulates=False, torch=Twin("Adadelta", ("rho", "epsilon")),
        keras=Twin("Adadelta", ("rho", "epsilon")),
    )  # fmt: skip
    slots: ClassVar[tuple[str, ...]] = ("s", "a")

    lr: NonNegative = 1.0
    weight_decay: NonNegative = 0.0
    rho: MomentumRange = 0.9
    epsilon: NonNegative = 1e-6

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the hyperparameters, and the weight of what is new in the means."""
        return {**super().coefficients(h, k), "fresh": 1 - h["rho"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step in units of the mean square of the steps before."""
        s, a = slots
        g = g + c["weight_decay"] * p
        s = c["rho"] * s + c["fresh"] * (g * g)
        d = xp.sqrt(a + c["epsilon"]) / xp.sqrt(s + c["epsilon"]) * g
        return p - c["lr"] * d, (s, c["rho"] * a + c["fresh"] * (d * d))


@dataclass(frozen=True)
class MeanSquare(Rule):
    """What RMSProp with and without momentum share: the running size of the gradient."""

    lr: NonNegative = 1e-2
    weight_decay: NonNegative = 0.0
    alpha: MomentumRange = 0.99
    epsilon: NonNegative = 1e-8
    centered: bool = False
    epsilon_inside: bool = False
    corrected: bool = False
    initial: Annotated[NonNegative, FIXED] = 0.0

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the mean square, and the mean where the variance is asked for."""
        square = xp.zeros_like(p) + self.initial
        return (square, xp.zeros_like(p)) if self.centered else (square,)

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the rate, the two weights of the means and their correction, epsilon and weight decay."""
        same = {name: h[name] for name in ("lr", "alpha", "epsilon", "weight_decay")}
        return same | {"fresh": 1 - h["alpha"], "correction": 1 / (1 - h["alpha"] ** k)}

    def measured(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Array, Slots]:
        """Return the gradient with its decay, its running size, and the means."""
        g = g + c["weight_decay"] * p
        means = tuple(c["alpha"] * s + c["fresh"] * now for s, now in zip(slots, (g * g, g), strict=False))
        square, *mean = [c["correction"] * each for each in means] if self.corrected else means
        if mean:
            square = xp.maximum(
                square - mean[0] * mean[0], xp.zeros_like(square)
            )  # rounding makes it slightly negative
        return g, root(square, c["epsilon"], inside=self.epsilon_inside, xp=xp), means


@dataclass(frozen=True)
class RMSProp(MeanSquare):
    """RMSProp: the gradient over the root of its running mean square [ruder2016overview, sec. 4.5].

    `s = alpha*s + (1 - alpha)*g**2; p -= lr * g / (sqrt(s) + epsilon)`.
    alpha: how slowly the mean square forgets. centered: take the variance, `s - m**2` with `m = alpha*m + (1-alpha)*g`.
    epsilon_inside: of the root. corrected: the means are divided by `1 - alpha**k`. initial: of s.
    torch: as here. Keras: lr 1e-3, alpha 0.9, epsilon 1e-7, inside. optax: alpha 0.9, epsilon 1e-8, inside.

    Watch out: the mean square starts at 0 and is not corrected, so the first steps are `1 / sqrt(1 - alpha)` too long:
    ten times at torch's default. `centered` and `corrected` together begin with a variance of 0, and a step lr/epsilon.
    "Default RMSProp" differs between torch, Keras and optax; record all of it.
    """

    facts = Facts(
        scale_free=False, parameter_free=False, accumulates=False, same_size=False, schedule_free=False,
        euclidean=False, decoupled=False, threshold=lambda _: 2.0,
        torch=Twin("RMSprop", ("alpha", "epsilon", "centered")),
        optax=Twin("scale_by_rms", ("alpha", "epsilon"), {"initial_scale": 0.0, "eps_in_sqrt": False}),
        keras=Twin("RMSprop", ("alpha", "epsilon", "centered")),
    )  # fmt: skip

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step divided by the root of the mean square."""
        g, size, slots = self.measured(p, g, slots, c, xp)
        return p - c["lr"] * g / size, slots


@dataclass(frozen=True)
class RMSPropMomentum(MeanSquare):
    """RMSProp with a heavy ball behind it: `b = mu*b + g / (sqrt(s) + epsilon); p -= lr * b` [tieleman2012lecture].

    momentum: mu. rate_inside: b holds the rate, `b = mu*b + lr * g / (...); p -= b`, as in Keras and optax.
    The rest as in RMSProp.

    Watch out: the first steps of RMSProp are too long already, and the velocity keeps them.
    """

    facts = replace(
        RMSProp.facts,
        threshold=None,
        torch=Twin("RMSprop", ("momentum", "alpha", "epsilon", "centered")),
        optax=None,
        keras=Twin("RMSprop", ("momentum", "alpha", "epsilon", "centered")),
    )

    momentum: MomentumRange = 0.9
    rate_inside: bool = False

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the velocity, and the means."""
        return (xp.zeros_like(p), *super().init(p, xp))

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return those of the size, and mu."""
        return {**super().coefficients(h, k), "mu": h["momentum"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step along the velocity."""
        g, size, means = self.measured(p, g, slots[1:], c, xp)
        if self.rate_inside:
            b = c["mu"] * slots[0] + c["lr"] * g / size
            return p - b, (b, *means)
        b = c["mu"] * slots[0] + g / size
        return p - c["lr"] * b, (b, *means)


def root(square: Array, epsilon: Array, *, inside: bool, xp: Any) -> Array:
    """Return `sqrt(square + epsilon)`, or `sqrt(square) + epsilon`."""
    return xp.sqrt(square + epsilon) if inside else xp.sqrt(square) + epsilon
