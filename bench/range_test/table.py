"""What suggested rates are worth: regret and failures against the truth, cost, and how far the answers scatter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from statistics import fmean, median

import numpy as np
from tasks import SCHEDULES, Problem
from truth import FAILURE, Truth

from stepsize import rules

PLAIN = (rules.SGD, rules.Momentum, rules.Nesterov)
"""The rules whose step is proportional to the gradient; all others divide by its size."""

Rates = Sequence[float | None]


@dataclass(frozen=True)
class Answers:
    """What one method says about one problem.

    rates: by schedule, one a seed. updates: one a seed. lengths: the same rates for other ramps, by their length.
    """

    rates: Mapping[str, Rates]
    updates: Sequence[int] = (0,)
    lengths: Mapping[str, Mapping[str, Rates]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """Mean and worst regret, and the share of failures."""

    mean: float
    worst: float
    failures: float

    @staticmethod
    def of(regrets: Sequence[float]) -> Cell:
        return Cell(fmean(regrets), max(regrets), fmean(regret > FAILURE for regret in regrets))

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f}, {100 * self.worst:.0f}, {100 * self.failures:.0f}"


def fixed(problem: Problem) -> Answers:
    """0.1 for SGD and its momenta, 1e-3 for all others: what tutorials begin with."""
    rate = 0.1 if isinstance(problem.rule, PLAIN) else 1e-3
    return Answers({schedule: [rate] for schedule in SCHEDULES})


def of_peers(found: Mapping[str, dict]) -> dict[str, Answers]:
    """Return the answers of the methods in suggestions.json about one problem: one rate for every schedule."""
    return {
        method: Answers(
            dict.fromkeys(SCHEDULES, each["rates"]), each["updates"],
            {length: dict.fromkeys(SCHEDULES, rates) for length, rates in each["lengths"].items()},
        )
        for method, each in found.items()
    }  # fmt: skip


def spread(rates: Iterable[float | None]) -> float | None:
    """Return how far the rates lie apart, in decades; None for fewer than two."""
    logs = [np.log10(rate) for rate in rates if rate is not None]
    return float(max(logs) - min(logs)) if len(logs) > 1 else None


def spreads(answers: Sequence[Answers]) -> tuple[float | None, float | None]:
    """Return the median over problems of the spread over seeds, and that of the spread over lengths, seed by seed."""
    over_seeds = [spread(rates) for each in answers for rates in each.rates.values()]
    over_lengths = [
        spread(rates)
        for each in answers
        for schedule in each.rates
        for rates in zip(*(found[schedule] for found in each.lengths.values()), strict=True)
    ]
    return middle(over_seeds), middle(over_lengths)


def middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def row(
    method: str, answers: Mapping[str, Answers], truths: Mapping[str, Mapping[str, Truth]], problems: Sequence[Problem]
) -> str:
    """Return the line of one method: regret per schedule and over all, cost in full trainings, and spreads."""
    regrets = {
        schedule: [
            truths[problem.name][schedule].regret(rate)
            for problem in problems
            for rate in answers[problem.name].rates[schedule]
        ]
        for schedule in SCHEDULES
    }
    cells = [str(Cell.of(found)) for found in (*regrets.values(), [*chain(*regrets.values())])]
    cost = fmean(fmean(answers[problem.name].updates) / problem.task.steps for problem in problems)
    wide = ["" if each is None else f"{each:.2f}" for each in spreads([answers[p.name] for p in problems])]
    silent = fmean(rate is None for p in problems for rates in answers[p.name].rates.values() for rate in rates)
    return "| " + " | ".join([method, *cells, f"{100 * silent:.0f}", f"{cost:.2f}", *wide]) + " |"


def table(
    rows: Mapping[str, Mapping[str, Answers]], truths: Mapping[str, Mapping[str, Truth]], problems: Sequence[Problem]
) -> str:
    """Return the table of all methods, in Markdown; a method that lacks a problem says how many it lacks."""
    head = [
        "mean, worst regret, failures in %",
        *SCHEDULES,
        "all",
        "no answer, %",
        "cost",
        "over seeds",
        "over lengths",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for method, answers in rows.items():
        lacking = [problem for problem in problems if problem.name not in answers]
        if lacking:
            lines.append(f"| {method} | left out: {len(lacking)} of {len(problems)} problems have not been run |")
        else:
            lines.append(row(method, answers, truths, problems))
    return "\n".join(lines)
