"""Ray Tune's ASHA on the recorded table, at the cost of our halving: 20 random orders, one trial at a time and eight.

    python -m venv .venv-tune && .venv-tune/bin/pip install "ray[tune]" numpy
    .venv-tune/bin/python bench/rungs/against_ray.py

The scheduler alone decides; no cluster is started. A trial is a strategy with the mean of its seeds, or a strategy with
one seed, and reports the prefix of its long run. No trial begins once all of them are as expensive as the halving.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import partial
from itertools import product
from types import SimpleNamespace

import numpy as np
import ray
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from replay import CUTS, ETA, ORDERS, Recorded, halving, judged, recorded

LENGTHS = (*CUTS, 1)
"""A trial reports at these shares of the run: 1/9, 1/3 and all of it."""


def study(task: Recorded, *, paired: bool, workers: int, order: int, limit: float) -> tuple[int, float]:
    """The strategy of the best trial that was completed, and what all trials cost, in full runs of all seeds."""
    scheduler = ASHAScheduler(metric="score", mode="min", max_t=max(CUTS), grace_period=1, reduction_factor=ETA)
    weight = 1 if paired else 1 / task.seeds
    waiting = waiting_trials(task, paired=paired, order=order)
    running: list[tuple[float, int, int, SimpleNamespace]] = []
    best, spent, began = (np.inf, 0), 0.0, 0

    def start(now: float) -> None:
        nonlocal began
        if spent < limit and (trial := next(waiting, None)) is not None:
            scheduler.on_trial_add(None, trial)
            heapq.heappush(running, (now + 1 / LENGTHS[0], began, 0, trial))
            began += 1

    for _ in range(workers):
        start(0.0)
    while running:
        now, number, stage, trial = heapq.heappop(running)
        spent += weight * (1 / LENGTHS[stage] - (1 / LENGTHS[stage - 1] if stage else 0))
        result = {"training_iteration": max(CUTS) // LENGTHS[stage], "score": trial.scores[stage]}
        decision = scheduler.on_trial_result(None, trial, result)
        if stage + 1 == len(LENGTHS):
            best = min(best, (trial.scores[stage], trial.strategy))
        elif decision == TrialScheduler.CONTINUE:
            further = 1 / LENGTHS[stage + 1] - 1 / LENGTHS[stage]
            heapq.heappush(running, (now + further, number, stage + 1, trial))
            continue
        start(now)
    return best[1], spent


def waiting_trials(task: Recorded, *, paired: bool, order: int) -> Iterator[SimpleNamespace]:
    """Yield all trials in a random order, with their scores at the lengths where they report."""
    tables = [task.rung("prefix", cut) for cut in LENGTHS]
    if paired:
        tables = [table.mean(axis=1, keepdims=True) for table in tables]
    trials = list(np.ndindex(tables[0].shape))
    np.random.default_rng(order).shuffle(trials)
    for strategy, seed in trials:
        scores = [float(min(table[strategy, seed], 1e9)) for table in tables]
        yield SimpleNamespace(trial_id=f"{strategy} {seed}", strategy=int(strategy), scores=scores)


def asked(task: Recorded, order: int, *, paired: bool, workers: int, equal: bool) -> tuple[int, float]:
    """What ASHA picks in one order, and its cost; `equal` ends it at the cost of our halving."""
    limit = halving(task, "prefix")[1] if equal else np.inf
    return study(task, paired=paired, workers=workers, order=order, limit=limit)


def main() -> None:
    tasks = recorded()
    print(f"Ray {ray.__version__}, {ORDERS} orders, {len(tasks)} tasks; cost in shares of all at full length.\n")
    print("| trial | at once | stops at | regret, mean | median | worst | cost |\n|---|---|---|---|---|---|---|")
    for paired, workers, equal in product((True, False), (1, 8), (True, False)):
        what, where = "strategy, all seeds" if paired else "strategy and seed", "our cost" if equal else "the end"
        found = judged(tasks, partial(asked, paired=paired, workers=workers, equal=equal))
        print(f"| {what} | {workers} | {where} | {found} |", flush=True)


if __name__ == "__main__":
    main()
