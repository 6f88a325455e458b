"""How much hangs on the hyperparameters of a schedule: those of the decays, and those of 1cycle.

One hyperparameter moves at a time, the others stay as usual. Once at the peak rate that is best for the usual ones, as
somebody sees it who tunes one thing after the other, and once with the peak tuned again for every value. Which value is
the best and which the worst is decided on the tuning seeds, and how far they are apart on fresh ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from experiments.base import Experiment, Measured, Setup, paired, ratio
from experiments.contests import Contest, Family, contest, grid
from experiments.figures import draw_intervals, draw_lines, panels
from experiments.records import Check, Row
from experiments.tasks import NOISY, noisy_digits
from stepsize.engines import Ensemble
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.arrays import Floats, floats
from stepsize.policies import Policy
from stepsize.policies.cycles import one_cycle, smith_one_cycle
from stepsize.policies.recipes import exponential_decay, step_decay
from stepsize.policies.warmups import inverse_time
from stepsize.results import Interval
from stepsize.rules import Momentum
from stepsize.schedules import Polynomial
from stepsize.strategy import Strategy, Trial

SENSITIVE = 1.2
"""What the result is very sensitive to makes the loss at its worst value 20 % higher than at its best."""

GUESSING = float(np.log(10))
"""The loss of guessing one digit of ten: what a run that diverged, or ends above it, counts as."""

MULTIPLES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""By what the peak rate is multiplied."""

STEPS = 600

PEAK = "peak rate"


def _polynomial(peak: float, *, power: float, end: float) -> Policy:
    return Policy(lr=Polynomial(peak, end * peak, power=power))


@dataclass(frozen=True)
class Case:
    """A schedule by its peak rate and its hyperparameters: the usual value of each, and those that are tried."""

    policy: Callable[..., Policy]
    usual: Mapping[str, Any]
    tried: Mapping[str, Sequence[Any]]

    def family(self, **values: Any) -> Family:
        """Return the strategy by its peak rate, with some hyperparameters at these values."""
        return partial(_strategy, partial(self.policy, **{**self.usual, **values}))


def _strategy(policy: Callable[[float], Policy], rate: float) -> Strategy:
    return Strategy(Momentum(), policy(rate))


DECAYS = {
    "step": Case(
        step_decay, {"factor": 0.1, "every": "34%"},
        {"factor": (0.9, 0.5, 0.2, 0.1, 0.01), "every": ("50%", "34%", "20%", "10%", "5%")},
    ),
    "exponential": Case(exponential_decay, {"end": 0.01}, {"end": (0.5, 0.1, 0.01, 1e-4, 1e-8)}),
    "polynomial": Case(
        _polynomial, {"power": 2.0, "end": 0.0},
        {"power": (0.5, 1.0, 2.0, 4.0, 8.0), "end": (0.0, 0.01, 0.1, 0.3, 0.6)},
    ),
    "inverse time": Case(inverse_time, {"timescale": "10%"}, {"timescale": ("100%", "30%", "10%", "3%", "1%")}),
}  # fmt: skip

CYCLES = {
    "1cycle of the paper": Case(
        smith_one_cycle, {"base": 0.1, "half_cycle": "46%"},
        {"base": (0.004, 0.02, 0.1, 0.25, 0.5), "half_cycle": ("10%", "20%", "35%", "46%", "50%")},
    ),
    "1cycle of torch": Case(
        one_cycle, {"start": 0.04, "warmup": "30%"},
        {"start": (0.004, 0.02, 0.04, 0.25, 0.5), "warmup": ("5%", "15%", "30%", "50%", "70%")},
    ),
}  # fmt: skip
"""The lowest rate is the base or the start, as shares of the peak; the half-cycle is the length of the climb."""


@dataclass(frozen=True, eq=False)
class Moves:
    """The losses of every value of one hyperparameter: on the tuning seeds their means, and on the fresh ones.

    tuned: (values,). fresh: (values, seeds).
    """

    values: Sequence[Any]
    tuned: Floats
    fresh: Floats

    @property
    def apart(self) -> float:
        """The loss at the worst value over that at the best, on the tuning seeds."""
        return float(self.tuned.max() / self.tuned.min())

    @property
    def ratio(self) -> Interval:
        """The same two values on the fresh seeds."""
        return ratio(self.fresh[self.tuned.argmax()], self.fresh[self.tuned.argmin()])

    @property
    def worst_and_best(self) -> str:
        """The worst value and the best."""
        return f"{_text(self.values[int(self.tuned.argmax())])} / {_text(self.values[int(self.tuned.argmin())])}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _name(hyperparameter: str, value: Any) -> str:
    return f"{hyperparameter} {_text(value)}"


def run(setup: Setup, name: str, case: Case) -> tuple[float, dict[str, Moves], dict[str, Moves]]:
    """Return the best peak of the usual values, and the losses by hyperparameter at it, and with the peak tuned again.

    The peak rate itself is a hyperparameter of the first.
    """
    names = {(key, value): _name(key, value) for key, values in case.tried.items() for value in values}
    families = {names[key, value]: case.family(**{key: value}) for key, value in names}
    tuning, fresh, steps = setup.seeds(0, 4, 1), setup.seeds(100, 8), setup.pick(STEPS, 20)
    found = contest(
        setup, noisy_digits(), families, grid(0.02, 0.32, setup.pick(2.0, 16.0)), steps, tuning=tuning, fresh=fresh,
        score=lambda curves: capped(curves.final), engine=Ensemble(),
    )  # fmt: skip
    peak = found.rates[next(_name(key, value) for key, value in case.usual.items())]
    strategies = {each: family(peak) for each, family in families.items()}
    strategies |= {_name(PEAK, multiple): case.family()(multiple * peak) for multiple in MULTIPLES}
    trials = [Trial(strategy, seed) for strategy in strategies.values() for seed in (*tuning, *fresh)]
    progress = setup.progress(f"{name}: at one peak")
    losses = capped(Ensemble().run(noisy_digits(), trials, steps, progress=progress).final)
    there = dict(zip(strategies, losses.reshape(len(strategies), -1), strict=True))
    fixed = {
        key: _moves(key, values, {n: row[: len(tuning)].mean() for n, row in there.items()},
                    {n: row[len(tuning) :] for n, row in there.items()})
        for key, values in {PEAK: MULTIPLES, **case.tried}.items()
    }  # fmt: skip
    return peak, fixed, {key: _retuned(key, values, found) for key, values in case.tried.items()}


def _retuned(key: str, values: Sequence[Any], found: Contest) -> Moves:
    return _moves(key, values, {name: each.min() for name, (_, each) in found.grids.items()}, found.scores)


def _moves(key: str, values: Sequence[Any], tuned: Mapping[str, Any], fresh: Mapping[str, Floats]) -> Moves:
    names = [_name(key, value) for value in values]
    return Moves(values, floats([tuned[name] for name in names]), np.stack([fresh[name] for name in names]))


def capped(losses: Floats) -> Floats:
    """Return the losses, of which none is above that of guessing."""
    return np.minimum(np.where(np.isfinite(losses), losses, GUESSING), GUESSING)


def _measure(
    setup: Setup, cases: Mapping[str, Case], checks: Callable[[str, dict[str, Moves], dict[str, Moves]], list[Check]]
) -> Measured:
    """Measure how far the values of every hyperparameter are apart. checks: of a case, from its name and its moves."""
    cases = setup.pick(cases, dict(list(cases.items())[-1:]))
    figure, axes = panels(1 + len(cases), width=3.6)
    rows, found, intervals = [], [], {}
    for ax, (name, case) in zip(axes[1:], cases.items(), strict=True):
        peak, fixed, tuned = run(setup, name, case)
        for key, each in fixed.items():
            intervals[f"{name}: {key}"] = each.ratio
            rows.append(Row(f"{name}, peak {peak:.3g}: {key} {each.worst_and_best}", "loss, worst / best", each.ratio))
            rows += [
                Row(f"{name}, peak {peak:.3g}: {_name(key, value)}", "validation loss", t_interval(losses))
                for value, losses in zip(each.values, each.fresh, strict=True)
            ]
        rows += [
            Row(f"{name}, peak tuned again: {key} {each.worst_and_best}", "loss, worst / best", each.ratio)
            for key, each in tuned.items()
        ]
        found += checks(name, fixed, tuned)
        _draw(ax, name, fixed)
    draw_intervals(
        axes[0], intervals, title="Worst over best value", x="ratio of the losses, fresh seeds", at=SENSITIVE
    )
    axes[0].set_xscale("log")
    axes[0].minorticks_off()
    axes[0].set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    return Measured(
        f"{NOISY}, perceptron 64-64-10, SGD with momentum 0.9 where the schedule does not move it, batch 32, "
        f"{setup.pick(STEPS, 20)} steps; validation loss at the end, that of guessing where a run ends above it; the "
        f"other hyperparameters as usual ({_usual(cases)}); peak rates tuned on {len(setup.seeds(0, 4, 1))} other "
        "seeds",
        paired(setup.seeds(100, 8)),
        rows, found, figure,
    )  # fmt: skip


def _draw(ax: Any, name: str, moves: Mapping[str, Moves]) -> None:
    """Draw the losses of each hyperparameter's values, up to twice the least of all."""
    means = {key: each.fresh.mean(axis=1) for key, each in moves.items()}
    top = 2 * min(float(each.min()) for each in means.values())
    lines = {key: (np.linspace(0, 1, len(y)), np.where(y < top, y, np.nan)) for key, y in means.items()}
    draw_lines(ax, lines, title=name, x="from the first value to the last", y="validation loss")


def _usual(cases: Mapping[str, Case]) -> str:
    return "; ".join(
        f"{name}: {', '.join(_name(*pair) for pair in case.usual.items())}" for name, case in cases.items()
    )


def decays(setup: Setup) -> Measured:
    """Measure what the hyperparameter matters that each decay is the most sensitive to."""

    def checks(name: str, fixed: dict[str, Moves], tuned: dict[str, Moves]) -> list[Check]:
        own = {key: fixed[key] for key in tuned}  # without the peak rate, which every schedule has
        return [
            Check(f"{name} decay{where}: loss at the worst {key} / at the best ({each.worst_and_best})", each.ratio,
                  SENSITIVE)
            for where, moves in (("", own), (", peak tuned again", tuned))
            for key, each in [max(moves.items(), key=lambda item: item[1].apart)]
        ]  # fmt: skip

    return _measure(setup, DECAYS, checks)


def cycles(setup: Setup) -> Measured:
    """Measure what the highest rate, the lowest and the length of the cycle matter to 1cycle."""

    def checks(name: str, fixed: dict[str, Moves], tuned: dict[str, Moves]) -> list[Check]:  # noqa: ARG001  (_measure asks all checks alike)
        return [
            Check(f"{name}: loss at the worst {key} / at the best ({moves.worst_and_best})", moves.ratio, SENSITIVE)
            for key, moves in fixed.items()
        ]

    return _measure(setup, CYCLES, checks)


DECAYS_HANG = Experiment(
    "decay-sensitivity", "Decays have hyperparameters of their own, and the result is very sensitive to some of them.",
    "article, Diminishing Learning Rate", decays,
)  # fmt: skip
ONE_CYCLE_HANGS = Experiment(
    "one-cycle-sensitivity", "1cycle is sensitive to its maximum, its minimum and the length of its cycle.",
    "article, Cyclical Learning Rates", cycles,
)  # fmt: skip
