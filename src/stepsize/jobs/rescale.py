"""Rates for another horizon or another shape of schedule, by the last-iterate bound [schaipp2025surprising].

For the horizon the bound says `T**-.5`. The part of it that shows depends on the rule, and was measured on that half
of the tasks of `bench/range_test` that is there for it: two thirds of the exponent in general, none for rules that find
their own scale or decay by themselves, and 5/3 of it where every step has the same size.
"""

from __future__ import annotations

from stepsize.kernel.arrays import Floats
from stepsize.policies import LR, Policy
from stepsize.rules import Rule
from stepsize.theory import rescale_factor

BOUND = -0.5
"""The power of the horizon that the best rate follows by the bound."""

USUAL, OF_SAME_SIZE = 2 / 3, 5 / 3
"""Which part of the bound's exponent shows over the horizon."""


def rescale_exponent(rule: Rule | None) -> float:
    """Return the power of the horizon that the best rate of a rule follows, before anything is measured."""
    if rule is None:
        return BOUND * USUAL
    return 0.0 if rule.facts.scale_free else BOUND * (OF_SAME_SIZE if rule.facts.same_size else USUAL)


def rescale_to_horizon(policy: Policy, source: int, target: int, exponent: float) -> float:
    """Return by what a peak rate of `policy` is multiplied from a run of `source` steps to one of `target`.

    exponent: the power of the ratio of their lengths; the bound's is about -1/2.
    """
    theory = rescale_factor(rates_of(policy, source), rates_of(policy, target))
    return float(theory ** (exponent / BOUND))


def rescale_to_shape(rule: Rule | None, source: Policy, target: Policy, steps: int) -> float:
    """Return by what a peak rate is multiplied from one policy to another in a run of `steps` updates.

    rule: one that decays by itself or finds its own scale keeps its rate.
    """
    if source == target or (rule is not None and rule.facts.scale_free):
        return 1.0
    return rescale_factor(rates_of(source, steps), rates_of(target, steps))


def rates_of(policy: Policy, steps: int) -> Floats:
    """Return the rates of a run of `steps` updates, (steps,)."""
    return policy[LR].over(steps).table(0, steps)
