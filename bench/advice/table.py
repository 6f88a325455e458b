"""What recommended strategies are worth: regret and failures against the truth, and what they cost to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any

import numpy as np
from truth import cost

FAILURE = 0.05
"""A strategy fails when it loses more than this, or when any seed diverges."""


@dataclass(frozen=True)
class Truth:
    """What one task offers.

    start: validation loss before training. best: mean validation loss of the best strategy on the seeds that judge.
    cost: of the exhaustive search, in full trainings.
    """

    start: float
    best: float
    cost: float

    def regret(self, scores: Sequence[float]) -> float:
        """Return the share of what there is to gain that a strategy loses, at most 1.

        scores: its validation loss with each seed that judges. 1 as well where one of them diverged, and for no
        strategy at all. Below 0, as it is, where the strategy is better than the best that was found.
        """
        if not scores or not np.isfinite(scores).all():
            return 1.0
        return min(1.0, (fmean(scores) - self.best) / (self.start - self.best))


def truth_of(record: Mapping[str, Any]) -> Truth:
    """Return what a whole record of truth.json says."""
    return Truth(record["start"], fmean(record["best"]["scores"]), cost(record))


@dataclass(frozen=True)
class Answer:
    """What one method recommended for one task.

    strategy: by name; empty where there is none. cost: of finding it, in full trainings. scores: as for `regret`.
    reason: why there is none. loses, worst: what it says that the strategy loses, and at most on nine of ten tasks.
    """

    strategy: str
    cost: float
    scores: Sequence[float]
    reason: str = ""
    loses: float = np.nan
    worst: float = np.nan


Answers = Mapping[str, Sequence[Answer]]
"""By the name of the task."""


def row(method: str, answers: Answers, truths: Mapping[str, Truth]) -> str:
    """Return the line of one method: its regret over all tasks and seeds, and its cost."""
    regrets = [truth.regret(answer.scores) for name, truth in truths.items() for answer in answers[name]]
    costs = [fmean(answer.cost for answer in answers[name]) for name in truths]
    share = fmean(each / truth.cost for each, truth in zip(costs, truths.values(), strict=True))
    lost = [100 * each for each in (fmean(regrets), max(regrets), fmean(each > FAILURE for each in regrets))]
    spent = f"{fmean(costs):.1f} | {100 * share:.2g} %"
    return f"| {method} | {lost[0]:.1f} % | {lost[1]:.0f} % | {lost[2]:.0f} % | {spent} |"


def table(rows: Mapping[str, Answers], truths: Mapping[str, Truth]) -> str:
    """Return the table of all methods, in Markdown; a method that lacks a task says how many it lacks."""
    head = ["", "mean regret", "worst", "failures", "full trainings", "of the exhaustive search"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    exhaustive = fmean(truth.cost for truth in truths.values())
    lines.append(f"| exhaustive search | 0 | 0 | 0 | {exhaustive:.0f} | 100 % |")
    for method, answers in rows.items():
        lacking = sum(name not in answers for name in truths)
        if lacking:
            lines.append(f"| {method} | left out: {lacking} of {len(truths)} tasks have not been run |")
        else:
            lines.append(row(method, answers, truths))
    return "\n".join(lines)


def answers(found: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> dict[str, dict[str, list[Answer]]]:
    """Return by method and task what a file holds by task and method, its numbers as `from_plain` returns them."""
    methods = dict.fromkeys(chain.from_iterable(found.values()))
    return {
        method: {name: [Answer(**each) for each in said[method]] for name, said in found.items() if method in said}
        for method in methods
    }
