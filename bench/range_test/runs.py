"""Whole trainings of a problem at many rates, in an ensemble, and the range of rates that is worth looking at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tasks import Problem

from stepsize.engines.vectorised.ensemble import Ensemble
from stepsize.strategy import Trial

SCAN = 10.0 ** (np.arange(-18, 9) / 2)
"""The rates of a coarse scan, 1e-9 to 1e4."""

SCAN_SEED = 7
"""The seed of the scan; no other part of the benchmark uses it."""

SIZE = 96
"""Replicas at once."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What trainings came to, each array (rates, seeds): validation loss, inf once diverged, and training loss, NaN.

    training: the mean over the last tenth of the run.
    """

    rates: np.ndarray
    scores: np.ndarray
    training: np.ndarray


def train(problem: Problem, schedule: str, rates: np.ndarray, seeds: Sequence[int], steps: int) -> Outcome:
    """Train at every rate with every seed, the whole schedule in `steps` updates."""
    trials = [Trial(problem.strategy(schedule, rate), seed) for rate in rates for seed in seeds]
    curves = Ensemble(size=SIZE, device="cpu").run(problem.task, trials, steps)
    shape = len(rates), len(seeds)
    with np.errstate(invalid="ignore", over="ignore"):
        tail = curves.losses[-max(1, steps // 10) :].astype(np.float64).mean(axis=0)
    return Outcome(rates, curves.final.reshape(shape), tail.reshape(shape))


def start(problem: Problem, seeds: Sequence[int]) -> np.ndarray:
    """Return the validation loss before training, (seeds,)."""
    return np.array([problem.task.score(problem.task.build(seed)) for seed in seeds])


def scan(problem: Problem, schedule: str, steps: int) -> np.ndarray:
    """Return what share of the best gain is missed at each rate of SCAN, by one seed: 0 to 1."""
    scores = train(problem, schedule, SCAN, [SCAN_SEED], steps).scores[:, 0]
    before = float(start(problem, [SCAN_SEED])[0])
    return np.minimum((scores - scores.min()) / (before - scores.min()), 1.0)


def window(rates: np.ndarray, missed: np.ndarray, share: float) -> tuple[float, float]:
    """Return the narrowest range around the best rate at whose two ends more than `share` is missed.

    An end of `rates` where there is no such rate.
    """
    best = int(np.argmin(missed))
    over = np.flatnonzero(missed > share)
    low, high = over[over < best], over[over > best]
    return float(rates[low[-1] if len(low) else 0]), float(rates[high[0] if len(high) else -1])


def grid(low: float, high: float, per_decade: int) -> np.ndarray:
    """Return the rates `10**(k / per_decade)` from `low` to `high`."""
    first, last = np.floor(np.log10(low) * per_decade + 1e-6), np.ceil(np.log10(high) * per_decade - 1e-6)
    return 10.0 ** (np.arange(first, last + 1) / per_decade)
