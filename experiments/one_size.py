"""Whether one strategy is the best everywhere: the same strategies, each tuned, on models of several kinds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations

import numpy as np

from experiments.base import Experiment, Measured, Setup, exact, ratio
from experiments.contests import Contest, Family, contest, grid
from experiments.figures import draw_intervals, panels
from experiments.records import Check, Row
from experiments.tasks import diabetes, digits_conv, noisy_digits, softmax_digits
from experiments.text_task import text_task
from stepsize.engines import Ensemble
from stepsize.jobs.paired_statistics import holm, p_values
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.spec import NDArray
from stepsize.problems import Task
from stepsize.strategy import Strategy

TASKS: dict[str, tuple[Callable[[], Task], int]] = {
    "softmax regression": (softmax_digits, 200),
    "perceptron, noisy labels": (noisy_digits, 400),
    "convolution, batch norm": (digits_conv, 200),
    "regression": (diabetes, 200),
    "bag of words": (lambda: text_task(1000, samples=6000), 42),
}
"""The tasks, and their steps."""

RULES = {"SGD": 0.02, "Momentum": 0.01, "Adagrad": 0.01, "Adam": 0.001}
"""The rules, and the lowest rate that each tries first."""

POLICIES = ("constant", "step_decay", "one_cycle")
"""A strategy is a rule with one of them; Adagrad, which decays by itself, and the plain 1cycle have no momentum."""


def families(rule: str) -> dict[str, Family]:
    """Return a rule under every policy, each by its peak rate."""
    return {f"{rule} {policy}": partial(Strategy.of, rule, policy) for policy in POLICIES}


def run(setup: Setup, name: str) -> Contest:
    """Return how every strategy did on a task."""
    make, steps = TASKS[name]
    found = Contest({}, {}, {}, {})
    for rule, low in RULES.items():
        each = contest(
            setup, make(), families(rule), grid(low, 32 * low, setup.pick(10**0.5, 32.0)), setup.pick(steps, 4),
            tuning=setup.seeds(0, 3, 1), fresh=setup.seeds(100, 10), engine=Ensemble(),
        )  # fmt: skip
        for whole, part in zip(vars(found).values(), vars(each).values(), strict=True):
            whole.update(part)
    return found


def orders(scores: Floats) -> NDArray:
    """Return which strategy of each pair is the better on each task, (tasks, pairs): -1 the first, 1 the second.

    scores: (tasks, strategies, seeds), logarithms of losses. 0 where paired t-tests cannot tell, by Holm's correction
    over all pairs and tasks.
    """
    first, second = np.array(list(combinations(range(scores.shape[1]), 2))).T
    differences = scores[:, first] - scores[:, second]
    apart = holm(p_values(differences.reshape(-1, scores.shape[2]))).reshape(differences.shape[:2])
    return np.where(apart, np.sign(differences.mean(axis=2)), 0).astype(int)


def measure(setup: Setup) -> Measured:
    """Measure every strategy on every task, and look for pairs whose order turns round."""
    tasks = setup.pick(list(TASKS), ["softmax regression", "regression"])
    found = {name: run(setup, name) for name in tasks}
    names = [name for rule in RULES for name in families(rule)]
    tuned = np.array([[found[task].grids[name][1].min() for name in names] for task in tasks])
    overall = names[int(np.log(tuned / tuned.min(axis=1, keepdims=True)).mean(axis=0).argmin())]
    figure, axes = panels(len(tasks), width=3.2)
    rows, behind = [], {}
    for ax, (task, each) in zip(axes, found.items(), strict=True):
        best = each.best(names)
        against = {name: ratio(each.scores[name], each.scores[best]) for name in names}
        behind[task] = against[overall]
        rows.append(Row(f"{task}: the overall best ({overall}) / its own best ({best})", "loss", behind[task]))
        rows += [Row(f"{task}: {n}, peak {each.rates[n]:.3g}", "validation loss", each.interval(n)) for n in names]
        shown = against if ax is axes[0] else {" " * i: interval for i, interval in enumerate(against.values())}
        draw_intervals(ax, shown, title=task, x="loss over the task's own best", at=1.0)
    turned = orders(np.array([[np.log(floats(each.scores[n])) for n in names] for each in found.values()]))
    both = ((turned < 0).any(axis=0) & (turned > 0).any(axis=0)).sum()
    rows.append(Row("pairs of strategies", "number", exact(float(turned.shape[1]))))
    rows.append(Row("pairs and tasks whose order is decided", "share", exact(float((turned != 0).mean()))))
    winners = {each.best(names) for each in found.values()}
    rows.append(Row("strategies that are the best of a task while tuning", "number", exact(float(len(winners)))))
    return Measured(
        "softmax regression, a perceptron (20 % of the training labels drawn anew), and a convolution net with batch "
        "norm on the digits, a tanh perceptron on the diabetes data, and softmax regression on 1000 words of source; "
        f"{', '.join(RULES)}, each with {', '.join(POLICIES)}; validation loss at the end; peak rates tuned by "
        f"strategy and task on {len(setup.seeds(0, 3, 1))} other seeds",
        f"95 % t-intervals over {len(setup.seeds(100, 10))} seeds, paired by seed; an order counts as decided by "
        "paired t-tests with Holm's correction over all pairs and tasks, 5 % together",
        rows,
        [
            Check("pairs of strategies whose order is the opposite on two tasks", exact(float(both)), 0.5),
            *(
                Check(f"{task}: loss of the overall best ({overall}) / of its own best", each, 1.0)
                for task, each in behind.items()
            ),
        ],
        figure,
    )


EXPERIMENT = Experiment(
    "no-one-size",
    "No strategy fits all: some are better on some models, and others on others.",
    "article, last paragraph", measure,
)  # fmt: skip
