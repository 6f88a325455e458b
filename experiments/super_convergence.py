"""Super-convergence: whether few updates of 1cycle at a very large rate do what a long training with stairs does."""

from __future__ import annotations

from functools import partial
from typing import Any

from experiments.base import Experiment, Measured, Setup, exact, paired, ratio
from experiments.contests import Contest, Family, contest, grid
from experiments.figures import draw_lines, panels
from experiments.records import Check, Row
from experiments.tasks import NOISY, digits_conv, noisy_digits, small_digits
from stepsize.engines import Ensemble
from stepsize.problems import Task
from stepsize.strategy import Strategy

TASKS = {"perceptron": small_digits, "perceptron, noisy labels": noisy_digits, "convolution, batch norm": digits_conv}

LONG, SHARES = 2000, (4, 10)
"""The long training, and what its length is divided by."""

MATCHES, LARGE = 1.05, 3.0
"""A short run matches a long one less than 5 % above its loss; a very large rate is three times as large or more."""


def contests(setup: Setup, task: Task) -> dict[int, Contest]:
    """Return the contest of each length: stairs in the long training, stairs and 1cycle in the short ones."""
    found = {}
    for share in (1, *SHARES):
        names = ("step_decay",) if share == 1 else ("step_decay", "one_cycle")
        families: dict[str, Family] = {name: partial(Strategy.of, "Momentum", name) for name in names}
        found[share] = contest(
            setup, task, families, grid(0.02, 0.64, setup.pick(2.0, 32.0)), setup.pick(LONG, 40) // share,
            tuning=setup.seeds(0, 3, 1), fresh=setup.seeds(100, 8), engine=Ensemble(),
            score_every=max(1, setup.pick(LONG, 40) // share // 20),
        )  # fmt: skip
    return found


def measure(setup: Setup) -> Measured:
    """Measure the short runs against the long one, on every task."""
    tasks = setup.pick(list(TASKS), list(TASKS)[:1])
    figure, axes = panels(len(tasks), width=3.8)
    rows, checks = [], []
    for ax, name in zip(axes, tasks, strict=True):
        found = contests(setup, TASKS[name]())
        long = found[1]
        lines: dict[str, tuple[Any, Any]] = {}
        for share, each in found.items():
            for family, rate in each.rates.items():
                curves = each.curves[family]
                what = f"{name}: {family}, {curves.steps} steps, peak {rate:.3g}"
                rows.append(Row(what, "validation loss", each.interval(family)))
                lines[f"{family}, {curves.steps}"] = (curves.score_steps, curves.scores.mean(axis=1))
            if share > 1:
                checks += _checks(f"{name}, {'a quarter' if share == 4 else 'a tenth'} of the updates", each, long)
        draw_lines(ax, lines, title=name, x="step", y="validation loss")
        ax.set_xscale("log")
    return Measured(
        f"scikit-learn's digits ({NOISY}, in one of the tasks), a perceptron 64-64-10 and a small convolution net, SGD "
        f"with momentum 0.9 (1cycle moves it from 0.95 to 0.85 and back), batch 32, no weight decay; stairs of a tenth "
        f"over {setup.pick(LONG, 40)} steps against runs of a quarter and of a tenth of them; validation loss at the "
        f"end; every peak rate tuned on {len(setup.seeds(0, 3, 1))} other seeds",
        paired(setup.seeds(100, 8)),
        rows, checks, figure,
    )  # fmt: skip


def _checks(where: str, short: Contest, long: Contest) -> list[Check]:
    own, stairs, whole = short.scores["one_cycle"], short.scores["step_decay"], long.scores["step_decay"]
    return [
        Check(f"{where}: loss of 1cycle / of stairs in all updates", ratio(own, whole), high=MATCHES),
        Check(f"{where}: loss of 1cycle / of stairs in as many updates", ratio(own, stairs), high=1.0),
        Check(
            f"{where}: best peak of 1cycle / of stairs in all updates",
            exact(short.rates["one_cycle"] / long.rates["step_decay"]), LARGE,
        ),
    ]  # fmt: skip


EXPERIMENT = Experiment(
    "super-convergence",
    "1cycle at a very large rate does in a fraction of the updates what a long training in stairs does.",
    "smith2017super; smith2018disciplined, sec. 4.1", measure,
)  # fmt: skip
