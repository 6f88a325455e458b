"""Figure 1 of the paper on Adam: logistic regression on images, and on a bag of words with and without dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.base import Experiment, Measured, Setup, paired, ratio
from experiments.contests import Contest, Family, contest, grid, last_losses
from experiments.figures import draw_lines, panels
from experiments.records import Check, Row
from experiments.tasks import softmax_digits
from experiments.text_task import text_task
from stepsize.engines import Ensemble, Loop
from stepsize.kernel.arrays import Floats
from stepsize.policies import Policy
from stepsize.problems import Task
from stepsize.results import Interval
from stepsize.rules import Adagrad, Adam, Nesterov, Rule
from stepsize.schedules import Constant, PowerLaw
from stepsize.strategy import Strategy

RULES: dict[str, Callable[[], Rule]] = {"Adam": Adam, "Nesterov": Nesterov, "Adagrad": Adagrad}
STARTS = {"Adam": (0.03, 1.0), "Nesterov": (0.3, 10.0), "Adagrad": (0.3, 10.0)}
"""The lowest and the highest rate that each rule tries first; a grid is widened where the best rate lies at its end."""

ALIKE, AHEAD = 1.25, 1.5
""""Similar" is a ratio of the losses within 1.25 either way, and "by a large margin" one of at least 1.5."""


def _families(name: str) -> dict[str, Family]:
    """Return a rule under a fixed rate, and under the paper's `rate / sqrt(t)`."""
    rule = RULES[name]()
    return {
        f"{name} fixed": lambda rate: Strategy(rule, Policy(lr=Constant(rate))),
        f"{name} 1/sqrt(t)": lambda rate: Strategy(rule, Policy(lr=PowerLaw(rate, exponent=0.5, timescale=1.0))),
    }


def _contests(setup: Setup, task: Task, engine: Any, *, epochs: int, fresh: int, tuning: int) -> dict[str, Contest]:
    """Return the contest of each rule's two families."""
    epoch = task.batches_per_epoch
    found = {}
    for name in RULES:
        rates = grid(*STARTS[name], setup.pick(10**0.5, 10.0))
        found[name] = contest(
            setup, task, _families(name), rates, epochs * epoch, tuning=setup.seeds(0, tuning, 1),
            fresh=setup.seeds(100, fresh), score=last_losses(epoch), engine=engine,
        )  # fmt: skip
    return found


class Panel:
    """One family of each rule, and what is reported of it.

    found: the contests. families: of each rule, by its name. where: what the words of rows and checks end in.
    """

    def __init__(self, found: dict[str, Contest], families: dict[str, str], where: str) -> None:
        self._found, self._families, self._where = found, families, where

    def rows(self) -> list[Row]:
        """Return the loss of each rule."""
        return [
            Row(f"{family}, rate {each.rates[family]:.3g}{self._where}", "training loss", each.interval(family))
            for family, each in ((self._families[name], each) for name, each in self._found.items())
        ]

    def ratio(self, a: str, b: str) -> Interval:
        """Return the ratio of the losses of two rules, over paired seeds."""
        return ratio(*(self._found[name].scores[self._families[name]] for name in (a, b)))

    def lines(self, epoch: int) -> dict[str, tuple[Floats, Floats]]:
        """Return each rule's mean training loss of every half epoch, over the fresh seeds."""
        part = max(1, epoch // 2)
        lines = {}
        for name, each in self._found.items():
            losses = each.curves[self._families[name]].losses.mean(axis=1, dtype=np.float64)
            whole = len(losses) // part * part
            means = losses[:whole].reshape(-1, part).mean(axis=1)
            lines[name] = (np.arange(1, len(means) + 1) * part / epoch, means)
        return lines


def images(setup: Setup) -> Measured:
    """Measure the left panel, with the paper's decay and without one."""
    task = softmax_digits()
    epochs = setup.pick(30, 2)
    found = _contests(setup, task, Ensemble(), epochs=epochs, fresh=8, tuning=4)
    figure, axes = panels(2)
    rows, checks = [], []
    for ax, policy in zip(axes, ("1/sqrt(t)", "fixed"), strict=True):
        where = f" ({'rate / sqrt(t)' if policy != 'fixed' else 'fixed rate'})"
        panel = Panel(found, {name: f"{name} {policy}" for name in RULES}, "")
        draw_lines(
            ax, panel.lines(task.batches_per_epoch), title=f"Softmax regression{where}", x="epoch",
            y="training loss", key=policy == "fixed",
        )  # fmt: skip
        rows += panel.rows()
        checks += [
            Check(
                f"Nesterov's loss is within 1.25 of Adam's{where}", panel.ratio("Nesterov", "Adam"), 1 / ALIKE, ALIKE
            ),
            Check(f"Adagrad's loss is above Adam's{where}", panel.ratio("Adagrad", "Adam"), 1.0),
            Check(f"Adagrad's loss is above Nesterov's{where}", panel.ratio("Adagrad", "Nesterov"), 1.0),
        ]
    return Measured(
        f"softmax regression on scikit-learn's digits, batch 128, {epochs} epochs, mean loss of the last epoch; the "
        "rate of each rule is tuned on other seeds, with the paper's rate / sqrt(t) and without. These digits are "
        "separable, so the loss has no minimum above 0, unlike the paper's",
        paired(setup.seeds(100, 8)),
        rows, checks, figure,
    )  # fmt: skip


def measure_text(setup: Setup) -> Measured:
    """Measure the right panel, in the plain loop."""
    figure, axes = panels(2)
    rows, checks = [], []
    epochs = setup.pick(5, 1)
    for ax, dropout in zip(axes, (0.0, 0.5), strict=True):
        where = f", dropout {dropout:g}"
        task = text_task(setup.pick(10_000, 1000), dropout, setup.pick(None, 1000))
        found = _contests(setup, task, Loop(), epochs=epochs, fresh=5, tuning=2)
        panel = Panel(found, {name: each.best(list(each.scores)) for name, each in found.items()}, where)
        lines = panel.lines(task.batches_per_epoch)
        draw_lines(ax, lines, title=f"Bag of words{where}", x="epoch", y="training loss", key=dropout > 0)
        rows += panel.rows()
        checks += [
            Check(f"Nesterov's loss is at least 1.5 times Adagrad's{where}", panel.ratio("Nesterov", "Adagrad"), AHEAD),
            Check(f"Adam's loss is at most 1.25 times Adagrad's{where}", panel.ratio("Adam", "Adagrad"), high=ALIKE),
        ]
    return Measured(
        f"softmax regression on {setup.pick('10 000', '1000')} words of the Python standard library's own source, 40 "
        f"words a sample, the package is the label; batch 128, {epochs} epochs, mean loss of the last epoch; the rate "
        "of each rule is tuned on other seeds, fixed or as rate / sqrt(t), whichever is better",
        paired(setup.seeds(100, 5)),
        rows, checks, figure,
    )  # fmt: skip


IMAGES = Experiment(
    "adam-images",
    "On logistic regression Adam converges like SGD with Nesterov momentum, and both converge faster than Adagrad.",
    "kingma2015adam, sec. 6.1 and fig. 1 left", images,
)  # fmt: skip
TEXT = Experiment(
    "adam-words",
    "On sparse features Adagrad outperforms SGD with Nesterov momentum by a large margin, with and without dropout, "
    "and Adam converges as fast as Adagrad.",
    "kingma2015adam, sec. 6.1 and fig. 1 right", measure_text,
)  # fmt: skip
