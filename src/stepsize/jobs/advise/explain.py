"""Why, in sentences with numbers; and what to be careful of."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

import numpy as np

from stepsize.jobs.advise.pilot_runs import PilotRun
from stepsize.jobs.advise.plan import Plan
from stepsize.jobs.advise.search_space import POLICIES, RULES
from stepsize.jobs.paired_statistics import t_interval
from stepsize.jobs.race.budget import undecided
from stepsize.kernel.arrays import Floats
from stepsize.kernel.text import count
from stepsize.results import Race, Rung, Standing
from stepsize.results.race_text import WEAK
from stepsize.results.sensitivity import CLOSE, describe_edge
from stepsize.strategy import Strategy, describe_rule

MANY = 10
"""Fewer strategies than these, the best of a rung, differ by so little that their order on the next says nothing."""

SHORT_HORIZON = 100
"""A shorter training deserves a warning."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What a search for advice found.

    final: the finalists on fresh seeds. search: the rungs before it. strategy: what is recommended. scores: its own on
    seeds that chose nothing, (seeds,). pilots: of every rule, the best first. start: the loss before any update.
    """

    final: Race
    search: Race
    strategy: Strategy
    scores: Floats
    pilots: Sequence[PilotRun]
    start: float

    @property
    def rank(self) -> int:
        """The rank of the recommendation among the finalists, from 0."""
        return next(i for i, each in enumerate(self.final.standings) if each.strategy.name == self.strategy.name)


def reasons(found: Findings) -> tuple[str, ...]:
    """Return why the strategy is recommended, in sentences with numbers."""
    best, rung = found.final.standings[found.rank], found.final.rungs[0]
    first = (
        f"{best.strategy.name} has the lowest mean {found.final.scored}, {best.score}, of {len(found.final.standings)} "
        f"finalists on {count(len(rung.seeds), 'fresh seed')}, out of {tried(found.search)} strategies tried."
    )
    if found.rank:
        first = (
            f"{best.strategy.name} has a mean {found.final.scored} of {best.score} on {len(rung.seeds)} fresh seeds; "
            f"what was better there, {found.final.best.name}, diverged on a confirming seed."
        )
    second = f"On {len(found.scores)} more seeds, which chose nothing, it reaches {t_interval(found.scores)}."
    others = [each for i, each in enumerate(found.final.standings) if i != found.rank]
    sentences = [first, second, *(_against(each, found) for each in others), _rules(found.pilots)]
    sentences += [
        f"Pilot run of {describe_rule(each.rule)}: {each.found.reason}." for each in _raced(found) if each.found.clear
    ]
    sentences.append(_describe_sensitivity(found))
    return tuple(sentence for sentence in sentences if sentence)


def tried(race: Race) -> int:
    """Return how many strategies a race tried."""
    return len({strategy.name for rung in race.rungs for strategy in rung.strategies})


def _raced(found: Findings) -> list[PilotRun]:
    """Return the pilot runs of the rules that went into the race."""
    rules = {describe_rule(strategy.rule) for strategy in found.search.rungs[0].strategies}
    return [each for each in found.pilots if describe_rule(each.rule) in rules]


def _rules(pilots: Sequence[PilotRun]) -> str:
    """Say how far each rule got in its pilot run, and so why some did not race."""
    known = [each for each in pilots if math.isfinite(each.score)]
    if len(known) < 2:
        return ""
    steps = known[0].sweep.steps
    sentences = ", ".join(f"{describe_rule(each.rule)} {each.score:.4g}" for each in known)
    return f"Tried out at their best rates for {steps} steps, the rules reach: {sentences}."


def _against(standing: Standing, found: Findings) -> str:
    name = standing.strategy.name
    if standing.diverged:
        return f"{name} diverged on {standing.diverged} of the fresh seeds."
    if standing.behind is None:
        return ""
    gap = f"{standing.behind.mean:+.4f} ({standing.behind.low:+.4f} to {standing.behind.high:+.4f})"
    differs = f"its {found.final.scored} differs by {gap} on the same seeds"
    gain = found.start - found.final.standings[0].score.mean
    share = f", {standing.behind.mean / gain:.1%} of what training gains" if gain > 0 else ""
    if standing.tied:
        return f"{name} cannot be separated from it: {differs}{share}."
    return f"{name} is worse: {differs}{share}."


def _describe_sensitivity(found: Findings) -> str:
    """Say how wide the good rates are for the rule and policy of the winner."""
    own = found.search.sensitivity_of(found.strategy)
    if own is None or len(own.rates) < 2:
        return ""
    rates = ", ".join(f"{rate:.3g}" for rate in own.rates)
    return (
        f"Of the peaks {rates} tried for {own.family}, those from {own.low:.2g} to {own.high:.2g} stay within "
        f"{CLOSE:.0%} of the best: {own}."
    )


def warnings(found: Findings) -> tuple[str, ...]:
    """Return what to be careful of."""
    final, search, scores = found.final, found.search, found.scores
    sentences = [
        f"Pilot run of {describe_rule(each.rule)}: {each.found.reason}."
        for each in _raced(found)
        if not each.found.clear
    ]
    sentences += [each for pilot in _raced(found)[:1] for each in pilot.found.warnings]
    diverged = int(np.sum(~np.isfinite(scores)))
    if diverged:
        seeds = count(len(scores), "seed")
        sentences.append(f"The recommendation diverged on {diverged} of the {seeds} that confirm it.")
    tied = [each.strategy.name for each in final.standings if each.tied and each.strategy.name != found.strategy.name]
    if tied:
        sentences.append(f"As good, as far as these seeds can tell: {', '.join(tied)}.")
    if edge := _edge(found):
        sentences.append(edge)
    sentences += [
        f"Rung {number + 1} agrees little with the last one (Kendall's tau {tau:.2f}); a larger budget helps."
        for number, tau in enumerate(search.agreement)
        if math.isfinite(tau) and tau < WEAK and _shared(search.rungs[number], search.rungs[-1]) >= MANY
    ]
    if final.steps < SHORT_HORIZON:
        sentences.append(
            f"{final.steps} steps are a short training: what is best in it is not what is best in a long one."
        )
    lost = sum(int(not math.isfinite(mean)) for mean in search.rungs[0].means)
    if lost:
        sentences.append(f"{lost} of {len(search.rungs[0].strategies)} strategies diverged on the first rung.")
    return tuple(sentences)


def _shared(first: Rung, second: Rung) -> int:
    """Return how many strategies ran on both rungs."""
    return len({each.name for each in first.strategies} & {each.name for each in second.strategies})


def _edge(found: Findings) -> str:
    """Say whether the winner's rate is the lowest or the highest that was tried for its rule and policy."""
    family = found.strategy.family
    tried = (strategy for rung in found.search.rungs for strategy in rung.strategies)
    return describe_edge(str(family), found.strategy.peak, [each.peak for each in tried if each.family == family])


def more(found: Findings, plans: Plan, larger: Plan | None, margin: float) -> str:
    """Return what a larger budget would be spent on, or that it would not be spent."""
    rivals = undecided(found.final.standings, margin)[1:]
    if rivals:
        names = ", ".join(each.strategy.name for each in rivals)
        return f"With more budget it would run more seeds of {found.final.best.name} and {names}, until they separate."
    done = "More seeds would not change the answer by more than 1 % of what training gains"
    if larger is None:
        return f"{done}, and there is no more thorough search."
    now, then = (
        (each.rules, *(rung.keep or 0 for rung in each.rungs[:2]), each.size.full, each.size.fresh)
        for each in (plans, larger)
    )
    what = (
        "race {} rules", "try {} families at three rates", "run {} strategies over the full horizon",
        "run the full horizon on {} seeds", "run the finalists on {} fresh seeds",
    )  # fmt: skip
    grows = [f"{each.format(b)} ({a})" for each, a, b in zip(what, now, then, strict=True) if b > a]
    return f"{done}; with {larger.cost:.0f} full trainings after the pilot runs it would {', '.join(grows)}."


def untried_rules(found: Findings) -> tuple[str, ...]:
    """Return the names of the default rules that had neither a range test nor a race."""
    tried_out = {describe_rule(each.rule) for each in found.pilots}
    raced = {describe_rule(strategy.rule) for rung in found.search.rungs for strategy in rung.strategies}
    return tuple(name for name in map(describe_rule, RULES) if name not in tried_out | raced)


def untried_policies(found: Findings) -> tuple[str, ...]:
    """Return the names of the default policies that raced with no rule."""
    field = [strategy for rung in found.search.rungs for strategy in rung.strategies]
    raced = {strategy.recipe for strategy in field}
    return tuple(name for name in POLICIES if name not in raced)


def versions() -> tuple[tuple[str, str], ...]:
    """Return what the advice was measured with."""
    found = [(name, metadata.version(name)) for name in ("stepsize", "numpy", "torch")]
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return (("python", platform.python_version()), *found, ("machine", machine))
