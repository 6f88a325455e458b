"""The table of the third part: what rates are worth on tasks that nothing was fitted on.

    python bench/advice/far.py [--half far-a]

Everything is read: the truth from far_truth.json, which far_truth.py makes, and what stepsize answers from
far_ours.json, which far_ours.py makes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

import far_ours
import numpy as np
from far_tasks import HALVES, FarProblem, far_half
from far_truth import FILE, FIXED, scores_of
from suite import read
from table import FAILURE


@dataclass(frozen=True)
class FarTruth:
    """What AdamW with 1cycle is worth on one task.

    start: mean score before training. means: the mean score after it, by the logarithm of the peak rate.
    best: the lowest mean, of those over all seeds.
    """

    start: float
    means: Mapping[float, float]
    best: float

    @property
    def best_rate(self) -> float:
        return 10.0 ** min(self.means, key=lambda log: abs(self.means[log] - self.best))

    def regret(self, rate: float) -> float:
        """Return the share of what there is to gain that a rate loses, at most 1, linear between rates that were run.

        The first or last of them stands for all beyond it, so that there it is more than this.
        """
        logs = sorted(self.means)
        lost = [min(1.0, (self.means[log] - self.best) / (self.start - self.best)) for log in logs]
        return float(np.interp(np.log10(rate), logs, lost))


class Answer(NamedTuple):
    """A rate that a method answers, and what it cost to find, in full trainings."""

    rate: float
    cost: float = 0.0


Answers = Mapping[str, Sequence[Answer]]
"""By the name of the task."""


def truth_of(record: Mapping[str, Any]) -> FarTruth:
    """Return what a record of far_truth.json says."""
    scores = scores_of(record)
    means = {log: fmean(each) for log, each in scores.items()}
    most = max(map(len, scores.values()))
    best = min(means[log] for log, each in scores.items() if len(each) == most)
    return FarTruth(record["start"], means, best)


def truths() -> dict[str, FarTruth]:
    """Return the truth of every task that far_truth.json holds."""
    return {name: truth_of(record) for name, record in read(FILE).get("problems", {}).items()}


def regret(problem: FarProblem, rate: float, truth: Mapping[str, FarTruth]) -> float:
    """Return the regret of AdamW with 1cycle at a peak rate on a problem."""
    return truth[problem.name].regret(rate)


def row(method: str, answers: Answers, problems: Sequence[FarProblem], truth: Mapping[str, FarTruth]) -> str:
    """Return the line of one method: over all tasks and searches, and the mean on each task."""
    by_task = [[regret(each, answer.rate, truth) for answer in answers[each.name]] for each in problems]
    lost = [share for shares in by_task for share in shares]
    cost = fmean(answer.cost for each in problems for answer in answers[each.name])
    failed = fmean(share > FAILURE for share in lost)
    cells = [f"{100 * fmean(lost):.1f} %", f"{100 * max(lost):.0f} %", f"{100 * failed:.0f} %", f"{cost:.1f}"]
    return "| " + " | ".join([method, *cells, *(f"{100 * fmean(shares):.1f} %" for shares in by_task)]) + " |"


def rows(methods: Mapping[str, Answers], problems: Sequence[FarProblem], truth: Mapping[str, FarTruth]) -> str:
    """Return the table of all methods, in Markdown, below the best rate of each task and what is often taken."""
    head = ["", "mean regret", "worst", "failures", "full trainings", *(each.name for each in problems)]
    best = ["best rate", "", "", "", "", *(f"{truth[each.name].best_rate:.2g}" for each in problems)]
    fixed = {f"AdamW {rate:g}, 1cycle": {each.name: [Answer(rate)] for each in problems} for rate in FIXED}
    lines = [row(method, answers, problems, truth) for method, answers in {**fixed, **methods}.items()]
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", "| " + " | ".join(best) + " |", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", choices=HALVES, default="far-a")
    half, truth = far_half(parser.parse_args().half), truths()
    lacking = [problem.name for problem in half if problem.name not in truth]
    if lacking:
        parser.error(f"far_truth.json lacks {', '.join(lacking)}; python bench/advice/far_truth.py measures them")
    print(rows(ours(parser.parse_args().half), half, truth))


def ours(half: str) -> dict[str, Answers]:
    """Return what stepsize answered on a half, by how it was asked; without a task that it was not asked."""
    return {
        f"stepsize, budget {budget:g}": {
            name: [Answer(each["rate"], each["cost"]) for each in said] for name, said in found.items()
        }
        for budget, found in far_ours.answers(half).items()
        if len(found) == len(far_half(half))
    }  # fmt: skip


if __name__ == "__main__":
    main()
