"""Refined schedules and predicted curves on the page."""

from __future__ import annotations

import math

from stepsize.plots.loss_laws import plot_norms, plot_prediction, plot_refinement
from stepsize.plots.style import rate
from stepsize.report import formatting, race
from stepsize.report.parts import Article, Code, Facts, Points, Section, Table
from stepsize.report.pictures import draw
from stepsize.results import Prediction, Refinement
from stepsize.results.io import dumps


def refinement_article(found: Refinement) -> Article:
    """Return a refined schedule as an article: the schedule, the norms, and the race if there was one."""
    what = found.strategy.name if found.strategy is not None else f"{len(found.norms)} {found.norm.upper()} norms"
    facts = (
        ("Refined from", what),
        ("Peak learning rate", rate(found.policy.peak)),
        ("Rises for", formatting.count(found.warmup, "step")),
        ("Bound, over that of linear decay", f"{found.gain:.3f}"),
    )
    schedule = draw(
        plot_refinement, found, label="The refined schedule beside linear decay",
        caption="Each rate over its own peak; the peak has to be tuned again.",
    )  # fmt: skip
    norms = draw(
        plot_norms, found, label="The gradient norms against the step",
        caption="The schedule is made from the running median: where norms are small, rates are large.",
    )  # fmt: skip
    json = Code(dumps(found.policy, indent=2), "The policy as JSON")
    return Article(
        f"Refinement · {found.name} · {formatting.count(found.steps, 'step')}", "Refined schedule", Facts(facts),
        (
            *_careful(found.warnings), Section("Schedule", (schedule, json)),
            *(() if found.race is None else (race.standings(found.race), race.learning(found.race.curves))),
            Section("Gradient norms", (norms,)),
        ),
    )  # fmt: skip


def prediction_article(found: Prediction) -> Article:
    """Return predicted curves as an article: the verdict, the curves, and how far to believe them."""
    error = f"{found.error:.3g}" if math.isfinite(found.error) else "not known"
    runs = ", ".join(run.name for run in found.runs)
    facts = Facts((("Fitted to", runs), ("Laws", ", ".join(each.law for each in found.fits)), ("Error", error)))
    picture = draw(
        plot_prediction, found, label="Predicted and recorded loss against the step",
        caption="Lines are the median over the laws, shades their range, dots what was recorded.",
    )  # fmt: skip
    verdict = Points((formatting.sentence(found.verdict),))
    return Article(
        f"Prediction · {found.name} · {formatting.count(found.steps, 'step')}", "Predicted loss curves", facts,
        (
            Section("Verdict", (verdict,)), *_careful(found.warnings),
            Section("Final losses", (_finals(found), picture)), Section("Laws", (_laws(found),)),
        ),
    )  # fmt: skip


def _careful(warnings: tuple[str, ...]) -> tuple[Section, ...]:
    if not warnings:
        return ()
    return (Section("Watch out", (Points(tuple(map(formatting.sentence, warnings)), warning=True),)),)


def _finals(found: Prediction) -> Table:
    rows = tuple(
        (each.name, *map(formatting.loss, (each.final.value, each.final.low, each.final.high)),
         "tied with the best" if each.tied and math.isfinite(found.error) else "")
        for each in found.forecasts
    )  # fmt: skip
    caption = (
        f"Predicted final losses after {formatting.count(found.steps, 'step')}: the median over the laws, their range."
    )
    return Table(caption, ("schedule", "median", "lowest", "highest", "rank"), rows, text=frozenset({0, 4}))


def _laws(found: Prediction) -> Table:
    rows = tuple(
        (each.law, *map(formatting.loss, (each.error, each.curve_error, each.final_error))) for each in found.fits
    )
    caption = "Mean error on the losses that were fitted and on runs that were not, and the largest of a final loss."
    return Table(caption, ("law", "fitted", "held out", "final, held out"), rows)
