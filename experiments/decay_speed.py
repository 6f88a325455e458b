"""Whether a decay that is too quick ends at a worse loss, and whether a convex model needs a decay at all."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from experiments.base import Experiment, Measured, Setup, paired, ratio
from experiments.contests import Contest, contest, grid
from experiments.figures import draw_intervals, draw_lines, panels
from experiments.horizon import convex
from experiments.records import Check, Row
from experiments.tasks import NOISY, noisy_digits, scored_on_training
from stepsize.engines import Ensemble
from stepsize.jobs.paired_statistics import t_interval
from stepsize.policies import exponential_decay
from stepsize.problems import Task
from stepsize.results import Interval
from stepsize.rules import Momentum
from stepsize.strategy import Strategy, Trial

LAST_RATES = (0.1, 1e-2, 1e-4, 1e-8, 1e-16)
"""What exponential decays leave of the rate at the end of the run."""

SLOW, QUICK = f"to {LAST_RATES[1]:g}", f"to {LAST_RATES[-1]:g}"

WELL = 1.05
"""A fixed rate suffices where its loss is less than 5 % above that of the best decay."""


def _strategy(end: float, rate: float) -> Strategy:
    return Strategy(Momentum(), exponential_decay(rate, end=end))


def quick(setup: Setup) -> Measured:
    """Measure exponential decays of several speeds, each at its own tuned rate, and at the rate of one of them."""
    task = noisy_digits()
    families = {
        f"to {end:g}": partial(_strategy, end) for end in setup.pick(LAST_RATES, (LAST_RATES[1], LAST_RATES[-1]))
    }
    steps, fresh = setup.pick(900, 30), setup.seeds(100, 8)
    rates = grid(0.01, 0.32, setup.pick(2.0, 8.0))
    found = contest(
        setup, scored_on_training(task), families, rates, steps, tuning=setup.seeds(0, 4, 1), fresh=fresh,
        engine=Ensemble(),
    )  # fmt: skip

    def losses(name: str, rate: float, on: Task) -> Interval:
        trials = [Trial(families[name](rate), seed) for seed in fresh]
        values[name, rate, on.name] = Ensemble().run(on, trials, steps).final
        return t_interval(values[name, rate, on.name])

    values = {}  # type: ignore[var-annotated]  # filled by the function above
    shared, train, rows = found.rates[SLOW], scored_on_training(task), []
    for name, rate in found.rates.items():
        rows.append(Row(f"{name}, its own rate {rate:.3g}", "training loss", found.interval(name)))
        rows.append(Row(f"{name}, its own rate {rate:.3g}", "validation loss", losses(name, rate, task)))
        rows.append(Row(f"{name}, rate {shared:.3g}", "training loss", losses(name, shared, train)))
        rows.append(Row(f"{name}, rate {shared:.3g}", "validation loss", losses(name, shared, task)))
    pairs = {
        "training loss, each at its own rate": ratio(found.scores[QUICK], found.scores[SLOW]),
        "training loss, at one rate": ratio(values[QUICK, shared, train.name], values[SLOW, shared, train.name]),
        "validation loss, each at its own rate": ratio(
            values[QUICK, found.rates[QUICK], task.name], values[SLOW, found.rates[SLOW], task.name]
        ),
        "validation loss, at one rate": ratio(values[QUICK, shared, task.name], values[SLOW, shared, task.name]),
    }
    figure, (left, right) = panels(2)
    draw_lines(left, found.grids, title="While tuning", x="first learning rate", y="training loss", rates=True)
    shown = {f"{row.what.partition(',')[0]}: {row.quantity}": row.value for row in rows if "own" in row.what}
    draw_intervals(right, shown, title="Each at its own rate", x="loss, fresh seeds")
    return Measured(
        f"{NOISY}, perceptron 64-64-10, SGD with momentum 0.9, batch 32, {steps} steps; exponential decays of the rate "
        f"to shares of {', '.join(f'{end:g}' for end in LAST_RATES)} of its first value; "
        f"first rates tuned on the training loss of other seeds",
        paired(fresh),
        rows, [Check(f"{name}: {QUICK} / {SLOW}", each, 1.0) for name, each in pairs.items()], figure,
    )  # fmt: skip


DECAYS = ("linear_to_zero", "cosine", "step_decay")


def _plain(name: str, rate: float) -> Strategy:
    return Strategy.of("SGD", name, rate)


def fixed(setup: Setup) -> Measured:
    """Measure a tuned fixed rate against the best tuned decay: convex, by full and small batches, and a perceptron."""
    whole = convex()
    tasks = {
        "convex, full batch": replace(whole, batch_size=len(whole)),
        "convex, batch 32": whole,
        "not convex, batch 32": noisy_digits(),
    }
    figure, axes = panels(len(tasks), width=3.6)
    rows, checks = [], []
    for ax, (name, task) in zip(axes, tasks.items(), strict=True):
        found = _contest(setup, task, full=task is tasks["convex, full batch"])
        decay = found.best(DECAYS)
        rows += [
            Row(f"{name}: {each}, peak {rate:.3g}", "training loss", found.interval(each))
            for each, rate in found.rates.items()
        ]
        above = ratio(found.scores["constant"], found.scores[decay])
        suffices = not name.startswith("not")
        says = f"{name}: a fixed rate {'suffices' if suffices else 'does not suffice'}, constant / best decay ({decay})"
        checks.append(Check(says, above, high=WELL) if suffices else Check(says, above, low=WELL))
        draw_lines(
            ax, found.grids, title=name, x="peak learning rate", y="training loss", rates=True, key=ax is axes[-1]
        )
    return Measured(
        f"{NOISY}, softmax regression and a perceptron 64-64-10, plain SGD, "
        f"{setup.pick(900, 40)} steps; training loss at the end; peak rates tuned by schedule on other seeds",
        paired(setup.seeds(100, 8)),
        rows, checks, figure,
    )  # fmt: skip


def _contest(setup: Setup, task: Task, *, full: bool) -> Contest:
    families = {name: partial(_plain, name) for name in ("constant", *DECAYS)}
    rates = grid(0.02, 1.28, setup.pick(2.0, 8.0)) * (2.0 if full else 1.0)
    steps = setup.pick(900, 20 if full else 40)
    return contest(
        setup, scored_on_training(task), families, rates, steps, tuning=setup.seeds(0, 2 if full else 4, 1),
        fresh=setup.seeds(100, 8), engine=Ensemble(),
    )  # fmt: skip


QUICK_DECAY = Experiment(
    "quick-decay", "A decay that is too quick ends at a suboptimal loss.", "article, Diminishing Learning Rate", quick,
)  # fmt: skip
FIXED = Experiment(
    "fixed-rate", "A fixed rate works well where the loss is convex, and is seldom sufficient where it is not.",
    "article, Fixed Learning Rate", fixed,
)  # fmt: skip
