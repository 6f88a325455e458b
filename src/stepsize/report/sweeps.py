"""A range test on the page: the curve, the two bounds and what decided them."""

from __future__ import annotations

from stepsize.plots import plot_sweep
from stepsize.plots.style import rate, thousands
from stepsize.report import words
from stepsize.report.parts import Article, Facts, Picture, Points, Section
from stepsize.report.pictures import HALF, draw
from stepsize.results import Estimate, Suggestion, Sweep


def sweep_article(sweep: Sweep, suggestion: Suggestion | None) -> Article:
    """Return one range test as an article."""
    rule = sweep.title
    seeds = ", ".join(map(str, sweep.seeds))
    facts: tuple[tuple[str, str], ...] = (
        ("Seeds", seeds),
        ("Steps", thousands(len(sweep.rates))),
        ("Wall time", words.duration(sweep.seconds)),
    )
    blocks: tuple[Picture | Points, ...] = (sweep_picture(sweep, suggestion),)
    if suggestion is not None:
        facts = (("Least rate", bound(suggestion.min_lr)), ("Largest rate", bound(suggestion.max_lr)), *facts)
        blocks = (*blocks, Points((words.sentence(suggestion.reason),), warning=not suggestion.clear))
    return Article(f"Range test · task {sweep.task}", f"{rule}: {verdict(suggestion)}", Facts(facts),
                   (Section("Loss against learning rate", blocks),))  # fmt: skip


def suggestion_article(suggestion: Suggestion) -> Article:
    """Return a suggestion without its range test."""
    facts = (("Least rate", bound(suggestion.min_lr)), ("Largest rate", bound(suggestion.max_lr)))
    reason = Points((words.sentence(suggestion.reason),), warning=not suggestion.clear)
    return Article("Suggestion", verdict(suggestion), Facts(facts), (Section("Reason", (reason,)),))


def sweep_picture(sweep: Sweep, suggestion: Suggestion | None) -> Picture:
    """Return a range test, drawn small, with the reason as the caption."""
    rule = sweep.title
    what = f"{rule}, {words.count(len(sweep.seeds), 'seed')}"
    caption = words.sentence(f"{what}: {verdict(suggestion)}" + (f"; {suggestion.reason}" if suggestion else ""))
    return draw(
        plot_sweep, sweep, suggestion,
        label=f"Range test of {rule}: loss against learning rate; {verdict(suggestion)}", caption=caption, size=HALF,
    )  # fmt: skip


def verdict(suggestion: Suggestion | None) -> str:
    """Return what a range test says, in a few words."""
    if suggestion is None:
        return "the loss while the rate climbs"
    if not suggestion.clear:
        return "no clear answer"
    return f"from {bound(suggestion.min_lr)} to {bound(suggestion.max_lr)}"


def bound(estimate: Estimate | None) -> str:
    """Return a rate with its range over seeds, or a dash."""
    if estimate is None:
        return words.NONE
    value, low, high = (rate(x, 2) for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"
