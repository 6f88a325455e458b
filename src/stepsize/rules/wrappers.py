"""Rules around a rule: clipped gradients, decay beside the step, and averages of the way there.

A wrapper has the hyperparameters of the rule in it and its own, so a policy schedules any of them by name. Each kind of
wrapper can be there once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import Count, NonNegative
from stepsize.kernel.spec import Momentum as MomentumRange
from stepsize.rules.adam import AdamW
from stepsize.rules.base import Facts, Rule, Scalars, Shape, Slots, norm, quotient

INSIDE = AdamW()
"""The rule in a wrapper that is made without one."""


@dataclass(frozen=True)
class Wrapper(Rule):
    """A rule around a rule.

    Raises ParameterError when the rule in it is wrapped in the same kind already, or is a class of torch.
    """

    rule: Rule = INSIDE

    def validate(self) -> None:
        """Check that no other wrapper of this kind is inside: their numbers would have one name."""
        kind = type(self).__name__
        if any(type(each) is type(self) for each in layers(self.rule)):
            raise ParameterError(f"{kind}.rule is wrapped in {kind} already: {self.rule.title}; wrap it once.")
        if not self.rule.formula:
            raise ParameterError(
                f"{kind} cannot be around {self.rule.title}, a class that steps by itself.{_ours(self.rule)}"
            )

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Those of the rule in it, and its own."""
        return {**self.rule.hyperparameters, **super().hyperparameters}

    @property
    def title(self) -> str:
        """The wrappers from outside in, then the rule."""
        return f"{type(self).__name__} {self.rule.title}"

    @property
    def core(self) -> Rule:
        """The rule that all wrappers are around."""
        return self.rule.core

    @property
    def takes_noise(self) -> bool:
        """Whether the rule in it does."""
        return self.rule.takes_noise

    @property
    def averages(self) -> bool:
        """Whether the rule in it does."""
        return self.rule.averages

    def over(self, shapes: Sequence[Shape]) -> Rule:
        """Return this wrapper around the rule for tensors of these shapes; itself it sees the whole row."""
        return replace(self, rule=self.rule.over(shapes))

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the slots of the rule in it."""
        return self.rule.init(p, xp)

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return those of the rule in it, and its own under its kind's name."""
        return {**self.rule.coefficients(h, k), type(self).__name__: self.own(h, k)}

    @abstractmethod
    def own(self, h: Scalars, k: Array) -> Array:
        """Return its own coefficient."""

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step of the rule in it."""
        return self.rule.step(p, g, slots, c, xp)

    def readout(self, p: Array, slots: Slots, xp: Any) -> Array:
        """Return that of the rule in it."""
        return self.rule.readout(p, slots, xp)


@dataclass(frozen=True)
class ClipValue(Wrapper):
    """Clip each coordinate of the gradient to at most `clip_value`, then the rule's step [pascanu2013difficulty].

    As `torch.nn.utils.clip_grad_value_`, `clipvalue` of Keras and `optax.clip`.

    Watch out: it changes the direction, not only the length. A NaN stays a NaN.
    """

    clip_value: NonNegative = 1.0

    def own(self, h: Scalars, k: Array) -> Array:  # noqa: ARG002  (the signature is every rule's)
        """Return the largest value."""
        return h["clip_value"]

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step along the clipped gradient."""
        most = c["ClipValue"]
        return self.rule.step(p, xp.clip(g, -most, most), slots, c, xp)


@dataclass(frozen=True)
class ClipNorm(Wrapper):
    """Shorten the gradient of each replica to at most `max_norm`, then the rule's step [pascanu2013difficulty, alg. 1].

    `g *= min(1, max_norm / |g|)`, with the norm over all parameters of a replica, as `global_clipnorm` of Keras and
    `optax.clip_by_global_norm`. torch divides by `|g| + 1e-6`.

    Watch out: for rules that divide by the gradient's size (Adam) only a sudden change of the norm is clipped, not a
    norm that is large all the time. A NaN stays a NaN.
    """

    max_norm: NonNegative = 1.0

    def own(self, h: Scalars, k: Array) -> Array:  # noqa: ARG002  (the signature is every rule's)
        """Return the largest norm."""
        return h["max_norm"]

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step along the shortened gradient."""
        size = norm(g, xp)
        most = 0.0 * size + c["ClipNorm"]
        return self.rule.step(p, quotient(xp.minimum(size, most), size, xp) * g, slots, c, xp)


@dataclass(frozen=True)
class GradientNoise(Wrapper):
    """Add noise to the gradient that fades, then the rule's step [neelakantan2015adding].

    `g + sigma_t * z`, z normal, `sigma_t**2 = noise_variance / (1 + t)**noise_decay`, t counted from 0.
    noise_variance: the paper's eta, in units of the squared gradient; it tries 0.01, 0.3 and 1.
    noise_decay: the paper's gamma. As `optax.add_noise(eta, gamma, ...)`.

    In an engine z is a function of the trial's seed, the update and the parameter, so that all strategies of a seed see
    the same; in a torch optimizer it comes from torch's global generator.

    Watch out: of a gradient whose numbers are small against the noise nothing is left at first; look at their size.
    """

    noise_variance: NonNegative = 0.01
    noise_decay: NonNegative = 0.55

    @property
    def takes_noise(self) -> bool:
        """It does."""
        return True

    def own(self, h: Scalars, k: Array) -> Array:
        """Return the standard deviation."""
        return (h["noise_variance"] / k ** h["noise_decay"]) ** 0.5

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step along the noisy gradient."""
        rest = {
            name: value for name, value in c.items() if name != "noise"
        }  # which a rule that sees tensors cannot cut
        return self.rule.step(p, g + c[type(self).__name__] * c["noise"], slots, rest, xp)


@dataclass(frozen=True)
class DecoupledDecay(Wrapper):
    """Take the rule's weight decay out of its gradient: `p -= lr * weight_decay * p`, beside the rule's own step.

    So `DecoupledDecay(Adam(weight_decay=0.01))` is AdamW, and around SGD it is SGDW [loshchilov2019decoupled].

    Raises ParameterError around a rule whose next parameters do not come from the ones before (Schedule-Free, D-Adapted
    SGD): it would forget the decay; they have their own. And around an average, which would not see it.

    Watch out: the decay is multiplied by the scheduled rate, so another schedule is another total decay.
    """

    @property
    def facts(self) -> Facts:
        """Those of the rule in it, whose decay is beside the step here."""
        return replace(super().facts, decoupled=True)

    def validate(self) -> None:
        """Check that the rule keeps what was decayed."""
        super().validate()
        if self.rule.core.anchored:
            raise ParameterError(
                f"DecoupledDecay cannot be around {self.rule.core.title}, which takes its next parameters from its own "
                "memory and would forget the decay; give the rule its own weight_decay."
            )
        if any(isinstance(each, Average) for each in layers(self.rule)):
            raise ParameterError(
                "DecoupledDecay cannot be around an average, which would not see the decay; wrap the rule first: "
                "EMA(DecoupledDecay(rule))."
            )

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return those of the rule without decay, and how much decays."""
        return super().coefficients({**h, "weight_decay": 0.0 * h["weight_decay"]}, k) | {
            "DecoupledDecay": self.own(h, k)
        }

    def own(self, h: Scalars, k: Array) -> Array:  # noqa: ARG002  (the signature is every rule's)
        """Return the share of the parameters that decays."""
        return h["lr"] * h["weight_decay"]

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the rule's step, from which the decay is taken."""
        new, slots = self.rule.step(p, g, slots, c, xp)
        return new - c["DecoupledDecay"] * p, slots


@dataclass(frozen=True)
class Average(Wrapper):
    """A running average of where the rule evaluates: `a += w_k * (p - a)`, from `a = x_0`; the readout is a."""

    @property
    def averages(self) -> bool:
        """It does."""
        return True

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the average, and the slots of the rule."""
        return (1.0 * p, *self.rule.init(p, xp))

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the rule's step, and the average with it."""
        new, inner = self.rule.step(p, g, slots[1:], c, xp)
        share = c[type(self).__name__]
        return new, ((1 - share) * slots[0] + share * self.rule.readout(new, inner, xp), *inner)

    def readout(self, p: Array, slots: Slots, xp: Any) -> Array:  # noqa: ARG002  (the signature is every rule's)
        """Return the average."""
        return slots[0]


@dataclass(frozen=True)
class EMA(Average):
    """Evaluate at an exponential moving average: `a = decay*a + (1-decay)*p`, the first a being the first p.

    As `use_ema` of Keras (ema_momentum) and `get_ema_multi_avg_fn` of torch [polyak1992acceleration].
    corrected: a begins at 0 instead and is divided by `1 - decay**k`, as Adam's moments are [kingma2015adam, sec. 7.2],
    and as in `optax.ema(debias=True)`; so at first it is nearly the mean, and does not hold on to the first p.

    Watch out: it lags by about `1 / (1 - decay)` steps; take a decay that is short against the run.
    """

    decay: MomentumRange = 0.999
    corrected: bool = False

    def own(self, h: Scalars, k: Array) -> Array:
        """Return how much the newest counts."""
        fresh = 1 - h["decay"]
        return fresh / (1 - h["decay"] ** k) if self.corrected else np.where(k > 1, fresh, 1.0)


@dataclass(frozen=True)
class SWA(Average):
    """Evaluate at the mean of the weights after updates start, start + every, ... [izmailov2018averaging].

    start: the first update that counts, from 1; before it, the weights themselves. every: with 1 it averages the tail
    of a run [polyak1992acceleration]; with the updates of an epoch or a cycle it is SWA as its authors have it.

    Watch out: the statistics of batch normalisation are not averaged; they have to be measured again at the mean.
    """

    start: Count = 1
    every: Count = 1

    def own(self, h: Scalars, k: Array) -> Array:
        """Return how much the newest counts: all until the start, then one in as many as there are."""
        done = np.maximum(k - self.start, 0)
        counted = np.where(done % self.every == 0, 1.0 / (done // self.every + 1), 0.0)
        return np.where(k > self.start, counted, 1.0) + 0.0 * h["lr"]


@dataclass(frozen=True)
class PolynomialAverage(Average):
    """Evaluate at an average in which step k counts about `k**gamma` [shamir2013stochastic].

    `a += (gamma + 1)/(gamma + k) * (p - a)`; with gamma = 8 the average that DoG is evaluated at [ivgi2023dog].

    Watch out: with gamma = 0 it is the mean of the whole run, its bad beginning with it.
    """

    gamma: NonNegative = 8.0

    def own(self, h: Scalars, k: Array) -> Array:
        """Return how much the newest counts."""
        return (h["gamma"] + 1) / (h["gamma"] + k)


def _ours(rule: Rule) -> str:
    return "" if rule.known is rule else f" Wrap {rule.known.title}, which is the same rule."


def layers(rule: Rule) -> Iterator[Wrapper]:
    """Yield the wrappers of `rule`, from outside in."""
    while isinstance(rule, Wrapper):
        yield rule
        rule = rule.rule
