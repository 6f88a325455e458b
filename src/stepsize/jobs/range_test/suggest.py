"""What a range test suggests: two bounds and the rate to use with a schedule, or no clear answer and why.

Pure functions of the recorded sweep. The rate goes from the test to the run in two steps, both by the last-iterate
bound [schaipp2025surprising]: from the schedule of the test to the one asked for, and from the length of the test to
the horizon. A *ramp* of n steps a decade says of constant rates what runs of about n steps would, and the best of
them is about .7 of the rate at its lowest point. A *fan* shows where whole runs end.

How the best rate falls with the horizon depends on the rule (`jobs.rescale`). Two fans of different length measure it
on the task itself, which is given 3 tenths of the say.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from stepsize.jobs.range_test.bounds import Reading, read
from stepsize.jobs.range_test.final_losses import lowest
from stepsize.jobs.range_test.other_hyperparameters import suggest_value
from stepsize.jobs.rescale import rescale_exponent, rescale_to_horizon, rescale_to_shape
from stepsize.kernel.arrays import Floats, floats
from stepsize.policies import LR, Policy, constant, recipe
from stepsize.results import Estimate, Suggestion, Sweep
from stepsize.rules import Rule
from stepsize.strategy import Strategy

AIM = 0.7
"""The best constant rate of a short run, as a share of the rate at a ramp's lowest point: what a ramp bears for a
moment has no time to do harm, and a rate too high costs more than one too low."""

AIM_OF_ACCUMULATING = 0.25
"""The same of rules that divide by all gradients since the start: a ramp has made many before it gets to a rate."""

MEASURED = 0.3
"""The say of an exponent that two fans measure."""

STEEPEST, RISING = -4 / 3, 1.0
"""A measured exponent beyond these is noise."""

APART = 10.0
"""A factor between the range test and the curvature that deserves a warning."""

CYCLE = 0.25
"""The base of a cycle as a share of its peak, where the range test shows no drop further down [smith2017cyclical]."""

CYCLICAL = ("triangular", "triangular2", "exp_range")
"""Recipes of cycles between two rates."""


def suggest(sweep: Sweep, for_: str | Policy | Strategy | None = None, steps: int | None = None) -> Suggestion:
    """Return the bounds that `sweep` shows, and the rate to use with a schedule, with their spread over its seeds.

    for_: the schedule to use the rate with: the name of a recipe ("one_cycle"), a policy or a strategy, whose own rate
        does not matter; without it the schedule of a fan, and for a ramp the bounds alone. steps: the horizon (steps,
        optimizer updates); by default one full training of the sweep's task.

    Of a sweep of another hyperparameter, `lr` is the value to use of that (see `value_test`).

    Watch out: the largest rate that a short ramp bears is not the best rate of a long run; it is where to look for it.
    The move to the horizon is theory for convex functions, and was checked over factors of 2 to 16.
    """
    if sweep.of != LR:
        return suggest_value(sweep)
    ramp = next((each for each in (*sweep.earlier, sweep) if not each.fan), sweep)
    bounds = read(ramp)
    found = _bounds(ramp, bounds)
    wanted = sweep.policy if for_ is None else wanted_policy(for_, sweep.rule)
    if wanted is None:
        return found
    horizon = sweep.horizon if steps is None else steps
    best, trouble = lowest(sweep) if sweep.fan else (bounds.highs, bounds.trouble)
    if trouble:
        return replace(found, clear=False, reason=f"no clear answer: {trouble}")
    rates, why = (from_fan if sweep.fan else from_ramp)(sweep, best, wanted, horizon)
    lr = Estimate.of(rates)
    if math.log10(lr.high / lr.low) > 1:
        disagree = f"the seeds disagree: the rate is between {lr.low:.2g} and {lr.high:.2g}"
        return replace(found, clear=False, reason=f"no clear answer: {disagree}")
    share = _share(found) if for_ in CYCLICAL else None
    base = None if share is None else Estimate(lr.value * share, lr.low * share, lr.high * share)
    policy = at_rate(wanted if for_ is None else for_, lr.value, sweep.rule, horizon, base=share)
    return replace(found, clear=True, reason=why, lr=lr, base=base, policy=policy)


def _bounds(ramp: Sweep, bounds: Reading) -> Suggestion:
    """Return the article's two bounds, with the curvature's opinion."""
    limit, warnings = _limit(ramp, bounds)
    if bounds.trouble:
        return Suggestion(
            None, None, clear=False, reason=f"no clear answer: {bounds.trouble}", smooth=bounds.smooth, limit=limit
        )
    lows, highs = Estimate.of(bounds.lows), Estimate.of(bounds.highs)
    reason = (
        f"the loss falls by {bounds.fall:.0%}, from {lows.value:.2g} on (a tenth of the drop) to its lowest point at "
        f"{highs.value:.2g}, then rises"
    )
    return Suggestion(lows, highs, clear=True, reason=reason, smooth=bounds.smooth, limit=limit, warnings=warnings)


def _limit(ramp: Sweep, bounds: Reading) -> tuple[Estimate | None, tuple[str, ...]]:
    known = ramp.limits[np.isfinite(ramp.limits)]
    if not len(known):
        return None, ()
    limit, top = Estimate.of(known), float(np.median(bounds.highs))
    if bounds.trouble or 1 / APART <= top / limit.value <= APART:
        return limit, ()
    side = "above" if top > limit.value else "below"
    warning = (
        f"the loss is lowest at {top:.2g}, far {side} the largest rate that the curvature of the initial weights "
        f"bears ({limit.value:.2g}): the curvature changes early in training, so believe the runs, and look at them"
    )
    return limit, (warning,)


def from_ramp(sweep: Sweep, best: Floats, wanted: Policy, horizon: int) -> tuple[Floats, str]:
    """Return the peak rate of each seed that a ramp points to, (seeds,), and how.

    best: the rates at its lowest points, (seeds,). wanted: the policy, at a peak of 1. horizon: 0 when not known.
    """
    moment = _moment(sweep, float(np.median(best)))
    run, exponent = horizon or moment, rescale_exponent(sweep.rule)
    over = rescale_to_horizon(constant(1.0), moment, run, exponent)
    across = rescale_to_shape(sweep.rule, constant(1.0), wanted, run)
    share = AIM_OF_ACCUMULATING if sweep.rule is not None and sweep.rule.facts.accumulates else AIM
    how = (
        f"{share:g} of {float(np.median(best)):.2g}, the ramp's lowest point, moved by {over:.2g} from {moment} "
        f"to {run} steps (the rate goes as T**{exponent:.2f}) and by {across:.2g} from a constant rate to this shape"
    )
    return best * share * over * across, how


def _moment(ramp: Sweep, rate: float) -> int:
    """Return how many updates a ramp makes within half a decade of `rate` on either side."""
    near = np.abs(np.log10(floats(ramp.rates) / rate)) <= 0.5
    return max(1, round(int(near.sum()) * ramp.steps / len(ramp.rates)))


def from_fan(sweep: Sweep, best: Floats, wanted: Policy, horizon: int) -> tuple[Floats, str]:
    """Return the peak rate of each seed that a fan points to, (seeds,), and how; arguments as in `from_ramp`."""
    own, run = _own(sweep), horizon or sweep.steps
    exponent = _exponent(sweep, best)
    over = rescale_to_horizon(own, sweep.steps, run, exponent)
    across = rescale_to_shape(sweep.rule, own, wanted, run)
    how = (
        f"whole runs of {sweep.steps} steps end lowest at {float(np.median(best)):.2g}; moved by {over:.2g} to "
        f"{run} steps (the rate goes as T**{exponent:.2f})"
    )
    return best * over * across, how + (f" and by {across:.2g} to the other shape" if across != 1.0 else "")


def _exponent(sweep: Sweep, best: Floats) -> float:
    """Return the power of the horizon: what is known of the rule, and what the fans before this one show."""
    exponent = rescale_exponent(sweep.rule)
    for earlier in sweep.earlier:
        if not earlier.fan or earlier.steps >= sweep.steps:
            continue
        then, trouble = lowest(earlier)
        if not trouble and len(then) == len(best):
            steps = math.log(sweep.steps / earlier.steps)
            seen = float(np.median(np.log(best / then))) / steps
            exponent += MEASURED * (min(max(seen, STEEPEST), RISING) - exponent)
    return exponent


def _own(fan: Sweep) -> Policy:
    return constant(1.0) if fan.policy is None else fan.policy


def wanted_policy(wanted: str | Policy | Strategy, rule: Rule | None) -> Policy:
    """Return what was asked for as a policy of peak 1, without what `rule` does not have."""
    if isinstance(wanted, str):
        policy = recipe(wanted)(1.0)
    else:
        given = wanted.policy if isinstance(wanted, Strategy) else wanted
        policy = given.scaled(1 / (given.peak or 1.0))
    return policy if rule is None else policy.only(rule.hyperparameters)


def at_rate(
    wanted: str | Policy | Strategy, lr: float, rule: Rule | None = None, horizon: int = 0, *, base: float | None = None
) -> Policy:
    """Return what was asked for with the peak `lr`, to three digits; bound to `horizon` steps, unless that is 0.

    base: of a cycle that is asked for by name, as a share of its peak; its own when not given.
    """
    top = float(f"{lr:.3g}")
    if isinstance(wanted, str):
        found = recipe(wanted)(top, **({} if base is None else {"base": float(f"{base:.2g}")}))
        found = found if rule is None else found.only(rule.hyperparameters)
    else:
        found = wanted_policy(wanted, rule).scaled(top)
    return found.over(horizon) if horizon else found


def _share(found: Suggestion) -> float:
    """Return the base of a cycle as a share of its peak: as the two bounds lie apart, and at most a quarter."""
    if found.min_lr is None or found.max_lr is None:
        return CYCLE
    return min(CYCLE, found.min_lr.value / found.max_lr.value)
