"""Every strategy at full length and on every rung, once: what the races are replayed on.

    OMP_NUM_THREADS=1 python bench/rungs/record.py

Writes table.json, task by task; what is there is not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from suite import SISTER, half, read, write

from stepsize import load_task
from stepsize.engines import Engine, choose
from stepsize.jobs.race.rungs import retime
from stepsize.jobs.rescale import rescale_exponent, rescale_to_horizon
from stepsize.problems import Task
from stepsize.rules import AdamW, Momentum, Rule
from stepsize.strategy import Strategy, Trial

FILE = Path(__file__).with_name("table.json")

POLICIES = ("constant", "step_decay", "linear_to_zero", "cosine", "one_cycle", "wsd")
FACTORS = tuple(10 ** (power / 2) for power in range(-2, 3))
"""The peak rates, around the best one of a cosine: five over two decades."""

SEEDS, FRESH = (0, 1, 2), (3, 4, 5)
"""What a race sees, and what it is judged by."""

CUTS = (9, 3)


def _rescaled(strategy: Strategy, long: int, short: int, exponent: float) -> Strategy:
    return strategy.scaled(rescale_to_horizon(strategy.policy, long, short, exponent))


MOVES: dict[str, Callable[[Strategy, int, int], Strategy]] = {
    "retimed": retime,
    "by rule": lambda each, long, short: _rescaled(each, long, short, rescale_exponent(each.rule)),
    "two thirds": lambda each, long, short: _rescaled(each, long, short, -1 / 3),
}
"""Whole schedules in fewer steps, the rate moved by the bound, by its rule's exponent, by two thirds of the bound's."""


@dataclass(frozen=True)
class Problem:
    """A task with its rule, the rate in the middle of the grid, and a length that nine divides."""

    name: str
    make: Callable[[], Task]
    rule: Rule
    centre: float
    half: str

    def strategies(self) -> list[Strategy]:
        found = product(POLICIES, FACTORS)
        return [self.strategy(name, float(f"{self.centre * factor:.3g}")) for name, factor in found]

    def strategy(self, name: str, rate: float) -> Strategy:
        return Strategy.of(self.rule, name, rate, name=f"{name} {rate:g}")


def problems() -> list[Problem]:
    """The tasks of bench/range_test, each with its rule, and the digits under two more, which count as test.

    The exponents by which a rule's rate is moved were measured on the dev half alone.
    """
    truth = read(SISTER / "truth.json")["problems"]
    found = [Problem("digits-adamw", lambda: load_task("digits"), AdamW(), 0.01, "test")]
    found.append(Problem("digits-momentum", lambda: load_task("digits"), Momentum(), 0.3, "test"))
    for each in (*half("dev"), *half("test")):
        cosine = truth[each.name]["schedules"]["cosine"]
        scores = np.array(cosine["scores"], dtype=np.float64)  # nothing, NaN, where it diverged
        best = 10 ** cosine["log10_rates"][int(np.nanargmin(scores))]
        found.append(Problem(each.name, each.make, each.rule, best, each.half))
    return found


def record(problem: Problem) -> dict[str, object]:
    """Return the scores of all strategies, (strategies, seeds) each, and of the untrained weights."""
    began = time.perf_counter()
    task = problem.make()
    steps = task.steps // 9 * 9
    engine, _ = choose(task)
    field = problem.strategies()
    every = SEEDS + FRESH
    full = engine.run(task, trials(field, every), steps, score_every=steps // 9)
    alive = (full.died_at < 0) | (full.died_at >= full.score_steps[:, None])
    table = np.where(alive, full.scores, np.inf).reshape(9, len(field), len(every))
    views = {"full": table[-1]}
    for cut in CUTS:
        views[f"prefix {cut}"] = table[9 // cut - 1][:, : len(SEEDS)]
        for view, move in MOVES.items():
            short = [move(strategy, steps, steps // cut) for strategy in field]
            views[f"{view} {cut}"] = final(engine, task, short, steps // cut)
    return {
        "rule": problem.rule.title, "half": problem.half, "steps": steps,
        "strategies": [strategy.name for strategy in field],
        "start": float(np.mean([task.score(task.build(seed)) for seed in every])),
        "seconds": round(time.perf_counter() - began, 1),
        "scores": {name: tidy(view) for name, view in views.items()},
    }  # fmt: skip


def final(engine: Engine, task: Task, field: list[Strategy], steps: int) -> np.ndarray:
    return engine.run(task, trials(field, SEEDS), steps).final.reshape(len(field), len(SEEDS))


def trials(field: list[Strategy], seeds: tuple[int, ...]) -> list[Trial]:
    return [Trial(strategy, seed) for strategy in field for seed in seeds]


def tidy(view: np.ndarray) -> list[list[float | None]]:
    """Five digits, and nothing where a run diverged."""
    return [[float(f"{x:.5g}") if np.isfinite(x) else None for x in row] for row in view]


def main() -> None:
    torch.set_num_threads(1)
    found = read(FILE)
    for problem in problems():
        if problem.name not in found:
            found[problem.name] = record(problem)
            write(FILE, found)
            print(problem.name, found[problem.name]["seconds"], "s", flush=True)


if __name__ == "__main__":
    main()
