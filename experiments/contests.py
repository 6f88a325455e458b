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
from stepsize.jobs.paired_statistics import t_interval
from stepsize.kernel.arrays import Floats, floats
from stepsize.problems import Task
from stepsize.results import Curves, Interval
from stepsize.strategy import Strategy, Trial

Family = Callable[[float], Strategy]
"""A strategy as a function of its peak rate."""

Pair = tuple[str, float]
"""A family by its name, and a rate."""

Score = Callable[[Curves], Floats]
"""What a trial is judged by, (trials,); lower is better, inf for one that diverged."""

WIDENINGS = 3
"""How often a grid may be widened beyond an edge; never in the quick form."""


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
    engine = choose(task).engine if engine is None else engine

    def run(stage: str, pairs: Sequence[Pair], seeds: Sequence[int], every: int | None = None) -> Curves:
        trials = [Trial(families[name](rate), seed) for name, rate in pairs for seed in seeds]
        return engine.run(task, trials, steps, score_every=every, progress=setup.progress(f"{task.name}: {stage}"))

    def means(pairs: Sequence[Pair]) -> Floats:
        found = score(run(f"tuning, {len(pairs)} rates", pairs, tuning))
        return floats(found.reshape(len(pairs), len(tuning)).mean(axis=1))

    grids = _tuned(means, list(families), rates, setup.pick(WIDENINGS, 0))
    chosen = {name: float(tried[found.argmin()]) for name, (tried, found) in grids.items()}
    judged = run("fresh seeds", list(chosen.items()), fresh, score_every)
    rows = np.arange(len(judged.trials)).reshape(len(chosen), len(fresh))
    curves = {name: judged.select(row) for name, row in zip(chosen, rows, strict=True)}
    return Contest(chosen, grids, {name: score(each) for name, each in curves.items()}, curves)


def _tuned(
    means: Callable[[Sequence[Pair]], Floats], names: Sequence[str], rates: Floats, widenings: int
) -> dict[str, tuple[Floats, Floats]]:
    """Return the rates that were tried of each family, in order, and their means; more where the best is at an edge."""
    tried: dict[str, dict[float, float]] = {name: {} for name in names}
    factor = float(rates[1] / rates[0])
    asked: list[Pair] = [(name, rate) for name in names for rate in rates.tolist()]
    for _ in range(widenings + 1):
        for (name, rate), mean in zip(asked, means(asked).tolist(), strict=True):
            tried[name][rate] = mean
        asked = [(name, beyond) for name in names if (beyond := _beyond(tried[name], factor)) is not None]
        if not asked:
            break
    ordered = {name: sorted(each.items()) for name, each in tried.items()}
    return {name: (floats([r for r, _ in each]), floats([m for _, m in each])) for name, each in ordered.items()}


def _beyond(tried: Mapping[float, float], factor: float) -> float | None:
    """Return the next rate beyond the edge that the best one lies on, or None where it lies on none."""
    best = min(tried, key=lambda rate: tried[rate])
    if best == min(tried):
        return best / factor
    return best * factor if best == max(tried) else None


def grid(low: float, high: float, factor: float) -> Floats:
    """Return rates from `low` to about `high`, each `factor` times the one before."""
    return low * factor ** np.arange(round(np.log(high / low) / np.log(factor)) + 1)
