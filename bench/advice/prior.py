"""Fits what `advise` believes before anything has run, on the dev half alone, and writes it where it is shipped.

    python bench/advice/short_runs.py        # makes short_runs.json
    python bench/advice/prior.py

From truth.json: at which rate each family is best on each dev task, and what it loses there. From short_runs.json: the
valleys, the noise of runs of each length, and how the best rate drifts. From the models: the anchors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from short_runs import FILE as SHORT_RUNS
from suite import Problem, half, read
from truth import FILE as TRUTH
from truth import FINE, from_plain

from stepsize.jobs.advise.belief import anchor, valley
from stepsize.jobs.advise.belief.prior import FILE

REFERENCES = {"adaptive": "AdamW one_cycle", "euclidean": "Momentum one_cycle", "parameter_free": "Prodigy one_cycle"}
"""The reference family of each group of rules."""

GROUPS = {"Momentum": "euclidean", "Nesterov": "euclidean", "Prodigy": "parameter_free"}

LOSES_MOST = 0.2
"""What a family is said to lose at most: beyond it lies what nobody would run."""

SHAPES = 8
"""How many valleys are kept of each group."""

LEAST_SPREAD = {"offset": 0.12, "adaptive": 0.3, "euclidean": 0.6, "parameter_free": 0.4}
"""Eight tasks make a standard deviation look smaller than it is; these are its least values, in decades."""

WIDER = 1.25
"""By which factor what eight tasks show is widened."""

ANCHOR_SEEDS = range(3)

FLAT = 0.02
"""A valley's centre is the middle of the rates that lose less than this share of the gain."""

Curve = tuple[np.ndarray, np.ndarray]
"""log10 rates, rising, and mean losses there."""


def curves(records: dict[str, Any], name: str) -> dict[str, Curve]:
    """Return by family where its runs of the full horizon ended on a task: the fine rates where there are any."""
    found = {}
    for stage, per_decade in (("grid", 2), ("fine", FINE)):
        for family, scores in records[name][stage].items():
            found[family] = curve(scores, per_decade)
    return found


def curve(scores: dict[int, list[float]], per_decade: int) -> Curve:
    indices = sorted(scores)
    return np.array(indices) / per_decade, np.array([np.mean(scores[index]) for index in indices])


def run_curve(run: dict[str, Any]) -> Curve:
    return np.array(run["indices"]) / FINE, np.mean(run["scores"], axis=1)


def lost(found: Curve, start: float) -> np.ndarray:
    """Return what share of the best one's gain each run loses, at most 1."""
    y = np.where(np.isfinite(found[1]), np.minimum(found[1], start), start)
    return (y - y.min()) / (start - y.min())


def centre_of(found: Curve, start: float) -> float:
    """Return the middle of the rates around the best one that lose less than FLAT, log10.

    Many valleys are flat, and where in them the lowest of a few noisy losses lies says nothing.
    """
    x, y = found[0], lost(found, start)
    low = high = int(y.argmin())
    while low > 0 and y[low - 1] <= FLAT:
        low -= 1
    while high < len(x) - 1 and y[high + 1] <= FLAT:
        high += 1
    return (crossing(x, y, low, low - 1) + crossing(x, y, high, high + 1)) / 2


def near_best(found: Curve) -> float:
    """Return the mean loss of the best rate and of the better of its neighbours: what a rate that is near it loses."""
    y = np.where(np.isfinite(found[1]), found[1], np.inf)
    best = int(y.argmin())
    beside = min((y[i] for i in (best - 1, best + 1) if 0 <= i < len(y) and np.isfinite(y[i])), default=y[best])
    return float((y[best] + beside) / 2)


def crossing(x: np.ndarray, y: np.ndarray, inside: int, outside: int) -> float:
    """Return where the loss crosses FLAT between two neighbouring rates; the last rate where there is no outside."""
    if not 0 <= outside < len(x):
        return float(x[inside])
    share = (FLAT - y[inside]) / (y[outside] - y[inside])
    return float(x[inside] + share * (x[outside] - x[inside]))


def families(truth: dict[str, Any], short: dict[str, Any]) -> dict[str, Any]:
    """Return of every family where its best rate lies against its group's reference, and what it loses, by task."""
    offsets: dict[str, list[float]] = {}
    loses: dict[str, list[float]] = {}
    for problem in half("dev"):
        start = truth[problem.name]["start"]
        known = curves(truth, problem.name)
        for family, runs in short[problem.name].items():
            if family not in known:
                known[family] = run_curve(runs[-1])
        best = {family: (centre_of(each, start), near_best(each)) for family, each in known.items()}
        reference = best[REFERENCES["adaptive"]][1]
        for family, (x, loss) in best.items():
            group = GROUPS.get(family.partition(" ")[0], "adaptive")
            offsets.setdefault(family, []).append(x - best[REFERENCES[group]][0])
            loses.setdefault(family, []).append(min((loss - reference) / (start - reference), LOSES_MOST))
    return {
        family: {
            "offset": float(np.mean(offsets[family])),
            "spread": max(WIDER * float(np.std(offsets[family], ddof=1)), LEAST_SPREAD["offset"])
            if family not in REFERENCES.values()
            else 0.0,
            "loses": loses[family],
        }
        for family in offsets
    }


def shapes(short: dict[str, Any], truth: dict[str, Any]) -> dict[str, list[list[float]]]:
    """Return the valleys of each group of rules: those of all lengths from an eighth on, sorted and averaged."""
    found: dict[str, list[np.ndarray]] = {"adaptive": [], "euclidean": []}
    for name, records in short.items():
        start = truth[name]["start"]
        for family, runs in records.items():
            if len(runs) == 1:
                continue
            for run in runs:
                x, y = run_curve(run)
                group = GROUPS.get(family.partition(" ")[0], "adaptive")
                found[group].append(valley.shape_of(x, lost((x, y), start), centre_of((x, y), start)))
    return {group: [each.round(4).tolist() for each in averaged(each)] for group, each in found.items()}


def averaged(all_shapes: list[np.ndarray]) -> list[np.ndarray]:
    """Return fewer shapes: sorted by where they lose a fifth above and below, and averaged in groups."""
    bottom = int(np.abs(valley.DISTANCES).argmin())
    up = np.array([(each[bottom:] > 0.2).argmax() for each in all_shapes])
    down = np.array([(each[: bottom + 1][::-1] > 0.2).argmax() for each in all_shapes])
    order = np.lexsort((down, up // 6))
    return [np.mean([all_shapes[i] for i in group], axis=0) for group in np.array_split(order, SHAPES)]


def noise(short: dict[str, Any], truth: dict[str, Any]) -> dict[str, list[float]]:
    """Return the noise of one run's gain at each share of the horizon: the median over tasks, near the best rates."""
    spreads: dict[int, list[float]] = {}
    for name, records in short.items():
        for runs in records.values():
            for share, run in zip((16, 8, 4, 2, 1) if len(runs) == 5 else (16, 4, 1), runs, strict=False):
                scores = np.array(run["scores"])
                best = int(scores.mean(axis=1).argmin())
                gain = truth[name]["start"] - scores[best].mean()
                near = scores[max(0, best - 1) : best + 1]
                spreads.setdefault(share if len(runs) > 1 else 1, []).append(
                    float(np.sqrt(np.mean(np.var(near, axis=1, ddof=1)))) / gain
                )
    shares = sorted(spreads, reverse=True)
    return {
        "log2_shares": [-float(np.log2(share)) for share in shares],
        "spreads": [float(np.median(spreads[share])) for share in shares],
    }


def drift(short: dict[str, Any], truth: dict[str, Any], family: str = "AdamW one_cycle") -> dict[str, Any]:
    """Return the power of the horizon that the best rate follows, and its standard deviation for a doubling.

    The slope is the mean of what the tasks show from an eighth of the horizon to all of it.
    """
    walks = []
    for name, records in short.items():
        runs = records[family]
        best = [centre_of(run_curve(run), truth[name]["start"]) for run in runs]
        length = [np.log10(run["steps"]) for run in runs]
        walks.append([(b - a) / (m - n) for a, b, n, m in zip(best, best[1:], length, length[1:], strict=False)])
    each = np.array(walks)
    exponent = float(each.mean())
    return {"exponent": exponent, "spread": float(((each - exponent) * np.log10(2)).std(ddof=1))}


def anchors(truth: dict[str, Any], short: dict[str, Any]) -> dict[str, Any]:
    """Return for each group and source what the best rate is beside what a look at the model gives, and its spread."""
    found: dict[str, dict[str, list[float]]] = {}
    for problem in half("dev"):
        known = curves(truth, problem.name) | {
            family: run_curve(runs[-1]) for family, runs in short[problem.name].items() if len(runs) > 1
        }
        for group, family in REFERENCES.items():
            best = centre_of(known[family], truth[problem.name]["start"])
            for seed in ANCHOR_SEEDS:
                for source, rate in measured(problem, group, seed).items():
                    found.setdefault(group, {}).setdefault(source, []).append(best - rate)
    return {
        group: {
            source: {
                "shift": float(np.mean(each)),
                "spread": max(WIDER * float(np.std(each, ddof=1)), LEAST_SPREAD[group]),
            }
            for source, each in sources.items()
        }
        for group, sources in found.items()
    }


def measured(problem: Problem, group: str, seed: int) -> dict[str, float]:
    return anchor.measure(problem.task, group, seed).rates


def rounded(value: Any) -> Any:
    """Return nested numbers with four digits."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    truth, short = from_plain(read(TRUTH)["problems"]), from_plain(read(SHORT_RUNS))
    parts: dict[str, Callable[[], Any]] = {
        "anchors": lambda: anchors(truth, short),
        "drift": lambda: drift(short, truth),
        "noise": lambda: noise(short, truth),
        "shapes": lambda: shapes(short, truth),
        "families": lambda: families(truth, short),
    }
    found = {name: rounded(fit()) for name, fit in parts.items()}
    found["calibration"] = read(FILE)["calibration"]  # calibration.py fits it on answers, which need the rest first
    FILE.write_text(json.dumps(found, separators=(",", ":")).replace("},", "},\n").replace("],[", "],\n[") + "\n")
    for name in ("anchors", "drift", "noise"):
        print(name, json.dumps(found[name], indent=1))
    for family, each in sorted(found["families"].items(), key=lambda item: np.mean(item[1]["loses"]))[:30]:
        loses = 100 * np.mean(each["loses"])
        print(f"{family:34s} offset {each['offset']:+.2f} ({each['spread']:.2f}), loses {loses:+.1f} %")


if __name__ == "__main__":
    main()
