"""`stepsize.tune` as a user's loop on the tasks of bench/advice: what its finished run loses, and what all of it costs.

    python bench/tune.py [--half dev] [--seeds 3] [--share 1.0]
    python bench/tune.py --half far-a far-b --seeds 2 --share 0.35

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
from stepsize import FunctionTask, Task
from stepsize.jobs.advise.spending import validation_updates

FAMILY, FAILURE = "AdamW one_cycle", 0.05

LONG = 2000
"""Tasks of so many updates or more have a row of their own."""

SCORED = {True: "held-out", False: "training"}
"""By which losses pilot runs are scored."""


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
    scores: list[float] = []

    def validate() -> float:
        scores.append(task.score(model))
        return scores[-1]

    loop = stepsize.tune(
        model, optimizer, Batches(task, seed), steps=task.steps, share=share, validate=validate if held_out else None
    )
    updates = 0
    for inputs, targets in loop:
        loss = task.loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loop.tell(loss)
        updates += 1
    validation = validation_updates(task)
    cost = (updates + (len(scores) + 1) * validation) / (task.steps + validation)
    return Outcome(loop.answer.strategy.peak, task.score(model), cost)


class TunedTrial:
    """What the training functions of the third part are given: a loop that finds its own rate, by training losses."""

    def __init__(self, steps: int, share: float | None) -> None:
        self.steps, self._share, self.turns = steps, share, 0

    def optimizer(self, trained: Any) -> torch.optim.Optimizer:
        self._model = trained if isinstance(trained, torch.nn.Module) else torch.nn.ParameterList(trained)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), weight_decay=0.01)
        return self._optimizer

    def apply(self, optimizer: torch.optim.Optimizer) -> None:
        """Nothing: the loop has set the rate."""

    def __iter__(self) -> Iterator[int]:
        turns = Counted(self.steps)
        self._loop = stepsize.tune(self._model, self._optimizer, turns, steps=self.steps, share=self._share)
        for step in self._loop:
            self.turns += 1
            yield step

    def report(self, loss: Any, score: Callable[[], float]) -> None:
        self._loop.tell(loss)
        self._score = score

    @property
    def outcome(self) -> Outcome:
        return Outcome(self._loop.answer.strategy.peak, self._score(), self.turns / self.steps)


class Counted:
    """The numbers of the updates of a run, from 0 again whenever they are gone through."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.steps))


def tuned_function(task: FunctionTask, seed: int, share: float | None) -> Outcome:
    """Run a training function once, in whose loop the rate is found."""
    torch.manual_seed(seed)
    trial = TunedTrial(task.steps, share)
    task.train(trial)
    return trial.outcome


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


@dataclass(frozen=True)
class Row:
    """One tuned training: of which half and how long, whether held-out losses scored it, its regrets and its cost."""

    half: str
    steps: int
    held_out: bool
    finished: float
    judged: float
    cost: float


def table(rows: list[Row]) -> str:
    """Return in Markdown what all rows lose and cost, those of each half, and those of the longest tasks."""
    halves = dict.fromkeys(row.half for row in rows)
    groups = {"all": rows} | {name: [row for row in rows if row.half == name] for name in halves}
    groups[f"{LONG} updates or more"] = [row for row in rows if row.steps >= LONG]
    lines = [
        "| | scored by | finished: mean, worst | judged: mean, median, worst | over 5 % | trainings |",
        "|---|---|---|---|---|---|",
    ]
    for name, group in groups.items():
        for held_out, losses in SCORED.items():
            found = [row for row in group if row.held_out == held_out]
            if found:
                lines.append(f"| {name} | {losses} loss {line(found)}")
    return "\n".join(lines)


def line(rows: list[Row]) -> str:
    finished, judged = [row.finished for row in rows], [row.judged for row in rows]
    return (
        f"| {fmean(finished):.1%}, {max(finished):.0%} "
        f"| {fmean(judged):.1%}, {np.median(judged):.1%}, {max(judged):.0%} "
        f"| {sum(regret > FAILURE for regret in judged)} of {len(rows)} | {fmean(row.cost for row in rows):.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", nargs="+", choices=("dev", "test", *far_tasks.HALVES), default=("dev",))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    for name in options.half:
        far_part = name in far_tasks.HALVES
        problems = far_tasks.far_half(name) if far_part else half(name)
        for problem, held_out in itertools.product(problems, SCORED):
            if held_out and isinstance(problem.task, FunctionTask):
                continue  # it says how it is scored when it has made an update
            known = (far_truth if far_part else short_truth)(problem)
            for seed in range(options.seeds):
                began = time.perf_counter()
                if isinstance(problem.task, FunctionTask):
                    found = tuned_function(problem.task, seed, options.share)
                else:
                    found = tuned(problem.task, seed, options.share, held_out=held_out)
                lost = known.regret(found.score), known.regret(known.score(found.rate))
                rows.append(Row(name, problem.task.steps, held_out, *lost, found.cost))
                print(
                    f"{problem.name:34} {SCORED[held_out]} loss, seed {seed}: {found.rate:.3g} after {found.cost:.2f} "
                    f"trainings, finished {lost[0]:6.1%} judged {lost[1]:6.1%}, {time.perf_counter() - began:.0f} s",
                    flush=True,
                )
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
