"""Races replayed on the recorded table: what a rung says of the end, and what halving by it picks. NumPy alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("table.json")
VIEWS, CUTS, ETA = ("prefix", "retimed", "by rule", "two thirds"), (9, 3), 3

PLANS = {
    "1/9 and 1/3, a third goes on": (CUTS, ETA),
    "1/9 and 1/3, half goes on": (CUTS, 2),
    "1/3, a third goes on": ((3,), ETA),
    "1/9, half goes on": ((9,), 2),
}
"""Which rungs come before the full length, and one in how many goes on from each."""


ORDERS = 20
"""A method that has luck in it is asked so many times on each task."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """One task's scores: `views[name]` is (strategies, seeds), inf where a run diverged."""

    name: str
    half: str
    strategies: list[str]
    start: float
    views: dict[str, np.ndarray]

    def rung(self, view: str, cut: int) -> np.ndarray:
        """The scores of the seeds that a race sees, at a share of the run."""
        return self.views["full"][:, : self.seeds] if cut == 1 else self.views[f"{view} {cut}"]

    @cached_property
    def seeds(self) -> int:
        return self.views["prefix 3"].shape[1]

    @cached_property
    def truth(self) -> np.ndarray:
        """The mean score at the end, on seeds that no race sees, (strategies,)."""
        return self.views["full"][:, self.seeds :].mean(axis=1)

    @cached_property
    def families(self) -> list[str]:
        return [name.rpartition(" ")[0] for name in self.strategies]

    def regret(self, winner: int) -> float:
        """What a winner loses of what there was to gain, from the untrained weights to the best strategy."""
        best = self.truth.min()
        return float(min(1.0, (self.truth[winner] - best) / (self.start - best)))


def recorded(half: str = "") -> list[Recorded]:
    """The tasks of one half, or all of them."""
    found = json.loads(FILE.read_text())
    return [_task(name, each) for name, each in found.items() if half in ("", each["half"])]


def _task(name: str, each: dict[str, Any]) -> Recorded:
    views = {view: _array(rows) for view, rows in each["scores"].items()}
    return Recorded(name, each["half"], each["strategies"], each["start"], views)


def _array(rows: list[list[float | None]]) -> np.ndarray:
    return np.array([[np.inf if score is None else score for score in row] for row in rows])


def halving(task: Recorded, view: str, cuts: tuple[int, ...] = CUTS, eta: int = ETA) -> tuple[int, float]:
    """The winner of a synchronous halving over shares of the run and all of it, and its cost in full runs."""
    field, cost = list(range(len(task.strategies))), 0.0
    for cut in (*cuts, 1):
        cost += len(field) / cut
        means = task.rung(view, cut).mean(axis=1)
        ranked = sorted(field, key=lambda index: means[index])
        keep = -(-len(field) // eta) if cut > 1 else 1
        first = cut == cuts[0]
        field = [index for rank, index in enumerate(ranked) if rank < keep or (first and _leads(task, ranked, rank))]
    return field[0], cost


def _leads(task: Recorded, ranked: list[int], rank: int) -> bool:
    """Whether it is the best of its family: the first rung loses none."""
    return task.families[ranked[rank]] not in {task.families[index] for index in ranked[:rank]}


def judged(tasks: list[Recorded], asked: Callable[[Recorded, int], tuple[int, float]]) -> str:
    """What a method is worth that picks a strategy of a task, in an order, at a cost in full runs: cells of a table."""
    lost, cost = [], []
    for task, order in product(tasks, range(ORDERS)):
        winner, spent = asked(task, order)
        lost.append(task.regret(winner))
        cost.append(spent / len(task.strategies))
    return f"{np.mean(lost):.2%} | {np.median(lost):.2%} | {max(lost):.2%} | {np.mean(cost):.2f}"
