"""What a search runs, stage by stage, until the budget ends.

::

    locate one family        short whole runs of rising length, for at most half of the budget
    insure                   the answer so far over the full horizon: it trains to its end
    compare                  what the user trains with now, on the same seed; and the answer lower, where it failed,
                             or at a rate far away, where the best one may be anywhere
    complement               from 5 trainings on a second family, the best beside the first, is located and run
    challenge and confirm    whole runs wherever the loss of the answer is expected to fall most; and whoever leads by
                             one seed runs on a second
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from stepsize.jobs.advise import field as fields
from stepsize.jobs.advise.belief import prior
from stepsize.jobs.advise.belief.worth import full_runs
from stepsize.jobs.advise.final import reserve_of
from stepsize.jobs.advise.locate import LEAST_RUN, Pilot, around, at, bracket, close_in, pilot_lengths
from stepsize.jobs.advise.search import Proposal, Search
from stepsize.jobs.advise.spending import least_steps
from stepsize.kernel.arrays import floats
from stepsize.strategy import Strategy

MOST_FOR_LOCATING, SHARE_FOR_LOCATING = (1.0, 2.0), 0.15
"""What locating may cost, in full trainings, where a full run is to follow: a share of the budget between these."""

LAST, LONGER = 4, 1.5
"""The last pilot runs are a so-manieth part of the horizon at most, and so many times as long as those before."""

AT_A_LENGTH = (3, 2)
"""How many of the last pilot runs are to be paid for; fewer where so many would hardly be longer than those before."""

ALONE = 2.75
"""What locating may cost where there is one family alone, in full trainings: its last runs are half of the horizon."""

FULL_FROM = 1.75
"""The budget from which on the answer is run over the full horizon, in full trainings."""

LOWER = 0.3
"""How much lower a full run goes on that lost more than its pilot runs promised, in decades."""

WORSE = 0.05
"""A full run that ends so far above its pilot runs, as a share of the gain, was too fast."""

UNSETTLED = 0.3
"""The standard deviation of the best rate, in decades, above which one full run is followed by another at a rate that
lies as far away: nearer ones, and other families, are as far off as the first."""

COMPLEMENT_FROM, COMPLEMENT_PART = (5.0, 8.0), 8
"""The budget from which on a second family is located, where the first one did what it promised, and where it did not;
and which part of the horizon its pilot runs are."""

CONFIRM_FROM = 3.9
"""What has been spent when every new leader is run on a second seed, in full trainings."""

USUAL_BASELINE_FROM, BASELINE_FROM = 10.0, 2.0
"""The budget from which on the usual baseline runs, and one that the user named, in full trainings."""

ROUNDS = 5
"""A large budget is spent in so many rounds and more."""

LEAST_GAIN, LEAST_GAIN_UNASKED, MOST_UNASKED = 0.0001, 0.005, 10.0
"""The share of the gain below which no further run is worth making; where no budget was asked for, and what that may
cost, in full trainings."""


def stages(search: Search, baseline: Strategy, *, named: bool) -> Iterator[Proposal]:
    """Yield what to run next; each is carried out before the next is asked for.

    baseline: what the user trains with now, and whether the user named it.
    """
    yield from locate(search, kept=2.0 if named else 0.0)
    if not search.account.affords(search.horizon):
        return
    yield _full(search, search.least(search.primary), "the answer so far, over the full horizon")
    budget = search.account.trainings
    if budget >= (BASELINE_FROM if named else USUAL_BASELINE_FROM) and search.account.affords(search.horizon):
        yield _full(search, baseline, "what is trained with now")
    lower = _disappointed(search)
    if search.account.affords(search.horizon):
        yield from _second(search, lower=lower)
    reserve = reserve_of(budget)
    if budget >= COMPLEMENT_FROM[lower]:
        yield from _complement(search)
    yield from _challenge(search, reserve)


def locate(search: Search, kept: float = 0.0) -> Iterator[Proposal]:
    """Yield the pilot runs of the first family, as far as they can be paid for.

    kept: for the full runs of the answer and a baseline, in full trainings, where there is but one family.
    """
    belief, family, horizon = search.belief, search.primary, search.horizon
    least = max(LEAST_RUN, least_steps(search.account.validation))
    lengths = pilot_lengths(horizon, least)
    for steps in lengths:
        yield from _afford(search, bracket(belief, family, steps), _most_for_locating(search))
    last = _longer(search, lengths[-1], _most_for_locating(search), horizon // LAST)
    if last:
        yield from _afford(search, close_in(belief, family, last), _most_for_locating(search))
    if len(search.field) > 1:
        return
    alone = min(search.account.trainings - kept, ALONE)
    half = _longer(search, max(last, lengths[-1]), alone, horizon // 2)
    if half:
        yield from _afford(search, close_in(belief, family, half), alone)


def _most_for_locating(search: Search) -> float:
    """Return what may have been spent when the first family is located, in full trainings."""
    budget, (low, high) = search.account.trainings, MOST_FOR_LOCATING
    return budget if budget < FULL_FROM else min(max(low, SHARE_FOR_LOCATING * budget), budget / 2, high)


def _longer(search: Search, before: int, most: float, limit: int) -> int:
    """Return the length of some more runs that `most` trainings pay for; 0 where it is hardly above `before`."""
    account = search.account
    left = (most - account.spent) * (search.horizon + account.validation)
    found = (min(int(left / runs - account.validation), limit) for runs in AT_A_LENGTH)
    return next((steps for steps in found if steps >= LONGER * before), 0)


def _afford(search: Search, pilots: Iterator[Pilot], most: float) -> Iterator[Proposal]:
    """Yield what can be paid for out of `most` trainings, until something cannot."""
    for pilot in pilots:
        kept = _paid_for(search, pilot, most)
        if not kept:
            return
        yield _pilot(search, kept, pilot.steps)


def _paid_for(search: Search, pilot: Pilot, most: float) -> tuple[Strategy, ...]:
    """Return those in the middle of some rates that can be paid for out of `most` trainings."""
    account, rates = search.account, pilot.strategies
    for count in range(len(rates), 0, -1):
        within = account.spent + count * account.price(pilot.steps) <= most * (1 + 1e-9)
        if within and account.affords(pilot.steps, count):
            first = (len(rates) - count) // 2
            return rates[first : first + count]
    return ()


def _second(search: Search, *, lower: bool) -> Iterator[Proposal]:
    """Yield a full run at another rate, where the first was too fast, or says little of where the best one lies."""
    if lower:
        below = at(search.primary, floats([_lower(search)]), search.horizon).strategies[0]
        yield _full(search, below, "lower, as it lost more than its pilot runs promised")
    elif search.belief.centre(search.primary)[1] > UNSETTLED and (aside := search.aside(search.primary)):
        yield _full(search, aside, "another rate, as far away as the best one may lie")


def _complement(search: Search) -> Iterator[Proposal]:
    """Yield what locates the family that complements the first best, and its first full run."""
    family = fields.complement(search.contenders(), search.primary)
    if family is None:
        return
    least = max(LEAST_RUN, least_steps(search.account.validation))
    pilot = around(search.belief, family, max(search.horizon // COMPLEMENT_PART, least), 3)
    if search.account.affords(pilot.steps, len(pilot.strategies), reserve=1.0):
        yield _pilot(search, pilot.strategies, pilot.steps)
        yield _full(search, search.least(family), f"{family.family}, which complements {search.primary.family} best")


def _challenge(search: Search, reserve: float) -> Iterator[Proposal]:
    """Yield the full runs that are expected to gain most, and second seeds of who leads by one."""
    unasked = search.account.budget is None
    least = LEAST_GAIN_UNASKED / prior.calibration("full")["mean"] if unasked else LEAST_GAIN
    while search.account.affords(search.horizon, reserve=reserve):
        if unasked and search.account.spent + 1 > MOST_UNASKED:
            return
        leader = search.answer()
        if _lucky(search, leader, reserve):
            yield _full(search, leader, "a second seed of what leads")
            continue
        chosen = search.next_runs(_at_once(search, reserve), least)
        if not chosen:
            return
        seeds = tuple(map(search.fresh_seed, chosen))
        yield Proposal(chosen, seeds, search.horizon, "where one more training was expected to gain most")


def _at_once(search: Search, reserve: float) -> int:
    """Return how many runs are made side by side: several where the budget is large, which is quicker."""
    left = search.account.trainings - search.account.spent - reserve
    return max(1, int(left / ROUNDS)) if math.isfinite(left) else 1


def _lucky(search: Search, leader: Strategy, reserve: float) -> bool:
    """Whether what leads does so on one seed alone, and it is time to see whether that was luck."""
    runs = [run for run in full_runs(search.belief) if run.strategy.name == leader.name]
    if len(runs) > 1 or leader.family == search.primary.family:
        return False
    return search.account.spent >= CONFIRM_FROM or not search.account.affords(search.horizon, 2, reserve=reserve)


def _disappointed(search: Search) -> bool:
    """Whether the first full run ended above its pilot runs, or is seen now to have had too high a rate."""
    first = full_runs(search.belief)[0]
    best = min((run.score for run in search.belief.runs if run.steps < search.horizon), default=math.inf)
    if math.isfinite(best) and not first.score <= best + WORSE * (search.belief.start - best):
        return True
    lost, _ = search.belief.lost(search.primary, floats([first.x]))
    return float(lost[0]) > WORSE and math.log10(search.least(search.primary).peak) < first.x - LOWER


def _lower(search: Search) -> float:
    """Return the log10 rate of the second full run, where the first one disappointed."""
    return min(full_runs(search.belief)[0].x - LOWER, math.log10(search.least(search.primary).peak))


def _pilot(search: Search, strategies: tuple[Strategy, ...], steps: int) -> Proposal:
    stage = f"locating {strategies[0].family} in runs of {steps} steps"
    return Proposal(strategies, (search.pilot_seed(steps),) * len(strategies), steps, stage)


def _full(search: Search, strategy: Strategy, stage: str) -> Proposal:
    return Proposal((strategy,), (search.fresh_seed(strategy),), search.horizon, stage)
