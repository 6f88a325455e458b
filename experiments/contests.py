"""A contest: families of strategies, each with its rate tuned on some seeds, compared on fresh ones.

The rate is tuned for each family by itself; a family whose best rate is the first or the last of the grid gets more
rates beyond it, so that no family is judged at the edge of somebody else's grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.base import Setup
from stepsize.engines import Engine, choose
from stepsize.jobs.statistics import t_interval
from stepsize.kernel.arrays import Floats
from stepsize.problems import Task
from stepsize.results import Curves, Interval
from stepsize.strategy import Strategy, Trial

Family = Callable[[float], Strategy]
"""A strategy as a function of its peak rate."""

Score = Callable[[Curves], Floats]
"""What a trial is judged by, (trials,); lower is better, inf for one that diverged."""

WIDENINGS = 3
"""How often a grid may be widened beyond an edge."""


def final(curves: Curves) -> Floats:
    """Return the last validation loss of each trial."""
    return curves.final


def last_losses(count: int) -> Score:
    """Return the score that is the mean training loss of the last `count` batches."""

    def score(curves: Curves) -> Floats:
        tail = np.asarray(curves.losses[-count:], dtype=np.float64).mean(axis=0)
        return np.where(np.isfinite(tail) & (curves.died_at < 0), tail, np.inf)

    return score


@dataclass(frozen=True, eq=False)
class Contest:
    """How families did.

    rates: the rate that was chosen for each. grids: the rates that were tried of each, with their mean scores, both
    (rates,). scores: on the fresh seeds, (seeds,). curves: of the fresh runs.
    """

    rates: dict[str, float]
    grids: dict[str, tuple[Floats, Floats]]
    scores: dict[str, Floats]
    curves: dict[str, Curves]

    def best(self, names: Sequence[str]) -> str:
        """Return the family among `names` that was best on the tuning seeds."""
        return min(names, key=lambda name: float(self.grids[name][1].min()))

    def interval(self, name: str) -> Interval:
        """Return the mean score of a family on the fresh seeds."""
        return t_interval(self.scores[name])


def contest(
    setup: Setup, task: Task, families: Mapping[str, Family], rates: Floats, steps: int, *,
    tuning: Sequence[int], fresh: Sequence[int], score: Score = final, engine: Engine | None = None,
    score_every: int | None = None,
) -> Contest:  # fmt: skip
    """Tune the rate of each family over the geometric grid `rates`, and run the best on fresh seeds."""
    engine = choose(task)[0] if engine is None else engine

    def run(stage: str, strategies: list[Strategy], seeds: Sequence[int], every: int | None = None) -> Curves:
        trials = [Trial(strategy, seed) for strategy in strategies for seed in seeds]
        return engine.run(task, trials, steps, score_every=every, progress=setup.progress(f"{task.name}: {stage}"))

    def means(name: str, some: Floats) -> Floats:
        found = run(f"tuning {name}", [families[name](rate) for rate in some.tolist()], tuning)
        return score(found).reshape(len(some), len(tuning)).mean(axis=1)

    grids = {name: _tuned(lambda some, name=name: means(name, some), rates) for name in families}  # type: ignore[misc]  # a default binds the loop's name
    chosen = {name: float(tried[found.argmin()]) for name, (tried, found) in grids.items()}
    curves = {name: run(f"fresh {name}", [families[name](chosen[name])], fresh, score_every) for name in families}
    return Contest(chosen, grids, {name: score(each) for name, each in curves.items()}, curves)


def _tuned(means: Callable[[Floats], Floats], rates: Floats) -> tuple[Floats, Floats]:
    """Return the rates that were tried, in order, and their means; beyond an edge while the best one lies on it."""
    found, factor = means(rates), rates[1] / rates[0]
    for _ in range(WIDENINGS):
        place = int(found.argmin())
        if 0 < place < len(rates) - 1:
            break
        more = np.array([rates[0] / factor] if place == 0 else [rates[-1] * factor])
        news = means(more)
        ends = (more, rates) if place == 0 else (rates, more)
        values = (news, found) if place == 0 else (found, news)
        rates, found = np.concatenate(ends), np.concatenate(values)
    return rates, found


def grid(low: float, high: float, factor: float) -> Floats:
    """Return rates from `low` to about `high`, each `factor` times the one before."""
    return low * factor ** np.arange(round(np.log(high / low) / np.log(factor)) + 1)
