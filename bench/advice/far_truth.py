"""The truth of the third part: what AdamW with 1cycle is worth on it at each rate.

    python bench/advice/far_truth.py [--half far-a far-b] [--only TASK ...]

Writes far_truth.json after every training; what is there is not run again. On each task, in this order:

coarse: half decades, one seed, from a guess both ways until the best lies between others and both ends of the range
    lose more than 30 % of what there is to gain, or lie 1.5 decades away; 1e-5 to 10 at most.
fine: quarter decades within half a decade of the best, three seeds; again where the best is now another one.
fixed: what is often taken without a search, .03 and .001, three seeds.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from far_tasks import FAR, HALVES, FarProblem
from suite import read, write
from truth import to_plain

from stepsize import Task
from stepsize.engines.loop import Loop
from stepsize.jobs import Runner
from stepsize.strategy import Strategy, Trial

FILE = Path(__file__).with_name("far_truth.json")

SEEDS, MORE_SEEDS = (30_000, 30_001, 30_002), tuple(range(30_000, 30_012))
"""No search has seen them. The second are for a task on which they differ much."""

LUCK = 0.05
"""By which share of the gain the seeds of the rates near the best differ, in the root of the mean of squares, where
there are to be more of them."""

COARSE, FINE = 0.5, 0.25
"""Between two rates, in decades."""

NEAR = (-2 * FINE, -FINE, 0.0, FINE, 2 * FINE)
LOWEST, HIGHEST = -5.0, 1.0
LOST, AWAY = 0.3, 1.5
FIXED = (0.03, 0.001)

Scores = Mapping[float, Sequence[float]]
"""By the logarithm of the rate, to base ten, the score with each seed."""


def best_of(scores: Scores, count: int = 1) -> float:
    """Return the logarithm of the best rate of the grid, of those with at least `count` seeds."""
    known = [log for log, each in scores.items() if len(each) >= count and log % FINE == 0]
    return min(sorted(known), key=lambda log: np.mean(scores[log]))


def beyond(scores: Scores, start: float) -> list[float]:
    """Return the rates just outside of those that were run, on each side where the best may yet lie, or the wall."""
    coarse = sorted(log for log in scores if log % COARSE == 0)
    best = best_of(scores)
    gain = start - np.mean(scores[best])
    wider = []
    for end, sign in ((coarse[0], -1), (coarse[-1], 1)):
        loses = gain > 0 and start - np.mean(scores[end]) < (1 - LOST) * gain
        if end == best or not (loses or abs(end - best) >= AWAY):
            wider.append(end + sign * COARSE)
    return [log for log in wider if LOWEST <= log <= HIGHEST]


def due(scores: Scores, start: float, guess: float) -> tuple[float, int] | None:
    """Return what is to be trained next: the logarithm of a rate, and the index of a seed; None at the end.

    start: the score before training. guess: the logarithm of a rate.
    """
    if not scores:
        return guess, 0
    wider = beyond(scores, start)
    if wider:
        return wider[0], 0
    for seeds in (SEEDS, MORE_SEEDS if lucky(scores, start) else SEEDS):
        wanted = near(best_of(scores))
        if lacking(scores, wanted, len(seeds)) is None:
            wanted = near(best_of(scores, len(seeds)))
        following = lacking(scores, [*wanted, *(round(float(np.log10(rate)), 4) for rate in FIXED)], len(seeds))
        if following:
            return following
    return None


def lucky(scores: Scores, start: float) -> bool:
    """Whether the seeds of the rates near the best differ so much that there are to be more of them."""
    judged = {log: np.array(each[: len(SEEDS)]) for log, each in scores.items() if len(each) >= len(SEEDS)}
    if not judged:
        return False
    gain = start - min(each.mean() for each in judged.values())
    close = [judged[log] for log in near(best_of(scores, len(SEEDS))) if log in judged]
    return float(np.sqrt(np.mean([each.var(ddof=1) for each in close]))) > LUCK * gain


def near(best: float) -> list[float]:
    """Return the rates of the fine stage around the best one."""
    return [best + away for away in NEAR if LOWEST <= best + away <= HIGHEST]


def lacking(scores: Scores, wanted: Sequence[float], seeds: int) -> tuple[float, int] | None:
    """Return the first of the rates that lacks a seed, and the index of that seed; None where none does."""
    return next(((log, len(scores.get(log, ()))) for log in wanted if len(scores.get(log, ())) < seeds), None)


def runner(problem: FarProblem) -> Runner:
    """Return what trains a problem, one training at a time: these nets gain nothing from each other's company."""
    return Runner(problem.task, engine=Loop() if isinstance(problem.task, Task) else None)


def train(runs: Runner, log: float, seed: int) -> float:
    """Return the score of AdamW with 1cycle after a whole training at the rate `10**log`."""
    trial = Trial(Strategy.of("AdamW", "one_cycle", float(10.0**log)), seed)
    return float(runs.run("truth", [trial], runs.task.steps).final[0])


def before(runs: Runner) -> float:
    """Return the mean score before training, which is that of one update at no rate."""
    trials = [Trial(Strategy.of("AdamW", "constant", 1e-12), seed) for seed in SEEDS]
    return float(runs.run("start", trials, 1).final.mean())


def scores_of(record: Mapping[str, Any]) -> dict[float, list[float]]:
    """Return the scores of a task as its file has them; inf where a training diverged."""
    return {float(log): [np.inf if each is None else each for each in row] for log, row in record["scores"].items()}


def measure(problem: FarProblem) -> None:
    """Run what the file lacks of one task."""
    runs = runner(problem)
    found = read(FILE) or {"python": platform.python_version(), "torch": torch.__version__}
    record = found.setdefault("problems", {}).setdefault(problem.name, {"scores": {}, "seconds": []})
    if "start" not in record:
        record["start"] = to_plain(before(runs))
    while (following := due(scores_of(record), record["start"], problem.guess)) is not None:
        log, index = following
        began = time.process_time()
        score = train(runs, log, MORE_SEEDS[index])
        took = time.process_time() - began
        record["scores"].setdefault(str(log), []).append(to_plain(score))
        record["seconds"].append(round(took, 1))
        write(FILE, found)
        print(f"{problem.name}: 10^{log}, seed {index}: {score:.4g} of {record['start']:.4g}, {took:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--only", nargs="+", choices=list(FAR), default=list(FAR))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.only:
        if FAR[name].half in options.half:
            measure(FAR[name])


if __name__ == "__main__":
    main()
