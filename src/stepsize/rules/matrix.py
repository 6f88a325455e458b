"""Rules that look at the shape of a tensor: each (replicas, rows, columns), and what is no matrix in its own way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from stepsize.kernel.arrays import Array
from stepsize.kernel.spec import Bound, Count, NonNegative
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.rules.adam import AdamW
from stepsize.rules.base import FIXED, Facts, Rule, Scalars, Slots, norm, shaped

QUINTIC = 3.4445, -4.7750, 2.0315
"""The polynomial of one Newton-Schulz iteration: it is steep at 0, and does not converge to 1 but to about it."""

PARTNER = AdamW()
"""The rule of tensors that are no matrices."""


@dataclass(frozen=True)
class Muon(Rule):
    """Muon: momentum, made orthogonal by Newton-Schulz iterations [jordan2024muon].

    `b = mu*b + (1-mu)*g; u = mu*b + (1-mu)*g; p *= 1 - lr*weight_decay; p -= lr * s * NS(u)`.
    Tensors of two axes, (rows, columns), are matrices, with `s = sqrt(max(1, rows/columns))`; all others take AdamW's
    step with the same weight decay and the rate `lr * adam_ratio`.
    momentum: mu. nesterov: off, u is b. match_rms: `s = 0.2 * sqrt(max(rows, columns))`, so that rates of AdamW fit.
    iterations: of Newton-Schulz, in the parameters' precision, where torch takes bfloat16. adam_momentum, beta2,
    epsilon: AdamW's. Keras: `match_rms`. optax corrects the bias of u, which only its length has.

    Watch out: an embedding and an output layer are matrices too, and are not what it is made for; convolutions are none
    here. NS is not exact: singular values come out between about 0.7 and 1.2.
    """

    facts = Facts(
        scale_free=False, parameter_free=False, accumulates=False, same_size=False, schedule_free=False,
        euclidean=False, decoupled=True, threshold=None, torch=None, optax=None, keras=None,
    )  # fmt: skip
    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    per_tensor: ClassVar[bool] = True

    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 0.1
    momentum: MomentumRange = 0.95
    adam_ratio: NonNegative = 1.0
    adam_momentum: MomentumRange = 0.9
    beta2: MomentumRange = 0.999
    epsilon: NonNegative = 1e-8
    nesterov: bool = True
    match_rms: bool = False
    iterations: Count = 5

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the momentum of a matrix, and an empty array; else AdamW's two moments."""
        return (xp.zeros_like(p), xp.zeros_like(p[:, :0, :])) if p.ndim == 3 else PARTNER.init(p, xp)

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return AdamW's, and for matrices the rate, the weights of momentum, and what the decay leaves."""
        mu = h["momentum"]
        partner = {**h, "lr": h["lr"] * h["adam_ratio"], "momentum": h["adam_momentum"]}
        own = {"lr": h["lr"], "mu": mu, "fresh": 1 - mu, "left": 1 - h["lr"] * h["weight_decay"]}
        return {**PARTNER.coefficients(partner, k), **own}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the orthogonal step of a matrix, (replicas, rows, columns), or AdamW's of anything else."""
        if p.ndim != 3:
            return PARTNER.step(p, g, slots, c, xp)
        b = c["mu"] * slots[0] + c["fresh"] * g
        u = orthogonal(c["mu"] * b + c["fresh"] * g if self.nesterov else b, self.iterations, xp)
        rows, columns = p.shape[1:]
        scale = 0.2 * math.sqrt(max(rows, columns)) if self.match_rms else math.sqrt(max(1, rows / columns))
        return c["left"] * p - c["lr"] * scale * u, (b, slots[1])


def orthogonal(u: Array, iterations: int, xp: Any) -> Array:
    """Return `U V^T` of each matrix `U S V^T`, roughly: `x = a*x + (b*A + c*A@A) @ x` with `A = x @ x^T`."""
    a, b, c = QUINTIC
    tall = u.shape[-2] > u.shape[-1]
    x = _transposed(u) if tall else u
    x = x / xp.clip(xp.sqrt(xp.sum(x * x, axis=(-2, -1), keepdims=True)), 1e-7, None)
    for _ in range(iterations):
        gram = x @ _transposed(x)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return _transposed(x) if tall else x


def _transposed(matrices: Array) -> Array:
    return matrices.mT if hasattr(matrices, "mT") else matrices.swapaxes(-2, -1)  # NumPy has mT since 2.0


@dataclass(frozen=True)
class Adafactor(Rule):
    """Adafactor: the second moment of a matrix from its rows and columns [shazeer2018adafactor, alg. 4].

    `r, c` are running means of g**2 along rows and columns, with the weight `k**-beta2_decay` for the newest;
    `v = r c / mean(r); u = g / sqrt(v); u /= max(1, rms(u)/clip)`;
    `p *= 1 - lr*weight_decay; p -= max(floor, rms(p)) * min(lr, 1/sqrt(k)) * u`.
    A tensor of one axis has a v of its own; of more than two, the last two are its rows and columns.
    floor: of the size of the parameters. epsilon: v is at least its square; the machine's epsilon if not given.
    epsilon_inside: it is added to g**2 instead, as in Keras (epsilon 1e-30) and the paper. torch: as here.

    Watch out: lr is relative to the size of each tensor, and bounded by `1/sqrt(k)`: a schedule above that is not seen.
    """

    facts = Muon.facts
    slots: ClassVar[tuple[str, ...]] = ("r", "c")
    per_tensor: ClassVar[bool] = True

    lr: NonNegative = 1e-2
    weight_decay: NonNegative = 0.0
    beta2_decay: NonNegative = 0.8
    clip: Annotated[float, Bound("a number of at least 1", low=1)] = 1.0
    floor: NonNegative = 1e-3
    epsilon: Annotated[NonNegative, FIXED] | None = None
    epsilon_inside: bool = False

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the means along rows and columns, or the whole second moment and an empty array."""
        if p.ndim > 2:
            return xp.zeros_like(p[..., :1]), xp.zeros_like(p[..., :1, :])
        return xp.zeros_like(p), xp.zeros_like(xp.reshape(p, (p.shape[0], -1))[:, :0])

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return the weight of the newest square, the relative rate, and what the decay leaves."""
        rate = np.minimum(h["lr"], 1.0 / np.sqrt(k))
        left = 1 - h["lr"] * h["weight_decay"]
        fresh = 1.0 * k ** -h["beta2_decay"]
        return {"fresh": fresh, "rate": rate, "left": left, "clip": h["clip"], "floor": h["floor"]}

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step of a tensor, (replicas, ...)."""
        epsilon = float(xp.finfo(p.dtype).eps) if self.epsilon is None else self.epsilon
        square = g * g + epsilon if self.epsilon_inside else g * g
        if p.ndim > 2:
            r, columns = (
                slot + c["fresh"] * (xp.mean(square, axis=axis, keepdims=True) - slot)
                for slot, axis in zip(slots, (-1, -2), strict=True)
            )
            v = r * columns / self._floored(xp.mean(r, axis=-2, keepdims=True), epsilon, xp)
            slots = r, columns
        else:
            v = slots[0] + c["fresh"] * (square - slots[0])
            slots = v, slots[1]
        u = g / xp.sqrt(self._floored(v, epsilon * epsilon, xp))
        short = xp.clip(_rms(u, xp) / c["clip"], 1.0, None)
        return c["left"] * p - xp.clip(_rms(p, xp), c["floor"], None) * c["rate"] * u / short, slots

    def _floored(self, value: Array, least: float, xp: Any) -> Array:
        return value if self.epsilon_inside else xp.clip(value, least, None)


def _rms(tensor: Array, xp: Any) -> Array:
    """Return the root mean square of each replica's tensor, with as many axes as the tensor."""
    flat = xp.reshape(tensor, (tensor.shape[0], -1))
    return shaped(norm(flat, xp) / math.sqrt(flat.shape[1]), tensor, xp)
