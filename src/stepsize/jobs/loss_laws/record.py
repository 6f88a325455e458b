"""Recording the few runs on a task that the laws of the loss curve are fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.loss_laws.predict import at_peak, laws_called, predict
from stepsize.jobs.range_test.range_test import estimate_rate
from stepsize.kernel.errors import BudgetError, TaskError
from stepsize.kernel.numeric import numeric
from stepsize.kernel.optional import need_all
from stepsize.kernel.text import count
from stepsize.policies import LR, Policy
from stepsize.problems import Trainable
from stepsize.results import LossCurve, Prediction
from stepsize.rules import Rule
from stepsize.schedules import Constant, Cosine
from stepsize.strategy import Strategy, Trial

SEEDS = (0, 1, 2, 3)
"""The seeds of a recorded curve, which is their mean."""

LEAST = 40
"""The shortest run whose curve says something."""


def recorded_policies(peak: float) -> dict[str, Policy]:
    """Return what is recorded: a constant rate, a cosine, and a drop to 3 tenths [luo2025multi, sec. 4]."""
    drop = Constant(peak, "55%") >> Constant(0.3 * peak)
    return {"constant": Policy(lr=Constant(peak)), "cosine": Policy(lr=Cosine(peak, 0.0)), "drop": Policy(lr=drop)}


def record(
    runner: Runner, rule: Rule, policies: Mapping[str, Policy], steps: int, seeds: Sequence[int] = SEEDS
) -> list[LossCurve]:
    """Return the training loss of `rule` under each policy, the mean over `seeds`, as curves.

    Raises TaskError when a run diverges.
    """
    trials = [Trial(Strategy(rule, policy, name), seed) for name, policy in policies.items() for seed in seeds]
    curves = runner.run(f"recording {count(len(policies), 'schedule')}, {steps} steps", trials, steps)
    losses = np.asarray(curves.losses, dtype=np.float64).reshape(steps, len(policies), len(seeds)).mean(axis=2)
    recorded = []
    for (name, policy), column in zip(policies.items(), losses.T, strict=True):
        if not np.isfinite(column).all():
            raise TaskError(f"{name} diverges on {runner.task.name!r}, so its curve says nothing; give a smaller rate.")
        recorded.append(LossCurve(name, policy.over(steps)[LR].table(0, steps), np.arange(1.0, steps), column[1:]))
    return recorded


@numeric
def predict_task(
    task: Trainable, rule: Rule, peak: float | None, schedules: Mapping[str, Policy | str], *, steps: int | None = None,
    recorded: int | None = None, laws: Sequence[str] | None = None, seeds: Sequence[int] = SEEDS, check: bool = False,
    engine: Engine | None = None, progress: Progress | None = None, runner: Runner | None = None,
) -> Prediction:  # fmt: skip
    """Record three runs of `task` with `rule` at the rate `peak`, and return what the laws say of `schedules`.

    peak: of the recorded runs; found by a range test when None. schedules: policies by name, or names of recipes, which
        get the same peak.
    steps: the horizon that is asked about, optimizer updates; the task's own when not given. recorded: how long the
        recorded runs are; as long as that when not given. laws: their names; all when not given. seeds: of each curve.
    check: also run the schedules that are asked about, and hold the laws to them.
    runner: to share an engine and a journal with other jobs.

    Raises BudgetError for runs that are too short or have no seed, TaskError when one diverges, and what `predict`
    raises.

    Watch out: the loss is that of the training batches. A small task is learned by heart, and its loss then goes to 0
    in ways that no law here knows; look at the error.
    """
    need_all(["scipy"])
    at_peak(schedules, 1.0)  # refuses a name that no recipe has before anything runs, as the next does of laws
    laws_called(laws)
    horizon = task.steps if steps is None else steps
    length = horizon if recorded is None else recorded
    if length < LEAST:
        raise BudgetError(f"runs of {length} steps are too short to learn a law from; record at least {LEAST}.")
    if not seeds:
        raise BudgetError("a recorded curve needs at least one seed.")
    runner = runner or Runner(task, engine=engine, progress=progress)
    peak = estimate_rate(task, rule, curvature=False, runner=runner) if peak is None else peak
    asked = at_peak(schedules, peak)
    runs = record(runner, rule, recorded_policies(peak), length, seeds)
    held_out = record(runner, rule, asked, horizon, seeds) if check else []
    return predict(runs, asked, steps=horizon, laws=laws, held_out=held_out, name=task.source or task.name)
