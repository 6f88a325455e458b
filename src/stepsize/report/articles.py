"""Which article a result becomes: an advice is the fullest, and a value without pictures is its JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepsize.kernel.spec import Spec
from stepsize.plots import plot_policy, plot_schedule
from stepsize.plots.style import rate
from stepsize.policies import Policy
from stepsize.report import formatting, landscape, loss_laws, race, range_test
from stepsize.report.advice import advice_article
from stepsize.report.four_steps import four_steps_article
from stepsize.report.parts import Article, Code, Facts, Section
from stepsize.report.pictures import draw
from stepsize.results import (
    Advice,
    Curves,
    Descent,
    FourSteps,
    Prediction,
    Race,
    RangeTests,
    Refinement,
    Suggestion,
    Sweep,
)
from stepsize.results.io import dumps
from stepsize.schedules import Schedule
from stepsize.strategy import Strategy


def articles(results: tuple[Spec, ...], framework: str = "torch") -> tuple[Article, ...]:
    """Return one article a result, code being for `framework`; a suggestion right after a sweep belongs to it."""
    found: list[Article] = []
    for i, result in enumerate(results):
        after = results[i + 1] if i + 1 < len(results) else None
        before = results[i - 1] if i else None
        if isinstance(result, Sweep):
            found.append(range_test.sweep_article(result, after if isinstance(after, Suggestion) else None))
        elif not (isinstance(result, Suggestion) and isinstance(before, Sweep)):
            found.append(article(result, framework))
    return tuple(found)


def article(result: Spec, framework: str = "torch") -> Article:
    """Return the article of any result but a sweep."""
    if isinstance(result, Advice):
        return advice_article(result, framework)
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
    Race: race.race_article,
    FourSteps: four_steps_article,
    RangeTests: range_test.comparison_article,
    Suggestion: range_test.suggestion_article,
    Descent: landscape.descent_article,
    Refinement: loss_laws.refinement_article,
    Prediction: loss_laws.prediction_article,
}
"""What writes the article of a kind that has one of its own, an advice aside: that takes a framework too."""
