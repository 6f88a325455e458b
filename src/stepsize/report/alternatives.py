"""What else there is beside an advice: the answer in words, what else would do, and what was not tried."""

from __future__ import annotations

import math
from collections.abc import Iterable

from stepsize.jobs.advise.search_space import POLICIES, RULES, label
from stepsize.plots.style import rate
from stepsize.report import formatting
from stepsize.report.parts import Block, Code, Points, Section, Table
from stepsize.results import Advice, Standing, Suggestion
from stepsize.results.io import dumps
from stepsize.results.sensitivity import family_of
from stepsize.strategy import Strategy


def lead(advice: Advice) -> str:
    """Return the answer in three sentences."""
    strategy, steps = advice.strategy, formatting.count(advice.steps, "step")
    expected = (
        f"Expect a {advice.final.scored} of {formatting.loss(advice.score.mean)}"
        if math.isfinite(advice.score.mean)
        else ""
    )
    span = formatting.span(advice.promise)
    more = f"; one more run should end at {span}, with 95 % confidence." if span != formatting.NONE else "."
    others = len(advice.indistinguishable) - 1
    what, which = _what(strategy), formatting.count(others, "other finalist")
    tied = f" {which} cannot be told apart from it." if others > 0 else ""
    return f"Train {advice.task} for {steps} with {what}, at a peak rate of {rate(strategy.peak)}." + (
        f" {expected}{more}" * bool(expected) + tied
    )


def _what(strategy: Strategy) -> str:
    policy = policy_of(strategy)
    return label(strategy.rule) + (f" and the schedule {policy}" if policy else "")


def policy_of(strategy: Strategy) -> str:
    """Return the name of the policy that a strategy of a search was made of; "" for one with a name of its own."""
    rule, family = label(strategy.rule), family_of(strategy)
    return family.removeprefix(f"{rule} ") if family.startswith(f"{rule} ") else ""


def alternatives(advice: Advice) -> Section:
    """Return what else would do: who is tied, the simplest and the least touchy of them, and what the others lose."""
    tied = advice.indistinguishable
    points: tuple[str, ...] = ("The seeds tell all other finalists from it.",)
    if len(tied) > 1:
        points = (
            f"The seeds cannot tell these apart: {', '.join(each.name for each in tied)}.",
            f"The simplest of them, with the fewest pieces: {advice.simplest.name}.",
            f"The least touchy of them, whose rate may be wrong by most: {advice.least_touchy.name}.",
        )
    standings = advice.final.standings
    others = [each.strategy for each in standings if each.strategy.name != advice.strategy.name]
    head = (
        "Strategy",
        "What it is",
        formatting.heading(advice.final.scored),
        "Loses, of what training gains",
        "Good rates",
    )
    table = Table(
        "The finalists on the seeds that chose the winner; good rates: how wide the peaks within 5 % of the best are",
        head, tuple(_alternative(advice, each) for each in standings),
        frozenset(i for i, each in enumerate(standings) if each.tied), frozenset({0, 1}),
    )  # fmt: skip
    specs = (Code(dumps(each, indent=2), f"{each.name} as JSON") for each in others)
    return Section("Alternatives", (Points(points), table, *specs))


def _alternative(advice: Advice, standing: Standing) -> tuple[str, ...]:
    name, tied = standing.strategy.name, advice.indistinguishable
    roles = [
        role
        for role, holds in (
            ("recommended", name == advice.strategy.name),
            ("simplest", bool(tied) and name == advice.simplest.name),
            ("least touchy", bool(tied) and name == advice.least_touchy.name),
        )
        if holds
    ]
    if standing.diverged:
        roles.append("diverged")
    widths = {each.family: str(each) for each in advice.search.sensitivities}
    share = advice.losses.get(name, 0.0)
    loses = f"{100 * share:.2g} %" if math.isfinite(share) else formatting.NONE
    width = widths.get(family_of(standing.strategy), formatting.NONE)
    what = ", ".join(roles) or ("tied" if standing.tied else formatting.NONE)
    return name, what, formatting.loss(standing.score.mean), loses, width


def untried(advice: Advice) -> Section:
    """Return what was left out of the default portfolio, what was tried of each rule, what more budget would buy."""
    field = [strategy for rung in advice.search.rungs for strategy in rung.strategies]
    pairs = zip(advice.sweeps, advice.suggestions, strict=False)
    probed = {label(sweep.rule): found for sweep, found in pairs if sweep.rule is not None}
    raced = {label(strategy.rule) for strategy in field}
    asked = {*probed, *raced}
    names = tuple(dict.fromkeys((*probed, *sorted(raced), *map(label, RULES))))
    policies = {policy_of(strategy) for strategy in field}
    said = (
        _left("Of the default rules, not tried at all", (each for each in map(label, RULES) if each not in asked)),
        _left("Tried out alone, and not raced", (each for each in probed if each not in raced)),
        _left("Of the default policies, tried with no rule", (each for each in POLICIES if each not in policies)),
        advice.more,
    )
    rows = tuple(_tried(name, [s for s in field if label(s.rule) == name], probed.get(name)) for name in names)
    table = Table(
        "What was tried of every rule; rates outside were not",
        ("Rule", "Tried out", "Peak rates raced", "Policies raced", "Strategies raced"),
        rows, frozenset(i for i, name in enumerate(names) if name in raced), frozenset({0, 1, 3}),
    )  # fmt: skip
    blocks: tuple[Block, ...] = (table,)
    points = tuple(filter(None, said))
    return Section("What was not tried", (Points(points), *blocks) if points else blocks)


def _left(what: str, names: Iterable[str]) -> str:
    found = ", ".join(names)
    return f"{what}: {found}." if found else ""


def _tried(rule: str, field: list[Strategy], found: Suggestion | None) -> tuple[str, ...]:
    """Return the row of one rule."""
    probe = formatting.NONE if found is None else "a range test" if found.clear else "a range test, not clear"
    if not field:
        return rule, probe, *(formatting.NONE,) * 3
    peaks = sorted(strategy.peak for strategy in field)
    rates = rate(peaks[0]) if peaks[0] == peaks[-1] else f"{rate(peaks[0])} to {rate(peaks[-1])}"
    policies = list(dict.fromkeys(filter(None, map(policy_of, field))))
    left = [name for name in POLICIES if name not in policies]
    said = f"all {len(POLICIES)}" if not left else ", ".join(policies) or formatting.NONE
    return rule, probe, rates, said, str(len({strategy.name for strategy in field}))
