"""The best rate against the length of the run: the bound of the last iterate says that it falls as 1 / sqrt(T)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from experiments.base import Experiment, Measured, Setup, exact
from experiments.contests import grid
from experiments.figures import draw_lines, panels
from experiments.records import Check, Row
from experiments.tasks import NOISY, noisy_digits, perceptron
from stepsize.engines import Ensemble
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.arrays import Floats
from stepsize.problems import Task
from stepsize.results import Interval
from stepsize.strategy import Strategy, Trial

HORIZONS = (100, 300, 900, 2700)
POLICIES = ("constant", "linear_to_zero")
NEAR = (-0.65, -0.35)
"""The range of slopes that "as 1 / sqrt(T)" allows."""


def convex() -> Task:
    """Softmax regression on the digits with label noise, which no weights fit: convex, with a minimum."""
    return replace(noisy_digits(), model=perceptron(64, 10), name="noisy-softmax")


TASKS: dict[str, Callable[[], Task]] = {"softmax regression": convex, "perceptron": noisy_digits}


def best_rate(rates: Floats, losses: Floats) -> float:
    """Return the decimal logarithm of the best rate, by a parabola through the best of the grid and its neighbours.

    rates: geometric, (rates,). losses: (rates,), inf where a run diverged. At an end of the grid it is that end.

    >>> round(best_rate(np.array([1.0, 10.0, 100.0]), np.exp([1.0, 0.0, 1.0])), 6)
    1.0
    """
    x, index = np.log10(rates), int(losses.argmin())
    if not 0 < index < len(rates) - 1:
        return float(x[index])
    left, middle, right = np.log(np.minimum(losses[index - 1 : index + 2], 10 * losses[index]))
    return float(x[index] + 0.5 * (x[1] - x[0]) * (left - right) / (left - 2 * middle + right))


def run(setup: Setup, name: str, policy: str) -> tuple[Floats, Floats]:
    """Return the best rates as decimal logarithms, (horizons, seeds), and the mean losses, (horizons, rates)."""
    task, rates, seeds = TASKS[name](), rates_of(setup), setup.seeds(0, 8)
    best, means = [], []
    for steps in horizons(setup):
        trials = [Trial(Strategy.of("SGD", policy, rate), seed) for rate in rates.tolist() for seed in seeds]
        stage = f"{name}, {policy}, {steps} steps"
        curves = Ensemble().run(task, trials, steps, progress=setup.progress(stage))
        losses = curves.final.reshape(len(rates), len(seeds))
        best.append([best_rate(rates, column) for column in losses.T])
        means.append(losses.mean(axis=1))
    return np.array(best), np.array(means)


def rates_of(setup: Setup) -> Floats:
    """Return the grid."""
    return grid(0.02, 40.96, setup.pick(2.0, 8.0))


def horizons(setup: Setup) -> tuple[int, ...]:
    """Return the lengths of the runs."""
    return setup.pick(HORIZONS, (30, 90))


def slope(steps: tuple[int, ...], best: Floats) -> Interval:
    """Return the slope of the best rate over the horizon, both as logarithms, over the seeds."""
    return t_interval(np.polyfit(np.log10(steps), best, 1)[0].round(9))


def measure(setup: Setup) -> Measured:
    """Measure the best rate at every horizon, for a convex and a non-convex model, a fixed rate and a linear decay."""
    steps, rows, checks = horizons(setup), [], []
    figure, axes = panels(len(TASKS))
    for ax, name in zip(axes, TASKS, strict=True):
        lines = {}
        for policy in POLICIES:
            best, means = run(setup, name, policy)
            for length, each, losses in zip(steps, best, means, strict=True):
                where = f"{name}, {policy}, {length} steps"
                found = t_interval(each)
                rows.append(
                    Row(where, "best rate", Interval(*(10 ** np.array([found.mean, found.low, found.high])).tolist()))
                )
                lines[f"{policy}, {length}"] = (rates_of(setup), np.where(losses < 2.5, losses, np.nan))
            edges = np.log10(rates_of(setup)[[0, -1]])
            at_edges = exact(float(np.isin(best, edges).mean()))
            rows.append(Row(f"{name}, {policy}", "share of best rates at an end of the grid", at_edges))
            exponent = slope(steps, best)
            checks += [
                Check(f"{name}, {policy}: the best rate falls, as T to the power", exponent, high=0.0),
                Check(f"{name}, {policy}: about as 1 / sqrt(T), to the power", exponent, *NEAR),
            ]
        draw_lines(ax, lines, title=name, x="peak learning rate", y="validation loss", rates=True, key=ax is axes[-1])
    return Measured(
        f"{NOISY}, softmax regression and a perceptron 64-64-10, SGD, batch 32, {', '.join(map(str, steps))} steps; "
        f"validation loss on clean labels; the best rate of each seed from a parabola through the best "
        f"of a grid of factor {setup.pick(2, 8)} and its neighbours",
        f"95 % t-intervals over {len(setup.seeds(0, 8))} seeds", rows, checks, figure,
    )  # fmt: skip


EXPERIMENT = Experiment(
    "horizon",
    "The best rate falls with the length of the run, as 1 / sqrt(T).",
    "schaipp2025surprising, sec. 4", measure,
)  # fmt: skip
