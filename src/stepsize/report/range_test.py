"""A range test on the page: the ramp, the fans, what was read off them and what decided it."""

from __future__ import annotations

from stepsize.jobs.range_test.peer_finders import compare
from stepsize.plots import plot_fan, plot_sweep
from stepsize.plots.range_test_data import parts
from stepsize.plots.style import rate, thousands
from stepsize.report import formatting
from stepsize.report.parts import Article, Block, Code, Facts, Picture, Points, Section, Table
from stepsize.report.pictures import HALF, draw
from stepsize.results import Estimate, Suggestion, Sweep

FINDERS = {
    "valley": ("fastai", "about the middle of the longest fall"),
    "slide": ("fastai", "where the slope has stopped changing, from the right"),
    "minimum": ("fastai", "a tenth of the rate at the lowest point"),
    "steep": ("fastai", "the steepest fall over the log of the rate"),
    "steepest": ("torch-lr-finder", "the steepest fall from point to point"),
    "lightning": ("Lightning", "the steepest fall over the rate"),
}
"""The library and the rule of each finder, by its name."""


def sweep_article(sweep: Sweep, suggestion: Suggestion | None) -> Article:
    """Return one range test as an article."""
    ramp, fans = parts(sweep)
    sections = [Section("Why", _why(suggestion))] if suggestion is not None else []
    if suggestion is not None and suggestion.policy is not None:
        sections.append(Section("The schedule", (Code(repr(suggestion.policy)),)))
    if ramp is not None:
        sections.append(Section("Loss against learning rate", (_picture(ramp, suggestion),)))
    if fans:
        sections.append(Section("Where whole runs end", (_picture(sweep, suggestion),)))
    if ramp is not None:
        sections += _others(ramp, suggestion)
    facts = Facts((*_answer(suggestion, sweep.of), *_origin(sweep, fans)))
    return Article(
        f"{kind(sweep)} · task {sweep.task}", f"{sweep.title}: {verdict(suggestion)}", facts, tuple(sections)
    )


def suggestion_article(suggestion: Suggestion) -> Article:
    """Return a suggestion without its range test."""
    facts = Facts(_answer(suggestion, "lr"))
    policy = () if suggestion.policy is None else (Section("The schedule", (Code(repr(suggestion.policy)),)),)
    return Article("Suggestion", verdict(suggestion), facts, (Section("Why", _why(suggestion)), *policy))


def sweep_picture(sweep: Sweep, suggestion: Suggestion | None) -> Picture:
    """Return a range test, drawn small, with the reason as the caption."""
    what = f"{sweep.title}, {formatting.count(len(sweep.seeds), 'seed')}"
    caption = formatting.sentence(f"{what}: {verdict(suggestion)}" + (f"; {suggestion.reason}" if suggestion else ""))
    return draw(plot_sweep, sweep, suggestion, label=_label(sweep, suggestion), caption=caption, size=HALF)


def verdict(suggestion: Suggestion | None) -> str:
    """Return what a range test says, in a few words."""
    if suggestion is None:
        return "the losses of a range test"
    if not suggestion.clear:
        return "no clear answer"
    if suggestion.lr is not None:
        return f"use {bound(suggestion.lr)}"
    return f"from {bound(suggestion.min_lr)} to {bound(suggestion.max_lr)}"


def bound(estimate: Estimate | None) -> str:
    """Return a rate with its range over seeds, or a dash."""
    if estimate is None:
        return formatting.NONE
    value, low, high = (rate(x, 2) for x in (estimate.value, estimate.low, estimate.high))
    return value if low == high else f"{value} ({low} to {high})"


def kind(sweep: Sweep) -> str:
    """Return what was swept, and how."""
    what = "Range test" if sweep.of == "lr" else f"Sweep of the {sweep.of.replace('_', ' ')}"
    ramp, fans = parts(sweep)
    how = [] if ramp is None else ["a ramp"]
    how += [formatting.count(len(fans), "fan")] if fans else []
    return f"{what}, {' and '.join(how)}"


def _answer(suggestion: Suggestion | None, of: str) -> tuple[tuple[str, str], ...]:
    """Return every number of a suggestion with its spread."""
    if suggestion is None:
        return ()
    name = "Rate for the schedule" if of == "lr" else formatting.NAMES.get(of, of.replace("_", " ").capitalize())
    optional = (
        (name, suggestion.lr), ("Base of the cycle", suggestion.base),
        ("Largest stable rate, by curvature", suggestion.limit),
    )  # fmt: skip
    bounds = (("Least rate", bound(suggestion.min_lr)), ("Largest rate", bound(suggestion.max_lr))) * (of == "lr")
    lr, *others = [(word, bound(estimate)) if estimate is not None else None for word, estimate in optional]
    return tuple(pair for pair in (lr, *bounds, *others) if pair is not None)


def _origin(sweep: Sweep, fans: tuple[Sweep, ...]) -> tuple[tuple[str, str], ...]:
    """Return what was run, and what it cost."""
    each = (*sweep.earlier, sweep)
    updates = sum(one.cost for one in each)
    cost = formatting.count(updates, "update")
    if sweep.horizon:
        cost += f", {formatting.trainings(updates / sweep.horizon)} of {formatting.count(sweep.horizon, 'step')}"
    pairs: list[tuple[str, str]] = [("Seeds", ", ".join(map(str, sweep.seeds)))]
    pairs += [("Steps of the ramp", thousands(one.steps)) for one in each if not one.fan]
    if fans:
        pairs.append(
            ("Runs of the fans", "; ".join(f"{len(f.rates)} of {formatting.count(f.steps, 'step')}" for f in fans))
        )
    pairs += [("Cost, all seeds together", cost), ("Wall time", formatting.duration(sum(one.seconds for one in each)))]
    memory = max(one.memory for one in each)
    return (*pairs, *((("Snapshot kept in memory", formatting.size(memory)),) if memory else ()))


def _why(suggestion: Suggestion) -> tuple[Block, ...]:
    """Return the reason, and the warnings apart."""
    reason = Points((formatting.sentence(suggestion.reason),), warning=not suggestion.clear)
    warnings = tuple(map(formatting.sentence, suggestion.warnings))
    return (reason, Points(warnings, warning=True)) if warnings else (reason,)


def _picture(sweep: Sweep, suggestion: Suggestion | None) -> Picture:
    """Return a ramp or the fans, drawn large, with how to read it as the caption."""
    if sweep.fan:
        seeds = "the mean" if len(sweep.seeds) > 1 else "its end"
        what = "peak rate" if sweep.of == "lr" else sweep.of.replace("_", " ")
        caption = f"Each point is a whole run at its own {what}, {seeds}; a run that diverged is a cross at the top."
        return draw(plot_fan, sweep, suggestion, label=_label(sweep, suggestion), caption=caption)
    many = f"The median of {len(sweep.seeds)} seeds" if len(sweep.seeds) > 1 else "The loss"
    caption = f"{many}, smoothed, while the rate climbs. The shades are the spread over seeds."
    return draw(plot_sweep, sweep, suggestion, label=_label(sweep, suggestion), caption=caption)


def _label(sweep: Sweep, suggestion: Suggestion | None) -> str:
    against = "learning rate" if sweep.of == "lr" else sweep.of.replace("_", " ")
    what = f"where whole runs end, against the {against}" if sweep.fan else f"loss against {against}"
    return f"Range test of {sweep.title}: {what}; {verdict(suggestion)}"


def _others(ramp: Sweep, suggestion: Suggestion | None) -> list[Section]:
    """Return what other range tests would say of the same ramp, the bounds of this one first."""
    rows = []
    if suggestion is not None:
        ours = (("min", "a tenth of the drop down", suggestion.min_lr), ("max", "the lowest point", suggestion.max_lr))
        rows += [(name, "stepsize", rule, bound(estimate)) for name, rule, estimate in ours if estimate is not None]
    marked = frozenset(range(len(rows)))
    found = compare(ramp)
    rows += [(name, *FINDERS.get(name, (formatting.NONE, formatting.NONE)), bound(found[name])) for name in found]
    if not found:
        return []
    caption = "What one number others read off the same ramp: the median, and the range over seeds."
    head = ("name", "library", "rule", "learning rate")
    table = Table(caption, head, tuple(rows), marked, frozenset({0, 1, 2}))
    return [Section("What other range tests would say", (table,))]
