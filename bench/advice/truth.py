"""The truth: an exhaustive search of every rule with every policy at every rate, task by task and stage by stage.

    python bench/advice/truth.py [--half dev test]

Writes truth.json after every stage; what is there is not run again. The stages of one task:

coarse: each rule with a constant rate, 2 rates a decade from 1e-6 to 30 (Prodigy: 0.1 to 10), one seed. Its window is
    the narrowest range around the best rate at whose ends more than half of the rule's own gain is missed.
grid: every family at 2 rates a decade in the window of its rule, one seed.
fine: every family at 4 rates a decade within half a decade of its best, three seeds; but for those whose best lost more
    than 30 % in the grid.
finals: the best 40 strategies of the fine stage, on eight seeds that none of them has seen.
best: the best of the finals, on eight further seeds, so that it is not the luck that chose it.

Wherever the best rate lies at an edge, the rates go on beyond it. The cost counts the families that were dropped as
if they had been run: nobody knows beforehand which they are.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from families import FAMILIES, RULES, Point, train
from suite import HALVES, Problem, half, read, start, write

FILE = Path(__file__).with_name("truth.json")

GRID_SEEDS = (20_000,)
FINE_SEEDS = (20_010, 20_011, 20_012)
FRESH_SEEDS = tuple(range(20_100, 20_108))
JUDGES = tuple(range(20_200, 20_208))
"""The seeds that judge every strategy; neither a search of ours nor a peer sees them, nor those above."""

COARSE, FINE = 2, 4
"""Rates a decade."""

WIDE, NARROW = range(-12, 4), range(-2, 3)
"""The rates of the coarse stage, in half decades: 1e-6 to 30, and for Prodigy 0.1 to 10."""

HALF = 0.5
HOPELESS = 0.3
NEAR = range(-2, 3)
"""The rates of the fine stage around the best of the grid, in quarter decades."""

FINALISTS = 40

WIDENINGS = 4
"""How often the rates go on beyond an edge, each time by half a decade."""

Scores = dict[str, dict[int, list[float]]]
"""By family and index the score of each seed."""


def searched(problem: Problem, indices: Mapping[str, Iterable[int]], per_decade: int, seeds: Sequence[int]) -> Scores:
    """Return the scores of the families at their rates, and on beyond the edges where a best one lies."""
    found: Scores = {family: {} for family in indices}
    due = {family: list(each) for family, each in indices.items()}
    for _ in range(1 + WIDENINGS):
        points = [Point(family, index, per_decade) for family, each in due.items() for index in each]
        scores = train(problem, [point.strategy for point in points], seeds)
        for point, row in zip(points, scores, strict=True):
            found[point.family][point.index] = row.tolist()
        due = {family: beyond for family, each in found.items() if (beyond := edge(each, per_decade // 2))}
        if not due:
            break
    return found


def edge(scores: Mapping[int, Sequence[float]], reach: int) -> list[int]:
    """Return the `reach` indices beyond the edge at which the best one lies, or none."""
    low, high, best = min(scores), max(scores), best_index(scores)
    if best == low:
        return list(range(low - reach, low))
    return list(range(high + 1, high + 1 + reach)) if best == high else []


def best_index(scores: Mapping[int, Sequence[float]]) -> int:
    """Return the index with the lowest mean; the lowest index where all diverge."""
    return min(sorted(scores), key=lambda index: np.mean(scores[index]))


def lowest(scores: Mapping[int, Sequence[float]]) -> float:
    """Return the lowest mean."""
    return float(np.mean(scores[best_index(scores)]))


def coarse(problem: Problem, _: Mapping[str, Any]) -> Scores:
    """Each rule with a constant rate, over all rates."""
    indices = {f"{name} constant": NARROW if name == "Prodigy" else WIDE for name in RULES}
    return searched(problem, indices, COARSE, GRID_SEEDS)


def window(scores: Mapping[int, Sequence[float]], before: float) -> range:
    """Return the indices around the best one, as far as those that miss more than half of what it gains."""
    best = best_index(scores)
    bar = lowest(scores) + HALF * max(0.0, before - lowest(scores))
    worse = [index for index, each in scores.items() if not np.mean(each) <= bar]
    low = max((index for index in worse if index < best), default=min(scores))
    return range(low, min((index for index in worse if index > best), default=max(scores)) + 1)


def grid(problem: Problem, record: Mapping[str, Any]) -> Scores:
    """Every family in the window of its rule."""
    found = {name.partition(" ")[0]: window(each, record["start"]) for name, each in record["coarse"].items()}
    return searched(problem, {name: found[name.partition(" ")[0]] for name in FAMILIES}, COARSE, GRID_SEEDS)


def hopeful(scores: Scores, before: float) -> list[str]:
    """Return the families whose best loses no more than 30 % of what the best of all gains."""
    best = {family: lowest(each) for family, each in scores.items()}
    top = min(best.values())
    return [family for family, low in best.items() if low - top <= HOPELESS * (before - top)]


def fine(problem: Problem, record: Mapping[str, Any]) -> Scores:
    """The hopeful families, close to their best rates."""
    scale = FINE // COARSE
    kept = hopeful(record["grid"], record["start"])
    indices = {name: [scale * best_index(record["grid"][name]) + near for near in NEAR] for name in kept}
    return searched(problem, indices, FINE, FINE_SEEDS)


def finals(problem: Problem, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The best strategies on fresh seeds, best first."""
    points = [Point(family, index, FINE) for family, each in record["fine"].items() for index in each]
    points.sort(key=lambda point: np.mean(record["fine"][point.family][point.index]))
    scores = train(problem, [point.strategy for point in points[:FINALISTS]], FRESH_SEEDS)
    found = [
        {"family": point.family, "place": point.index, "scores": row.tolist()}
        for point, row in zip(points, scores, strict=False)
    ]
    return sorted(found, key=lambda each: np.mean(each["scores"]))


def best(problem: Problem, record: Mapping[str, Any]) -> dict[str, Any]:
    """The best of the finals on the seeds that judge."""
    first = record["finals"][0]
    strategy = Point(first["family"], first["place"], FINE).strategy
    return {"strategy": strategy.name, "scores": train(problem, [strategy], JUDGES)[0].tolist()}


STAGES: dict[str, Callable[[Problem, Mapping[str, Any]], Any]] = {
    "start": lambda problem, _: float(start(problem, JUDGES).mean()),
    "coarse": coarse,
    "grid": grid,
    "fine": fine,
    "finals": finals,
    "best": best,
}
"""What is measured of a task, each from the record of those before."""


def cost(record: Mapping[str, Any]) -> int:
    """Return what the search costs in full trainings, with the families that were dropped."""
    dropped = len(record["grid"]) - len(record["fine"])
    cells = partial(sum, start=0)
    searches = cells(len(each) for stage in ("coarse", "grid") for each in record[stage].values())
    closer = cells(len(each) for each in record["fine"].values()) + dropped * len(NEAR)
    judged = FINALISTS * len(FRESH_SEEDS) + len(JUDGES)
    return searches * len(GRID_SEEDS) + closer * len(FINE_SEEDS) + judged


def to_plain(value: Any) -> Any:
    """Return a record as JSON has it: five digits, and null where a training diverged."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return value


def from_plain(value: Any) -> Any:
    """Return the record that `to_plain` wrote."""
    if isinstance(value, dict):
        return {int(key) if key.lstrip("-").isdigit() else key: from_plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [from_plain(each) for each in value]
    return np.inf if value is None else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", nargs="+", choices=HALVES, default=HALVES)
    for problem in [each for name in parser.parse_args().half for each in half(name)]:
        for name, stage in STAGES.items():
            found = read(FILE) or {"python": platform.python_version(), "torch": torch.__version__, "judges": JUDGES}
            record = found.setdefault("problems", {}).setdefault(problem.name, {})
            if name in record:
                continue
            began = time.perf_counter()
            record[name] = to_plain(stage(problem, from_plain(record)))
            write(FILE, found)
            print(f"{problem.name}: {name}, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
