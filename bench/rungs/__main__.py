"""What a short run says of the long one, in three views.

python bench/rungs/record.py      # makes table.json, which is there
python bench/rungs
"""

from __future__ import annotations

import numpy as np
from replay import CUTS, VIEWS, Recorded, halving, recorded
from scipy.stats import kendalltau


def agreement(task: Recorded, view: str, cut: int) -> float:
    """Kendall's tau between the order on a rung and the order in truth, the end of seeds that no race sees."""
    return float(kendalltau(task.rung(view, cut).mean(axis=1), task.truth).statistic)


def place(task: Recorded, view: str, cut: int) -> int:
    """The place of the best in truth on a rung, from 1."""
    means = task.rung(view, cut).mean(axis=1)
    return 1 + int((means < means[task.truth.argmin()]).sum())


def misplaced(task: Recorded, view: str, cut: int) -> float:
    """Decades from the best rate in truth to the best on a rung, the mean over families; above is positive."""
    means, found = task.rung(view, cut).mean(axis=1), []
    for family in dict.fromkeys(task.families):
        own = [index for index, each in enumerate(task.families) if each == family]
        rates = [float(task.strategies[index].rpartition(" ")[2]) for index in own]
        chosen, best = rates[int(np.argmin(means[own]))], rates[int(np.argmin(task.truth[own]))]
        found.append(np.log10(chosen / best))
    return float(np.mean(found))


def main() -> None:
    tasks = recorded()
    print("| task | measure | " + " | ".join(f"{view} 1/{cut}" for cut in CUTS for view in VIEWS) + " | end |")
    print("|---|---|" + "---|" * (len(VIEWS) * len(CUTS) + 1))
    for label, measure, digits in (("tau", agreement, 2), ("rate, decades", misplaced, 2), ("place of best", place, 0)):
        rows = [[measure(task, view, cut) for cut in CUTS for view in VIEWS] + [measure(task, "", 1)] for task in tasks]
        for task, row in zip(tasks, rows, strict=True):
            print(f"| {task.name} | {label} | " + " | ".join(f"{value:.{digits}f}" for value in row) + " |")
        print(f"| mean | {label} | " + " | ".join(f"{value:.2f}" for value in np.mean(rows, axis=0)) + " |")
    print("\n| halving | regret, mean | worst | best kept to the end | cost |\n|---|---|---|---|---|")
    for view in VIEWS:
        wins = [halving(task, view) for task in tasks]
        lost = [task.regret(winner) for task, (winner, _) in zip(tasks, wins, strict=True)]
        right = sum(winner == task.truth.argmin() for task, (winner, _) in zip(tasks, wins, strict=True))
        cost = np.mean([spent / len(task.strategies) for task, (_, spent) in zip(tasks, wins, strict=True)])
        print(f"| {view} | {np.mean(lost):.2%} | {max(lost):.2%} | {right} of {len(tasks)} | {cost:.2f} |")
    all_of_it = [task.regret(int(task.rung("", 1).mean(axis=1).argmin())) for task in tasks]
    print(f"| none: all at full length | {np.mean(all_of_it):.2%} | {max(all_of_it):.2%} | | 1.00 |")


if __name__ == "__main__":
    main()
