"""How long each rule takes to leave a saddle, from starts along its ridge or near its flat point."""

from __future__ import annotations

import numpy as np

from experiments.base import Experiment, Measured, Setup, exact, ratio
from experiments.figures import panels
from experiments.records import Check, Row
from stepsize.engines.landscape.default_strategies import usual
from stepsize.engines.landscape.descend import descend
from stepsize.plots import plot_arrivals
from stepsize.problems.landscapes import MonkeySaddle, Saddle

MOMENTA, ADAPTIVE = ("Momentum", "Nesterov"), ("Adagrad", "RMSProp", "Adadelta")


def measure(setup: Setup) -> Measured:
    """Measure the steps of seven rules on two saddles, from the same starts."""
    figure, axes = panels(2)
    rows, checks = [], []
    starts, steps = setup.pick((300, 1000), (10, 60))
    for ax, surface in zip(axes, (Saddle(), MonkeySaddle()), strict=True):
        name, strategies = type(surface).__name__, usual(surface)
        found = descend(
            surface, strategies, starts=starts, steps=steps, seed=setup.seed, progress=setup.progress(name), watched=0
        )
        times = {
            strategy.rule.title: np.where(entered < 0, steps, entered).astype(np.float64)
            for strategy, entered in zip(strategies, found.entered, strict=True)
        }
        for outcome in found.outcomes:
            rows.append(Row(f"{name}: {outcome.strategy.name}", "median steps until it has left", outcome.time))
            rows.append(Row(f"{name}: {outcome.strategy.name}", "share that left", exact(outcome.share.mean)))
        pairs = [(rule, "SGD") for rule in (*MOMENTA, *ADAPTIVE)] + [(rule, "Momentum") for rule in ADAPTIVE]
        checks += [
            Check(f"{name}: steps of {rule} / of {other}", ratio(times[rule], times[other]), high=1.0)
            for rule, other in pairs
        ]
        plot_arrivals(found, ax)
    return Measured(
        f"x**2 - y**2 from {starts} starts along its ridge, less than 0.01 beside it, and the monkey saddle "
        f"x**3 - 3*x*y**2 from {starts} starts less than 0.1 from its flat point, without noise; fixed rates: of SGD "
        "and its momenta 0.1 over the curvature that nine tenths of the box stay below, of Adadelta 1, of the others a "
        "hundredth of the box's width; a run has left where the value is 1 below the saddle's, and counts "
        f"{steps} steps where it has not",
        f"95 % intervals over {starts} starts, of medians by order statistics; the checks are ratios, on the "
        "logarithm, paired by start",
        rows, checks, figure,
    )  # fmt: skip


EXPERIMENT = Experiment(
    "saddle",
    "At a saddle SGD is slow to leave, momentum less so, and Adagrad, RMSProp and Adadelta leave at once.",
    "ruder2016overview, sec. 4.9", measure,
)  # fmt: skip
