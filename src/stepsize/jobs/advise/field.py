"""The field of a search: one family for each rule with each policy, and which of them the search begins with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stepsize.jobs.advise.belief.prior import family_prior
from stepsize.jobs.advise.belief.prior import group_of as group_of
from stepsize.policies import Policy
from stepsize.rules import Rule
from stepsize.search_space import policies_of
from stepsize.strategy import Strategy

NOMINAL = 1.0
"""The rate of a strategy that stands for its family."""

FIRST = ("one_cycle", "warmup_cosine", "warmup_linear", "linear_to_zero", "cosine", "wsd")
"""The policies that a search begins with, the first of them that is there: they forgive a rate that is not the best."""

FIRST_RULES = ("AdamW", "Adam", "RMSProp", "Adagrad")
"""The rules that a search begins with, where they are there."""


def families(rules: Sequence[Rule], policies: Sequence[str | Policy]) -> list[Strategy]:
    """Return one strategy of every family, at a nominal rate."""
    return [
        Strategy.of(rule, policy, NOMINAL) for rule in rules for policy in policies_of(rule, policies)
    ]  # fmt: skip


def primary(field: Sequence[Strategy]) -> Strategy:
    """Return the family that a search begins with: of a rule whose rate is known best, with a policy that forgives."""

    def rank(strategy: Strategy) -> tuple[int, int, float]:
        rule, recipe = strategy.rule.core.known.kind, strategy.recipe
        return (
            FIRST_RULES.index(rule) if rule in FIRST_RULES else len(FIRST_RULES),
            FIRST.index(recipe) if recipe in FIRST else len(FIRST),
            family_prior(strategy).spread,
        )

    return min(field, key=rank)


def complement(field: Sequence[Strategy], first: Strategy) -> Strategy | None:
    """Return the family of another rule, or variant, that leaves, with `first`, least to lose on the prior's tasks."""
    own = family_prior(first).loses
    others = [each for each in field if each.rule != first.rule]
    return min(others, key=lambda each: float(np.minimum(own, family_prior(each).loses).mean()), default=None)
