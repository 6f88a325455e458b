"""The final: the best of a search on fresh seeds, which choose the winner, and the winner on others, which promise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stepsize.execution.runner import Runner
from stepsize.jobs.advise.belief.evidence import Run
from stepsize.jobs.advise.belief.worth import scale, worth
from stepsize.jobs.advise.search import Search
from stepsize.jobs.race.budget import Budget
from stepsize.jobs.race.climb import Climb
from stepsize.jobs.race.rungs import RungPlan
from stepsize.kernel.arrays import Floats
from stepsize.results import Race
from stepsize.strategy import Strategy, Trial

FINAL = "the final, on fresh seeds"
"""What the runs of a final are made for."""

FINAL_FROM, FINAL_SHARE = 20.0, 0.45
"""The budget from which on there is a final, in full trainings, and the share of it that is kept for it."""

FINALISTS = ((12.0, 2), (20.0, 3), (40.0, 4), (math.inf, 6))
"""How many strategies run in the final, by what is left for it, in full trainings."""

FRESH_SEED, CONFIRMING_SEED = 500, 700
"""Where in a search's block the seeds of the final begin, and those of the winner."""

MOST_FRESH = 10
"""On how many fresh seeds every finalist runs at first, at most."""

CLOSE = 0.1
"""Rates of one family that are closer, in decades, are one finalist."""

ENOUGH = 0.01
"""What no more seeds are bought for: differences below this share of what training gains."""


@dataclass(frozen=True, eq=False)
class Final:
    """The finalists' race, the winner, and its scores, and those of the baseline, on seeds that chose nothing."""

    race: Race
    strategy: Strategy
    seeds: tuple[int, ...]
    scores: Floats
    baseline: Floats


def reserve_of(budget: float) -> float:
    """Return what is kept for the final out of a budget in full trainings; 0 where there is none."""
    return FINAL_SHARE * budget if FINAL_FROM <= budget < math.inf else 0.0


def final(search: Search, runner: Runner, baseline: Strategy) -> Final:
    """Run the finalists on fresh seeds, then the first of them that stays alive on seeds that chose nothing."""
    field = finalists(search)
    left = search.account.trainings - search.account.spent
    fresh = min(MOST_FRESH, max(2, int(left / (len(field) + 2))))
    seeds = tuple(range(search.first_seed + FRESH_SEED, search.first_seed + FRESH_SEED + fresh))
    more = Budget(trainings=max(len(field) * fresh, left - 2 * fresh))
    margin = ENOUGH * scale(search.belief)[1]
    plans = (RungPlan(search.horizon, seeds),)
    race = Climb(runner, field, search.horizon, plans, budget=more, stage=FINAL, margin=margin).finish()
    _note(search, race)
    alive = [each.strategy for each in race.standings if not each.diverged] or [race.best]
    others = tuple(range(search.first_seed + CONFIRMING_SEED, search.first_seed + CONFIRMING_SEED + fresh))
    for strategy in alive:
        scores, beside = _confirm(search, runner, [strategy, baseline], others)
        if np.isfinite(scores).all():
            break
    return Final(race, strategy, others, scores, beside)


def _note(search: Search, race: Race) -> None:
    """Count the runs of the final, and learn from them."""
    rung = race.rungs[-1]
    runs = [
        Run(strategy, search.horizon, seed, float(score), math.nan)
        for strategy, row in zip(rung.strategies, rung.scores, strict=True)
        for seed, score in zip(rung.seeds, row, strict=True)
    ]
    search.learn(runs, FINAL)


def _confirm(
    search: Search, runner: Runner, strategies: list[Strategy], seeds: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Return the scores of two strategies on the same seeds."""
    trials = [Trial(each, seed) for each in strategies for seed in seeds]
    scores = runner.run("confirming the winner", trials, search.horizon).final
    search.account.pay(search.horizon, len(trials))
    return scores[: len(seeds)], scores[len(seeds) :]


def finalists(search: Search) -> list[Strategy]:
    """Return who runs in the final: the best by what is known, two at least, none twice at nearly one rate.

    Those come last that stand at the edge of what is known to live: a few seeds do not show one death in twenty.
    """
    ran = search.ran()
    left = search.account.trainings - search.account.spent
    most = next(count for limit, count in FINALISTS if left <= limit)
    ranked = [ran[index] for index in np.argsort(worth(search.belief, ran).mean, kind="stable")]
    found: list[Strategy] = []
    for strategy in sorted(ranked, key=lambda each: _at_the_edge(search, each)):
        if len(found) < most and not any(_alike(strategy, each) for each in found):
            found.append(strategy)
    return found if len(found) > 1 else [*found, search.next_full()[0]]


def _at_the_edge(search: Search, strategy: Strategy) -> bool:
    """Whether no higher rate of a family has trained to its end, where steps are as long as gradients and may grow."""
    lived = [run.x for run in search.belief.of(strategy, search.horizon) if not search.belief.did_harm(run)]
    return bool(strategy.rule.facts.euclidean) and math.log10(strategy.peak) >= max(lived, default=-math.inf)


def _alike(one: Strategy, other: Strategy) -> bool:
    return one.family == other.family and abs(math.log10(one.peak / other.peak)) < CLOSE
