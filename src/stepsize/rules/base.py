"""An update rule takes its hyperparameters as arguments, so every one of them can be scheduled.

A rule is two formulas. `coefficients` turns the hyperparameters of a step into the few numbers that the update needs
(`1 - beta1`, `lr / (1 - beta1**k)`): in float64 and elementwise, so that it runs once over a whole table of shape
(steps, replicas). `step` is the update itself, on parameters of any array library, in the parameters' own precision.

Parameters, gradient and slots are (replicas, parameters): a row for each replica, whatever the rule. So a norm is a sum
along the last axis, one for each replica and over all of its parameters; a coefficient is a column, (replicas, 1); and
one starting point, 10 000 starting points and 256 networks run the same lines (docs/adr/0003, docs/adr/0010).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import accumulate
from typing import Annotated, Any, ClassVar, get_args, get_origin

import numpy as np

from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.spec import Spec, hints

Scalars = Mapping[str, Array]
"""Hyperparameters or coefficients by name: floats, or float64 arrays of one shape."""

Slots = tuple[Array, ...]
"""The optimizer's state arrays; the first axis of each is the replicas."""

Shape = tuple[int, ...]

FIXED = "fixed"
"""Marks a number that is used once, at the start, so that no policy can move it: `Annotated[Positive, FIXED]`."""


@dataclass(frozen=True)
class Twin:
    """What is a rule in another library, by name: so that no framework is imported here.

    name: of a class in `torch.optim`, a function in `optax`, or a class in `keras.optimizers`.
    fields: the fields of the rule that it has too, besides `lr` and `weight_decay`; for optax in its own order.
    more: the other arguments that make it this rule.
    """

    name: str
    fields: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a rule beside its formula, once; `stepsize.testing.check_rule` measures what can be measured.

    scale_free: whether its best rate hangs neither on the horizon nor on the schedule, since it decays by itself or
        finds its own scale.
    parameter_free: whether it finds its own scale: a range test of its rate, which is about 1, shows nothing.
    accumulates: whether it divides by all gradients since the start, so that its steps go as `1 / sqrt(k)`.
    same_size: whether its steps have one size whatever the gradient, so that a run's noise is as large as its rate.
    schedule_free: whether its averaging stands for a schedule, so that of several policies it takes the constant one.
    euclidean: whether its steps are as long as the gradients, so that the L2 norm of them counts, not the L1 norm.
    decoupled: whether weight decay multiplies the parameters by `1 - lr * weight_decay`, beside the step.
    threshold: from its hyperparameters, below what `lr * curvature` has to stay on a quadratic
        (`stepsize.theory.stability`); None where it is not worked out.
    torch, optax, keras: its twins there; None where there is none.

    A fact is None where it is not known, as of an optimizer of somebody else's: it then counts as one that does not
    hold, and what is believed of the rule is as much less sure.
    """

    scale_free: bool | None
    parameter_free: bool | None
    accumulates: bool | None
    same_size: bool | None
    schedule_free: bool | None
    euclidean: bool | None
    decoupled: bool | None
    threshold: Callable[[Mapping[str, float]], float] | None
    torch: Twin | None
    optax: Twin | None
    keras: Twin | None


@dataclass(frozen=True)
class Rule(Spec, ABC):
    """How gradients become updates; its fields are its hyperparameters with their defaults, and its switches.

    Every rule has `lr`, the learning rate, which a policy schedules, and `weight_decay`, which is added to the gradient
    as `weight_decay * p` (L2) unless the rule says that it is decoupled. Numbers are hyperparameters. Switches, whole
    numbers and what is marked `FIXED` are not: they make another rule, and nothing moves them.

    slots: names of state arrays like the parameters, zero before the first step.
    takes_loss: whether `step` needs the loss of the step, among the coefficients, as "loss", (replicas, 1).
    per_tensor: whether the shapes of a model's tensors matter; see `over`.
    anchored: whether the next parameters come from the slots and not from p, so that nothing else may move p.
    formula: whether `step` is a formula of arrays, as here; `TorchRule` is a class of somebody else's instead.
    takes_noise: whether `step` needs normal numbers, as "noise" among the coefficients, (replicas, parameters).

    A class of rules declares its `facts`; one that does not is refused when it is made, since a fact that is
    forgotten would be a wrong answer later on.

    Raises ParameterError for a rule without one of the two.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    takes_loss: ClassVar[bool] = False
    per_tensor: ClassVar[bool] = False
    anchored: ClassVar[bool] = False
    formula: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a rule that does not say what is known of it."""
        super().__init_subclass__(**options)
        unfinished = getattr(cls.step, "__isabstractmethod__", False)
        wraps = cls.core is not Rule.core  # and has the facts of what is in it
        if not (unfinished or wraps or isinstance(cls.__dict__.get("facts"), Facts | property)):
            raise ParameterError(
                f"the rule {cls.__name__} does not say what is known of it ({', '.join(Facts.__annotations__)}); write "
                "`facts = Facts(...)` in the class, or `facts = SGD.facts` where all that is known of SGD holds."
            )

    def __post_init__(self) -> None:
        """Put every field into its canonical form, and check that those are there that every rule has."""
        super().__post_init__()
        for name in ("lr", "weight_decay"):
            if name not in self.hyperparameters:
                raise ParameterError(
                    f"{type(self).__name__} has no hyperparameter {name!r}, which every rule has; give it a field: "
                    f"{name}: NonNegative = 0.0."
                )

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The hyperparameters with their values, which a policy overrides by name."""
        return {name: getattr(self, name) for name, hint in hints(type(self)).items() if _moves(hint)}

    @property
    def lr(self) -> float:
        """The learning rate when no policy moves it."""
        return self.hyperparameters["lr"]

    @property
    def weight_decay(self) -> float:
        """The weight decay when no policy moves it."""
        return self.hyperparameters["weight_decay"]

    @property
    def title(self) -> str:
        """How reports call it."""
        return type(self).__name__

    @property
    def core(self) -> Rule:
        """The rule itself, without what is wrapped around it."""
        return self

    @property
    def known(self) -> Rule:
        """The rule of the catalogue that it is: itself, but for a `TorchRule` that is one of ours."""
        return self

    @property
    def kind(self) -> str:
        """What it is, whatever its numbers are: rules of one kind are one method."""
        return type(self).__name__

    @property
    def facts(self) -> Facts:
        """What is known of it, or of the rule that it is wrapped around."""
        return self.core.facts

    @property
    def elementwise(self) -> bool:
        """Whether each number moves by itself: no norm, no loss, no shape, no number of the whole row, no wrapper."""
        row = np.zeros((2, 3))
        plain = self.core is self and not self.takes_loss and not self.per_tensor
        return plain and all(slot.shape == row.shape for slot in self.init(row, np))

    @property
    def takes_noise(self) -> bool:
        """Whether a wrapper around it needs random numbers, which whoever calls `step` draws from the run's seed."""
        return False

    @property
    def averages(self) -> bool:
        """Whether it is evaluated at other weights than it trains; see `readout`."""
        return type(self).readout is not Rule.readout

    @property
    def form(self) -> tuple[Any, ...]:
        """What two rules must share to be the rows of one array: all but their hyperparameters."""
        rest = {name: value for name, value in self.spec_fields().items() if name not in self.hyperparameters}
        return (type(self), *((name, v.form if isinstance(v, Rule) else v) for name, v in rest.items()))

    def having(self, **values: float) -> Rule:
        """Return this rule with other hyperparameters, each where it belongs: in a wrapper, or in the rule in it."""
        own = self.spec_fields()
        inside = {name: value.having(**values) for name, value in own.items() if isinstance(value, Rule)}
        return replace(self, **inside, **{name: values[name] for name in own if name in values})

    def without_rate(self) -> Rule:
        """Return this rule with its default rate, inside all wrappers: a policy says the rate anyway."""
        usual = {each.name: each.default for each in fields(self)}
        inner = getattr(self, "rule", None)
        return replace(self, **({"rule": inner.without_rate()} if isinstance(inner, Rule) else {"lr": usual["lr"]}))

    def over(self, shapes: Sequence[Shape]) -> Rule:
        """Return this rule for models whose row of parameters is tensors of these shapes, one after the other.

        Only rules that look at shapes change by it; the others see the row as it is.
        """
        return PerTensor(self, tuple(map(tuple, shapes))) if self.per_tensor else self

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the slots before the first step, from the initial parameters, (replicas, parameters)."""
        return tuple(xp.zeros_like(p) for _ in self.slots)

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:  # noqa: ARG002  (no step is special by default)
        """Return the numbers that update number `k` (counted from 1) needs, from the hyperparameters `h`: its own."""
        return {name: h[name] for name in self.hyperparameters}

    @abstractmethod
    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the new parameters and slots.

        p, g: parameters and gradient, (replicas, parameters); slots: those of the step before, or of `init`;
        c: the coefficients of this step, floats or columns (replicas, 1).
        """

    def readout(self, p: Array, slots: Slots, xp: Any) -> Array:  # noqa: ARG002  (most evaluate at p)
        """Return the weights to evaluate at, shaped like p: p itself, or an average of the way there."""
        return p


@dataclass(frozen=True)
class PerTensor(Rule):
    """A rule that looks at shapes, applied to each tensor of a flat row; made by `Rule.over`."""

    rule: Rule
    shapes: tuple[tuple[int, ...], ...]

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Those of the rule."""
        return self.rule.hyperparameters

    @property
    def core(self) -> Rule:
        """The rule of each tensor."""
        return self.rule

    @property
    def averages(self) -> bool:
        """Whether the rule does."""
        return self.rule.averages

    def init(self, p: Array, xp: Any) -> Slots:
        """Return the slots of the first tensor, then those of the second, and so on."""
        return tuple(slot for piece in self._pieces(p, xp) for slot in self.rule.init(piece, xp))

    def coefficients(self, h: Scalars, k: Array) -> dict[str, Array]:
        """Return those of the rule."""
        return self.rule.coefficients(h, k)

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:
        """Return the step of each tensor, (replicas, ...), as one row again."""
        news, after = [], []  # type: tuple[list[Array], list[Array]]
        for piece, slope, old in zip(self._pieces(p, xp), self._pieces(g, xp), self._groups(slots), strict=True):
            columns = {name: shaped(value, piece, xp) for name, value in c.items()}
            new, kept = self.rule.step(piece, slope, old, columns, xp)
            news.append(new)
            after += kept
        return _row(news, xp), tuple(after)

    def readout(self, p: Array, slots: Slots, xp: Any) -> Array:
        """Return that of each tensor, as one row."""
        each = zip(self._pieces(p, xp), self._groups(slots), strict=True)
        return _row([self.rule.readout(piece, own, xp) for piece, own in each], xp)

    def _groups(self, slots: Slots) -> list[Slots]:
        """Return the slots of each tensor; all have as many."""
        each = len(slots) // len(self.shapes)
        return [slots[i * each : (i + 1) * each] for i in range(len(self.shapes))]

    def _pieces(self, row: Array, xp: Any) -> list[Array]:
        stops = accumulate(math.prod(shape) for shape in self.shapes)
        return [
            xp.reshape(row[:, stop - math.prod(shape) : stop], (row.shape[0], *shape))
            for shape, stop in zip(self.shapes, stops, strict=True)
        ]


def _row(pieces: Sequence[Array], xp: Any) -> Array:
    concat = xp.concat if hasattr(xp, "concat") else xp.concatenate  # NumPy has concat since 2.0
    joined: Array = concat([xp.reshape(piece, (piece.shape[0], -1)) for piece in pieces], axis=1)
    return joined


def shaped(column: Array, piece: Array, xp: Any) -> Array:
    """Return a column (replicas, 1) with as many axes as `piece`; a float as it is."""
    return xp.reshape(column, (-1, *(1,) * (piece.ndim - 1))) if getattr(column, "ndim", 0) else column


def _moves(hint: Any) -> bool:
    """Whether a field of this annotation is a number that a policy may move."""
    arguments = get_args(hint)
    return hint is float or (get_origin(hint) is Annotated and arguments[0] is float and FIXED not in arguments)


def column(p: Array, value: float, xp: Any) -> Array:
    """Return `value` for each replica of `p`, (replicas, 1), in the precision of `p`."""
    return xp.zeros_like(p[:, :1]) + value


def dot(a: Array, b: Array, xp: Any) -> Array:
    """Return the inner product of each replica's rows, (replicas, 1)."""
    return xp.sum(a * b, axis=-1, keepdims=True)


def norm(a: Array, xp: Any) -> Array:
    """Return the 2-norm of each replica's row, (replicas, 1)."""
    return xp.sqrt(dot(a, a, xp))


def quotient(a: Array, b: Array, xp: Any) -> Array:
    """Return `a / b` where b is above 0, and 0 where it is 0; a NaN in either stays one."""
    none = b == 0
    return xp.where(none, xp.zeros_like(b), a / xp.where(none, xp.ones_like(b), b))
