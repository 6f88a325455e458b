"""The truth: what every problem scores at every rate, and what a rate loses against the best.

    python bench/range_test/truth.py [--half dev test drawn]

Writes truth.json, problem by problem; what is there is not run again. For each schedule, the validation loss at the end
at 8 rates a decade, the mean over six seeds that no suggestion sees, in the window around the best whose ends lose more
than half of what there is to gain; and at two rates a decade beyond it, until nothing is learnt or everything is lost.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from files import read, write
from runs import SCAN, grid, scan, start, train, window
from tasks import HALVES, SCHEDULES, Problem, half

FILE = Path(__file__).with_name("truth.json")

SEEDS = (200, 201, 202, 203, 204, 205)
PER_DECADE = 8
HALF, NEARLY_ALL = 0.5, 0.98

FAILURE = 0.1
"""A rate fails when it loses more than this, or when any seed diverges."""

NEAR = 0.1
"""The points that lose less than this against the lowest may tell where the best is."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What one schedule of a problem scores at every rate.

    start: validation loss before training. rates: (R,), rising. scores: (R,) the mean over the seeds of the final
    validation loss; inf where a seed diverged. diverged: (R,) seeds that did.
    """

    start: float
    rates: np.ndarray
    scores: np.ndarray
    diverged: np.ndarray

    def best(self) -> tuple[float, float]:
        """Return the best rate and its score: the vertex of a parabola through the scores near the lowest.

        Over the logarithm of the rate, through those of the three points on either side of the lowest that are close
        to it. The lowest itself where there are fewer than four, or where the parabola has no lowest point among them.
        """
        x, y = np.log10(self.rates), self.scores
        lowest = int(np.argmin(y))
        close = np.flatnonzero(y - y[lowest] < NEAR * (self.start - y[lowest]))
        close = close[np.abs(close - lowest) <= 3]
        if len(close) >= 4:
            square, slope, level = np.polyfit(x[close] - x[lowest], y[close], 2)
            vertex = -slope / (2 * square) if square > 0 else np.inf
            if x[close[0]] <= x[lowest] + vertex <= x[close[-1]]:
                return float(10 ** (x[lowest] + vertex)), float(level - slope**2 / (4 * square))
        return float(self.rates[lowest]), float(y[lowest])

    def regrets(self) -> np.ndarray:
        """Return the share of what there is to gain that each rate loses, (R,), 0 to 1; 1 where a seed diverged."""
        best = self.best()[1]
        lost = np.clip((self.scores - best) / (self.start - best), 0.0, 1.0)
        return np.where(self.diverged > 0, 1.0, lost)

    def regret(self, rate: float | None) -> float:
        """Return what `rate` loses, linear between the rates over their logarithm.

        Below the rates what the lowest one loses; above them, and for no rate at all, everything.
        """
        if rate is None or not np.isfinite(rate) or rate <= 0 or rate > self.rates[-1]:
            return 1.0
        return float(np.interp(np.log10(rate), np.log10(self.rates), self.regrets()))


def measured(problem: Problem, schedule: str, before: float) -> Truth:
    """Return the truth of one schedule, in a window that is widened until its ends lose more than half."""
    steps = problem.task.steps
    missed = scan(problem, schedule, steps)
    low, high = window(SCAN, missed, HALF)
    found = _truth(problem, schedule, grid(low, high, PER_DECADE), before)
    while found.regrets()[0] <= HALF and found.rates[0] > SCAN[0]:
        found = _joined(_truth(problem, schedule, _below(found.rates[0], 0.5), before), found)
    while found.regrets()[-1] <= HALF and found.rates[-1] < SCAN[-1]:
        found = _joined(found, _truth(problem, schedule, _above(found.rates[-1], 0.5), before))
    low, high = window(SCAN, missed, NEARLY_ALL)
    far = 10.0 ** (np.arange(np.log10(SCAN[0]) * 2, np.log10(SCAN[-1]) * 2 + 1) / 2)
    under, over = far[(far >= low) & (far < found.rates[0])], far[(far <= high) & (far > found.rates[-1])]
    for part in (under, over):
        if len(part):
            more = _truth(problem, schedule, part, before)
            found = _joined(more, found) if part is under else _joined(found, more)
    return found


def _below(rate: float, decades: float) -> np.ndarray:
    return grid(rate * 10**-decades, rate, PER_DECADE)[:-1]


def _above(rate: float, decades: float) -> np.ndarray:
    return grid(rate, rate * 10**decades, PER_DECADE)[1:]


def _truth(problem: Problem, schedule: str, rates: np.ndarray, before: float) -> Truth:
    scores = train(problem, schedule, rates, SEEDS, problem.task.steps).scores
    return Truth(before, rates, scores.mean(axis=1), np.isinf(scores).sum(axis=1))


def _joined(low: Truth, high: Truth) -> Truth:
    parts = [np.concatenate(pair) for pair in zip(_arrays(low), _arrays(high), strict=True)]
    return Truth(low.start, *parts)


def _arrays(truth: Truth) -> tuple[np.ndarray, ...]:
    return truth.rates, truth.scores, truth.diverged


def to_plain(truth: Truth) -> dict[str, list]:
    """Return the arrays as numbers of JSON: rates as logarithms, and null where a seed diverged."""
    return {
        "log10_rates": [round(float(x), 4) for x in np.log10(truth.rates)],
        "scores": [float(f"{x:.5g}") if np.isfinite(x) else None for x in truth.scores],
        "diverged": [int(x) for x in truth.diverged],
    }


def from_plain(before: float, plain: dict[str, list]) -> Truth:
    """Return the truth that `to_plain` wrote."""
    scores = np.array([np.inf if each is None else each for each in plain["scores"]])
    return Truth(before, 10.0 ** np.array(plain["log10_rates"]), scores, np.array(plain["diverged"]))


def load() -> dict[str, dict[str, Truth]]:
    """Return the truth of every problem that has been measured, by schedule."""
    found = read(FILE).get("problems", {})
    return {
        name: {schedule: from_plain(each["start"], plain) for schedule, plain in each["schedules"].items()}
        for name, each in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", nargs="+", choices=HALVES, default=HALVES)
    for problem in [each for name in parser.parse_args().half for each in half(name)]:
        found = read(FILE) or {"python": platform.python_version(), "torch": torch.__version__, "seeds": SEEDS}
        problems = found.setdefault("problems", {})
        if problem.name in problems:
            continue
        began = time.perf_counter()
        before = float(f"{start(problem, SEEDS).mean():.5g}")
        truths = {schedule: measured(problem, schedule, before) for schedule in SCHEDULES}
        problems[problem.name] = {
            "start": before, "steps": problem.task.steps, "batch": problem.task.batch_size,
            "schedules": {schedule: to_plain(truth) for schedule, truth in truths.items()},
        }  # fmt: skip
        write(FILE, found)
        bests = ", ".join(f"{schedule} {truth.best()[0]:.2g}" for schedule, truth in truths.items())
        print(f"{problem.name}: {time.perf_counter() - began:.0f} s; best {bests}", flush=True)


if __name__ == "__main__":
    main()
