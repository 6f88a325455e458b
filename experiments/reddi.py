"""Where Adam goes to the worst point: the two counter-examples to its proof of convergence.

The regret needs the point of every step. `descend` can keep them all, and then computes the coefficients step by step,
which takes minutes for 300 000 steps; so the loop is our own: the coefficients once for the whole run, and then the
rule's `step` on five starts at once. A test holds it to `descend`, number by number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.base import Experiment, Measured, Setup, exact, spread
from experiments.figures import panels, thinned
from experiments.records import Check, Row
from stepsize.engines.base import coefficients
from stepsize.kernel.arrays import NUMPY, Floats
from stepsize.plots.style import dress, inks, legend
from stepsize.policies import Policy
from stepsize.problems.landscapes import Reddi
from stepsize.results import Interval
from stepsize.rules import Adam, AMSGrad, Rule
from stepsize.schedules import PowerLaw
from stepsize.strategy import Strategy, Trial

STARTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
RATE = 0.1
"""The rate of the first step; step t has RATE / sqrt(t)."""

TELL = 20_000
"""Steps between two reports of progress."""

Needed = dict[str, tuple[float, float]]


def follow(setup: Setup, stage: str, problem: Reddi, rule: Rule, steps: int) -> Floats:
    """Return where the rule is before each step and after the last, (steps + 1, starts) float64."""
    strategy = Strategy(rule, Policy(lr=PowerLaw(RATE, exponent=0.5, timescale=1.0))).over(steps)
    columns = {name: each[:, 0].tolist() for name, each in coefficients([Trial(strategy, 0)], 0, steps).items()}
    low, high = problem.box[0].tolist()
    x = np.array(STARTS)[:, None]
    slots = rule.init(x, NUMPY)
    path = np.empty((steps + 1, len(STARTS)))
    for step in range(steps):
        path[step] = x[:, 0]
        gradient = problem.observed(x, NUMPY, step, setup.seed)
        row = {name: values[step] for name, values in columns.items()}
        x, slots = rule.step(x, gradient, slots, row, NUMPY)
        x = np.minimum(np.maximum(x, low), high)  # the problem projects onto its box
        if step % TELL == 0:
            setup.tell(stage, min(TELL, steps - step))
    path[steps] = x[:, 0]
    return path


def average_regret(problem: Reddi, path: Floats) -> Floats:
    """Return the mean over the steps of the loss paid less that of staying at -1, (starts,)."""
    steps = np.arange(len(path) - 1)
    slopes = np.where(steps % problem.period == 0, problem.large, -problem.small)
    return np.asarray((slopes[:, None] * (path[:-1] + 1)).mean(axis=0), dtype=np.float64)


def numbers(problem: Reddi, path: Floats) -> dict[str, Interval]:
    """Return what is reported of a run, over its starts and from 0 alone."""
    regret, third = average_regret(problem, path), len(path) // 3
    centre = STARTS.index(0.0)
    return {
        "x at the end": spread(path[-1]),
        "x at the end, from 0": exact(path[-1, centre]),
        "move in the last third": spread(path[-1] - path[-third]),
        "average regret": spread(regret),
        "average regret, from 0": exact(regret[centre]),
        "average regret over that after a tenth": spread(regret / average_regret(problem, path[: len(path) // 10 + 1])),
    }


def _measured(
    setup: Setup, problem: Reddi, steps: int, rules: Sequence[Rule], *, title: str, needed: dict[str, Needed]
) -> Measured:
    """Measure two rules; `needed` has for each the numbers that the claim puts in a range, from low to high."""
    figure, (ax,) = panels(1, width=6)
    rows, checks = [], []
    for rule, (color, dash) in zip(rules, inks(2), strict=True):
        path = follow(setup, f"{rule.title}, {steps} steps", problem, rule, steps)
        found = numbers(problem, path)
        rows += [Row(rule.title, quantity, value) for quantity, value in found.items()]
        checks += [Check(f"{rule.title}'s {name}", found[name], *bounds) for name, bounds in needed[rule.title].items()]
        for start in range(len(STARTS)):
            label = rule.title if start == 0 else "_"
            ax.plot(
                thinned(np.arange(steps + 1.0)), thinned(path[:, start]), dash, color=color, label=label, linewidth=1.2
            )
    dress(ax, title=title, x="step", y="x (the minimum is at -1)")
    ax.set_ylim(-1.08, 1.08)
    legend(ax)
    return Measured(
        f"{title}; rate {RATE:g} / sqrt(t), {steps} steps from {len(STARTS)} starts in [-1, 1], float64",
        f"no chance is involved: the least and the most over the {len(STARTS)} starts", rows, checks, figure,
    )  # fmt: skip


def small(setup: Setup) -> Measured:
    """Measure the example with C = 3, where Adam has no first moment and b2 = 1 / (1 + C**2)."""
    problem = Reddi()
    b2 = 1 / (1 + problem.large**2)
    rules = Adam(momentum=0.0, beta2=b2), AMSGrad(momentum=0.0, beta2=b2)
    needed = {"Adam": {"x at the end": (0.99, np.inf)}, "AMSGrad": {"x at the end": (-np.inf, -0.99)}}
    title = "Slope 3 every third step, else -1"
    return _measured(setup, problem, 20_000, rules, title=title, needed=needed)


def large(setup: Setup) -> Measured:
    """Measure the example of the paper's figure: b1 = 0.9, b2 = 0.99.

    Adam's regret has to be at least half of what staying at +1 costs.
    """
    problem = Reddi(1010, 10, 101)
    staying = float(problem.value(np.array([1.0]), NUMPY) - problem.value(np.array([-1.0]), NUMPY))
    needed = {
        "Adam": {"x at the end": (0.99, np.inf), "average regret": (staying / 2, np.inf)},
        "AMSGrad": {
            "move in the last third": (-np.inf, 1e-3),
            "average regret over that after a tenth": (-np.inf, 0.9),
        },
    }
    return _measured(
        setup, problem, setup.pick(300_000, 6000), (Adam(beta2=0.99), AMSGrad(beta2=0.99)),
        title="Slope 1010 every 101st step, else -10", needed=needed,
    )  # fmt: skip


SMALL = Experiment(
    "reddi",
    "On an online convex problem Adam converges to the worst point, +1, and AMSGrad to the best, -1.",
    "reddi2018convergence, theorem 1", small,
)  # fmt: skip
LARGE = Experiment(
    "reddi-1010",
    "With the usual momentum Adam goes to +1 too, and its average regret does not vanish, while AMSGrad moves towards "
    "-1 and its regret falls.",
    "reddi2018convergence, sec. 5 and fig. 1", large,
)  # fmt: skip
