"""The edge of stability: full-batch training drives the sharpness up to what the rate allows, and holds it there."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from experiments.base import Experiment, Measured, Setup
from experiments.figures import panels
from experiments.records import Check, Row
from experiments.tasks import perceptron
from stepsize.adapters.torch import drive
from stepsize.diagnostics import adam_preconditioner, run_watched, sharpness
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.arrays import Floats
from stepsize.plots.style import dress, inks, legend
from stepsize.policies import Policy
from stepsize.problems import Task
from stepsize.problems.builtin_tasks import digits
from stepsize.rules import SGD, Adam, Momentum, Rule
from stepsize.strategy import Strategy, Trial
from stepsize.theory import stability_threshold

GAIN = 0.25
"""The first weights over torch's usual ones."""

CLOSE = 0.08
"""How far the sharpness may lie from the threshold, as a share of it: the paper says at it, or just above."""

LAST = 3
"""How many of the last sharpnesses are averaged: it goes up and down around its mean."""

FEWEST = 10
"""How often the sharpness of our own rules is taken in a run, at least; at most twice as often."""

RATES = (0.15, 0.25, 0.35)
MOMENTUM_RATE = 0.3
ADAM_RATE = 1e-3


def half_squares(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return half the squared error, summed over the outputs and meant over the samples, as the paper has it."""
    return 0.5 * ((outputs - targets) ** 2).sum(-1).mean()


def task() -> Task:
    """200 digits in one batch, squared error to one-hot labels, and a tanh perceptron 64-24-10 that starts small."""
    inputs, labels = digits().train
    data = inputs[:200], torch.nn.functional.one_hot(labels[:200], 10).float()

    def model() -> torch.nn.Module:
        found = perceptron(64, 24, 10, activation=torch.nn.Tanh)()
        with torch.no_grad():
            for p in found.parameters():
                p.mul_(GAIN)
        return found

    return Task(model, half_squares, data, data, batch_size=200, name="200 digits")


def by_rule(setup: Setup, rule: Rule, rate: float, seed: int, steps: int) -> tuple[Floats, Floats]:
    """Return after how many updates the sharpness was taken, and `rate * sharpness / threshold` there."""
    whole, stage = task(), f"{rule.title} {rate:g}, seed {seed}"
    every = 1 << (steps // (2 * FEWEST - 1)).bit_length()
    at: list[int] = []
    found: list[float] = []

    def watch(model: torch.nn.Module) -> Callable[[], None]:
        done = itertools.count()

        def measure() -> None:
            step = next(done)
            if step % every == 0 or step == steps:
                at.append(step)
                found.append(sharpness(model, whole.loss, [whole.train]).value)

        measure()
        return measure

    setup.tell(stage, 0)
    run_watched(whole, Trial(Strategy(rule, Policy(lr=rate)), seed), steps, watch)
    setup.tell(stage, steps)
    return np.array(at, dtype=np.float64), np.array(found) * rate / stability_threshold(rule)


def by_adam(setup: Setup, rate: float, seed: int, steps: int) -> tuple[Floats, Floats]:
    """Return the same for Adam, whose sharpness is the preconditioned one.

    The loop is our own, around `torch.optim.Adam`: the preconditioner is read from a live optimizer, and no engine
    hands out its slots.
    """
    whole, stage = task(), f"Adam {rate:g}, seed {seed}"
    model: Any = whole.build(seed)
    inputs, targets = whole.train
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    due, found = np.unique(np.linspace(steps / 15, steps, 15).astype(np.int64)), []
    setup.tell(stage, 0)
    for step in drive(optimizer, Policy(lr=rate), steps):
        optimizer.zero_grad()
        whole.loss(model(inputs), targets).backward()
        optimizer.step()
        if step + 1 in due:
            root = adam_preconditioner(optimizer, model)
            found.append(sharpness(model, whole.loss, [whole.train], preconditioner=root).value)
    setup.tell(stage, steps)
    return due.astype(np.float64), np.array(found) * rate / stability_threshold(Adam())


def measure(setup: Setup) -> Measured:
    """Measure the sharpness under each rate and rule at the end, as a share of the threshold."""
    steps, seeds = setup.pick(6000, 4000), setup.seeds(0, 4)
    cases: list[tuple[Rule, float]] = [(SGD(), rate) for rate in setup.pick(RATES, RATES[:1])]
    cases += setup.pick([(Momentum(), MOMENTUM_RATE), (Adam(), ADAM_RATE)], [])
    figure, (ax,) = panels(1, width=6)
    rows, checks = [], []
    for (rule, rate), (color, dash) in zip(cases, inks(len(cases)), strict=True):
        name = f"{'Gradient descent' if isinstance(rule, SGD) else rule.title}, rate {rate:g}"
        paths = [
            by_adam(setup, rate, seed, steps) if isinstance(rule, Adam) else by_rule(setup, rule, rate, seed, steps)
            for seed in seeds
        ]
        last = t_interval(np.array([shares[-LAST:].mean() for _, shares in paths]))
        threshold = stability_threshold(rule) / rate
        rows.append(Row(f"{name}: threshold {threshold:.4g}", "sharpness at the end over the threshold", last))
        checks.append(Check(f"{name}: sharpness at the end over {threshold:.4g}", last, 1 - CLOSE, 1 + CLOSE))
        for i, (at, shares) in enumerate(paths):
            ax.plot(at, shares, dash, color=color, label=name if i == 0 else "_", linewidth=1.3)
    ax.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    dress(ax, title="Sharpness, as a share of the largest stable one", x="step", y="rate * sharpness / threshold")
    legend(ax)
    return Measured(
        f"200 digits in one batch, squared error, tanh perceptron 64-24-10 from {GAIN:g} times torch's first weights, "
        f"{steps} steps, the mean of the last {LAST} of some 15 looks; thresholds 2 / rate, 3.8 / rate with momentum "
        f"0.9, and 38 / rate for Adam's preconditioned sharpness",
        f"95 % t-intervals over {len(seeds)} seeds", rows, checks, figure,
    )  # fmt: skip


EXPERIMENT = Experiment(
    "edge-of-stability",
    "Full-batch training raises the sharpness to the largest one that the rule is stable at, and holds it there.",
    "cohen2021gradient, sec. 3; cohen2022adaptive", measure,
)  # fmt: skip
