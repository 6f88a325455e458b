"""Momentum against the swing of the loss in a cycle of the rate, at equal effective rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.base import Experiment, Measured, Setup, paired, ratio
from experiments.figures import draw_lines, panels
from experiments.records import Check, Row
from experiments.tasks import NOISY, noisy_digits, scored_on_training
from stepsize.engines import Ensemble
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.arrays import Floats
from stepsize.policies import Policy
from stepsize.rules import Momentum
from stepsize.schedules import Triangular
from stepsize.strategy import Strategy, Trial

PEAKS = (0.1, 0.4, 1.6)
"""Effective rates `lr / (1 - momentum)` at the top of a cycle."""

BASE = 0.1
"""The bottom of a cycle over its top."""

HALF = 50
"""Steps up, and steps down."""

EVERY = 5
"""Steps between two measurements of the loss."""

MOVING = (0.8, 0.9)
"""Momentum at the top and at the bottom of a cycle, when it moves against the rate."""

KINDS: dict[str, tuple[float, float]] = {
    "momentum 0": (0.0, 0.0),
    "momentum 0.5": (0.5, 0.5),
    "momentum 0.9": (0.9, 0.9),
    "momentum 0.9 to 0.8": MOVING,
}
"""Momentum at the top and at the bottom of a cycle."""


def strategy(peak: float, kind: str) -> Strategy:
    """Return cycles between two effective rates, `peak` and BASE times it, under one kind of momentum."""
    top, bottom = KINDS[kind]
    rate = Triangular(BASE * peak * (1 - bottom), peak * (1 - top), HALF)
    momentum = top if top == bottom else Triangular(bottom, top, HALF)
    return Strategy(Momentum(), Policy(lr=rate, momentum=momentum), f"{kind} {peak:g}")


@dataclass(frozen=True, eq=False)
class Cycles:
    """The training loss of some seeds along a run, (points, seeds), and at which steps."""

    steps: Floats
    losses: Floats

    @property
    def swings(self) -> Floats:
        """The mean over the cycles of the highest over the lowest loss of a cycle without its trend, (seeds,).

        The trend is the running mean of the logarithm over one cycle; the first cycle and a half are left out.
        """
        length = 2 * HALF // EVERY
        logs = np.log(self.losses)
        trend = np.apply_along_axis(np.convolve, 0, logs, np.ones(length) / length, "valid")
        start = length // 2
        rest = (logs[start : start + len(trend)] - trend)[length:]
        whole = rest[: len(rest) // length * length].reshape(-1, length, logs.shape[1])
        return np.asarray(np.exp(np.ptp(whole, axis=1).mean(axis=0)) - 1, dtype=np.float64)


def run(setup: Setup, peak: float) -> dict[str, Cycles]:
    """Return the record of every kind of momentum at one effective peak."""
    task, seeds = scored_on_training(noisy_digits()), setup.seeds(0, 8)
    trials = [Trial(strategy(peak, kind), seed) for kind in KINDS for seed in seeds]
    curves = Ensemble().run(
        task, trials, 2 * HALF * setup.pick(7, 3), score_every=EVERY, progress=setup.progress(f"peak {peak:g}")
    )  # fmt: skip
    losses = curves.scores.reshape(len(curves.score_steps), len(KINDS), len(seeds))
    return {kind: Cycles(curves.score_steps.astype(np.float64), losses[:, i]) for i, kind in enumerate(KINDS)}


def measure(setup: Setup) -> Measured:
    """Measure the swing and the loss at the end of a cycle, for three effective peaks."""
    peaks = setup.pick(PEAKS, PEAKS[1:2])
    figure, axes = panels(len(peaks), width=3.8)
    rows, checks = [], []
    still = next(iter(KINDS))
    for ax, peak in zip(axes, peaks, strict=True):
        found, where = run(setup, peak), f"effective peak {peak:g}"
        for kind, each in found.items():
            rows.append(Row(f"{where}, {kind}", "swing of the loss in a cycle", t_interval(each.swings)))
            rows.append(Row(f"{where}, {kind}", "training loss at the end", t_interval(each.losses[-1])))
            if kind != still:
                checks.append(
                    Check(f"{where}: swing with {kind} / without", ratio(each.swings, found[still].swings), high=1.0)
                )
        end = ratio(found["momentum 0.9"].losses[-1], found[still].losses[-1])
        checks.append(Check(f"{where}: loss at the end with momentum 0.9 / without", end, high=1.0))
        lines = {kind: (each.steps, each.losses.mean(axis=1)) for kind, each in found.items()}
        draw_lines(ax, lines, title=where, x="step", y="training loss", key=ax is axes[-1])
    return Measured(
        f"{NOISY}, perceptron 64-64-10, batch 32; triangular cycles of {2 * HALF} steps between "
        f"{BASE:g} of the effective peak lr / (1 - momentum) and the peak, at its ends the same for every momentum; "
        f"the swing is the highest over the lowest training loss of a cycle, without the trend, less 1",
        paired(setup.seeds(0, 8)),
        rows, checks, figure,
    )  # fmt: skip


EXPERIMENT = Experiment(
    "oscillation",
    "Momentum smooths the oscillations that the high rates of a cycle cause, and enhances convergence.",
    "article, Cyclical Learning Rates", measure,
)  # fmt: skip
