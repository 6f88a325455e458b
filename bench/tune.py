"""`stepsize.tune` as a user's loop on the tasks of bench/advice: what its finished run loses, and what all of it costs.

    python bench/tune.py [--half dev] [--seeds 3] [--share 1.0]
    python bench/tune.py --half far-a

The loop is a plain one of torch, with AdamW and 1cycle. Its regret is the share of what there is to gain that is lost
against AdamW with 1cycle at the best rate of truth.json (far_truth.json), on the seeds that judge there. `finished` is
the score of the real run itself, of one seed; `judged` is that of the rate that it found, on those seeds. The cost
counts every update, that of the real run too, and every validation, in full trainings.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).with_name("advice")))  # before this folder, which has a table.py too

import far
import far_tasks
import truth
from families import strategy, train
from suite import half, read

import stepsize
from stepsize import Task
from stepsize.jobs.advise.spending import validation_updates

FAMILY, FAILURE = "AdamW one_cycle", 0.05


class Batches:
    """The batches of one seed, from the first again whenever they are gone through."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.seed = task, seed

    def __iter__(self) -> Iterator[Any]:
        return (self.task.batch(step, self.seed) for step in itertools.count())


@dataclass(frozen=True)
class Outcome:
    """One tuned training: the rate, the score of its real run, and its cost in full trainings."""

    rate: float
    score: float
    cost: float


def tuned(task: Task, seed: int, share: float | None, *, held_out: bool) -> Outcome:
    """Train a task once in a loop that finds its own rate."""
    torch.manual_seed(seed)
    model = task.build(seed)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    validate: Callable[[], float] | None = partial(task.score, model) if held_out else None
    loop = stepsize.tune(model, optimizer, Batches(task, seed), steps=task.steps, share=share, validate=validate)
    updates = 0
    for inputs, targets in loop:
        loss = task.loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loop.tell(loss)
        updates += 1
    validation = validation_updates(task)
    scored = (len(loop.answer.runs) + 1) * validation * held_out
    cost = (updates + scored + validation) / (task.steps + validation)
    return Outcome(loop.answer.strategy.peak, task.score(model), cost)


@dataclass(frozen=True)
class Truth:
    """What AdamW with 1cycle is worth on a task: before training, at its best rate, and at any rate."""

    start: float
    best: float
    score: Callable[[float], float]

    def regret(self, score: float) -> float:
        return min(1.0, (score - self.best) / (self.start - self.best)) if math.isfinite(score) else 1.0


def short_truth(problem: Any) -> Truth:
    """Return the truth of one of the sixteen tasks; its best rate was chosen on other seeds than the judging ones."""
    record = truth.from_plain(read(truth.FILE)["problems"][problem.name])
    index = truth.best_index(record["fine"][FAMILY])

    def score(rate: float) -> float:
        return float(np.mean(train(problem, [strategy(FAMILY, rate)], truth.JUDGES)))

    return Truth(record["start"], score(10.0 ** (index / truth.FINE)), score)


def far_truth(problem: Any) -> Truth:
    """Return the truth of a task of the third part, whose rates were run and are read between."""
    found = far.truths()[problem.name]
    return Truth(
        found.start, found.best, lambda rate: found.best + found.regret(rate) * (found.start - found.best)
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", choices=("dev", "test", *far_tasks.HALVES), default="dev")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    long = options.half in far_tasks.HALVES
    problems = far_tasks.far_half(options.half) if long else half(options.half)
    rows: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    for problem, held_out in itertools.product(problems, rows):
        known = (far_truth if long else short_truth)(problem)
        for seed in range(options.seeds):
            began = time.perf_counter()
            found = tuned(problem.task, seed, options.share, held_out=held_out)
            row = known.regret(found.score), known.regret(known.score(found.rate)), found.cost
            rows[held_out].append(row)
            by = "held-out" if held_out else "training"
            print(
                f"{problem.name:34} {by} loss, seed {seed}: {found.rate:.3g} after {row[2]:.2f} trainings, "
                f"finished {row[0]:6.1%} judged {row[1]:6.1%}, {time.perf_counter() - began:.0f} s", flush=True,
            )  # fmt: skip
    print("\n| scored by | finished: mean, worst | judged: mean, median, worst | over 5 % | trainings |")
    print("|---|---|---|---|---|")
    for held_out, each in rows.items():
        finished, judged, costs = zip(*each, strict=True)
        print(
            f"| {'held-out' if held_out else 'training'} loss | {fmean(finished):.1%}, {max(finished):.0%} "
            f"| {fmean(judged):.1%}, {np.median(judged):.1%}, {max(judged):.0%} "
            f"| {fmean(regret > FAILURE for regret in judged):.0%} | {fmean(costs):.2f} |"
        )


if __name__ == "__main__":
    main()
