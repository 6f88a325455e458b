"""Refining a schedule: from the gradient norms of one run to the schedule of the next [defazio2023when].

`refine` takes norms that somebody recorded; `refine_task` records them, and may race what comes out of it. A run of T
updates has T norms, and the schedule is that of T + 1 of which the last one, a 0, is left out: so constant norms give
`Linear(peak, 0)` exactly, and no update is wasted.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from stepsize import diagnostics
from stepsize.engines import Engine
from stepsize.execution.runner import Progress, Runner
from stepsize.jobs.logs.rates import Rates
from stepsize.jobs.logs.updates import Updates, number_updates
from stepsize.jobs.race.climb import Climb
from stepsize.jobs.race.entrants import at_suggestion
from stepsize.jobs.race.rungs import RungPlan
from stepsize.jobs.range_test.range_test import range_test
from stepsize.jobs.range_test.suggest import suggest
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError
from stepsize.kernel.numeric import numeric
from stepsize.kernel.optional import need_all
from stepsize.policies import LR, Policy
from stepsize.problems import Trainable
from stepsize.problems.base import with_data
from stepsize.results import Race, Refinement
from stepsize.results.refinement import Norm
from stepsize.results.sensitivity import describe_edge
from stepsize.rules import AdamW, Rule
from stepsize.schedules import Schedule, Stretched, Table
from stepsize.strategy import Strategy, Trial, round_rate
from stepsize.theory import bound_terms, refine_schedule, resample_norms, smooth_norms
from stepsize.theory.refinement import SHARE

POWER: dict[Norm, float] = {"l2": 2.0, "l1": 1.0}
"""What a weight is of a norm: its inverse to this power."""

MOST_RATES = 10_000
"""The most rates of a refined schedule; a longer run plays them slower."""

LEAST = 20
"""The fewest norms that a schedule is refined from."""

EDGE = 2
"""Norms that are left out at both edges: the first updates and the last batch are like no others."""

COVERED = 0.9
"""The share of the run that the recorded norms must cover."""

FARTHEST = 3.0
"""The bound moves the peak by at most this factor: with norms that fall far it would move it by decades."""

LATE = 0.5
"""A peak after this share of the run is no warmup any more."""

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""The peaks of both schedules that are raced, as multiples of their first guess."""

PAIR = ("original", "refined")
"""What the two schedules that are raced are called."""

RULE, POLICY = AdamW(), "linear_to_zero"
"""What is recorded when no strategy is given, at the rate that a range test points to."""

TUNING, FRESH = (0, 1), (100, 101, 102, 103, 104)
"""The seeds that choose the peaks, and those that compare the two schedules."""

RACES = len(PAIR) * (len(FACTORS) * len(TUNING) + len(FRESH))
"""The trainings of a race of both schedules."""


@numeric
def refine(
    steps: npt.ArrayLike, norms: npt.ArrayLike, *, total: int | None = None, norm: Norm = "l2",
    rates: npt.ArrayLike | Rates | None = None, share: float = SHARE, name: str = "log",
) -> Refinement:  # fmt: skip
    """Return the schedule that recorded gradient norms ask for.

    steps: whose norms are known, rising, (points,). norms: there, (points,); what is infinite or no number is left out.
        They count updates from 0 or from 1, which is seen from them (`stepsize.jobs.logs.updates`).
    total: how long the run was; seen from the steps too when not given.
    norm: "l2" for SGD and its kind, whose weights are `G**-2`; "l1" for Adam and its kind, with `G**-1`.
    rates: the learning rate of every update, (total,), or what a log has of it, where it is known: then the peak is
        moved by the bound.
    share: the window of the smoothing, as a part of the run.

    Raises ParameterError for norms of 0 or below, BudgetError for too few of them, or where they end long before the
    run.

    Watch out: tune the peak again. Batch norms carry the noise of the batch; a run at a rate that was much too large or
    too small has other norms than the run that you want.

    Source: [defazio2023when].

    >>> found = refine(range(0, 400, 4), np.ones(100))
    >>> found.steps, found.policy["lr"].table(0, 400)[[0, 100, 399]].round(4).tolist()
    (400, [1.0, 0.75, 0.0025])
    """
    if norm not in POWER:
        raise ParameterError(f"norm must be 'l2' or 'l1', not {norm!r}.")
    at, kept, lost = _clean(steps, norms)
    first, run = _length(floats(steps), total)
    at = floats(at - first)
    points = min(run, MOST_RATES)
    grid = np.arange(points + 1) * run / points
    smooth = smooth_norms(resample_norms(at, kept, grid), share)
    relative = smooth[:-1] / smooth[:-1].max()  # the scale cancels in the bound, and its squares would overflow
    shape = refine_schedule(smooth, POWER[norm])[:-1]
    original = np.empty(0) if rates is None else _original(rates, run, grid[:-1])
    peak = 1.0
    if rates is not None:
        top = rates.peak if isinstance(rates, Rates) else float(floats(rates).max())
        peak = top * _shift(original, shape, relative)
    return Refinement(
        name=name,
        steps=run,
        norm=norm,
        recorded=at,
        norms=kept,
        smooth=smooth[:-1],
        shape=shape,
        policy=Policy(lr=_schedule(shape, run, round_rate(peak))),
        original=original,
        gain=_bound(shape, relative) / _bound(1 - grid[:-1] / run, relative),
        warnings=_warnings(shape, lost, known=rates is not None),
    )


@numeric
def refine_task(
    task: Trainable, strategy: Strategy | None = None, *, steps: int | None = None, seed: int = 0, share: float = SHARE,
    race: bool = False, engine: Engine | None = None, progress: Progress | None = None, runner: Runner | None = None,
) -> Refinement:  # fmt: skip
    """Run a strategy on `task`, and return the schedule that its gradient norms ask for.

    strategy: what is run; AdamW with a linear decay, at the rate that a range test points to, when not given.
    steps: of the run, optimizer updates; the task's own when not given. seed: of the run that is recorded.
    race: whether to race the refined schedule against the original: each at five peaks on some seeds, then both at
        their best on fresh ones, for `RACES` trainings.
    runner: to share an engine and a journal with other jobs.

    Raises TaskError when the run diverges, and what `refine` raises. Watch out as there.
    """
    need_all(["scipy"])
    run = task.steps if steps is None else steps
    runner = runner or Runner(task, engine=engine, progress=progress)
    if strategy is None:
        ramp = range_test(task, RULE, curvature=False, runner=runner)
        strategy = at_suggestion(RULE, POLICY, suggest(ramp, "constant", run), run)
    norm = norm_of(strategy.rule)
    recorded = diagnostics.record_norms(
        with_data(task), Trial(strategy, seed), run, progress=lambda n: _report(progress, "recording", n)
    )
    norms = recorded.l2 if norm == "l2" else recorded.l1
    if not np.isfinite(norms).all():
        raise TaskError(
            f"{strategy.name} diverges on {task.name!r} at update {int(np.argmin(np.isfinite(norms)))}, so there is "
            "nothing to refine; give it a smaller rate."
        )
    rates = strategy.policy[LR].over(run).table(0, run)
    name = task.source or task.name
    refinement = refine(np.arange(run), norms, total=run, norm=norm, rates=rates, share=share, name=name)
    raced = _race(runner, strategy, refinement.policy[LR], run) if race else None
    return replace(refinement, strategy=strategy, race=raced, warnings=(*refinement.warnings, *_edges(raced)))


def norm_of(rule: Rule) -> Norm:
    """Return the norm whose gradients count for a rule: L2 where the step is as long as the gradient, else L1."""
    return "l2" if rule.facts.euclidean else "l1"


def _clean(steps: npt.ArrayLike, norms: npt.ArrayLike) -> tuple[Floats, Floats, int]:
    """Return the norms that are numbers, without the first and the last ones, and how many were none."""
    at, recorded = floats(steps), floats(norms)
    if at.shape != recorded.shape or at.ndim != 1:
        raise ParameterError(f"as many steps as norms are needed, (points,) both, not {at.shape} and {recorded.shape}.")
    if (np.diff(at) <= 0).any() or (at < 0).any():
        raise ParameterError("the steps of the norms must rise, from 0 or above; sort them, each once.")
    whole = np.isfinite(recorded)
    if (recorded[whole] <= 0).any():
        worst = float(recorded[whole].min())
        raise ParameterError(
            f"a gradient norm is {worst:g}, and a norm that weighs anything is above 0; look at what the column holds, "
            "and leave out the steps without a gradient."
        )
    if whole.sum() < LEAST:
        raise BudgetError(f"{int(whole.sum())} gradient norms are too few to refine from; record at least {LEAST}.")
    kept = np.flatnonzero(whole)[EDGE:-EDGE]
    return at[kept], recorded[kept], int((~whole).sum())


def _length(at: Floats, total: int | None) -> Updates:
    """Return what the steps count and the length of the run, where the steps with norms cover it."""
    updates = number_updates(at, total)
    reached = number_updates(at).total
    if reached < COVERED * updates.total:
        raise BudgetError(
            f"the log ends at step {at[-1]:.0f} of {total}, and the norms of the rest of the run are not known; "
            f"leave the steps out to refine a run of {reached}, or log the whole run."
        )
    return updates


def _original(rates: npt.ArrayLike | Rates, run: int, points: Floats) -> Floats:
    if isinstance(rates, Rates):
        return floats(rates.at(points) / rates.peak)
    table = floats(rates)
    if table.shape != (run,) or not np.isfinite(table).all() or (table < 0).any() or not table.any():
        raise ParameterError(f"rates must be the learning rate of each of the {run} updates, not {table.shape}.")
    return floats(np.interp(points, np.arange(run), table) / table.max())


def _shift(source: Floats, target: Floats, norms: Floats) -> float:
    """Return by what the bound multiplies a peak tuned for `source` to get that of `target`, both for these norms."""
    first, second = bound_terms(source, norms), bound_terms(target, norms)
    factor = math.sqrt(second[0] / second[1] * first[1] / first[0])
    return min(max(factor, 1 / FARTHEST), FARTHEST)


def _bound(shape: Floats, norms: Floats) -> float:
    return math.sqrt(math.prod(bound_terms(shape, norms)))


def _schedule(shape: Floats, run: int, peak: float) -> Schedule:
    values = Table(tuple((peak * shape).tolist()), len(shape))
    return values if len(shape) == run else Stretched(values, run)


def _warnings(shape: Floats, lost: int, *, known: bool) -> tuple[str, ...]:
    sentences = []
    if lost:
        sentences.append(f"{lost} norms were no finite numbers and were left out")
    if not known:
        sentences.append("no learning rate was recorded, so the peak is 1: multiply it by one that is tuned")
    late = int(shape.argmax()) / len(shape)
    if late > LATE:
        sentences.append(
            f"the norms fall through most of the run, so the rates rise up to {late:.0%} of it: the model fits its "
            "training data nearly exactly, and there this theory does not hold"
        )
    return tuple(sentences)


def _report(progress: Progress | None, stage: str, updates: int) -> None:
    if progress is not None:
        progress(stage, updates)


def _race(runner: Runner, original: Strategy, schedule: Schedule, run: int) -> Race:
    """Race both schedules at five peaks, then both at their best on fresh seeds."""
    pair = (original, Strategy(original.rule, original.policy.replace(lr=schedule)))
    tried = [[_at(name, strategy, factor) for factor in FACTORS] for name, strategy in zip(PAIR, pair, strict=True)]
    tuned = Climb(runner, [*tried[0], *tried[1]], run, [RungPlan(run, TUNING)], stage="peaks, rung").finish()
    rung = tuned.rungs[-1]
    ranked = [rung.strategies[i] for i in rung.order]
    best = [next(strategy for strategy in ranked if strategy in peaks) for peaks in tried]
    final = Climb(runner, best, run, [RungPlan(run, FRESH)], stage="fresh seeds, rung").finish()
    return replace(final, rungs=(*tuned.rungs, *final.rungs), cost=tuned.cost + final.cost)


def _at(name: str, strategy: Strategy, factor: float) -> Strategy:
    return replace(strategy.scaled(factor), name=f"{name} {strategy.peak * factor:.3g}")


def _edges(raced: Race | None) -> tuple[str, ...]:
    """Say of which schedule the best peak was the lowest or the highest that was tried."""
    if raced is None:
        return ()
    tried, number = raced.rungs[0].strategies, len(FACTORS)
    finalists = zip(PAIR, raced.rungs[-1].strategies, (tried[:number], tried[number:]), strict=True)
    edges = [
        describe_edge(f"the {name} schedule", best.peak, [strategy.peak for strategy in rivals])
        for name, best, rivals in finalists
    ]
    return tuple(edge.removesuffix(".") for edge in edges if edge)  # its readers write warnings with their own period
