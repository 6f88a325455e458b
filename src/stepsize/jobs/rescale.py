"""Rates for another horizon or another shape of schedule: the one law of how the best rate moves.

Over the *shape* of a schedule it moves by the last-iterate bound [schaipp2025surprising]. Over the *horizon* the bound
says `T**-.5`, and what is measured is far less: `T**-.2`, on the dev half of bench/advice (short_runs.py) from a
quarter of the horizon to all of it, and `T**-.1` to `T**-.27` in public logs of language models. Where every step has
one size, as with Lion, the bound shows in full.
"""

from __future__ import annotations

import math

from stepsize.kernel.arrays import Floats
from stepsize.policies import LR, Policy
from stepsize.rules import Rule
from stepsize.theory import rescale_factor

BOUND = -0.5
"""The power of the horizon that the best rate follows by the bound."""

MEASURED = -0.2
"""The power of the horizon that the best rate follows on tasks that were measured; the bound's shows in full where
every step has one size."""

SPREAD = 0.15
"""How far a task's best rate strays from that in a doubling of the horizon, in decades; the squares add up."""


def rescale_exponent(rule: Rule | None) -> float:
    """Return the power of the horizon that the best rate of a rule follows; 0 for one that finds its own scale."""
    if rule is None:
        return MEASURED
    return 0.0 if rule.facts.parameter_free else BOUND if rule.facts.same_size else MEASURED


def rescale_spread(source: int, target: int) -> float:
    """Return the factor that two of three best rates stay within, of those rescaled from one horizon to another.

    >>> round(rescale_spread(400, 1600), 2)
    1.63
    """
    return float(10 ** (SPREAD * abs(math.log2(target / source)) ** 0.5))


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
