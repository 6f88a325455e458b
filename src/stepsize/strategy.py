"""A strategy is an update rule and a policy; a trial is a strategy with a seed.

`Strategy.of("AdamW", "one_cycle", 0.01)` makes one of a rule, a recipe and a rate, and keeps the three. What a strategy
is, it knows from its parts; its name is made from them, is printed, and is never read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from stepsize.catalogue import RULES
from stepsize.kernel.arrays import Floats
from stepsize.kernel.calls import parse_call
from stepsize.kernel.errors import LengthError, ParameterError, StepsizeError, check_name, suggestion
from stepsize.kernel.notebook import Shown
from stepsize.kernel.spec import NonNegative, Spec, hints
from stepsize.kernel.text import tell_apart
from stepsize.policies import LR, Clock, Policy, in_updates, recipe
from stepsize.policies.base import sample_rates
from stepsize.rules import Rule, TorchRule
from stepsize.schedules import Schedule

GRAIN = 1 << 24
"""A rate counts as so many parts of its peak. A power of 2, since no short decimal lies halfway between two of them."""


@dataclass(frozen=True)
class Family:
    """What strategies that differ in their peak rate alone have in common, however they are called.

    rule: with its default rate. shape: a digest of the rates of a run, as shares of their peak. others: how the other
    hyperparameters move. name: how reports call it; families compare without it.
    """

    rule: Rule
    shape: str
    others: tuple[tuple[str, Schedule], ...]
    name: str = field(compare=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Strategy(Shown, Spec):
    """An update rule, and the policy that moves its hyperparameters.

    name: how reports call it; by default the rule, its recipe or the schedule of its rate, and the rate.
    recipe: the name of the recipe that the policy was made from; None for a policy of its own.
    rate: the peak rate that it was asked for; None for a policy as it is.

    Raises ParameterError when the policy schedules what the rule does not have.

    >>> from stepsize.policies import cosine
    >>> from stepsize.rules import AdamW
    >>> Strategy(AdamW(), cosine(0.01)).name
    'AdamW Cosine 0.01'
    """

    rule: Rule
    policy: Policy
    name: str = ""
    recipe: str | None = None
    rate: NonNegative | None = None

    @classmethod
    def of(
        cls, rule: str | Rule, policy: str | Policy | Schedule, rate: float | None = None, *, name: str = "",
        **settings: Any,
    ) -> Strategy:  # fmt: skip
        """Return the strategy of a rule with a recipe, or with a policy, at a peak rate.

        rule: a rule, or the name of one, which then has its defaults. policy: the name of a recipe, whose
            hyperparameters that the rule does not have are left out; or a policy, or a schedule of the rate.
        rate: the peak; a policy keeps its own when not given. settings: of the recipe, such as `warmup="10%"`.

        Raises ParameterError for a name that there is not, with the near miss, and where there is no rate.

        >>> Strategy.of("AdamW", "one_cycle", 0.01).name
        'AdamW one_cycle 0.01'
        """
        rule = find_rule(rule) if isinstance(rule, str) else rule
        if isinstance(policy, str):
            make = recipe(policy)
            if rate is None:
                raise ParameterError(f"the recipe {policy!r} needs its peak rate, such as 0.01.")
            return cls(rule, make(rate, **settings).only(rule.hyperparameters), name, policy, rate)
        if settings:
            raise ParameterError(f"a policy that is made already takes no {next(iter(settings))!r}; a recipe does.")
        policy = Policy(lr=policy) if isinstance(policy, Schedule) else policy
        if rate is None:
            return cls(rule, policy, name)
        peak = peak_of(policy)
        if not peak:
            raise ParameterError(f"a policy whose rate is 0 throughout has no peak to put at {rate:g}; give another.")
        return cls(rule, policy.scaled(rate / peak), name, None, rate)

    def validate(self) -> None:
        """Check that the policy speaks of the rule's hyperparameters, and complete the name."""
        known = self.rule.hyperparameters
        for name in self.policy:
            if name not in known:
                raise ParameterError(
                    f"{self.rule.title} has no hyperparameter {name!r} to schedule. {suggestion(name, known)} "
                    f"Leave it out with policy.only(rule.hyperparameters)."
                )
        if LR not in self.policy:
            raise ParameterError(
                f"the policy of a strategy must schedule {LR!r}; it schedules {', '.join(self.policy)}."
            )
        if not self.name:
            rate = f"{self.peak:.3g}" if self.rate is None else f"{self.rate:g}"
            object.__setattr__(self, "name", f"{self._stem} {rate}")

    def __str__(self) -> str:
        return self.name

    @property
    def _stem(self) -> str:
        return f"{describe_rule(self.rule)} {self.recipe or self.policy[LR].outline}"

    @cached_property
    def family(self) -> Family:
        """What it shares with the strategies that differ from it in their peak rate alone."""
        rates = sample_rates(self.policy)
        shares = np.rint(np.nan_to_num(rates) * (GRAIN / (np.nan_to_num(rates).max() or 1.0))).astype(np.int64)
        others = tuple((name, schedule) for name, schedule in self.policy.schedules if name != LR)
        return Family(self.rule.without_rate(), hashlib.sha256(shares.tobytes()).hexdigest(), others, self._stem)

    @cached_property
    def peak(self) -> float:
        """The largest rate, as `Policy.peak` has it."""
        return peak_of(self.policy)

    def at(self, rate: float) -> Strategy:
        """Return this strategy with the peak `rate`, rounded to three digits, and named anew.

        >>> Strategy.of("AdamW", "cosine", 0.01).at(0.0215443).name
        'AdamW cosine 0.0215'
        """
        top = round_rate(rate)
        return replace(self.scaled(top / self.peak), name="", rate=top)

    def over(self, total: int) -> Strategy:
        """Return this strategy with its policy bound to a run of `total` steps."""
        return replace(self, policy=self.policy.over(total))

    def bound_to(self, total: int) -> Strategy:
        """Return this strategy bound to a run of `total` steps, as far as it does not know its own length already."""
        return replace(self, policy=self.policy.bound_to(total))

    def scaled(self, factor: float) -> Strategy:
        """Return this strategy with its rate multiplied by `factor`, under the same name."""
        rate = None if self.rate is None else self.rate * factor
        return replace(self, policy=self.policy.scaled(factor), rate=rate)

    def table(self, start: int, stop: int) -> dict[str, Floats]:
        """Return all of the rule's hyperparameters at steps start..stop-1, each (stop - start,) float64."""
        fixed = {name: np.full(stop - start, value) for name, value in self.rule.hyperparameters.items()}
        return {**fixed, **self.policy.table(start, stop)}


def peak_of(policy: Policy) -> float:
    """Return the largest rate of a policy, whose lengths may have units: no clock changes it."""
    try:
        return policy.peak
    except LengthError:
        return in_updates(policy, Clock(batches_per_epoch=100, batch_size=1, tokens_per_sample=1)).peak


def round_rate(rate: float) -> float:
    """Return a measured rate with the three digits that it deserves."""
    return float(f"{rate:.3g}")


def known_rules() -> dict[str, type[Rule]]:
    """Return the rules by name, those of others too; each has defaults for all that it has."""
    return {name: kind for name, kind in RULES.items() if kind.formula}


def find_rule(name: str) -> Rule:
    """Return a rule as it is written: its name, with arguments in brackets where they are not the defaults.

    A dotted name is a class of torch's optimizers, which is imported; nothing is evaluated.

    Raises ParameterError with the near miss; MissingPackageError for a package that is not installed.

    >>> find_rule("AdamW(weight_decay=0.1)").weight_decay
    0.1
    >>> find_rule("torch.optim.SGD(momentum=0.9)")
    TorchRule("torch.optim.SGD", momentum=0.9)
    """
    kind, arguments = parse_call(name)
    if "." in kind:
        return TorchRule(kind, arguments)
    check_name(kind, RULES, "rule")
    for argument in arguments:
        check_name(argument, hints(RULES[kind]), f"argument of {kind}")
    return RULES[kind](**arguments)


def describe_rule(rule: Rule) -> str:
    """Return how a rule is called: its kind, and what it has that is not the default, its rate aside.

    >>> from stepsize.rules import AdamW, ClipNorm
    >>> describe_rule(AdamW()), describe_rule(ClipNorm(AdamW(weight_decay=0.1)))
    ('AdamW', 'ClipNorm AdamW(weight_decay=0.1)')
    >>> describe_rule(find_rule("torch.optim.SGD(momentum=0.9,nesterov=True)"))
    'torch.optim.SGD(momentum=0.9,nesterov=True)'
    """
    if isinstance(rule, TorchRule):
        given = ",".join(f"{name}={value!r}" for name, value in rule.arguments if name != LR).replace(" ", "")
        return rule.title + (f"({given})" if given else "")
    usual, own = {each.name: each.default for each in fields(rule)}, rule.spec_fields()
    inner = own.pop("rule", None)
    changed = [f"{name}={value}" for name, value in own.items() if name != LR and value != usual.get(name)]
    title = rule.kind + (f"({','.join(changed)})".replace(" ", "") if changed else "")
    return title if inner is None else f"{title} {describe_rule(inner)}"


def is_described(rule: Rule) -> bool:
    """Whether `find_rule` makes the rule again from its description: not of a wrapper, nor of a class that is unknown.

    >>> from stepsize.rules import AdamW, ClipNorm
    >>> is_described(AdamW(weight_decay=0.1)), is_described(ClipNorm(AdamW()))
    (True, False)
    """
    try:
        return find_rule(describe_rule(rule)) == rule
    except StepsizeError:
        return False


def distinguish(strategies: Iterable[Strategy]) -> list[Strategy]:
    """Return strategies with a name each: of several with one name, the second is called "... (2)", and so on.

    Raises ParameterError where two are equal.

    >>> pair = distinguish(Strategy.of("SGD", "cosine", rate, name="mine") for rate in (0.1, 0.2))
    >>> [strategy.name for strategy in pair]
    ['mine', 'mine (2)']
    """
    entries = list(strategies)
    for strategy, times in Counter(entries).items():
        if times > 1:
            raise ParameterError(f"the strategy {strategy.name!r} is given {times} times; give each once.")
    names = tell_apart(strategy.name for strategy in entries)
    return [each if each.name == name else replace(each, name=name) for each, name in zip(entries, names, strict=True)]


@dataclass(frozen=True)
class Trial(Spec):
    """A strategy with a seed, which decides the initial weights and the batches: trials of one seed are paired."""

    strategy: Strategy
    seed: int
