"""Rungs: what each of them runs, in which view, and who goes on.

Below the full horizon there are two views of a run. *Retimed*: the whole schedule in fewer steps, its rate rescaled by
the last-iterate bound. *Prefix*: the first part of the long run. docs/adr/0007 has what each of them is worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stepsize.jobs.rescale import BOUND, rescale_to_horizon
from stepsize.kernel.errors import BudgetError, LengthError, ParameterError
from stepsize.kernel.numeric import numeric
from stepsize.kernel.spec import Count, Spec
from stepsize.policies import LR, Policy
from stepsize.results import Rung
from stepsize.results.race import View
from stepsize.schedules import Until
from stepsize.strategy import Family, Strategy

ETA = 3
"""One in so many goes on from a rung of a halving, to a run that is as many times longer."""

LEAST_RUNG = 10
"""The shortest rung of a halving, optimizer updates."""


@dataclass(frozen=True)
class RungPlan(Spec):
    """What one rung runs.

    steps: the length of its runs, optimizer updates. seeds: the paired seeds. keep: how many strategies go on; all
        when not given.
    """

    steps: Count
    seeds: tuple[int, ...]
    keep: int | None = None

    def validate(self) -> None:
        """Refuse an empty rung."""
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ParameterError(f"RungPlan.seeds must be distinct, at least one, not {self.seeds!r}.")


@numeric
def halving(
    strategies: int, steps: int, seeds: Sequence[int], *, rungs: int = 3, eta: int = ETA, keep: int = ETA
) -> list[RungPlan]:
    """Return the rungs of a synchronous halving of so many strategies, up to the full horizon of `steps`.

    rungs: how many; each is `eta` times as long as the one before, and one in `keep` strategies goes on, two at least.
    seeds: the same on every rung.

    Raises BudgetError when the first rung would be shorter than 10 steps, ParameterError for an `eta` or a `keep`
    below 2.

    >>> [(rung.steps, rung.keep) for rung in halving(24, 900, (0, 1))]
    [(100, 8), (300, 3), (900, None)]
    """
    if min(eta, keep) < 2:
        raise ParameterError(f"eta and keep of a halving are at least 2, not {eta} and {keep}.")
    first = steps // eta ** (rungs - 1)
    if rungs < 1 or first < LEAST_RUNG:
        raise BudgetError(f"{rungs} rungs of {steps} steps begin with {first}, and need {LEAST_RUNG}; take fewer.")
    plans, field = [], strategies
    for power in range(rungs - 1, 0, -1):
        field = max(min(2, field), -(-field // keep))
        plans.append(RungPlan(steps // eta**power, tuple(seeds), field))
    return [*plans, RungPlan(steps, tuple(seeds))]


@numeric
def screening(strategies: int, steps: int, seeds: Sequence[int]) -> list[RungPlan]:
    """Return one short rung, a ninth of the horizon, from which half of the strategies go on to the full one.

    What chose it, and what it is worth, is in docs/adr/0007. Raises BudgetError as `halving` does.

    >>> [(rung.steps, rung.keep) for rung in screening(24, 900, (0, 1))]
    [(100, 12), (900, None)]
    """
    return halving(strategies, steps, seeds, rungs=2, eta=ETA * ETA, keep=2)


def check_field(number: int) -> None:
    """Refuse a field of fewer than two strategies."""
    if number < 2:
        raise BudgetError(f"a race needs at least two strategies, not {number}; add policies, rules or rates.")


def on_rung(strategy: Strategy, horizon: int, steps: int, view: View) -> Strategy:
    """Return `strategy`, made for `horizon` steps, as it runs on a rung of `steps`."""
    return (take_prefix if view == "prefix" else retime)(strategy, horizon, steps)


def retime(strategy: Strategy, horizon: int, steps: int) -> Strategy:
    """Return `strategy`, tuned for `horizon` steps, as it runs in `steps`: whole, its rate rescaled by the bound.

    docs/adr/0007 has what other exponents are worth here.
    """
    if steps == horizon:
        return strategy
    return strategy.scaled(rescale_to_horizon(strategy.policy, horizon, steps, BOUND))


def take_prefix(strategy: Strategy, horizon: int, steps: int) -> Strategy:
    """Return the first `steps` steps of `strategy` in a run of `horizon`."""
    if steps == horizon:
        return strategy
    cut = {name: Until(schedule.over(horizon), steps) for name, schedule in strategy.policy.schedules}
    return Strategy(strategy.rule, Policy(**cut), strategy.name)


def runnable(field: Iterable[Strategy], plans: Iterable[RungPlan], horizon: int, view: View) -> None:
    """Raise LengthError, with its name, for a strategy that cannot run on one of the rungs."""
    lengths = sorted({plan.steps for plan in plans} | {horizon}, reverse=True)
    for strategy in field:
        for steps in lengths:
            try:
                on_rung(strategy, horizon, steps, view).over(steps)
            except LengthError as error:
                hint = "" if steps == horizon else " Give its lengths as shares, or race with view='prefix'."
                raise LengthError(f"{strategy.name!r} does not fit a run of {steps} steps: {error}{hint}") from None


def survivors(rung: Rung, keep: int | None, *, shapes: bool) -> list[Strategy]:
    """Return who goes on, best first: the best `keep`, and with `shapes` the best of each shape of schedule too."""
    ranked = alive(rung)
    if keep is None or not ranked:
        return ranked or list(rung.strategies)
    kept, seen = [], set()
    for index, strategy in enumerate(ranked):
        if index < keep or (shapes and strategy.policy[LR].outline not in seen):
            kept.append(strategy)
        seen.add(strategy.policy[LR].outline)
    return kept


def best_rates(rung: Rung) -> list[Strategy]:
    """Return the best rate of every family, a rule with a policy; best first."""
    best: dict[Family, Strategy] = {}
    for strategy in alive(rung):
        best.setdefault(strategy.family, strategy)
    return list(best.values()) or list(rung.strategies)


def alive(rung: Rung) -> list[Strategy]:
    """Return the strategies of a rung that did not diverge, best first."""
    return [rung.strategies[i] for i in rung.order if math.isfinite(rung.means[i])]
