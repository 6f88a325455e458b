"""Smith's four steps: find the rate, the batch size, the momentum and the weight decay [smith2018disciplined, sec. 5].

It composes what is there, in his order: a range test on held-out data, batch sizes at equal running time, and short
runs at several momenta and weight decays.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.batch_size.comparison import compare_batch_sizes
from stepsize.jobs.batch_size.running_time import SecondsOf, check_batch_sizes, seconds_per_update
from stepsize.jobs.lengths import updates_of
from stepsize.jobs.range_test.hyperparameter_sweep import sweep_hyperparameter
from stepsize.jobs.range_test.range_test import range_test
from stepsize.jobs.range_test.suggest import normalise_policy, suggest
from stepsize.jobs.rescale import rescale_exponent, rescale_to_horizon
from stepsize.kernel.errors import BudgetError, ParameterError
from stepsize.kernel.numeric import numeric
from stepsize.policies import LR
from stepsize.problems import Task, Trainable
from stepsize.problems.base import with_data
from stepsize.results import FourSteps, Suggestion, Sweep, TakenStep
from stepsize.results.range_test import BATCH_SIZE
from stepsize.rules import Momentum, Rule
from stepsize.strategy import Strategy, round_rate
from stepsize.theory.range_test import LEAST_RUN

WHY = {
    LR: "The rate comes first: it climbs, and the validation loss is watched; the largest is where that is lowest, "
    "and a gap to the training loss is a sign of overfitting",
    BATCH_SIZE: "A larger batch bears a larger rate and makes more of the machine; sizes are compared at equal running "
    "time, each at its own rate",
    "momentum": "Momentum and rate belong together; one that climbs within a run finds nothing, so each value has "
    "short runs of its own",
    "weight_decay": "Regularisation is to be in balance: the larger the rate, the smaller the weight decay; powers of "
    "ten come first, then half exponents",
}
"""What the paper says of each step."""


FALL = 0.1
"""How far the momentum falls while the rate climbs [smith2018disciplined, sec. 4.3]."""


@numeric
def four_steps(
    task: Trainable,
    rule: Rule | None = None,
    *,
    policy: str = "one_cycle",
    sizes: Sequence[int] = (),
    steps: int | str | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    seconds_of: SecondsOf = seconds_per_update,
    engine: Engine | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> FourSteps:
    """Return Smith's four steps on `task`: the rate, the batch size, the momentum and the weight decay, in this order.

    Each starts from what those before it found; where a step has no clear answer, what there was is kept. A rule
    without momentum or weight decay has fewer steps.

    rule: Momentum when not given. policy: what is trained with in the end, the name of a recipe. sizes: batch sizes;
        half, all and twice the task's own when not given. steps: how long the training is that is asked about, with the
        task's own batch size; the task's own when not given. Runs of the steps are a quarter of it. seeds: paired.
        seconds_of: measures an update, `seconds_of(task, rule)`.

    Raises ParameterError where not even the first step has a clear answer, and for sizes that are none; BudgetError for
    a training that is shorter than the runs.

    Watch out: it goes through the four once, and they depend on each other: the result is a good place to begin, and
    `advise`, which searches, or a race around it, says whether there is a better one. On the digits it costs as much as
    24 full trainings.

    Source: [smith2018disciplined, sec. 5].
    """
    began = time.perf_counter()
    own = check_batch_sizes(task, sizes or [1])
    if len(sizes) == 1:
        raise ParameterError(f"the second step compares at least two batch sizes, not {list(sizes)!r}.")
    horizon = own.steps if steps is None else updates_of(own, steps)
    if horizon < LEAST_RUN:
        raise BudgetError(f"runs of the steps are {LEAST_RUN} updates or more, so a training is no shorter: {horizon}.")
    walk = _Walk(runner or Runner(own, engine=engine, progress=progress), rule or Momentum(), policy, seeds)
    walk.find_rate()
    walk.find_size(sizes or _around(own), horizon, seconds_of)
    for name in ("momentum", "weight_decay"):
        if name in walk.rule.hyperparameters:
            walk.find_value(name)
    return FourSteps(
        task=own.source or own.name, steps=walk.updates, batch_size=walk.size, strategy=walk.strategy(),
        parts=tuple(walk.parts), seconds=time.perf_counter() - began,
    )  # fmt: skip


def _around(task: Task) -> list[int]:
    """Return half, all and twice the batch size of a task, as far as there are samples."""
    most = (task.samples_per_epoch or 2 * task.batch_size) // task.accumulate
    return sorted({max(1, task.batch_size // 2), task.batch_size, min(2 * task.batch_size, most)})


class _Walk:
    """The four steps under way: what was found so far.

    rule: with what was found. size: of a batch. updates: of the training that is asked about. rate: of the short runs.
    """

    def __init__(self, runner: Runner, rule: Rule, policy: str, seeds: Sequence[int]) -> None:
        self._runner, self._policy, self._seeds = runner, policy, seeds
        self._task = with_data(runner.task)
        self.rule, self.size, self.parts = rule, self._task.batch_size, list[TakenStep]()
        self._shape = normalise_policy(policy, rule)
        self.rate, self.updates, self._short = math.nan, 0, 0

    def find_rate(self) -> None:
        """Let the rate climb, and watch the validation loss."""
        tested = range_test(self._task, self.rule, seeds=self._seeds, held_out=True, runner=self._runner)
        found = suggest(tested)
        if found.max_lr is None:
            raise ParameterError(
                f"the first of the four steps has {found.reason}; look at the task, or give more seeds."
            )
        self._keep(LR, tested, found, f"the largest rate is {found.max_lr}")

    def find_size(self, sizes: Sequence[int], horizon: int, seconds_of: SecondsOf) -> None:
        """Compare batch sizes at equal time; where none is better, the task's own is kept."""
        length = max(LEAST_RUN, horizon // 4)
        swept = compare_batch_sizes(
            self._task, sizes, policy=self._policy, rule=self.rule, steps=length, seeds=self._seeds,
            seconds_of=seconds_of, runner=self._runner,
        )  # fmt: skip
        found = suggest(swept)
        own = swept.values == self._task.batch_size
        best = int(swept.final_losses.mean(axis=1).argmin())
        chosen = best if found.clear or not own.any() else int(own.argmax())
        self.size, self.rate = int(swept.values[chosen]), float(swept.rates[chosen])
        self._short = swept.updates[chosen]
        self.updates = round(self._short * horizon / length)
        why = "" if found.clear else ", the task's own" * bool(own.any()) + ", as the sizes cannot be distinguished"
        self._keep(BATCH_SIZE, swept, found, f"batches of {self.size}, at a rate of {self.rate:g}{why}")

    def find_value(self, name: str) -> None:
        """Try several values of a hyperparameter in short runs; where none is better, the rule's own is kept."""
        runner = self._runner.on(replace(self._task, batch_size=self.size))
        swept = sweep_hyperparameter(
            runner.task, name, policy=self._shape.scaled(self.rate), rule=self.rule, steps=self._short,
            seeds=self._seeds, runner=runner,
        )  # fmt: skip
        found = suggest(swept)
        value = self.rule.hyperparameters[name] if found.lr is None else found.lr.value
        self.rule = self.rule.having(**{name: value})
        why = "" if found.clear else ", the rule's own, as the values cannot be distinguished"
        self._keep(name, swept, found, f"{name.replace('_', ' ')} {value:g}{why}")

    def strategy(self) -> Strategy:
        """Return what the steps come to, its rate rescaled from the short runs to the whole training.

        Where the policy moves the momentum, it falls by a tenth from what was found while the rate climbs.
        """
        over = rescale_to_horizon(self._shape, self._short, self.updates, rescale_exponent(self.rule))
        settings: dict[str, Any] = {}
        if "momentum" in self._shape:
            most = self.rule.hyperparameters["momentum"]
            settings["momentum"] = (max(0.0, most - FALL), most)
        return Strategy.of(self.rule, self._policy, round_rate(self.rate * over), **settings)

    def _keep(self, name: str, swept: Sweep, found: Suggestion, kept: str) -> None:
        self.parts.append(TakenStep(name=name, why=WHY[name], sweep=swept, found=found, kept=kept))
