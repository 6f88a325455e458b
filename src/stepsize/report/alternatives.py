"""What else there is beside an advice: the answer in sentences, what else would do, and what was not tried."""

from __future__ import annotations

import math
from collections.abc import Iterable

from stepsize.plots.style import rate
from stepsize.report import formatting
from stepsize.report.parts import Code, Points, Section, Table
from stepsize.results import Advice, Standing, Suggestion
from stepsize.results.io import dumps
from stepsize.strategy import Strategy, describe_rule

MANY = 4
"""More policies that all raced are counted and not listed."""


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
    tied = f" {which} cannot be separated from it." if others > 0 else ""
    return f"Train {advice.task} for {steps} with {what}, at a peak rate of {rate(strategy.peak)}." + (
        f" {expected}{more}" * bool(expected) + tied
    )


def _what(strategy: Strategy) -> str:
    recipe = f" and the schedule {strategy.recipe}" if strategy.recipe else ""
    return describe_rule(strategy.rule) + recipe


def alternatives(advice: Advice) -> Section:
    """Return what else would do: who is tied, the simplest and least sensitive of them, and what the others lose."""
    tied = advice.indistinguishable
    points: tuple[str, ...] = ("The seeds tell all other finalists from it.",)
    if len(tied) > 1:
        points = (
            f"The seeds cannot tell these apart: {', '.join(each.name for each in tied)}.",
            f"The simplest of them, with the fewest pieces: {advice.simplest.name}.",
            f"The least sensitive of them, whose rate may be wrong by most: {advice.least_sensitive.name}.",
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
            ("least sensitive", bool(tied) and name == advice.least_sensitive.name),
        )
        if holds
    ]
    if standing.diverged:
        roles.append("diverged")
    sensitivity = advice.search.sensitivity_of(standing.strategy)
    share = advice.losses.get(name, 0.0)
    loses = f"{100 * share:.2g} %" if math.isfinite(share) else formatting.NONE
    width = formatting.NONE if sensitivity is None else str(sensitivity)
    what = ", ".join(roles) or ("tied" if standing.tied else formatting.NONE)
    return name, what, formatting.loss(standing.score.mean), loses, width


def untried(advice: Advice) -> Section:
    """Return what was left out of the default search space, what was tried of each rule, what more budget would buy."""
    field = [strategy for rung in advice.search.rungs for strategy in rung.strategies]
    pairs = zip(advice.sweeps, advice.suggestions, strict=False)
    alone = {describe_rule(sweep.rule): suggestion for sweep, suggestion in pairs if sweep.rule is not None}
    raced = sorted({describe_rule(strategy.rule) for strategy in field})
    points = (
        _listed("Of the default rules, not tried at all", advice.untried_rules),
        _listed("Tried out alone, and not raced", (name for name in alone if name not in raced)),
        _listed("Of the default policies, tried with no rule", advice.untried_policies),
        advice.more,
    )
    names = tuple(dict.fromkeys((*alone, *raced, *advice.untried_rules)))
    rows = tuple(_tried(name, field, alone.get(name)) for name in names)
    table = Table(
        "What was tried of every rule; rates outside were not",
        ("Rule", "Tried out", "Peak rates raced", "Policies raced", "Strategies raced"),
        rows, frozenset(i for i, name in enumerate(names) if name in raced), frozenset({0, 1, 3}),
    )  # fmt: skip
    return Section("What was not tried", (*((Points(said),) if (said := tuple(filter(None, points))) else ()), table))


def _listed(what: str, names: Iterable[str]) -> str:
    text = ", ".join(names)
    return f"{what}: {text}." if text else ""


def _tried(rule: str, field: list[Strategy], suggestion: Suggestion | None) -> tuple[str, ...]:
    """Return the row of one rule."""
    test = formatting.NONE if suggestion is None else "a range test" if suggestion.clear else "a range test, not clear"
    own = [strategy for strategy in field if describe_rule(strategy.rule) == rule]
    if not own:
        return rule, test, *(formatting.NONE,) * 3
    low, high = (rate(extreme(strategy.peak for strategy in own)) for extreme in (min, max))
    policies = list(dict.fromkeys(strategy.recipe for strategy in own if strategy.recipe))
    every = {strategy.recipe for strategy in field} - {None}
    names = f"all {len(every)}" if len(policies) == len(every) > MANY else ", ".join(policies) or formatting.NONE
    rates = low if low == high else f"{low} to {high}"
    return rule, test, rates, names, str(len({strategy.name for strategy in own}))
