"""Rules that find the size of their steps by themselves: from how far they have come, or from the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Bound, NonNegative, Positive
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.rules.adam import Betas
from stepsize.rules.base import FIXED, Facts, Rule, Scalars, Slots, column, dot, norm, quotient

Start = Annotated[Positive, FIXED]
Growth = Annotated[float, Bound("a number above 1", low=1, open_low=True), FIXED]


@dataclass(frozen=True)
class DAdaptSGD(Rule):
    """SGD with D-Adaptation: the rate from a lower bound d of the distance to the solution [defazio2023learning].

    `a = d*lr/|g_1|; n += a*<g, s>; s += a*g; d = max(d, min(2*n/|s|, growth*d)); p = mu*p + (1-mu)*(x_0 - s)`.
    lr: a factor on d; leave it about 1, and schedule it. d0: the first d. growth: the most that d grows by in a step,
    where it is given. The constants are those of dadaptation 3.2.

    Watch out: d only grows, so one that is too large stays; and what else moves p is forgotten.
    """

    facts = Facts(
        scale_free=True, parameter_free=True, accumulates=False, same_size=False, schedule_free=False,
        euclidean=False, decoupled=False, threshold=None, torch=None, optax=None, keras=None,
    )  # fmt: skip
    anchored: ClassVar[bool] = True

    lr: NonNegative = 1.0
    weight_decay: NonNegative = 0.0
    momentum: MomentumRange = 0.0
    d0: Start = 1e-6
    growth: Growth | None = None

    def init(self, p: Array, xp: Any) -> Slots:
        """Return s, the start, d, its numerator, and the norm of the first gradient."""
        zero = column(p, 0.0, xp)
        return xp.zeros_like(p), 1.0 * p, column(p, self.d0, xp), zero, 1.0 * zero

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:  # noqa: ARG002  (no step is special)
        """Return lr, weight decay, and how far p goes towards the new point."""
        return {"lr": h["lr"], "weight_decay": h["weight_decay"], "fresh": 1 - h["momentum"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step of dual averaging from the start."""
        s, start, d, numerator, first = slots
        first = xp.where(first > 0, first, norm(g, xp))
        g = g + c["weight_decay"] * p
        rate = quotient(d * c["lr"], first, xp)
        numerator = numerator + rate * dot(g, s, xp)
        s = s + rate * g
        d = _grown(d, quotient(2 * numerator, norm(s, xp), xp), self.growth, xp)
        return p + c["fresh"] * (start - s - p), (s, start, d, numerator, first)


@dataclass(frozen=True)
class DAdaptAdam(Betas):
    """Adam with D-Adaptation [defazio2023learning].

    `a = d*lr; n = r*n + (1-r)*a*<g, s/(sqrt(v)+epsilon)>` with `r = sqrt(b2)`; `m = b1*m + (1-b1)*a*g`; v as in Adam;
    `s = r*s + (1-r)*a*g; d = max(d, min(n / ((1-r)*|s|_1), growth*d)); p -= m / (sqrt(v) + epsilon)`.
    lr: a factor on d; leave it about 1, and schedule it. d0: the first d. growth: the most that d grows by in a step,
    where it is given. corrected: a is multiplied by `sqrt(1-b2**k) / (1-b1**k)`, as in optax. decoupled: weight decay
    is `p -= a*weight_decay*p`, as in optax.
    The constants are those of dadaptation 3.2.

    Watch out: d only grows; where the loss is noisy at the start it can settle too high.
    """

    facts = DAdaptSGD.facts
    slots: ClassVar[tuple[str, ...]] = ("m", "v", "s")

    lr: NonNegative = 1.0
    corrected: bool = False
    decoupled: bool = False
    d0: Start = 1e-6
    growth: Growth | None = None

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the moments, s, d, and its numerator."""
        return (*super().init(p, xp), column(p, self.d0, xp), column(p, 0.0, xp))

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the weights of the moments and of the root, the factor of d, and the decay in its place."""
        return _adam_weights(h, k, h["beta2"] ** 0.5, corrected=self.corrected, decoupled=self.decoupled)

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return Adam's step, with moments that hold the rate."""
        m, v, s, d, numerator = slots
        rate = d * c["lr"]
        g = g + c["l2"] * p
        gain = rate * dot(g, s / (xp.sqrt(v) + c["epsilon"]), xp)
        m = c["b1"] * m + c["fresh1"] * rate * g
        v = c["b2"] * v + c["fresh2"] * (g * g)
        s = c["b3"] * s + c["fresh3"] * rate * g
        numerator = c["b3"] * numerator + c["fresh3"] * gain
        d = _grown(d, quotient(numerator, c["fresh3"] * _sum(s, xp), xp), self.growth, xp)
        return p - c["decay"] * rate * p - m / (xp.sqrt(v) + c["epsilon"]), (m, v, s, d, numerator)


@dataclass(frozen=True)
class Prodigy(Betas):
    """Prodigy: Adam with an estimate of the distance that grows faster than D-Adaptation's [mishchenko2024prodigy].

    `a = d*lr; n = b3*n + (d/d0)*a*<g, x_0 - p>; s = b3*s + (d/d0)*a*g; d' = max(d, d_coef * n/|s|_1)`;
    `m = b1*m + (1-b1)*d*g; v = b2*v + (1-b2)*d**2*g**2; p -= a * m / (sqrt(v) + d'*epsilon)`.
    lr: a factor on d; leave it at 1, and schedule it. d_coef: a factor on the estimate, the one to tune.
    beta3: sqrt(b2) where it is not given. d0: the first d. growth: the most that d grows by in a step, where given.
    corrected: a is multiplied by `sqrt(1-b2**k) / (1-b1**k)`, as in optax. decoupled: weight decay is
    `p -= a*weight_decay*p`. safeguarded: s is summed without lr, for a long warmup.
    The constants are those of prodigyopt 1.1.2.

    Watch out: d only grows; its authors anneal lr by a cosine.
    """

    facts = DAdaptSGD.facts
    slots: ClassVar[tuple[str, ...]] = ("m", "v", "s")

    lr: NonNegative = 1.0
    d_coef: NonNegative = 1.0
    beta3: Annotated[MomentumRange, FIXED] | None = None
    corrected: bool = False
    decoupled: bool = True
    safeguarded: bool = False
    d0: Start = 1e-6
    growth: Growth | None = None

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the moments, s, the start, d, the largest estimate, and its numerator."""
        d = column(p, self.d0, xp)
        return (*super().init(p, xp), 1.0 * p, d, 1.0 * d, column(p, 0.0, xp))

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the weights of the moments and of the sums, the factors of d, and the decay in its place."""
        b3 = h["beta2"] ** 0.5 if self.beta3 is None else self.beta3 + 0.0 * h["beta2"]
        found = _adam_weights(h, k, b3, corrected=self.corrected, decoupled=self.decoupled)
        return {**found, "d_coef": h["d_coef"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return Adam's step at the rate of the estimate before, and the new estimate."""
        m, v, s, start, d, top, numerator = slots
        rate, scale = d * c["lr"], d / self.d0
        g = g + c["l2"] * p
        numerator = c["b3"] * numerator + scale * rate * dot(g, start - p, xp)
        m = c["b1"] * m + c["fresh1"] * d * g
        v = c["b2"] * v + c["fresh2"] * d * d * (g * g)
        s = c["b3"] * s + scale * (d if self.safeguarded else rate) * g
        found = quotient(c["d_coef"] * numerator, _sum(s, xp), xp)
        top = xp.maximum(top, found)
        if self.growth is None:
            d = top
        else:
            begun = xp.where(d == column(p, self.d0, xp), xp.maximum(d, found), d)
            d = xp.minimum(top, self.growth * begun)
        new = p - c["decay"] * rate * p - rate * m / (xp.sqrt(v) + d * c["epsilon"])
        return new, (m, v, s, start, d, top, numerator)


@dataclass(frozen=True)
class DoG(Rule):
    """Distance over gradients: `p -= lr * r / sqrt(G) * g` [ivgi2023dog].

    `r = max(r, |p - x_0|)`, from `reps_rel * (1 + |x_0|)`; `G += |g|**2`, from epsilon.
    reps_rel: 1e-4 for models with batch normalisation. The constants are those of dog-optimizer 1.0.3.

    Watch out: evaluate at an average, as its authors do: `PolynomialAverage(DoG())`.
    """

    facts = DAdaptSGD.facts

    lr: NonNegative = 1.0
    weight_decay: NonNegative = 0.0
    reps_rel: Start = 1e-6
    epsilon: Start = 1e-8

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the start, r and G."""
        return 1.0 * p, self.reps_rel * (1 + norm(p, xp)), column(p, self.epsilon, xp)

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step as long as the way so far, over the gradients so far."""
        start, r, total = slots
        g = g + c["weight_decay"] * p
        r = xp.maximum(r, norm(p - start, xp))
        total = total + dot(g, g, xp)
        return p - c["lr"] * r / xp.sqrt(total) * g, (start, r, total)


@dataclass(frozen=True)
class DoWG(Rule):
    """Distance over weighted gradients: `p -= lr * r / (sqrt(G) + epsilon) * g` [khaled2023dowg].

    `r = max(r, |p - x_0|**2); G += r * |g|**2`. initial: the first r. The constants are those of optax.

    Watch out: for functions without noise; it has no average, and its steps do not shrink near the end.
    """

    facts = DAdaptSGD.facts

    lr: NonNegative = 1.0
    weight_decay: NonNegative = 0.0
    epsilon: NonNegative = 1e-4
    initial: Start = 1e-4

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the start, r and G."""
        return 1.0 * p, column(p, self.initial, xp), column(p, 0.0, xp)

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step as long as the way so far, over the weighted gradients so far."""
        start, r, total = slots
        g = g + c["weight_decay"] * p
        away = p - start
        r = xp.maximum(r, dot(away, away, xp))
        total = total + r * dot(g, g, xp)
        return p - c["lr"] * r / (xp.sqrt(total) + c["epsilon"]) * g, (start, r, total)


def _adam_weights(h: Scalars, k: Array, b3: Array, *, corrected: bool, decoupled: bool) -> dict[str, Array]:
    """Return what D-Adaptation's Adam and Prodigy share: three weights, the factor of d, and the decay's place."""
    b1, b2, decay = h["momentum"], h["beta2"], h["weight_decay"]
    weights = {"b1": b1, "fresh1": 1 - b1, "b2": b2, "fresh2": 1 - b2, "b3": b3, "fresh3": 1 - b3}
    lr = h["lr"] * (1 - b2**k) ** 0.5 / (1 - b1**k) if corrected else h["lr"]
    decays = {"decay": decay, "l2": 0.0 * decay} if decoupled else {"decay": 0.0 * decay, "l2": decay}
    return {**weights, **decays, "lr": lr, "epsilon": h["epsilon"]}


def _grown(d: Array, found: Array, growth: float | None, xp: Any) -> Array:
    """Return the larger of d and its new estimate, which may be held back."""
    return xp.maximum(d, found if growth is None else xp.minimum(found, growth * d))


def _sum(s: Array, xp: Any) -> Array:
    """Return the 1-norm of each replica's row."""
    return xp.sum(xp.abs(s), axis=-1, keepdims=True)
