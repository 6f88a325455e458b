"""What `advise` loses for one rule and one policy on tasks that belong to no half (more_tasks.py, other_tasks.py).

    python bench/advice/one_family.py [--tasks ...]

Writes one_family.json, family by family: the losses of rates around the best, and what the answers for one training and
for two and a half lose. What is there is not run again, unless the code that advises has changed.
"""

from __future__ import annotations

import argparse
import math
from itertools import product
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import numpy as np
from families import train
from more_tasks import TASKS
from other_tasks import OTHERS
from ours import fingerprint
from suite import read, write
from truth import from_plain, to_plain

from stepsize.jobs import advise
from stepsize.strategy import Strategy, find_rule

FILE = Path(__file__).with_name("one_family.json")

FAMILIES = tuple(product(("Momentum", "SGD", "RMSProp", "Adagrad", "AdamW", "Lion"), ("cosine", "one_cycle")))
BUDGETS, SEEDS = (1.0, 2.5), (1, 2)

COARSE, FINE = np.arange(-6, 2.01, 0.5), 0.125
"""log10 of the rates that are tried first, with one seed, and how far apart those around the best are, with four."""

SCAN, JUDGES = (9900,), (9000, 9001, 9002, 9003)


def truth_of(problem: Any, rule: Any, policy: str) -> dict[str, Any]:
    """Return log10 rates around the best of a family and what each loses, a share of the gain."""

    def scores(rates: np.ndarray, seeds: tuple[int, ...]) -> np.ndarray:
        found = train(problem, [Strategy.of(rule, policy, 10**x, name=f"{x:.4f}") for x in rates], seeds)
        return np.where(np.isfinite(found), found, np.inf).mean(axis=1)

    start = fmean(problem.task.score(problem.task.build(seed)) for seed in JUDGES)
    coarse = scores(COARSE, SCAN)
    best, learned = COARSE[coarse.argmin()], COARSE[start - coarse > 0.5 * (start - coarse.min())]
    low, high = max(learned.min() - 0.25, best - 1.5), min(learned.max() + 0.5, best + 1)
    rates = np.arange(low, high + 0.01, FINE)
    fine = scores(rates, JUDGES)
    outside = (low > COARSE) | (rates[-1] < COARSE)
    x, y = np.concatenate([COARSE[outside], rates]), np.concatenate([coarse[outside], fine])
    order, lost = x.argsort(), np.clip((y - fine.min()) / (start - fine.min()), 0, 1)
    return {"rates": x[order].round(3).tolist(), "lost": lost[order].round(4).tolist()}


def asked(problem: Any, rule: Any, policy: str, truth: dict[str, Any]) -> dict[str, list[float]]:
    """Return what the answers of all seeds lose, by budget."""

    def lost(budget: float, seed: int) -> float:
        peak = advise(problem.task, rules=[rule], policies=[policy], budget=budget, seed=seed).strategy.peak
        return float(np.interp(math.log10(peak), truth["rates"], truth["lost"]))

    return {f"{budget:g}": [lost(budget, seed) for seed in SEEDS] for budget in BUDGETS}


def main() -> None:
    every = TASKS | OTHERS
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=every, default=list(every))
    for name in parser.parse_args().tasks:
        problem = SimpleNamespace(name=name, task=every[name]())
        for kind, policy in FAMILIES:
            found, rule = read(FILE), find_rule(kind)
            said = found.setdefault(name, {}).setdefault(f"{kind} {policy}", {})
            if "truth" not in said:
                said["truth"] = truth_of(problem, rule, policy)
            if said.get("code") != fingerprint():
                said |= {"code": fingerprint(), "lost": to_plain(asked(problem, rule, policy, said["truth"]))}
            write(FILE, found)
    show()


def show() -> None:
    """Print what is lost at each budget, by task and by rule."""
    found = from_plain(read(FILE))
    for label, key in (("task", lambda name, _: name), ("rule", lambda _, family: family.partition(" ")[0])):
        rows: dict[str, dict[str, list[float]]] = {}
        for name, families in found.items():
            for family, said in families.items():
                for budget, lost in said["lost"].items():
                    for row in (key(name, family), "all"):
                        rows.setdefault(row, {}).setdefault(budget, []).extend(lost)
        print(f"| {label} | one training | two and a half |\n|---|---|---|")
        for row, lost in rows.items():
            cells = (f"{100 * fmean(each):.1f}, {100 * fmean(x > 0.1 for x in each):.0f}" for each in lost.values())
            print(f"| {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
