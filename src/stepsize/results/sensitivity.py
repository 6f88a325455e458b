"""How much the peak rate matters to each family of strategies: the width of the rates that are nearly as good."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.kernel.spec import Score, Spec
from stepsize.kernel.text import tell_apart
from stepsize.strategy import Family, Strategy

if TYPE_CHECKING:
    from stepsize.results.race import Rung

CLOSE = 0.05
"""A rate is nearly as good as the best one when its score is at most this share of it higher."""


@dataclass(frozen=True, kw_only=True)
class Sensitivity(Spec):
    """The scores of one family, a rule with a policy, over its peak rates.

    family: what it is called. strategy: the one with the best rate. best: that rate. rates: rising. scores: the mean
    over the seeds, inf where one diverged.
    low, high: the rates between which the score stays within 5 % of the best, interpolated over `log(rate)`.
    at_least: whether an end of the grid is among them, so that the family may bear more than was tried.
    edge: the end of the grid that the best rate lies at, "lowest" or "highest"; "" inside, or for a single rate.
    """

    family: str
    strategy: Strategy
    rates: tuple[Score, ...]
    scores: tuple[Score, ...]
    best: Score
    low: Score
    high: Score
    at_least: bool
    edge: Literal["", "lowest", "highest"]

    @property
    def decades(self) -> float:
        """How wide the good rates are, in factors of ten."""
        return math.log10(self.high / self.low)

    @property
    def limit(self) -> float:
        """The highest score that counts as nearly as good."""
        return within(min(self.scores))

    @property
    def edge_sentence(self) -> str:
        """What to try next where the best rate is at an edge of those that were tried; empty where it is inside."""
        return describe_edge(self.family, self.best, self.rates)

    def __str__(self) -> str:
        if len(self.rates) < 2:
            return "one rate"
        return ("at least " if self.at_least else "") + f"{self.decades:.2f} decades"


def describe_edge(name: str, best: float, rates: Iterable[float]) -> str:
    """Return what to try next where the best peak rate is the lowest or the highest of `rates`; empty inside.

    name: of what has the rates, a family of strategies or a schedule.

    >>> describe_edge("AdamW cosine", 0.1, (0.01, 0.03, 0.1))
    'The best rate of AdamW cosine, 0.1, is the highest that was tried: try higher ones.'
    """
    side = edge_of(best, rates)
    way = {"lowest": "lower", "highest": "higher"}
    return f"The best rate of {name}, {best:.3g}, is the {side} that was tried: try {way[side]} ones." if side else ""


def edge_of(best: float, rates: Iterable[float]) -> Literal["", "lowest", "highest"]:
    """Return at which end of several rates the best one lies, or beyond it; empty inside, or for a single rate."""
    grid = sorted(set(rates))
    if len(grid) < 2 or grid[0] < best < grid[-1]:
        return ""
    return "lowest" if best <= grid[0] else "highest"


def within(best: float) -> float:
    """Return the highest score that is within 5 % of `best`; of its size, for a score below zero."""
    return best + CLOSE * abs(best)


def sensitivities(rung: Rung) -> tuple[Sensitivity, ...]:
    """Return the sensitivity of every family of a rung, the best family first; without those that all diverged.

    Watch out: the width is read at the length and on the seeds of this rung, and between its rates by straight lines.
    """
    groups: dict[Family, list[int]] = {}
    for index, strategy in enumerate(rung.strategies):
        if strategy.peak > 0:
            groups.setdefault(strategy.family, []).append(index)
    names = tell_apart(map(str, groups))
    all_of_them = [_sensitivity(name, rung, members) for name, members in zip(names, groups.values(), strict=True)]
    alive = [family for family in all_of_them if math.isfinite(min(family.scores))]
    return tuple(sorted(alive, key=lambda family: min(family.scores)))


def rates_a_family(rung: Rung) -> int:
    """Return at how many rates the family with the most of them ran."""
    return max(Counter(strategy.family for strategy in rung.strategies).values(), default=0)


def _sensitivity(family: str, rung: Rung, members: list[int]) -> Sensitivity:
    order = sorted(members, key=lambda index: rung.strategies[index].peak)
    rates = np.array([rung.strategies[index].peak for index in order])
    scores = rung.means[order]
    best = int(np.argmin(scores))
    limit = within(float(scores[best]))
    low, opens = _end(rates[best::-1], scores[best::-1], limit)
    high, opens_too = _end(rates[best:], scores[best:], limit)
    return Sensitivity(
        family=family, strategy=rung.strategies[order[best]], rates=tuple(rates.tolist()),
        scores=tuple(scores.tolist()), best=float(rates[best]),
        low=low, high=high, at_least=opens or opens_too, edge=edge_of(rates[best], rates.tolist()),
    )  # fmt: skip


def _end(rates: Floats, scores: Floats, limit: float) -> tuple[float, bool]:
    """Return the rate at which the score leaves `limit`, walking away from the best, and whether it never does.

    Next to a rate that diverged there is no line to follow: the last good rate is the end.
    """
    beyond = np.flatnonzero(~(scores <= limit))
    if not len(beyond):
        return float(rates[-1]), True
    first = int(beyond[0])
    if not math.isfinite(scores[first]):
        return float(rates[first - 1]), False
    share = (limit - scores[first - 1]) / (scores[first] - scores[first - 1])
    near, far = np.log(rates[first - 1]), np.log(rates[first])
    return float(np.exp(near + share * (far - near))), False
