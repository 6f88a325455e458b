"""The advice against an exhaustive grid of constant rates: how good, and at what cost.

    python bench/advice_against_grid.py [--task digits] [--seeds 5] [--advice-seeds 3]

The grid is what a careful person does by hand: 15 constant rates, evenly spaced in the logarithm, with AdamW and with
SGD + momentum. Grid and recommendation train on the same paired seeds, none of which the advice has seen.
"""

from __future__ import annotations

import argparse

import numpy as np

from stepsize import advise, load_task
from stepsize.engines import choose
from stepsize.jobs.statistics import t_interval
from stepsize.policies import constant
from stepsize.rules import AdamW, Momentum
from stepsize.strategy import Strategy, Trial

GRID = {AdamW(): np.geomspace(1e-5, 1e-1, 15), Momentum(): np.geomspace(1e-3, 10.0, 15)}
FIRST = 900
"""The first of the seeds that neither the search nor its fresh seeds touch."""


def main() -> None:
    """Print the best of the grid and each advice on the same seeds, their paired difference, and both costs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", default="digits")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--advice-seeds", type=int, default=3)
    options = parser.parse_args()
    task = load_task(options.task)
    engine, why = choose(task)
    seeds = range(FIRST, FIRST + options.seeds)
    points = [(rule, rate) for rule, rates in GRID.items() for rate in rates]
    grid = [Strategy(rule, constant(rate), f"{type(rule).__name__} {rate:.3g}") for rule, rate in points]
    curves = engine.run(task, [Trial(strategy, seed) for strategy in grid for seed in seeds], task.steps)
    scores = curves.final.reshape(len(grid), -1)
    half = len(grid) // 2
    print(f"{task.name}, {task.steps} steps, {len(seeds)} paired seeds; {why}")
    best = scores[scores.mean(axis=1).argmin()]
    for part in (slice(0, half), slice(half, None)):
        place = int(scores[part].mean(axis=1).argmin())
        print(f"grid: best {grid[part][place].name:16s} validation loss {t_interval(scores[part][place])}")
    print(f"grid: cost {len(grid) * len(seeds)} full trainings ({len(grid)} with one seed)")
    for seed in range(options.advice_seeds):
        answer = advise(task, seed=seed)
        record = engine.run(task, [Trial(answer.strategy, each) for each in seeds], task.steps)
        print(f"advice, seed {seed}: {answer.strategy.name:24s} validation loss {t_interval(record.final)}")
        gap = t_interval(record.final - best)
        print(f"    minus the grid's best, paired: {gap}; cost {answer.cost:.0f} full trainings")


if __name__ == "__main__":
    main()
