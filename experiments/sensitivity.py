"""How wide the range of rates is in which a rule does well: adaptive rules against SGD and momentum.

Every rule runs on the same wide grid of rates, on four kinds of task. The width is measured in decades, for each seed,
around the rule's own best rate, with a straight line between two rates of the grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.base import Experiment, Measured, Setup
from experiments.contests import grid
from experiments.figures import draw_lines, panels
from experiments.records import Check, Row
from experiments.tasks import diabetes, digits_conv, initial_loss, small_digits
from experiments.text_task import text_task
from stepsize.engines import Ensemble
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.arrays import Floats, floats
from stepsize.policies import Policy
from stepsize.problems import Task
from stepsize.results import Interval
from stepsize.rules import SGD, Adagrad, Adam, Momentum, RMSProp, Rule
from stepsize.strategy import Strategy, Trial

PLAIN: tuple[type[Rule], ...] = (SGD, Momentum)
ADAPTIVE: tuple[type[Rule], ...] = (RMSProp, Adam, Adagrad)
RULES = (*PLAIN, *ADAPTIVE)

TASKS: dict[str, tuple[Callable[[], Task], int]] = {
    "perceptron": (small_digits, 300),
    "convolution, batch norm": (digits_conv, 200),
    "regression": (diabetes, 300),
    "bag of words": (lambda: text_task(1000), 78),
}
"""The tasks, and their steps."""

LEVELS = ("within 5 % of its best", "within 20 % of its best", "trains at all")
""""Trains at all" closes at least half of the gap between the loss before training and the best of all rules."""


@dataclass(frozen=True, eq=False)
class Losses:
    """The final validation losses of every rule: {rule: (rates, seeds)}, and the losses before training, (seeds,)."""

    rates: Floats
    of: dict[str, Floats]
    before: Floats

    def widths(self, rule: str, level: str) -> Floats:
        """Return the width of the range at a level, in decades, (seeds,)."""
        losses = self.of[rule]
        limits: Floats = losses.min(axis=0) * {LEVELS[0]: 1.05, LEVELS[1]: 1.2}.get(level, np.nan)
        if level == LEVELS[2]:
            best = np.min([each.min(axis=0) for each in self.of.values()], axis=0)
            limits = (self.before + best) / 2
        pairs = zip(losses.T, limits, strict=True)
        return np.array([width(np.log10(self.rates), column, limit) for column, limit in pairs])

    def best(self, rule: str) -> Floats:
        """Return the decimal logarithm of the best rate, (seeds,)."""
        return floats(np.log10(self.rates)[self.of[rule].argmin(axis=0)])


def width(x: Floats, losses: Floats, limit: float) -> float:
    """Return how far `x` may move from the least loss on either side before the loss is above `limit`; 0 for nowhere.

    x: (rates,) increasing. losses: (rates,), inf where a run diverged, which counts as ten times the limit.

    >>> round(width(np.array([0.0, 1.0, 2.0, 3.0]), np.array([3.0, 1.0, 1.0, np.inf]), 2.0), 4)
    1.5526
    """
    index = int(losses.argmin())
    if losses[index] > limit:
        return 0.0
    capped = np.minimum(np.where(np.isfinite(losses), losses, np.inf), 10 * limit)
    right = _reach(x[index:] - x[index], capped[index:], limit)
    return right + _reach(x[index] - x[index::-1], capped[index::-1], limit)


def _reach(away: Floats, losses: Floats, limit: float) -> float:
    above = np.flatnonzero(losses > limit)
    if not above.size:
        return float(away[-1])
    j = int(above[0])
    share = (limit - losses[j - 1]) / (losses[j] - losses[j - 1])
    return float(away[j - 1] + share * (away[j] - away[j - 1]))


def run(setup: Setup, name: str) -> Losses:
    """Return the losses of every rule on the task called `name`."""
    make, steps = TASKS[name]
    task, seeds = make(), setup.seeds(0, 5)
    rates = grid(1e-5, 100.0, setup.pick(10**0.25, 10**3.5))
    found = {}
    for rule in RULES:
        trials = [Trial(Strategy(rule(), Policy(lr=rate)), seed) for rate in rates.tolist() for seed in seeds]
        curves = Ensemble().run(
            task, trials, setup.pick(steps, 8), progress=setup.progress(f"{name}: {rule.__name__}")
        )  # fmt: skip
        found[rule.__name__] = curves.final.reshape(len(rates), len(seeds))
    return Losses(rates, found, np.array([initial_loss(task, seed) for seed in seeds]))


def gain(widths: dict[str, Floats]) -> Interval:
    """Return the mean of the adaptive rules less that of the others, over paired seeds."""
    means = [np.mean([widths[rule.__name__] for rule in kind], axis=0) for kind in (ADAPTIVE, PLAIN)]
    return t_interval(means[0] - means[1])


def measure(setup: Setup) -> Measured:
    """Measure the widths on every task."""
    figure, axes = panels(len(TASKS), width=3.2)
    rows, checks, best = [], [], []
    for ax, name in zip(axes, TASKS, strict=True):
        found = run(setup, name)
        for level in LEVELS:
            widths = {rule.__name__: found.widths(rule.__name__, level) for rule in RULES}
            rows += [Row(f"{name}: {rule}", f"decades, {level}", t_interval(each)) for rule, each in widths.items()]
            checks.append(Check(f"{name}, {level}: decades that adaptive rules have more", gain(widths), 0.0))
        best.append({rule.__name__: found.best(rule.__name__) for rule in RULES})
        _draw(ax, name, found, last=ax is axes[-1])
    apart = {rule.__name__: np.ptp([each[rule.__name__] for each in best], axis=0) for rule in RULES}
    rows += [Row(rule, "decades between the best rates of the tasks", t_interval(each)) for rule, each in apart.items()]
    checks.append(Check("decades between the best rates of the tasks, adaptive less others", gain(apart), high=0.0))
    steps = ", ".join(f"{name} {setup.pick(steps, 8)}" for name, (_, steps) in TASKS.items())
    return Measured(
        f"fixed rates from 1e-5 to 100, {setup.pick(29, 3)} of them, on a perceptron and a convolution net with "
        f"batch norm on the digits, a tanh perceptron on the diabetes data, and softmax regression on 1000 words of "
        f"source; steps: {steps}; validation loss at the end; SGD and Momentum against RMSProp, Adam and Adagrad",
        f"95 % t-intervals over {len(setup.seeds(0, 5))} seeds; the checks are differences, paired by seed",
        rows, checks, figure,
    )  # fmt: skip


def _draw(ax: Any, name: str, found: Losses, *, last: bool) -> None:
    top = 1.5 * found.before.mean()
    lines = {}
    for rule, losses in found.of.items():
        means = losses.mean(axis=1)
        lines[rule] = (found.rates, np.where(means < top, means, np.nan))
    draw_lines(ax, lines, title=name, x="learning rate", y="validation loss", rates=True, key=last)
    ax.set_xlim(5e-6, 200)
    ax.set_xticks([1e-5, 1e-3, 0.1, 10])


EXPERIMENT = Experiment(
    "sensitivity",
    "Rules that adapt to the gradients are less sensitive to the initial learning rate.",
    "article, Adaptive Learning Rates", measure,
)  # fmt: skip
