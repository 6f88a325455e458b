"""What may be recommended: every rule with every policy, which is a family, at any rate; and what a strategy scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from suite import SIZE, Problem

from stepsize import rules
from stepsize.engines.vectorised.ensemble import Ensemble
from stepsize.strategy import Strategy, Trial

RULES: dict[str, rules.Rule] = {
    type(rule).__name__: rule
    for rule in (
        rules.Momentum(), rules.Nesterov(), rules.RMSProp(), rules.AdamW(), rules.Lion(), rules.Adagrad(),
        rules.Prodigy(), rules.ScheduleFreeAdamW(),
    )
}  # fmt: skip
"""The rules by name, with their defaults."""

POLICIES = (
    "constant", "step_decay", "exponential_decay", "polynomial_decay", "linear_to_zero", "cosine", "wsd", "triangular",
    "triangular2", "exp_range", "one_cycle",
)  # fmt: skip
"""The names of recipes."""

FAMILIES = tuple(f"{rule} {policy}" for rule, policy in product(RULES, POLICIES))


class Point(NamedTuple):
    """A family at one rate, which is `10**(index / per_decade)`."""

    family: str
    index: int
    per_decade: int

    @property
    def rate(self) -> float:
        return 10.0 ** (self.index / self.per_decade)

    @property
    def strategy(self) -> Strategy:
        return strategy(self.family, self.rate)


def strategy(family: str, rate: float) -> Strategy:
    """Return a family at a peak rate; its policy leaves alone what the rule does not have."""
    name, _, policy = family.partition(" ")
    return Strategy.of(RULES[name], policy, rate, name=f"{family} {rate:.4g}")


def train(problem: Problem, strategies: Sequence[Strategy], seeds: Sequence[int]) -> np.ndarray:
    """Return the validation loss at the end of whole trainings, (strategies, seeds); inf where one diverged."""
    trials = [Trial(each, seed) for each in strategies for seed in seeds]
    found = Ensemble(size=SIZE, device="cpu").run(problem.task, trials, problem.task.steps)
    return found.final.reshape(len(strategies), len(seeds))
