"""One grid of schedules, and three claims that it decides: decays, cycles, and 1cycle's momentum.

Every schedule has its peak rate tuned by itself on some seeds, and is compared on fresh ones. Which decay, which cycle
and which rate for the fixed one are the best was decided on the tuning seeds too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from experiments.base import Experiment, Measured, Setup, paired, ratio
from experiments.contests import Contest, Family, contest, grid
from experiments.figures import draw_intervals, draw_lines, panels
from experiments.records import Check, Row
from experiments.tasks import NOISY, noisy_digits
from stepsize.engines import Ensemble
from stepsize.policies import one_cycle
from stepsize.results import Interval
from stepsize.rules import Momentum
from stepsize.strategy import Strategy

CONSTANT = "constant"
DECAYS = ("step_decay", "exponential_decay", "polynomial_decay", "linear_to_zero", "cosine", "inverse_time")
CYCLES = ("triangular", "triangular2", "exp_range", "restarts")
ONE_CYCLE = ("one_cycle", "one_cycle, momentum 0.85", "one_cycle, momentum 0.9", "one_cycle, momentum 0.95")
"""1cycle with its own momentum, 0.95 to 0.85 and back, and with a fixed one."""

TIE = 0.05
"""A cycle does as well as a decay when its loss is less than 5 % above."""

CRUCIAL = 0.05
"""What plays a crucial role changes the loss by more than 5 %."""


def families() -> dict[str, Family]:
    """Return every schedule as a function of its peak rate, on SGD with momentum 0.9 where it does not move it."""

    def named(name: str, rate: float) -> Strategy:
        return Strategy.of("Momentum", name, rate)

    def held(momentum: float, rate: float) -> Strategy:
        return Strategy(Momentum(), one_cycle(rate, momentum=None).replace(momentum=momentum))

    found: dict[str, Family] = {name: partial(named, name) for name in (CONSTANT, *DECAYS, *CYCLES, ONE_CYCLE[0])}
    return found | {name: partial(held, float(name.split()[-1])) for name in ONE_CYCLE[1:]}


_KEPT: dict[tuple[int, bool], Contest] = {}
"""The one run by seed and form, since three experiments ask for it."""


def run(setup: Setup) -> Contest:
    """Return the contest of all schedules."""
    key = setup.seed, setup.quick
    if key not in _KEPT:
        rates = grid(0.005, 0.32, setup.pick(2.0, 8.0))
        _KEPT[key] = contest(
            setup, noisy_digits(), families(), rates, setup.pick(900, 40), tuning=setup.seeds(0, 8, 1),
            fresh=setup.seeds(100, 8), engine=Ensemble(),
        )  # fmt: skip
    return _KEPT[key]


def _measure(setup: Setup, names: Sequence[str], checks: Any, title: str) -> Measured:
    """Return what a claim makes of the grid. names: the schedules to show; checks: of the contest, its checks."""
    found = run(setup)
    losses = {name: found.interval(name) for name in names}
    figure, (left, right) = panels(2)
    tried = {name: found.grids[name] for name in names}
    draw_lines(
        left, tried, title="While tuning", x="peak learning rate", y="validation loss", rates=True,
    )  # fmt: skip
    draw_intervals(right, losses, title=title, x="validation loss, fresh seeds")
    return Measured(
        f"{NOISY}, perceptron 64-64-10, SGD with momentum 0.9 (the triangular ones move it from 0.9 to 0.8 and 1cycle "
        f"from 0.95 to 0.85, against the rate), batch 32, {setup.pick(900, 40)} steps; validation loss at the end; "
        f"peak rates tuned by schedule on {setup.pick(8, 1)} other seeds, over factors of {setup.pick(2, 8)}",
        paired(setup.seeds(100, 8)),
        [Row(f"{name}, peak {found.rates[name]:.3g}", "validation loss", losses[name]) for name in names],
        checks(found), figure,
    )  # fmt: skip


def over(found: Contest, a: str, b: str) -> Interval:
    """Return the ratio of the losses of two schedules on the fresh seeds."""
    return ratio(found.scores[a], found.scores[b])


def decays(setup: Setup) -> Measured:
    """Measure every decay against the tuned fixed rate."""

    def checks(found: Contest) -> list[Check]:
        return [Check(f"{name} / constant", over(found, name, CONSTANT), high=1.0) for name in DECAYS]

    return _measure(setup, (CONSTANT, *DECAYS), checks, "Decays and a fixed rate, each tuned")


def cycles(setup: Setup) -> Measured:
    """Measure every cyclical rate against the tuned fixed rate and against the best tuned decay."""

    def checks(found: Contest) -> list[Check]:
        names, decay = (*CYCLES, ONE_CYCLE[0]), found.best(DECAYS)
        cycle = found.best(names)
        return [
            *(Check(f"{name} / constant", over(found, name, CONSTANT), high=1.0) for name in names),
            Check(
                f"the best of them ({cycle}) / the best decay ({decay}), to tie",
                over(found, cycle, decay),
                high=1 + TIE,
            ),
            Check(
                f"the best of them ({cycle}) / the best decay ({decay}), to win", over(found, cycle, decay), high=1.0
            ),
        ]

    return _measure(setup, (CONSTANT, *CYCLES, ONE_CYCLE[0], *DECAYS), checks, "Cycles, decays, a fixed rate")


def momenta(setup: Setup) -> Measured:
    """Measure 1cycle with its moving momentum against fixed ones, each at its own tuned peak."""

    def checks(found: Contest) -> list[Check]:
        pairs = {name.partition(", ")[2]: over(found, ONE_CYCLE[0], name) for name in ONE_CYCLE[1:]}
        return [
            *(Check(f"better: moving momentum / {name}", each, high=1.0) for name, each in pairs.items()),
            *(Check(f"crucial: moving momentum / {name}", each, high=1 - CRUCIAL) for name, each in pairs.items()),
        ]

    return _measure(setup, ONE_CYCLE, checks, "1cycle, by its momentum")


DECAY = Experiment(
    "decay", "A rate that diminishes ends at a better loss than a fixed one.", "article, Diminishing Learning Rate",
    decays,
)  # fmt: skip
CYCLE = Experiment(
    "cycles",
    "Cyclical rates, 1cycle among them, end at a better loss than a fixed rate, and do as well as a decay or better.",
    "article, Cyclical Learning Rates; smith2017cyclical, table 1", cycles,
)  # fmt: skip
MOMENTUM = Experiment(
    "one-cycle-momentum", "Momentum that falls while the rate rises plays a crucial role in 1cycle.",
    "article, Cyclical Learning Rates; smith2018disciplined, sec. 4.3", momenta,
)  # fmt: skip
