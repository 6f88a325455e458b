"""Long runs from short ones: a strategy that was tuned for T0 steps, as it should be for T.

There are two ways. The *rate* is multiplied by what it is measured to fall by (`jobs.rescale`), about
`(T0 / T) ** .2`; Lion's falls faster, and rules that find their own scale keep theirs. Or the rate stays, and the
*cooldown* grows until the best rate by the last-iterate bound [schaipp2025surprising] is what it was: then a run that
has begun, or a checkpoint of its stable part, can go on.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import Literal

from stepsize.jobs.rescale import BOUND, rescale_exponent
from stepsize.kernel.arrays import Floats
from stepsize.kernel.errors import ParameterError
from stepsize.kernel.numeric import numeric
from stepsize.policies import LR, Policy
from stepsize.rules import Rule
from stepsize.schedules import Chain, Constant, Schedule, Segment, with_horizon
from stepsize.schedules.base import whole_steps
from stepsize.strategy import Strategy
from stepsize.theory import rescale_factor

By = Literal["rate", "cooldown"]

FARTHEST = 16
"""The largest factor of horizons over which a rate is rescaled; the exponents were measured up to there."""

COLD = 0.5
"""A schedule whose last rates are above this share of its peak has no cooldown, and there the bound fails."""

SLACK = 0.05
"""How much of the factor may be missing where the whole run is a cooldown already."""


@numeric
def transfer(
    strategy: Strategy, source: int, target: int, *, by: By = "rate", exponent: float | None = None
) -> Strategy:
    """Return `strategy`, tuned for runs of `source` steps, for a run of `target` steps, bound to it.

    by: "rate" rescales the peak; "cooldown" keeps it, and makes the cooldown longer instead.
    exponent: the power of the horizon that the best rate follows. When not given -0.2, which was measured; -0.5, the
        bound's, for Lion and with "cooldown"; 0 for rules that find their own scale.

    Raises ParameterError where it is not known to hold: for a shorter run, for one more than 16 times as long, for a
    schedule without a cooldown, and with "cooldown" for a schedule that is not a constant rate before a decay, or for a
    horizon that no cooldown makes up for.

    Watch out: it rescales the rate and says nothing of the loss. Each doubling of the run adds a spread of .15 decades
    to the rate. A longer cooldown at the same rate in twice the steps helped on one of five small tasks, by 0.3 %, and
    cost up to 7 % (docs/experiments.md), though it helps in the paper's long runs.

    Source: [schaipp2025surprising].

    >>> from stepsize.policies import Policy
    >>> from stepsize.rules import SGD
    >>> from stepsize.schedules import Constant, Linear
    >>> wsd = Strategy(SGD(), Policy(lr=Constant(0.1) >> Linear(0.1, 0.0, "20%")))
    >>> round(transfer(wsd, 4000, 8000).peak, 4)
    0.0871
    >>> transfer(wsd, 4000, 8000, by="cooldown").policy["lr"]
    Constant(level=0.1, steps=2938) >> Linear(start=0.1, end=0.0, steps=5062)
    """
    short, long = whole_steps(source), whole_steps(target)
    _check_lengths(short, long)
    power = _exponent(strategy.rule, by) if exponent is None else exponent
    before, after = _over(strategy.policy, short, short), _over(strategy.policy, short, long)
    _check_cooldown(before[LR].table(0, short))
    factor = _factor(before, after, power)
    if by == "rate":
        return replace(strategy, policy=after.scaled(factor) if factor != 1.0 else after, name="", rate=None)
    if by == "cooldown":
        return Strategy(strategy.rule, after.replace(lr=_cooled(after[LR], long, factor)))
    raise ParameterError(f"by must be 'rate' or 'cooldown', not {by!r}.")


def _exponent(rule: Rule, by: By) -> float:
    """Return the power of the horizon: that of the rule, or the bound's, which is what says how a cooldown grows."""
    own = rescale_exponent(rule)
    return BOUND if own and by == "cooldown" else own


def _check_lengths(short: int, long: int) -> None:
    if long < short:
        raise ParameterError(
            f"a strategy tuned for {short} steps is transferred to a longer run, not to {long}; a race takes it to "
            "shorter ones by itself."
        )
    if long > FARTHEST * short:
        raise ParameterError(
            f"{long} steps are {long / short:.3g} times the {short} that the strategy was tuned for, and beyond "
            f"{FARTHEST} times nobody has checked it; tune on {-(-long // FARTHEST)} steps or more."
        )


def _check_cooldown(rates: Floats) -> None:
    if rates[-1] > COLD * rates.max():
        raise ParameterError(
            f"the schedule ends at {rates[-1] / rates.max():.0%} of its peak, and for one without a cooldown the bound "
            "does not hold; give it a decay, such as linear_to_zero or wsd."
        )


def _over(policy: Policy, short: int, run: int) -> Policy:
    """Return a policy bound to `run` steps, whether it is bound to `short` or not at all."""
    return Policy(**{name: _stretched(name, schedule, short, run) for name, schedule in policy.schedules})


def _stretched(name: str, schedule: Schedule, short: int, run: int) -> Schedule:
    if not isinstance(schedule.steps, int):
        return schedule.over(run)
    if schedule.steps != short:
        raise ParameterError(
            f"the schedule of {name} is bound to {schedule.steps} steps, and the strategy is said to be tuned for "
            f"{short}; give the length that it is bound to."
        )
    return with_horizon(schedule, run)


def _factor(before: Policy, after: Policy, exponent: float) -> float:
    """Return by what the peak is multiplied."""
    short, long = int(before[LR].steps), int(after[LR].steps)
    return float(rescale_factor(before[LR].table(0, short), after[LR].table(0, long)) ** (exponent / BOUND))


def _cooled(schedule: Schedule, run: int, factor: float) -> Schedule:
    """Return a schedule with so long a cooldown that its best rate, by the bound, is 1 / factor times what it was."""
    parts = schedule.parts if isinstance(schedule, Chain) else ()
    if len(parts) < 2 or not isinstance(parts[-1], Segment) or not isinstance(parts[-2], Constant):
        raise ParameterError(
            f"a cooldown grows where a constant rate comes before it, as in wsd, not in {schedule!r}; take by='rate'."
        )
    *head, stable, down = parts
    room, level = int(stable.steps) + int(down.steps), stable(0)
    table = schedule.table(0, run)

    def with_cooldown(steps: int) -> Schedule:
        last: Schedule = replace(down, steps=steps)  # type: ignore[type-var]  # every concrete segment is a dataclass
        flat = (Constant(level, room - steps),) if steps < room else ()
        return Chain((*head, *flat, last)) if head or flat else last

    def gained(steps: int) -> float:
        return rescale_factor(table, with_cooldown(steps).table(0, run))

    wanted = 1 / factor
    if gained(room) < wanted * (1 - SLACK):
        raise ParameterError(
            f"no cooldown is long enough for a run of {run} steps at this rate: even one of {room} of them makes up "
            f"for a factor of {gained(room):.3g} of {wanted:.3g}; take by='rate', or make the run shorter."
        )
    lengths = range(int(down.steps), room)
    enough = bisect_left(lengths, True, key=lambda steps: gained(steps) >= wanted * (1 - 1e-9))
    return with_cooldown(int(down.steps) + enough)
