"""Locating the best rate of one family: short whole runs of rising length, until the belief is narrow enough.

Short runs say least and cost least. The first ones stand as wide as the belief is, and go on beyond an edge until the
best lies between two that are worse; the longer ones stand where the belief expects the least loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stepsize.jobs.advise.belief.belief import Belief
from stepsize.kernel.arrays import Floats, floats
from stepsize.strategy import Strategy, round_rate

LEAST_RUN = 16
"""The shortest pilot run, in updates."""

LONG = 5000
"""The horizon from which on pilot runs are of a 64th, a 16th and a quarter of it."""

ENOUGH = 0.15
"""The standard deviation of the best rate at the horizon, in decades, at which the search for it ends."""

APART = 0.2
"""How far a rate must lie from those that have run, in decades."""

FIRST, WIDE, KNOWN = 3, 5, 0.4
"""How many rates pilot runs begin with, and the shortest ones where the prior is wider than so many decades."""

WIDEST, CLOSEST = 0.5, 0.2
"""The spacing of rates, in decades, at most, and of those of the longest pilot runs at least."""

BESIDE = 0.4
"""How far beyond an edge the next rate stands, in decades."""

LIKELY = 0.3
"""The probability that the best rate lies beyond the edge at which a rate is added there."""

BEYOND = 8
"""How many rates are added beyond an edge, at most."""


@dataclass(frozen=True)
class Pilot:
    """Rates of one family to run at one length."""

    strategies: tuple[Strategy, ...]
    steps: int


def pilot_lengths(horizon: int, least: int) -> list[int]:
    """Return how long the first pilot runs are, rising; the last ones are as long as the budget allows.

    least: the shortest whose validation costs no more than its share; where that is more than half of the horizon, a
        quarter of it runs all the same.

    >>> pilot_lengths(400, 300)
    [100]
    >>> pilot_lengths(400, 16), pilot_lengths(6400, 16), pilot_lengths(60, 16)
    ([25], [100, 400], [16])
    """
    parts = (64, 16) if horizon >= LONG else (16,)
    found = {max(horizon // part, LEAST_RUN, least) for part in parts}
    return sorted(length for length in found if length <= horizon // 2) or [max(horizon // 4, LEAST_RUN)]


def bracket(belief: Belief, family: Strategy, steps: int) -> Iterator[Pilot]:
    """Yield rates as wide apart as the belief, and more beyond an edge; each is run before the next is asked for."""
    wide = not belief.of(family) and belief.prior_spread(family) > KNOWN
    yield around(belief, family, steps, WIDE if wide else FIRST, WIDEST * 0.8)
    for _ in range(BEYOND):
        side = edge(belief, family, steps)
        if side is None:
            return
        yield at(family, floats([side]), steps)


def close_in(belief: Belief, family: Strategy, steps: int) -> Iterator[Pilot]:
    """Yield two rates, then one after the other: beyond an edge, or where least is lost, until the belief is narrow."""
    yield around(belief, family, steps, 2)
    while True:
        aim = edge(belief, family, steps)
        if aim is None and belief.centre(family)[1] > ENOUGH:
            aim = least_lost(belief, family, steps, apart=APART)
        if aim is None:
            return
        yield at(family, floats([aim]), steps)


def around(belief: Belief, family: Strategy, steps: int, count: int, closest: float = CLOSEST) -> Pilot:
    """Return some rates as wide apart as the belief is wide."""
    mean, spread = belief.centre(family, steps)
    spacing = min(max(spread, closest), WIDEST)
    return at(family, floats(mean + spacing * (np.arange(count) - (count - 1) / 2)), steps)


def edge(belief: Belief, family: Strategy, steps: int) -> float | None:
    """Return a log10 rate beyond the edge where the best rate is likely to lie beyond it; else None."""
    runs = belief.of(family, steps)
    rates = [run.x for run in runs]
    if all(map(belief.did_harm, runs)):
        return min(rates) - 2 * WIDEST
    p = belief.posterior(family, steps).sum(axis=0)
    x = belief.centres(belief.prior_of(family).group)
    if p[x < min(rates)].sum() > LIKELY:
        return min(rates) - BESIDE
    return max(rates) + BESIDE if p[x > max(rates)].sum() > LIKELY else None


def least_lost(
    belief: Belief,
    family: Strategy,
    steps: int,
    apart: float = 0.0,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> float | None:
    """Return the log10 rate at which a run of a family is expected to lose least; None where there is none left.

    apart: how far it lies from the rates that have run at this length, in decades, at least. within: the least
        and the largest rate.
    """
    x, lost = belief.centres(belief.prior_of(family).group), belief.risk(family, steps)
    allowed = (within[0] <= x) & (x <= within[1])
    for run in belief.of(family, steps) if apart else []:
        allowed &= np.abs(x - run.x) >= apart
    return float(x[allowed][int(lost[allowed].argmin())]) if allowed.any() else None


def at(family: Strategy, x: Floats, steps: int) -> Pilot:
    """Return a family at log10 rates, as runs of `steps` updates."""
    return Pilot(tuple(family.at(round_rate(10**each)) for each in x.tolist()), steps)
