"""Short whole runs of the dev half, from which the prior of `advise` is fitted (see prior.py).

    python bench/advice/short_runs.py

Writes short_runs.json, task by task; what is there is not run again. Every run follows its whole schedule in a share of
the horizon, at quarter decades around the best rate of the full horizon, on three seeds that nothing else uses. Two
policies that truth.json lacks, those with a warmup, run at the full horizon alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from families import strategy
from suite import SIZE, Problem, half, read, write
from truth import FINE, best_index, from_plain, to_plain

from stepsize.engines.vectorised.ensemble import Ensemble
from stepsize.strategy import Trial

FILE = Path(__file__).with_name("short_runs.json")

RUN_SEEDS = (21_000, 21_001, 21_002)

SHARES = (16, 8, 4, 2, 1)
"""A run is the so-manieth part of the horizon."""

FAMILIES = {
    "AdamW one_cycle": SHARES,
    "Momentum one_cycle": (16, 4, 1),
    "ScheduleFreeAdamW constant": (16, 4, 1),
    "AdamW wsd": (16, 4, 1),
    "Lion one_cycle": (16, 4, 1),
    "AdamW warmup_cosine": (1,),
    "AdamW warmup_linear": (1,),
}

WITHIN = range(-7, 6)
"""The rates, in quarter decades from the best of the full horizon."""


def centre(record: dict[str, Any], family: str) -> int:
    """Return the best rate of a family at the full horizon, in quarter decades; of AdamW cosine for those not there."""
    known = family if family in record["fine"] or family in record["grid"] else "AdamW cosine"
    if known in record["fine"]:
        return best_index(record["fine"][known])
    return best_index(record["grid"][known]) * 2


def runs(problem: Problem, family: str, middle: int, share: int) -> dict[str, Any]:
    """Return the scores and the last training losses of whole runs of a family, by rate and seed."""
    steps = problem.task.steps // share
    indices = [middle + each for each in WITHIN]
    trials = [Trial(strategy(family, 10 ** (index / FINE)), seed) for index in indices for seed in RUN_SEEDS]
    curves = Ensemble(size=SIZE, device="cpu").run(problem.task, trials, steps)
    tail = np.asarray(curves.losses[-max(1, steps // 10) :], dtype=np.float64).mean(axis=0)
    shape = len(indices), len(RUN_SEEDS)
    return {
        "indices": indices, "steps": steps, "scores": curves.final.reshape(shape).tolist(),
        "training": np.where(curves.died_at < 0, tail, np.inf).reshape(shape).tolist(),
    }  # fmt: skip


def main() -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    truth = read(Path(__file__).with_name("truth.json"))["problems"]
    for problem in half("dev"):
        for family, shares in FAMILIES.items():
            found = read(FILE)
            record = found.setdefault(problem.name, {})
            if family in record:
                continue
            began = time.perf_counter()
            middle = centre(from_plain(truth[problem.name]), family)
            record[family] = to_plain([runs(problem, family, middle, share) for share in shares])
            write(FILE, found)
            print(f"{problem.name}: {family}, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
