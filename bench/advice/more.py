"""What `advise` recommends on tasks that belong to no half, against AdamW with 1cycle at its best rate.

Those of more_tasks.py, and the draws that are there to be learned from (range_test/lots.py).

    python bench/advice/more.py [--budgets 0 1 3]

Writes more.json, answer by answer; what is there is not run again, unless the code that advises has changed.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import numpy as np
from families import train
from more_tasks import TASKS
from ours import ask, kept, method
from suite import SEEDS, lots, read, write
from table import Truth
from truth import JUDGES, from_plain, to_plain

from stepsize.strategy import Strategy

FILE = Path(__file__).with_name("more.json")

EVERY = TASKS | {f"tried, {lots.name_of(number)}": partial(lots.draw, "tried", number) for number in lots.KEPT["tried"]}
"""How each task is made, by name."""

RATES = np.arange(-4, 0.76, 0.125)
"""log10 of the rates among which the best AdamW with 1cycle is sought."""

BUDGETS = (0.0, 1.0, 3.0)


def best(problem: Any) -> dict[str, Any]:
    """Return the lowest mean loss of AdamW with 1cycle on the seeds that judge, its rate, and the loss of the start."""
    losses = train(problem, [Strategy.of("AdamW", "one_cycle", 10**x) for x in RATES], JUDGES).mean(axis=1)
    start = fmean(problem.task.score(problem.task.build(seed)) for seed in JUDGES)
    return {"start": start, "best": float(np.nanmin(losses)), "rate": float(10 ** RATES[np.nanargmin(losses)])}


def truth_of(record: dict[str, Any]) -> Truth:
    """Return what there is to gain on a task."""
    return Truth(record["start"], record["best"], float(len(RATES) * len(JUDGES)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budgets", nargs="+", type=float, choices=BUDGETS, default=BUDGETS)
    options = parser.parse_args()
    for name, make in EVERY.items():
        problem = SimpleNamespace(name=name, task=make())
        found = read(FILE)
        if "truth" not in found.get(name, {}):
            found[name] = {"truth": to_plain(best(problem))} | found.get(name, {})
            write(FILE, found)
        for budget in options.budgets:
            ask(problem, budget, FILE)
    show(options.budgets)


def show(budgets: list[float]) -> None:
    """Print what every answer loses, and the means."""
    found = read(FILE)
    answers, every = from_plain(kept(found)), {budget: [] for budget in budgets}
    for name in EVERY:
        truth = truth_of(from_plain(found[name]["truth"]))
        print(f"{name}: the best rate is {found[name]['truth']['rate']:.2g}")
        for budget in budgets:
            lost = [100 * truth.regret(each["scores"]) for each in answers[name][method(budget)]]
            every[budget] += lost
            print(f"    budget {budget:g}: {fmean(lost):.1f} % ({' '.join(f'{each:.0f}' for each in lost)})")
    for budget, lost in every.items():
        print(f"budget {budget:g}: {fmean(lost):.1f} % in the mean, {max(lost):.0f} % at worst, {len(SEEDS)} seeds")


if __name__ == "__main__":
    main()
