"""Why, in sentences with numbers; and what to be careful of."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from importlib import metadata

import numpy as np

from stepsize.jobs.statistics import t_interval
from stepsize.kernel.arrays import Floats
from stepsize.results import Race, Rung, Standing, Suggestion
from stepsize.rules import Rule

CLOSE = 0.05
"""A strategy within this share of the best counts as about as good."""

WEAK = 0.3
"""Below this agreement between two rungs the short runs said little about the long ones."""


def reasons(
    final: Race, search: Race, suggestions: Sequence[Suggestion], rules: Sequence[Rule], scores: Floats
) -> tuple[str, ...]:
    """Return why the best of `final` is recommended; `scores` are its own on seeds that chose nothing, (seeds,)."""
    best, rung = final.standings[0], final.rungs[-1]
    tried = len(search.rungs[0].strategies)
    first = (
        f"{best.strategy.name} has the lowest mean validation loss, {best.score}, of {len(final.standings)} finalists "
        f"on {len(rung.seeds)} fresh seeds, out of {tried} strategies tried."
    )
    second = f"On {len(scores)} more seeds, which chose nothing, it reaches {t_interval(scores)}."
    said = [first, second, *(_against(standing) for standing in final.standings[1:])]
    said += [
        f"Range test of {type(rule).__name__}: {each.reason}." for rule, each in zip(rules, suggestions, strict=True)
    ]
    said.append(_touchiness(search.rungs[0], best.strategy.name))
    return tuple(sentence for sentence in said if sentence)


def _against(standing: Standing) -> str:
    name = standing.strategy.name
    if standing.diverged:
        return f"{name} diverged on {standing.diverged} of the fresh seeds."
    if standing.behind is None:
        return ""
    gap = f"{standing.behind.mean:+.4f} ({standing.behind.low:+.4f} to {standing.behind.high:+.4f})"
    if standing.tied:
        return f"{name} cannot be told apart from it: its loss differs by {gap} on the same seeds."
    return f"{name} is worse: its loss differs by {gap} on the same seeds."


def _touchiness(rung: Rung, name: str) -> str:
    """Say how wide the good rates are for the rule and policy of the winner, from the first rung."""
    stem = name.rpartition(" ")[0]
    means = {s.peak: float(rung.means[i]) for i, s in enumerate(rung.strategies) if s.name.rpartition(" ")[0] == stem}
    finite = {peak: mean for peak, mean in means.items() if math.isfinite(mean)}
    if len(finite) < 2:
        return ""
    least = min(finite.values())
    good = sorted(peak for peak, mean in finite.items() if mean <= least * (1 + CLOSE))
    return (
        f"Of the peaks {', '.join(f'{peak:.3g}' for peak in sorted(means))} tried for {stem} at {rung.steps} steps, "
        f"{', '.join(f'{peak:.3g}' for peak in good)} stay within {CLOSE:.0%} of the best."
    )


def warnings(
    final: Race, search: Race, suggestions: Sequence[Suggestion], rules: Sequence[Rule], scores: Floats
) -> tuple[str, ...]:
    """Return what to be careful of."""
    best = final.standings[0]
    said = [
        f"Range test of {type(rule).__name__}: {each.reason}."
        for rule, each in zip(rules, suggestions, strict=True)
        if not each.clear
    ]
    diverged = int(np.sum(~np.isfinite(scores)))
    if diverged:
        said.append(f"The recommendation diverged on {diverged} of the {len(scores)} seeds that confirm it.")
    tied = [standing.strategy.name for standing in final.standings[1:] if standing.tied and not standing.diverged]
    if tied:
        said.append(f"As good, as far as these seeds can tell: {', '.join(tied)}.")
    edge = _edge(search.rungs[0], best.strategy.name)
    if edge:
        said.append(edge)
    said += [
        f"Rung {number + 1} agrees little with the last one (Kendall's tau {tau:.2f}); a larger budget helps."
        for number, tau in enumerate(search.agreement)
        if math.isfinite(tau) and tau < WEAK
    ]
    lost = sum(int(not math.isfinite(mean)) for mean in search.rungs[0].means)
    if lost:
        said.append(f"{lost} of {len(search.rungs[0].strategies)} strategies diverged on the first rung.")
    return tuple(said)


def _edge(rung: Rung, name: str) -> str:
    """Say whether the winner's rate is the smallest or the largest that was tried for its rule and policy."""
    stem = name.rpartition(" ")[0]
    peaks = sorted(s.peak for s in rung.strategies if s.name.rpartition(" ")[0] == stem)
    own = next((s.peak for s in rung.strategies if s.name == name), None)
    if own is None or len(peaks) < 2 or peaks[0] < own < peaks[-1]:
        return ""
    side, way = ("smallest", "smaller") if own == peaks[0] else ("largest", "larger")
    return f"The peak {own:.3g} is the {side} that was tried for {stem}; a {way} one may be better still."


def versions() -> tuple[tuple[str, str], ...]:
    """Return what the advice was measured with."""
    found = [(name, metadata.version(name)) for name in ("stepsize", "numpy", "torch")]
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return (("python", platform.python_version()), *found, ("machine", machine))
