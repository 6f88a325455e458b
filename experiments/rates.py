"""What the article's first paragraph says of small and of large fixed rates, from one set of long runs.

The engines score the held-out data; the same runs are made once more with the training data held out too, so that both
losses belong to the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.base import Experiment, Measured, Setup, exact, paired, ratio
from experiments.contests import grid
from experiments.figures import draw_lines, panels
from experiments.records import Check, Row
from experiments.tasks import NOISY, initial_loss, noisy_digits, scored_on_training
from stepsize.engines import Ensemble
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.arrays import Floats
from stepsize.policies import Policy
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial

SMALL, LARGE = 0.1, 0.8
"""The two rates that are compared."""

LEVELS = (0.9, 0.75)
"""Training losses at which the validation loss is read; the clean labels are learned at about 0.9."""

EVERY = 20
"""Steps between two measurements of the losses."""


@dataclass(frozen=True, eq=False)
class Runs:
    """Losses along the runs, (checkpoints, rates, seeds), NaN once diverged; `before` at the start, (seeds,).

    steps: of the checkpoints, (checkpoints,).
    """

    rates: Floats
    steps: Floats
    train: Floats
    validation: Floats
    before: Floats

    def of(self, rate: float) -> int:
        """Return the index of a rate in the grid."""
        return int(np.abs(np.log(self.rates / rate)).argmin())

    def reached(self, rate: float, level: float) -> Floats:
        """Return after how many steps the training loss is first below `level`, (seeds,); inf for never."""
        below = self.train[:, self.of(rate)] < level
        return np.where(below.any(axis=0), self.steps[below.argmax(axis=0)], np.inf)

    def validation_at(self, rate: float, level: float) -> Floats:
        """Return the validation loss when the training loss is first below `level`, (seeds,); inf for never."""
        index = self.of(rate)
        below = self.train[:, index] < level
        found = np.take_along_axis(self.validation[:, index], below.argmax(axis=0)[None], axis=0)[0]
        return np.where(below.any(axis=0), found, np.inf)


_KEPT: dict[tuple[int, bool], Runs] = {}
"""The runs by seed and form, since two experiments ask for them."""


def run(setup: Setup) -> Runs:
    """Return the runs of every rate."""
    key = setup.seed, setup.quick
    if key not in _KEPT:
        _KEPT[key] = _run(setup)
    return _KEPT[key]


def _run(setup: Setup) -> Runs:
    task, seeds = noisy_digits(), setup.seeds(0, 8)
    rates = np.concatenate([grid(SMALL, 1.6, setup.pick(2.0, 4.0)), [12.8]])
    trials = [Trial(Strategy(SGD(), Policy(lr=rate)), seed) for rate in rates.tolist() for seed in seeds]
    found = []
    for scored in (scored_on_training(task), task):
        curves = Ensemble().run(
            scored, trials, setup.pick(4000, 200), score_every=EVERY, progress=setup.progress(scored.name)
        )  # fmt: skip
        found.append(curves.scores.reshape(len(curves.score_steps), len(rates), len(seeds)))
    before = np.array([initial_loss(scored_on_training(task), seed) for seed in seeds])
    return Runs(rates, curves.score_steps.astype(np.float64), found[0], found[1], before)


def _setting(setup: Setup) -> str:
    return f"{NOISY}, perceptron 64-64-10, plain SGD, batch 32, fixed rates, {setup.pick(4000, 200)} steps"


def _intervals(setup: Setup) -> str:
    return paired(setup.seeds(0, 8))


def small(setup: Setup) -> Measured:
    """Measure what a small rate costs in steps, and the validation loss at equal training loss."""
    found = run(setup)
    rows, checks = [], []
    for level in LEVELS:
        for rate in found.rates[found.rates < 1].tolist():
            for quantity, each in (
                ("steps to", found.reached(rate, level)),
                ("validation loss at", found.validation_at(rate, level)),
            ):
                rows.append(Row(f"rate {rate:.3g}", f"{quantity} training loss {level:g}", t_interval(each)))
    first = LEVELS[0]
    longer = ratio(found.reached(SMALL, first), found.reached(LARGE, first))
    checks.append(Check(f"steps to training loss {first:g}, rate {SMALL:g} / {LARGE:g}", longer, 1.0))
    for level in LEVELS:
        worse = ratio(found.validation_at(SMALL, level), found.validation_at(LARGE, level))
        checks.append(Check(f"validation loss at training loss {level:g}, rate {SMALL:g} / {LARGE:g}", worse, 1.0))
    rise = found.validation[-1] / found.validation.min(axis=0)
    rows += [
        Row(f"rate {rate:.3g}", "validation loss at the end over its lowest", t_interval(rise[i]))
        for i, rate in enumerate(found.rates.tolist())
        if rate < 1
    ]
    says = f"rise of the validation loss from its lowest to the end, rate {SMALL:g} / {LARGE:g}"
    checks.append(Check(says, ratio(rise[found.of(SMALL)], rise[found.of(LARGE)]), 1.0))
    figure, (left, right) = panels(2)
    lines = {f"{rate:.3g}": i for i, rate in enumerate(found.rates) if rate < 1}
    means = found.train.mean(axis=2), found.validation.mean(axis=2)
    ways = {name: (means[0][:, i], means[1][:, i]) for name, i in lines.items()}
    draw_lines(
        left,
        {name: (found.steps, means[0][:, i]) for name, i in lines.items()},
        title="Training",
        x="step",
        y="training loss",
        key=False,
    )
    draw_lines(right, ways, title="Overfitting, by rate", x="training loss", y="validation loss", losses=False)
    right.invert_xaxis()
    return Measured(_setting(setup), _intervals(setup), rows, checks, figure)


def large(setup: Setup) -> Measured:
    """Measure where large rates are ahead, where they end, and where they do not train."""
    found = run(setup)
    usable = [i for i, rate in enumerate(found.rates.tolist()) if rate < 2]
    early = int(np.searchsorted(found.steps, found.steps[-1] / 20))
    slow, fast = found.of(SMALL), found.of(LARGE)
    rows = []
    for i, rate in enumerate(found.rates.tolist()):
        lost = np.nan_to_num(found.train[-1, i], nan=np.inf) >= found.before
        rows.append(Row(f"rate {rate:.3g}", "share of seeds that end above the first loss", exact(float(lost.mean()))))
        for quantity, at in (
            (f"training loss after {found.steps[early]:.0f} steps", early),
            ("training loss at the end", -1),
        ):
            rows.append(Row(f"rate {rate:.3g}", quantity, t_interval(found.train[at, i])))
    end = {i: found.train[-1, i].mean() for i in range(len(found.rates))}
    top = max(usable)
    best = min((i for i in end if i != top), key=lambda i: float(np.nan_to_num(end[i], nan=np.inf)))
    failed = np.nan_to_num(found.train[-1, -1], nan=np.inf) >= found.before
    names = [f"{rate:.3g}" for rate in found.rates]
    checks = [
        Check(
            f"training loss after {found.steps[early]:.0f} steps, rate {LARGE:g} / {SMALL:g}",
            ratio(found.train[early, fast], found.train[early, slow]), high=1.0,
        ),
        Check(
            f"training loss at the end, rate {names[top]} / the best ({names[best]})",
            ratio(found.train[-1, top], found.train[-1, best]), 1.0,
        ),
        Check(f"share of seeds that rate {names[-1]} leaves above their first loss", exact(float(failed.mean())), 0.5),
    ]  # fmt: skip
    figure, (ax,) = panels(1, width=6)
    lines = {name: (found.steps, found.train[:, i].mean(axis=1)) for i, name in enumerate(names)}
    draw_lines(ax, lines, title="Training loss by rate", x="step", y="training loss")
    return Measured(_setting(setup), _intervals(setup), rows, checks, figure)


SMALL_RATE = Experiment(
    "small-rate", "A small learning rate trains longer and can lead to overfitting.", "article, first paragraph", small,
)  # fmt: skip
LARGE_RATE = Experiment(
    "large-rate",
    "A large learning rate may accelerate initial training, but risks hindering convergence and can cause divergence.",
    "article, first paragraph", large,
)  # fmt: skip
