"""From short runs to long ones: a rate that was tuned in an eighth of the run, moved by the bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from experiments.base import Experiment, Measured, Setup, exact, paired, ratio
from experiments.contests import grid
from experiments.figures import draw_intervals, draw_lines, panels
from experiments.horizon import best_rate, convex
from experiments.records import Check, Row
from experiments.tasks import NOISY, diabetes, digits_conv, noisy_digits
from stepsize.engines import Ensemble
from stepsize.jobs import transfer
from stepsize.jobs.paired_statistics import t_interval
from stepsize.jobs.rescale import BOUND
from stepsize.kernel.arrays import Floats
from stepsize.policies import Policy, linear_to_zero, wsd
from stepsize.problems import Task
from stepsize.rules import SGD, AdamW, Rule
from stepsize.strategy import Strategy, Trial

SHORT, FACTOR, TWICE = 250, 8, 2
"""The run that is tuned, and how many times as long the runs are that the rate moves to, or the cooldown grows in."""

CLOSE, NO_WORSE = 1.05, 1.02
"""What "as good as one tuned there" allows, and what "no worse" does."""

COOLDOWN = "20%"

RESCALED = "moved by the bound"


def noisy_conv() -> Task:
    """The convolution net on the digits with label noise."""
    return replace(noisy_digits(), model=digits_conv().model, name="noisy-conv")


@dataclass(frozen=True)
class Case:
    """A task and a rule, with the ends of the grid of rates."""

    task: Callable[[], Task]
    rule: Rule
    low: float
    high: float


CASES = {
    "softmax regression, SGD": Case(convex, SGD(), 0.04, 40.96),
    "perceptron, SGD": Case(noisy_digits, SGD(), 0.02, 5.12),
    "convolution net, SGD": Case(noisy_conv, SGD(), 0.005, 2.56),
    "regression, SGD": Case(diabetes, SGD(), 0.002, 1.024),
    "perceptron, AdamW": Case(noisy_digits, AdamW(), 2e-4, 0.1024),
}

Runs = dict[str, Floats]
"""The final losses on the fresh seeds, (seeds,), by what ran."""


def stable(peak: float) -> Policy:
    """Return a constant rate with a short linear cooldown."""
    return wsd(peak, cooldown=COOLDOWN, shape="linear")


def tuned(setup: Setup, name: str, policy: Callable[[float], Policy], steps: int) -> tuple[float, Floats]:
    """Return the best peak of a policy on the tuning seeds, and the mean loss of each rate of the grid."""
    case, seeds = CASES[name], setup.seeds(0, 6)
    rates = rates_of(setup, name)
    trials = [Trial(Strategy(case.rule, policy(rate)), seed) for rate in rates.tolist() for seed in seeds]
    stage = f"{name}: tuning in {steps} steps"
    losses = Ensemble().run(case.task(), trials, steps, progress=setup.progress(stage)).final
    means = losses.reshape(len(rates), len(seeds)).mean(axis=1)
    return 10 ** best_rate(rates, means), means


def rates_of(setup: Setup, name: str) -> Floats:
    """Return the grid of a case."""
    return grid(CASES[name].low, CASES[name].high, setup.pick(2.0, 8.0))


def fresh(setup: Setup, name: str, strategies: dict[str, Strategy], steps: int) -> Runs:
    """Return the final losses of strategies on fresh seeds."""
    seeds = setup.seeds(100, 10)
    trials = [Trial(strategy, seed) for strategy in strategies.values() for seed in seeds]
    stage = f"{name}: {steps} steps on fresh seeds"
    found = Ensemble().run(CASES[name].task(), trials, steps, progress=setup.progress(stage)).final
    return dict(zip(strategies, found.reshape(len(strategies), len(seeds)), strict=True))


def rates(setup: Setup, name: str) -> tuple[Runs, dict[str, float], dict[str, tuple[Floats, Floats]]]:
    """Return the losses of the long run at each rate, these rates, and the two tuned curves."""
    rule, short = CASES[name].rule, setup.pick(SHORT, 16)
    long = FACTOR * short
    first, near = tuned(setup, name, linear_to_zero, short)
    last, far = tuned(setup, name, linear_to_zero, long)
    source = Strategy(rule, linear_to_zero(first))
    move = partial(transfer, source, short, long)
    strategies = {
        "tuned there": Strategy(rule, linear_to_zero(last)), "kept": source,
        RESCALED: move(exponent=BOUND), "moved by two thirds of the bound": move(exponent=-1 / 3),
    }  # fmt: skip
    curves = {f"{short} steps": (rates_of(setup, name), near), f"{long} steps": (rates_of(setup, name), far)}
    peaks = {what: strategy.peak for what, strategy in strategies.items()}
    return fresh(setup, name, strategies, long), peaks, curves


def cooldowns(setup: Setup, name: str) -> tuple[Runs, float]:
    """Return the losses of a run twice as long at the rate of the short one, with its cooldown and a longer one.

    Also the share of the longer one.
    """
    short = setup.pick(SHORT, 16)
    peak, _ = tuned(setup, name, stable, short)
    source = Strategy(CASES[name].rule, stable(peak))
    longer = transfer(source, short, TWICE * short, by="cooldown")
    share = int(longer.policy["lr"].parts[-1].steps) / (TWICE * short)  # type: ignore[attr-defined]  # wsd is a chain
    return fresh(setup, name, {"kept": source, "longer": longer}, TWICE * short), share


def cases(setup: Setup) -> list[str]:
    """Return the names of the cases that run."""
    return list(CASES)[: setup.pick(len(CASES), 2)]


SETTING = (
    f"{NOISY}, softmax regression, a perceptron 64-64-10 and a small convolution net, and the diabetes data with a "
    "perceptron 10-32-1; batch 32"
)


def measure_rates(setup: Setup) -> Measured:
    """Tune in short runs, move, and compare with what is tuned in the long run."""
    rows, checks, names = [], [], cases(setup)
    figure, axes = panels(len(names), width=3.4)
    for ax, name in zip(axes, names, strict=True):
        found, peaks, curves = rates(setup, name)
        for what, losses in found.items():
            rows.append(Row(f"{name}, {what}", "peak rate", exact(peaks[what])))
            rows.append(Row(f"{name}, {what}", "validation loss", t_interval(losses)))
        against = {"tuned there": CLOSE, "kept": NO_WORSE}
        checks += [
            Check(
                f"{name}: the loss at the moved rate, over that at the rate {what}",
                ratio(found[RESCALED], found[what]), high=high,
            )
            for what, high in against.items()
        ]  # fmt: skip
        least = min(float(values.min()) for _, values in curves.values())
        lines = {what: (x, np.where(y < 3 * least, y, np.nan)) for what, (x, y) in curves.items()}
        draw_lines(ax, lines, title=name, x="peak learning rate", y="validation loss", rates=True, key=ax is axes[-1])
    short = setup.pick(SHORT, 16)
    return Measured(
        f"{SETTING}; linear decay to zero, tuned in {short} and in {FACTOR * short} steps on a grid of factor "
        f"{setup.pick(2, 8)} with a parabola through its best; the rate of the short run moved to the long one",
        paired(setup.seeds(100, 10)), rows, checks, figure,
    )  # fmt: skip


def measure_cooldowns(setup: Setup) -> Measured:
    """Tune a schedule with a cooldown, and run it twice as long with that cooldown or the longer one of the bound."""
    rows, checks, drawn = [], [], {}
    for name in cases(setup):
        found, share = cooldowns(setup, name)
        rows.append(Row(f"{name}, cooldown longer", "share of the run", exact(share)))
        rows += [Row(f"{name}, cooldown {what}", "validation loss", t_interval(x)) for what, x in found.items()]
        drawn[name] = ratio(found["longer"], found["kept"])
        says = f"{name}: the loss with the longer cooldown, over that with {COOLDOWN}"
        checks.append(Check(says, drawn[name], high=1.0))
    figure, (ax,) = panels(1, width=5.5)
    draw_intervals(ax, drawn, title="A longer cooldown in twice the steps", x="loss over that with 20 %", at=1.0)
    return Measured(
        f"{SETTING}; wsd with a linear cooldown of {COOLDOWN}, its rate tuned in {setup.pick(SHORT, 16)} steps and "
        f"kept in {TWICE} times as many",
        paired(setup.seeds(100, 10)), rows, checks, figure,
    )  # fmt: skip


RATE = Experiment(
    "transfer",
    "A rate that was tuned in an eighth of the run is right for the whole of it, when the bound moves it.",
    "schaipp2025surprising, sec. 5", measure_rates,
)  # fmt: skip

COOLDOWN_GROWS = Experiment(
    "longer-cooldown",
    "A rate that was tuned in half of the run can be kept when the cooldown grows as the bound says.",
    "schaipp2025surprising, sec. 5", measure_cooldowns,
)  # fmt: skip
