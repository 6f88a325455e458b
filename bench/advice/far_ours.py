"""What stepsize answers on the third part for the cost of one training, and what it says of itself.

    python bench/advice/far_ours.py [--half far-a far-b]

Writes far_ours.json, task by task; what is there is not asked again, unless the code that advises has changed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from far_tasks import HALVES, FarProblem, far_half
from ours import fingerprint
from suite import read, write

from stepsize import jobs

FILE = Path(__file__).with_name("far_ours.json")

BUDGETS = (0.0, 1.0)

ASKED_SEEDS = (0, 1, 2)


def asked(problem: FarProblem, budget: float, seed: int) -> dict[str, Any]:
    """Return the strategy that is answered with, its rate, what it cost, and what it is said to lose."""
    advice = jobs.advise(problem.task, budget=budget, seed=seed)
    return {
        "strategy": advice.strategy.name, "rate": advice.strategy.peak, "cost": advice.cost, "loses": advice.loses,
        "worst": advice.worst, "source": advice.belief.source,
    }  # fmt: skip


def answers(half: str) -> dict[float, dict[str, list[dict[str, Any]]]]:
    """Return by budget and task what the file holds for one half."""
    found = read(FILE).get("problems", {})
    return {
        budget: {
            problem.name: found[problem.name][f"{budget:g}"]
            for problem in far_half(half)
            if f"{budget:g}" in found.get(problem.name, {})
        }
        for budget in BUDGETS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", nargs="+", choices=HALVES, default=HALVES)
    torch.set_num_threads(1)
    code = fingerprint()
    for problem in [each for name in parser.parse_args().half for each in far_half(name)]:
        for budget in BUDGETS:
            found = read(FILE)
            if found.get("code") != code:
                found = {"code": code, "problems": {}}
            said = found["problems"].setdefault(problem.name, {})
            if f"{budget:g}" in said:
                continue
            began = time.perf_counter()
            said[f"{budget:g}"] = [asked(problem, budget, seed) for seed in ASKED_SEEDS]
            write(FILE, found)
            print(f"{problem.name}, budget {budget:g}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
