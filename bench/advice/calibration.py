"""Fits what `advise` says of its own loss to what it loses on the dev half and more tasks, and writes it to the prior.

    python bench/advice/ours.py --half dev
    python bench/advice/more.py
    python bench/advice/calibration.py [--kinds look pilot full]

The draws of the belief give a mean loss and a bound that nine of ten draws keep. Each is multiplied by a number, once
for answers from a look at the model, once for those from pilot runs alone, once for those that ran over the full
horizon, and once for those of a final among them: so that the mean is theirs, and the bound holds for more of them than
it says, as tasks that nothing was fitted on are further off.

Watch out: it takes the answers for said with the numbers that the prior holds. Ask again before it is called a second
time, and leave out with `--kinds` what was not asked again.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import more
import numpy as np
from more_tasks import TASKS
from ours import FILE as OURS
from ours import kept, method
from suite import BUDGETS, half, read
from table import truth_of
from truth import FILE as TRUTH
from truth import from_plain

from stepsize.jobs.advise.belief.prior import FILE

KINDS = {"look": (0.0, 0.0), "pilot": (0.5, 1.0), "full": (2.0, 10.0), "final": (20.0, 1000.0)}
"""From what an answer is known, by its budget, the least and the largest."""

HOLDS = 0.93
"""For what share of these answers the bound is to hold; it says .9."""

COUNTS = 0.25
"""What an answer on a task of more_tasks.py counts, which were chosen for being learned by heart; few others are. Those
drawn by lot count as the dev half does."""

LEAST, LEAST_WORST = 0.001, 0.01
"""What is said at least: the noise of the best itself is as large."""


def said(budgets: list[float]) -> np.ndarray:
    """Return what each answer loses, the mean and the bound that were said, and what it counts, (answers, 4)."""
    records, further = read(TRUTH)["problems"], read(more.FILE)
    truths = {problem.name: truth_of(from_plain(records[problem.name])) for problem in half("dev")}
    truths |= {name: more.truth_of(from_plain(each["truth"])) for name, each in further.items()}
    found = from_plain(kept(read(OURS)) | kept(further))
    return np.array(
        [
            (max(0.0, truth.regret(each["scores"])), each["loses"], each["worst"], COUNTS if name in TASKS else 1.0)
            for name, truth in truths.items()
            for budget in budgets
            for each in found[name].get(method(budget), [])
        ]
    )


def fit(rows: np.ndarray, before: dict[str, float]) -> dict[str, float]:
    """Return the multipliers and what is added, from answers that were said with those of `before`."""
    lost, loses, worst, counts = rows.T
    mean = (loses - before["least"]) / before["mean"]
    bound = (worst - before["least_worst"]) / before["worst"]
    needed = np.quantile((lost - LEAST_WORST) / bound, HOLDS, weights=counts, method="inverted_cdf")
    share = max(0.0, np.average(lost, weights=counts) - LEAST) / np.average(mean, weights=counts)
    return {"mean": float(share), "least": LEAST, "worst": float(max(needed, 0.05)), "least_worst": LEAST_WORST}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    prior: dict[str, Any] = read(FILE)
    for kind in parser.parse_args().kinds:
        least, most = KINDS[kind]
        rows = said([budget for budget in BUDGETS if least <= budget <= most])
        prior["calibration"][kind] = fit(rows, prior["calibration"][kind])
        print(kind, len(rows), "answers", prior["calibration"][kind])
    FILE.write_text(json.dumps(prior, separators=(",", ":")).replace("},", "},\n").replace("],[", "],\n[") + "\n")


if __name__ == "__main__":
    main()
