"""What a short run says of the long one, in four views, and what halving by it picks.

python bench/rungs/record.py      # makes table.json, which is there
python bench/rungs
"""

from __future__ import annotations

from itertools import product

import numpy as np
from replay import CUTS, PLANS, VIEWS, Recorded, halving, recorded
from scipy.stats import kendalltau


def agreement(task: Recorded, view: str, cut: int) -> float:
    """Kendall's tau between the order on a rung and the order in truth, the end of seeds that no race sees."""
    return float(kendalltau(task.rung(view, cut).mean(axis=1), task.truth).statistic)


def position(task: Recorded, view: str, cut: int) -> int:
    """The position of the best in truth on a rung, from 1."""
    means = task.rung(view, cut).mean(axis=1)
    return 1 + int((means < means[task.truth.argmin()]).sum())


def offset(task: Recorded, view: str, cut: int) -> float:
    """Decades from the best rate in truth to the best on a rung, the mean over families; above is positive."""
    means, found = task.rung(view, cut).mean(axis=1), []
    for family in dict.fromkeys(task.families):
        own = [index for index, each in enumerate(task.families) if each == family]
        rates = [float(task.strategies[index].rpartition(" ")[2]) for index in own]
        chosen, best = rates[int(np.argmin(means[own]))], rates[int(np.argmin(task.truth[own]))]
        found.append(np.log10(chosen / best))
    return float(np.mean(found))


def tables(tasks: list[Recorded]) -> None:
    columns = [f"{view} 1/{cut}" for cut in CUTS for view in VIEWS]
    print("| task | " + " | ".join(columns) + " | end |\n|---|" + "---|" * (len(columns) + 1))
    for label, measure in (("tau", agreement), ("rate, decades", offset), ("position of the best", position)):
        rows = [[measure(task, view, cut) for cut in CUTS for view in VIEWS] + [measure(task, "", 1)] for task in tasks]
        if measure is agreement:
            for task, row in zip(tasks, rows, strict=True):
                print(f"| {task.name} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
        print(f"| mean {label} | " + " | ".join(f"{value:.2f}" for value in np.mean(rows, axis=0)) + " |")


def regrets(tasks: list[Recorded]) -> None:
    print("\n| rungs before the end | view | regret, mean | median | worst | cost |\n|---|---|---|---|---|---|")
    for (plan, (cuts, eta)), view in product(PLANS.items(), VIEWS):
        wins = [halving(task, view, cuts, eta) for task in tasks]
        lost = [task.regret(winner) for task, (winner, _) in zip(tasks, wins, strict=True)]
        cost = np.mean([spent / len(task.strategies) for task, (_, spent) in zip(tasks, wins, strict=True)])
        print(f"| {plan} | {view} | {np.mean(lost):.2%} | {np.median(lost):.2%} | {max(lost):.2%} | {cost:.2f} |")
    lost = [task.regret(int(task.rung("", 1).mean(axis=1).argmin())) for task in tasks]
    print(f"| none | | {np.mean(lost):.2%} | {np.median(lost):.2%} | {max(lost):.2%} | 1.00 |\n")


def main() -> None:
    for half in ("dev", "test", ""):
        print(f"{half or 'both'} {'half' if half else 'halves'}\n")
        tasks = recorded(half)
        tables(tasks)
        regrets(tasks)


if __name__ == "__main__":
    main()
