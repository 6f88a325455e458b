"""Any optimizer for torch as an update rule: a class with its arguments, which a loop steps as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from stepsize.kernel.arrays import Array
from stepsize.kernel.errors import ParameterError, brief
from stepsize.rules.base import Facts, Rule, Scalars, Slots
from stepsize.rules.optimizer_class import (
    NAME,
    Arguments,
    class_of,
    group_of,
    has_modes,
    named_literals,
    needs_closure,
    public_name,
)
from stepsize.rules.twins import BETAS, PAIR, twin_rule

UNKNOWN = Facts(
    scale_free=None, parameter_free=None, accumulates=None, same_size=None, schedule_free=None, euclidean=None,
    decoupled=None, threshold=None, torch=None, optax=None, keras=None,
)  # fmt: skip
"""What is known of an optimizer that is none of ours: nothing."""


@dataclass(frozen=True, init=False, repr=False)
class TorchRule(Rule):
    """Any optimizer class for torch, with its arguments: `TorchRule(torch.optim.SGD, momentum=0.9)`.

    optimizer: a subclass of `torch.optim.Optimizer`, or its dotted name, such as "pytorch_optimizer.Lion".
    arguments: those of the class beside the parameters: numbers, texts, True, False, None, or tuples of them; they may
        also be named one by one.
    defaults, closure, averages: what a parameter group has then, whether `step` needs a closure, and whether there are
        `eval()` and `train()`, which put the weights to evaluate at into the model and back; a saved rule holds them.

    Its hyperparameters are the numbers of a parameter group under our names: `lr`, `weight_decay`, `momentum` (or
    `betas[0]`), `beta2` (`betas[1]`), `epsilon` (`eps`), and all others by their own. A policy moves any of them.

    A saved rule is data. Reading one imports nothing; the class is imported when it is to be run.
    Where it is one of our rules, `known` is that one, and `facts` are its. Else nothing is known of it, so what
    `advise` believes of its rate is wide.

    Raises ParameterError for what is no optimizer, for arguments that it refuses or that are no literals, and for one
    without a rate; MissingPackageError for a name that there is not.

    Watch out: only a loop runs it, one trial after the other; a rule of ours trains all of them at once. No wrapper
    goes around it. Where one update takes several gradients (LBFGS), it counts as one.

    >>> rule = TorchRule("torch.optim.SGD", momentum=0.9, nesterov=True)
    >>> rule
    TorchRule("torch.optim.SGD", momentum=0.9, nesterov=True)
    >>> rule.hyperparameters
    {'lr': 0.001, 'momentum': 0.9, 'dampening': 0.0, 'weight_decay': 0.0}
    >>> rule.known
    Nesterov(lr=0.001, weight_decay=0.0, momentum=0.9, rate_inside=False)
    """

    formula: ClassVar[bool] = False

    optimizer: str
    arguments: tuple[tuple[str, object], ...]
    defaults: tuple[tuple[str, object], ...]
    closure: bool = False
    averages: bool = False

    def __init__(
        self, optimizer: type | str, arguments: Arguments | None = None, defaults: Arguments | None = None,
        *, closure: bool = False, averages: bool = False, **named: Any,
    ) -> None:  # fmt: skip
        given = named_literals("arguments", arguments or {}) | named_literals("arguments", named)
        if defaults is None:
            cls = class_of(optimizer)
            optimizer, defaults = public_name(cls), group_of(cls, given)
            closure, averages = needs_closure(cls), has_modes(cls)
        object.__setattr__(self, "optimizer", optimizer)
        object.__setattr__(self, "arguments", tuple(given.items()))
        object.__setattr__(self, "defaults", tuple(named_literals("defaults", defaults).items()))
        object.__setattr__(self, "closure", closure)
        object.__setattr__(self, "averages", averages)
        self.__post_init__()

    def __post_init__(self) -> None:
        """Put every field into its canonical form, and check that there is a rate."""
        super(Rule, self).__post_init__()  # without Rule's own check: an optimizer may have no weight decay
        if not NAME.fullmatch(self.optimizer):
            raise ParameterError(
                f"TorchRule.optimizer is a dotted name, such as 'torch.optim.SGD', not {brief(self.optimizer)}."
            )
        if "lr" not in self.hyperparameters:
            raise ParameterError(
                f"{self.optimizer} has no number lr in its parameter groups, so no policy can move its rate. Give it "
                "one, lr=0.001, if it takes one, or take another optimizer."
            )

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The numbers of its parameter groups, under our names."""
        return dict(_numbers(dict(self.defaults)))

    @property
    def weight_decay(self) -> float:
        """The weight decay when no policy moves it; 0 for an optimizer that has none."""
        return self.hyperparameters.get("weight_decay", 0.0)

    @property
    def title(self) -> str:
        """The name of the class."""
        return self.optimizer

    @property
    def kind(self) -> str:
        """The name of the class."""
        return self.optimizer

    @property
    def package(self) -> str:
        """What is imported for the class."""
        module = self.optimizer.rpartition(".")[0]
        return "torch" if module.startswith("torch.") else module

    @property
    def known(self) -> Rule:
        """The rule of the catalogue that it is, or itself where there is none."""
        package, _, name = self.optimizer.rpartition(".")
        return (twin_rule(name, dict(self.defaults)) if package.startswith("torch.optim") else None) or self

    @property
    def facts(self) -> Facts:
        """Those of the rule of ours that it is, which other libraries may have; else none is known."""
        known = self.known
        return UNKNOWN if known is self else replace(known.facts, torch=None, optax=None, keras=None)

    @property
    def form(self) -> tuple[Any, ...]:
        """The class and its arguments."""
        return TorchRule, self.optimizer, self.arguments

    @property
    def elementwise(self) -> bool:
        """Nothing is known of its updates."""
        return False

    def having(self, **values: float) -> TorchRule:
        """Return this rule with other hyperparameters, as the class itself makes them of its arguments."""
        own = {name: value for name, value in values.items() if name in self.hyperparameters}
        return TorchRule(self.optimizer, {**dict(self.arguments), **self.keyed(own)})

    def keyed(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Return hyperparameters by the names of the class's arguments."""
        group, found = dict(self.defaults), dict[str, Any]()
        for name, value in values.items():
            pair = found.get(BETAS, group.get(BETAS))
            if isinstance(pair, tuple) and name in PAIR:
                index = PAIR.index(name)
                found[BETAS] = (*pair[:index], value, *pair[index + 1 :])
            else:
                found["eps" if name == "epsilon" and "eps" in group else name] = value
        return found

    def without_rate(self) -> TorchRule:
        """Return this rule at a rate of 1, which stands for any."""
        rest = tuple((name, value) for name, value in self.arguments if name != "lr")
        usual = {**dict(self.defaults), "lr": 1.0}
        return replace(self, arguments=rest, defaults=tuple(usual.items()))

    def load(self) -> Any:
        """Import the class, and return it.

        Raises MissingPackageError where its package is not installed, ParameterError where it is no optimizer.
        """
        return class_of(self.optimizer)

    def init(self, p: Array, xp: Any) -> Slots:  # noqa: ARG002  (the signature is every rule's)
        """Raise ParameterError: its state is its own."""
        raise self._refusal

    def step(self, p: Array, g: Array, slots: Slots, c: Scalars, xp: Any) -> tuple[Array, Slots]:  # noqa: ARG002  (the same)
        """Raise ParameterError: it is no formula of arrays."""
        raise self._refusal

    @property
    def _refusal(self) -> ParameterError:
        ours = "" if self.known is self else f" Or take {self.known.title}, which is the same rule."
        return ParameterError(
            f"{self.optimizer} is a class of torch, and no formula of arrays. A loop runs it, with "
            f"build_optimizer(model, rule).{ours}"
        )

    def spec_fields(self) -> dict[str, Any]:
        """Return the name of the class, its arguments, and what its parameter groups have."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in self.arguments)
        return f'TorchRule("{self.optimizer}"{given})'


def _numbers(group: Arguments) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a parameter group that can be moved, under our names."""
    for name, value in group.items():
        if name == BETAS and isinstance(value, tuple) and all(isinstance(each, float) for each in value):
            yield from zip(PAIR, value, strict=False)
        elif isinstance(value, float):
            yield "epsilon" if name == "eps" else name, value
