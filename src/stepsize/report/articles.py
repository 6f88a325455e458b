"""Which article a result becomes: an advice is the fullest, and a value without pictures is its JSON."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from stepsize.kernel.spec import Spec
from stepsize.plots import plot_policy, plot_schedule
from stepsize.plots.style import rate
from stepsize.policies import Policy
from stepsize.report import formatting, landscape, loss_laws, race, range_test
from stepsize.report.alternatives import alternatives, lead, untried
from stepsize.report.parts import Article, Code, Facts, Gallery, Points, Section
from stepsize.report.pictures import draw
from stepsize.results import (
    Advice,
    Curves,
    Descent,
    Prediction,
    Race,
    Refinement,
    Suggestion,
    Sweep,
)
from stepsize.results.io import dumps
from stepsize.schedules import Schedule
from stepsize.strategy import Strategy

MACHINE = "machine"
"""What the versions of an advice call the hardware."""


def articles(results: tuple[Spec, ...]) -> tuple[Article, ...]:
    """Return one article a result; a suggestion right after a sweep belongs to it."""
    found: list[Article] = []
    for i, result in enumerate(results):
        after = results[i + 1] if i + 1 < len(results) else None
        before = results[i - 1] if i else None
        if isinstance(result, Sweep):
            found.append(range_test.sweep_article(result, after if isinstance(after, Suggestion) else None))
        elif not (isinstance(result, Suggestion) and isinstance(before, Sweep)):
            found.append(article(result))
    return tuple(found)


def article(result: Spec) -> Article:
    """Return the article of any result but a sweep."""
    for kind, write in WRITERS.items():
        if isinstance(result, kind):
            return write(result)
    match result:
        case Curves():
            facts = Facts((("Trials", str(len(result.trials))), ("Engine", result.engine or formatting.NONE)))
            found = Article("Record", formatting.count(len(result.trials), "trial"), facts, (race.learning(result),))
        case Strategy():
            facts = Facts((("Peak learning rate", rate(result.peak)), *formatting.policy_facts(result.policy)))
            blocks = (race.policy_picture(result), race.strategy_json(result))
            found = Article("Strategy", result.name, facts, (Section("Schedule", blocks),))
        case Policy() | Schedule():
            found = _moves(result)
        case _:
            json = Code(dumps(result, indent=2), "The value as JSON")
            found = Article(result.noun.capitalize(), type(result).__name__, Facts(()), (Section("Fields", (json,)),))
    return found


def advice_article(advice: Advice) -> Article:
    """Return an advice as an article: the answer first, then what it rests on, in the order one would ask."""
    ranges = [range_test.sweep_picture(*pair) for pair in zip_longest(advice.sweeps, advice.suggestions)]
    why: tuple[Section, ...] = (Section("Why", (Points(advice.reasons),)),)
    if advice.warnings:
        why += (Section("Watch out", (Points(advice.warnings, warning=True),)),)
    return Article(
        above=f"Advice · task {advice.task} · {formatting.count(advice.steps, 'step')}",
        title=advice.strategy.name,
        facts=_answer(advice),
        lead=lead(advice),
        sections=(
            *why,
            alternatives(advice),
            Section("Code to paste", (Code(advice.code()),)),
            race.standings(advice.final),
            race.learning(advice.final.curves),
            *((Section("Range tests", (Gallery(tuple(ranges)),)),) if ranges else ()),
            race.policies(advice.final),
            race.sensitivity(advice.search),
            race.rungs(advice.search, advice.final),
            untried(advice),
            Section("How to repeat it", (_origin(advice), race.strategy_json(advice.strategy))),
        ),
    )


def _answer(advice: Advice) -> Facts:
    tried = race.tried(advice.search)
    return Facts(
        (
            ("Peak learning rate", rate(advice.strategy.peak)),
            *formatting.policy_facts(advice.policy),
            (f"Expected {advice.final.scored}", formatting.mean_and_span(advice.score)),
            ("One more run", f"{formatting.span(advice.promise)}, with 95 % confidence"),
            ("Strategies tried", str(tried)),
            ("Cost of the search", formatting.trainings(advice.cost)),
        )
    )


def _origin(advice: Advice) -> Facts:
    """Return what the numbers depend on."""
    versions = [(name, version) for name, version in advice.versions if name != MACHINE]
    seeds = sorted({seed for race in (advice.search, advice.final) for rung in race.rungs for seed in rung.seeds})
    return Facts(
        (
            ("Seed of the search", str(advice.seed)),
            ("Seeds of the runs", ", ".join(map(str, seeds))),
            ("Versions", ", ".join(f"{name} {version}" for name, version in versions) or formatting.NONE),
            ("Hardware", dict(advice.versions).get(MACHINE, formatting.NONE)),
            ("Engine", advice.final.computed_by or formatting.NONE),
            ("Cost", formatting.trainings(advice.cost)),
            ("Wall time", formatting.duration(advice.seconds)),
            *([("Command", advice.command)] if advice.command else []),
        )
    )


def _moves(value: Policy | Schedule) -> Article:
    """Return a policy or a schedule as an article."""
    function: Callable[..., Any]
    if isinstance(value, Policy):
        facts, function = Facts(formatting.policy_facts(value)), plot_policy
    else:
        facts, function = Facts((("Schedule", formatting.describe(value)),)), plot_schedule
    picture = draw(function, value, label=f"The {value.noun} against the step", caption=f"{value!r}")
    json = Code(dumps(value, indent=2), f"The {value.noun} as JSON")
    title = "Policy" if isinstance(value, Policy) else type(value).__name__
    return Article(value.noun.capitalize(), title, facts, (Section("Against the step", (picture, json)),))


WRITERS: dict[type[Spec], Callable[[Any], Article]] = {
    Advice: advice_article,
    Race: race.race_article,
    Suggestion: range_test.suggestion_article,
    Descent: landscape.descent_article,
    Refinement: loss_laws.refinement_article,
    Prediction: loss_laws.prediction_article,
}
"""What writes the article of a kind that has one of its own."""
