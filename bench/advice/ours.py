"""What stepsize recommends: the only file of the benchmark that knows how it is asked.

    python bench/advice/ours.py [--half dev test] [--budgets 30 60 120]

Writes ours.json, answer by answer; what is there is not run again, unless the code that advises has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from families import train
from suite import BUDGETS, HALVES, SEEDS, Problem, half, read, write
from truth import JUDGES, to_plain

from stepsize import jobs, theory
from stepsize.jobs import advise
from stepsize.kernel.errors import BudgetError, TaskError

FILE = Path(__file__).with_name("ours.json")


def asked(problem: Problem, budget: float, seed: int) -> dict[str, Any]:
    """Return what `advise` recommends within `budget` full trainings, its cost, and its scores on the seeds that judge.

    No strategy where it finds none, with the reason; it is then said to have cost the whole budget.
    """
    try:
        advice = advise(problem.task, budget=budget, seed=seed)
    except (BudgetError, TaskError) as error:
        return {"strategy": "", "cost": budget, "scores": [], "reason": str(error)}
    scores = train(problem, [advice.strategy], JUDGES)[0].tolist()
    return {"strategy": advice.strategy.name, "cost": advice.cost, "scores": scores}


def method(budget: float) -> str:
    return f"stepsize, budget {budget:g}"


def fingerprint() -> str:
    """Return a hash of the code that advises: the jobs, the theory behind them, and how they are asked here."""
    folders = [Path(package.__file__).parent for package in (jobs, theory)]
    files = [Path(__file__), *(path for folder in folders for path in sorted(folder.glob("*.py")))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def kept(found: Mapping[str, Any]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return what the file holds, by task and method; a method that lacks a seed is left out."""
    return {
        name: {
            kind: [each[str(seed)] for seed in SEEDS]
            for kind, each in said["answers"].items()
            if all(str(seed) in each for seed in SEEDS)
        }
        for name, said in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--budgets", nargs="+", type=float, choices=BUDGETS, default=BUDGETS)
    options = parser.parse_args()
    code = fingerprint()
    for problem in [each for name in options.half for each in half(name)]:
        for budget in options.budgets:
            for seed in SEEDS:
                ask(problem, budget, seed, code)


def ask(problem: Problem, budget: float, seed: int, code: str) -> None:
    """Put one answer into the file, if it is not there."""
    found = read(FILE)
    said = found.get(problem.name, {})
    if said.get("code") != code:
        said = found[problem.name] = {"code": code, "answers": {}}
    answers = said["answers"].setdefault(method(budget), {})
    if str(seed) in answers:
        return
    began = time.perf_counter()
    answers[str(seed)] = to_plain(asked(problem, budget, seed))
    write(FILE, found)
    print(f"{problem.name}, budget {budget:g}, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
