"""Optuna's pruners on the recorded table, at the cost of our halving: 20 random orders each.

    python -m venv /tmp/optuna && /tmp/optuna/bin/pip install optuna numpy
    /tmp/optuna/bin/python bench/rungs/against_optuna.py

A trial is a strategy with the mean of its seeds, or a strategy with one seed. Optuna sees the prefix of the long run,
as `trial.report` has it. It stops at the first trial that makes it as expensive as the halving, or when all were tried.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import optuna
from replay import CUTS, ETA, ORDERS, Recorded, halving, judged, recorded

PRUNERS: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
    "ASHA": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=ETA),
    "Hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=ETA),
    "Median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5),
}


def study(task: Recorded, pruner: str, *, paired: bool, order: int, limit: float) -> tuple[int, float]:
    """The strategy of the best trial that was completed, and what all trials cost, in full runs of all seeds."""
    seeds = 1 if paired else task.seeds
    trials = list(product(range(len(task.strategies)), range(seeds)))
    np.random.default_rng(order).shuffle(trials)
    sampler = optuna.samplers.RandomSampler(seed=order)
    found = optuna.create_study(sampler=sampler, pruner=PRUNERS[pruner](), study_name=f"{order}")
    tables = [task.rung("prefix", cut) for cut in (*CUTS, 1)]
    if paired:
        tables = [table.mean(axis=1, keepdims=True) for table in tables]
    best, spent = (np.inf, 0), 0.0
    for strategy, seed in trials:
        if spent >= limit:
            break
        trial, before = found.ask(), 0.0
        for table, cut in zip(tables, (*CUTS, 1), strict=True):
            spent += (1 / cut - before) / seeds
            before, score = 1 / cut, float(min(table[strategy, seed], 1e9))
            trial.report(score, 9 // cut)
            if cut > 1 and trial.should_prune():
                found.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            found.tell(trial, score)
            best = min(best, (score, int(strategy)))
    return best[1], spent


def asked(task: Recorded, order: int, *, pruner: str, paired: bool, equal: bool) -> tuple[int, float]:
    """What a pruner picks in one order, and its cost; `equal` ends it at the cost of our halving."""
    limit = halving(task, "prefix")[1] if equal else np.inf
    return study(task, pruner, paired=paired, order=order, limit=limit)


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tasks = recorded()
    print(f"Optuna {optuna.__version__}, {ORDERS} orders, {len(tasks)} tasks; cost in shares of all at full length.\n")
    print("| method | trial | stops at | regret, mean | median | worst | cost |\n|---|---|---|---|---|---|---|")
    for pruner, paired, equal in product(PRUNERS, (True, False), (True, False)):
        what, where = "strategy, all seeds" if paired else "strategy and seed", "our cost" if equal else "the end"
        found = judged(tasks, partial(asked, pruner=pruner, paired=paired, equal=equal))
        print(f"| {pruner} | {what} | {where} | {found} |", flush=True)


if __name__ == "__main__":
    main()
