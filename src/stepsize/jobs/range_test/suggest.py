"""What a range test or a grid suggests: two bounds and the rate to use with a schedule, or no clear answer and why.

Pure functions of the record. The rate goes from the test to the run in two steps (`jobs.rescale`): from the schedule of
the test to the one asked for, by the last-iterate bound [schaipp2025surprising], and from the length of the test to the
horizon, by the law that was measured. A *range test* of n steps a decade says of constant rates what runs of about n
steps would, and the best of them is a share of the rate at its lowest point. A *grid* shows where whole runs end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np

from stepsize.jobs.range_test.bounds import Bounds, read_bounds
from stepsize.jobs.range_test.held_out import describe_gap
from stepsize.jobs.range_test.hyperparameter_sweep import suggest_value
from stepsize.jobs.range_test.rate_grid import lowest_rates
from stepsize.jobs.rescale import rescale_exponent, rescale_to_horizon, rescale_to_shape
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.numeric import numeric
from stepsize.policies import Policy, constant, recipe
from stepsize.policies.cycles import CycleShape
from stepsize.results import Estimate, HyperparameterSweep, RangeTestRecord, RateGrid, Suggestion
from stepsize.rules import Rule
from stepsize.strategy import Strategy, round_rate

# AIM was fitted on the dev half of the tasks of bench/range_test: it is what loses least there. AIM_OF_SAME_SIZE lies
# between it and the .1 that the one task of such a rule asks for. APART and WIDEST are guards, far from what those
# tasks show.

AIM = 0.45
"""The best constant rate of a short run, as a share of the rate at a range test's lowest point: what a training bears
for a moment has no time to do harm, and a rate too high costs more than one too low."""

AIM_OF_SAME_SIZE = 0.2
"""The same where every step has one size, as with Lion: no step is large enough to explode, long after they do harm."""

APART = 10.0
"""A factor between the range test and the curvature that deserves a warning."""

WIDEST = 10.0
"""A factor between the rates of two seeds that is no answer any more."""

CYCLE = 0.25
"""The base of a cycle as a share of its peak, where the range test shows no drop further down [smith2017cyclical]."""

CYCLICAL = get_args(CycleShape)
"""Recipes of cycles between two rates."""


@numeric
def suggest(
    sweep: RangeTestRecord | RateGrid | HyperparameterSweep,
    policy: str | Policy | Strategy | None = None,
    horizon: int | None = None,
) -> Suggestion:
    """Return the bounds that `sweep` shows, and the rate to use with a policy, with their spread over its seeds.

    policy: what to use the rate with: the name of a recipe ("one_cycle"), a policy or a strategy, whose own rate does
        not matter; without it the policy of a grid, and for a range test the bounds alone. horizon: how long the
        training in question is (optimizer updates); by default one full training of the sweep's task.

    Of a sweep of another hyperparameter, `lr` is the value to use of that (see `sweep_hyperparameter`).

    Watch out: the largest rate that a short range test bears is not the best rate of a long run; it is where the search
    for that begins (`advise`). Rescaling to the horizon is a law that was measured over factors of 2 to 16.
    """
    if isinstance(sweep, HyperparameterSweep):
        return suggest_value(sweep)
    bounds = read_bounds(sweep)
    known = _suggest_bounds(sweep, bounds)
    if policy is not None:
        wanted = normalise_policy(policy, sweep.rule)
    elif isinstance(sweep, RangeTestRecord):
        return known
    else:
        policy = wanted = sweep.policy
    horizon = sweep.horizon if horizon is None else horizon
    best, trouble = lowest_rates(sweep) if isinstance(sweep, RateGrid) else (bounds.highs, bounds.trouble)
    if trouble:
        return replace(known, clear=False, reason=f"no clear answer: {trouble}")
    if isinstance(sweep, RateGrid):
        rates, why = from_grid(sweep, best, wanted, horizon)
    else:
        rates, why = from_range_test(sweep, best, wanted, horizon)
    lr = Estimate.of(rates)
    if lr.high / lr.low > WIDEST:
        disagree = f"the seeds disagree: the rate is between {lr.low:.2g} and {lr.high:.2g}"
        return replace(known, clear=False, reason=f"no clear answer: {disagree}")
    share = _base_share(known) if policy in CYCLICAL else None
    base = None if share is None else Estimate(lr.value * share, lr.low * share, lr.high * share)
    at_lr = at_rate(policy, lr.value, sweep.rule, horizon, base=share)
    return replace(known, clear=True, reason=why, lr=lr, base=base, policy=at_lr)


def _suggest_bounds(tested: RangeTestRecord | RateGrid, bounds: Bounds) -> Suggestion:
    """Return the article's two bounds, with the curvature's opinion."""
    limit, warnings = _stability_limit(tested, bounds)
    sign = describe_gap(tested, bounds) if isinstance(tested, RangeTestRecord) else ""
    if bounds.trouble:
        return Suggestion(
            clear=False, reason=f"no clear answer: {bounds.trouble}", smooth=bounds.smooth, limit=limit,
            generalisation=sign,
        )  # fmt: skip
    lows, highs = Estimate.of(bounds.lows), Estimate.of(bounds.highs)
    reason = (
        f"{bounds.change}, from {lows.value:.2g} on (a tenth of the way) to its best at {highs.value:.2g}, then "
        f"{tested.directions[1]}"
    )
    return Suggestion(
        min_lr=lows, max_lr=highs, clear=True, reason=reason, smooth=bounds.smooth, limit=limit,
        warnings=warnings, generalisation=sign,
    )  # fmt: skip


def _stability_limit(tested: RangeTestRecord | RateGrid, bounds: Bounds) -> tuple[Estimate | None, tuple[str, ...]]:
    if isinstance(tested, RateGrid) or tested.limits is None or not np.isfinite(tested.limits).any():
        return None, ()
    limit = Estimate.of(tested.limits[np.isfinite(tested.limits)])
    top = float(np.median(bounds.highs))
    if bounds.trouble or 1 / APART <= top / limit.value <= APART:
        return limit, ()
    side = "above" if top > limit.value else "below"
    warning = (
        f"the loss is lowest at {top:.2g}, far {side} the largest rate that the curvature of the initial weights "
        f"bears ({limit.value:.2g}): the curvature changes early in training, so believe the runs, and look at them"
    )
    return limit, (warning,)


def from_range_test(record: RangeTestRecord, best: Floats, wanted: Policy, horizon: int | None) -> tuple[Floats, str]:
    """Return the peak rate of each seed that a range test points to, (seeds,), and how.

    best: the rates at its lowest points, (seeds,). wanted: the policy, at a peak of 1. horizon: None when not known.
    """
    lowest = float(np.median(best))
    moment = _updates_near(record, lowest)
    run, exponent = horizon or moment, rescale_exponent(record.rule)
    over = rescale_to_horizon(constant(1.0), moment, run, exponent)
    across = rescale_to_shape(record.rule, constant(1.0), wanted, run)
    share = AIM_OF_SAME_SIZE if record.rule is not None and record.rule.facts.same_size else AIM
    how = (
        f"{share:g} of {lowest:.2g}, where the range test is lowest, rescaled by {over:.2g} from {moment} "
        f"to {run} steps (the rate goes as T**{exponent:.2f}) and by {across:.2g} from a constant rate to this shape"
    )
    return best * share * over * across, how


def _updates_near(record: RangeTestRecord, rate: float) -> int:
    """Return how many updates a range test makes within half a decade of `rate` on either side."""
    near = np.abs(np.log10(floats(record.rates) / rate)) <= 0.5
    return max(1, round(int(near.sum()) * record.steps / len(record.rates)))


def from_grid(grid: RateGrid, best: Floats, wanted: Policy, horizon: int | None) -> tuple[Floats, str]:
    """Return the peak rate of each seed that a grid points to, (seeds,), and how; arguments as in `from_range_test`."""
    run, exponent = horizon or grid.steps, rescale_exponent(grid.rule)
    over = rescale_to_horizon(grid.policy, grid.steps, run, exponent)
    across = rescale_to_shape(grid.rule, grid.policy, wanted, run)
    how = (
        f"whole runs of {grid.steps} steps end lowest at {float(np.median(best)):.2g}; rescaled by {over:.2g} to "
        f"{run} steps (the rate goes as T**{exponent:.2f})"
    )
    return best * over * across, how + (f" and by {across:.2g} to the other shape" if across != 1.0 else "")


def normalise_policy(wanted: str | Policy | Strategy, rule: Rule | None) -> Policy:
    """Return what was asked for as a policy of peak 1, without what `rule` does not have."""
    if isinstance(wanted, str):
        policy = recipe(wanted)(1.0)
    else:
        own = wanted.policy if isinstance(wanted, Strategy) else wanted
        policy = own.scaled(1 / (own.peak or 1.0))
    return policy if rule is None else policy.only(rule.hyperparameters)


@numeric
def at_rate(
    wanted: str | Policy | Strategy, lr: float, rule: Rule | None = None, horizon: int | None = None, *,
    base: float | None = None,
) -> Policy:  # fmt: skip
    """Return what was asked for with the peak `lr`, to three digits; bound to `horizon` steps, where that is known.

    base: of a cycle that is asked for by name, as a share of its peak; its own when not given.
    """
    top = round_rate(lr)
    if isinstance(wanted, str):
        policy = recipe(wanted)(top, **({} if base is None else {"base": float(f"{base:.2g}")}))
        policy = policy if rule is None else policy.only(rule.hyperparameters)
    else:
        policy = normalise_policy(wanted, rule).scaled(top)
    return policy.over(horizon) if horizon else policy


def _base_share(bounds: Suggestion) -> float:
    """Return the base of a cycle as a share of its peak: as the two bounds lie apart, and at most a quarter."""
    if bounds.min_lr is None or bounds.max_lr is None:
        return CYCLE
    return min(CYCLE, bounds.min_lr.value / bounds.max_lr.value)
