"""Figures 2 and 3 of the paper on Adam: a perceptron and a convolution net, with dropout and without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from torch import nn

from experiments.adam_figure import Panel
from experiments.base import Experiment, Measured, Setup, paired, ratio
from experiments.contests import Contest, contest, grid, last_losses
from experiments.figures import draw_lines, panels
from experiments.records import Check, Row
from experiments.tasks import small_digits
from stepsize.engines import Ensemble
from stepsize.kernel.arrays import Floats, floats
from stepsize.problems import Task
from stepsize.strategy import Strategy

STARTS = {"Adam": 3e-4, "Nesterov": 0.01, "Adagrad": 3e-3, "RMSProp": 3e-4, "Adadelta": 0.3}
"""The lowest rate that each rule tries first."""

THREE = ("Adam", "Nesterov", "Adagrad")

AHEAD = 1.5
"""A rule converges considerably faster where the other's loss is at least 1.5 times its own."""

EARLY, EPOCHS = 3, 30


def perceptron(dropout: float) -> nn.Module:
    """Return a perceptron 64-128-128-10 with dropout after both hidden layers."""
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, 128), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(128, 10),
    )  # fmt: skip


def convolution(dropout: float) -> nn.Module:
    """Return a net of two convolutions and two layers, with dropout of the input and of the hidden layer."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Dropout(dropout / 2),
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 10),
    )  # fmt: skip


def task(model: Callable[[float], nn.Module], dropout: float) -> Task:
    """The digits and one of the nets."""
    return replace(small_digits(), model=partial(model, dropout), batch_size=128, name=f"{model.__name__}, {dropout:g}")


def contests(setup: Setup, on: Task, rules: tuple[str, ...]) -> dict[str, Contest]:
    """Return the contest of each rule by itself, at a fixed rate, by the mean training loss of the last epoch."""
    epochs = setup.pick(EPOCHS, 1) * on.batches_per_epoch
    return {
        rule: contest(
            setup, on, {rule: partial(Strategy.of, rule, "constant")}, grid(STARTS[rule], 30 * STARTS[rule], setup.pick(
            10**0.5, 30.0)), setup.pick(epochs, 4), tuning=setup.seeds(0, 3, 1), fresh=setup.seeds(100, 8),
            score=last_losses(setup.pick(on.batches_per_epoch, 2)), engine=Ensemble(),
        )
        for rule in rules
    }  # fmt: skip


def early(found: dict[str, Contest], rule: str, epoch: int) -> Floats:
    """Return a rule's mean training loss over the third epoch, or the last of fewer, (seeds,)."""
    losses = found[rule].curves[rule].losses.astype(np.float64)
    return floats(losses[: EARLY * epoch][-epoch:].mean(axis=0))


def measure_perceptron(setup: Setup) -> Measured:
    """Measure the second figure."""
    on, rules = task(perceptron, 0.5), tuple(STARTS)
    found = contests(setup, on, rules)
    panel = Panel(found, {rule: rule for rule in rules}, "")
    figure, (ax,) = panels(1, width=6)
    draw_lines(ax, panel.lines(setup.pick(on.batches_per_epoch, 2)), title="Perceptron with dropout", x="epoch",
               y="training loss")  # fmt: skip
    return Measured(
        "scikit-learn's digits, perceptron 64-128-128-10 with dropout of 0.5, batch 128, "
        f"{setup.pick(EPOCHS, 1)} epochs, mean training loss of the last epoch, dropout and all; fixed rates, of each "
        "rule tuned on "
        f"{len(setup.seeds(0, 3, 1))} other seeds",
        paired(setup.seeds(100, 8)),
        panel.rows(), [Check(f"{rule}'s loss over Adam's", panel.ratio(rule, "Adam"), 1.0) for rule in rules[1:]],
        figure,
    )  # fmt: skip


def measure_convolution(setup: Setup) -> Measured:
    """Measure the third figure: the first epochs and the last one."""
    figure, axes = panels(2)
    rows: list[Row] = []
    checks: list[Check] = []
    for ax, dropout in zip(axes, (0.0, 0.5), strict=True):
        where, on = f", dropout {dropout:g}", task(convolution, dropout)
        found = contests(setup, on, THREE)
        panel, epoch = Panel(found, {rule: rule for rule in THREE}, where), setup.pick(on.batches_per_epoch, 2)
        draw_lines(
            ax, panel.lines(epoch), title=f"Convolution net{where}", x="epoch", y="training loss", key=dropout > 0
        )
        rows += panel.rows()
        slow = early(found, "Nesterov", epoch)
        checks += [
            *(
                Check(f"epoch {EARLY}: Nesterov's loss over {r}'s{where}", ratio(slow, early(found, r, epoch)), 1.0)
                for r in ("Adam", "Adagrad")
            ),
            *(
                Check(f"last epoch: Adagrad's loss over {r}'s{where}", panel.ratio("Adagrad", r), AHEAD)
                for r in ("Adam", "Nesterov")
            ),
        ]
    return Measured(
        "scikit-learn's digits, two convolutions of 16 channels, each with a maximum over 2 x 2, and a hidden layer of "
        f"64, dropout of half the share on the input; batch 128, {setup.pick(EPOCHS, 1)} epochs, mean training loss of "
        f"an epoch; fixed rates, of each rule tuned on {len(setup.seeds(0, 3, 1))} other seeds by the last epoch",
        paired(setup.seeds(100, 8)),
        rows, checks, figure,
    )  # fmt: skip


PERCEPTRON = Experiment(
    "adam-perceptron", "On a perceptron with dropout Adam converges faster than the other rules.",
    "kingma2015adam, sec. 6.2 and fig. 2", measure_perceptron,
)  # fmt: skip
CONVOLUTION = Experiment(
    "adam-convolution",
    "On a convolution net Adam and Adagrad are ahead in the first epochs, and in the end Adam and SGD with Nesterov "
    "momentum converge considerably faster than Adagrad.",
    "kingma2015adam, sec. 6.3 and fig. 3", measure_convolution,
)  # fmt: skip
