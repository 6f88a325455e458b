"""A range test or a grid on the page: its picture, what it suggests and what decided it."""

from __future__ import annotations

from dataclasses import replace

from stepsize.kernel.text import thousands
from stepsize.plots import plot_range_tests, plot_rate_grid, plot_sweep
from stepsize.plots.range_test_data import DIGITS, loss_name
from stepsize.plots.style import rate
from stepsize.policies import LR
from stepsize.report import formatting
from stepsize.report.parts import Article, Block, Code, Facts, Picture, Points, Section, Table
from stepsize.report.pictures import draw
from stepsize.results import BatchSizeSweep, Estimate, RangeTestRecord, RangeTests, RunGrid, Suggestion, Sweep
from stepsize.results.range_test import EXACT


def sweep_article(sweep: Sweep, suggestion: Suggestion | None) -> Article:
    """Return one range test, grid or sweep of another hyperparameter as an article."""
    because = [] if suggestion is None else [Section("Why", why(suggestion)), *_schedule(suggestion)]
    facts = Facts((*_answer(suggestion, sweep.swept), *_origin(sweep)))
    above, title = f"{kind(sweep)} · task {sweep.task}", f"{sweep.title}: {verdict(suggestion, sweep.swept)}"
    return Article(above, title, facts, (*because, *sweep_sections(sweep, suggestion)))


def sweep_sections(sweep: Sweep, suggestion: Suggestion | None) -> list[Section]:
    """Return the pictures and tables of a range test, grid or sweep of another hyperparameter."""
    sections = []
    if isinstance(sweep, RangeTestRecord):
        sections.append(
            Section(
                f"{sweep.judged_name.capitalize()} against learning rate", (_picture_of_range_test(sweep, suggestion),)
            )
        )
    if isinstance(sweep, RunGrid):
        sections.append(Section("Where whole runs end", (_picture_of_grid(sweep, suggestion),)))
    if isinstance(sweep, BatchSizeSweep):
        head, *rows = sweep.table
        table = Table("Each size at its own rate, the best of those tried", head, tuple(rows), text=frozenset())
        sections.append(Section("In the same running time", (table,)))
    return sections


def comparison_article(tests: RangeTests) -> Article:
    """Return several range tests over one axis, with a row for each."""
    what, first = tests.compared.replace("_", " "), tests.tests[0]
    head, *rows = tests.table
    title = f"{first.judged_name.capitalize()} while the rate climbs, by {what}"
    picture = draw(
        plot_range_tests, tests, label=title, caption="The median over seeds of each, with its largest rate."
    )
    table = Table("The two bounds of each, over its seeds", head, tuple(rows), text=frozenset({0, 3}))
    whys = [f"{name}: {found.reason}" for name, found in zip(tests.names, tests.found, strict=True)]
    facts = Facts((("Seeds", ", ".join(map(str, first.seeds))), ("Cost", formatting.count(tests.cost, "update"))))
    sections = (
        Section("Loss against learning rate", (picture, table)),
        Section("Why", (Points(tuple(map(formatting.sentence, whys))),)),
    )
    return Article(f"Range tests · task {first.task}", title, facts, sections)


def suggestion_article(suggestion: Suggestion) -> Article:
    """Return a suggestion without its range test."""
    sections = (Section("Why", why(suggestion)), *_schedule(suggestion))
    return Article("Suggestion", verdict(suggestion), Facts(_answer(suggestion, LR)), sections)


def verdict(suggestion: Suggestion | None, swept: str = LR) -> str:
    """Return what a range test says, in short."""
    if suggestion is None:
        return "the losses of a range test"
    if not suggestion.clear:
        return "no clear answer"
    if suggestion.lr is not None:
        return f"use {bound(suggestion.lr, _digits(swept))}"
    return f"from {bound(suggestion.min_lr)} to {bound(suggestion.max_lr)}"


def _digits(swept: str) -> int:
    return DIGITS if swept == LR else EXACT


def bound(estimate: Estimate | None, digits: int = DIGITS) -> str:
    """Return a rate with its range over seeds, or a dash."""
    if estimate is None:
        return formatting.NONE
    value, low, high = (rate(x, digits) for x in (estimate.value, estimate.low, estimate.high))
    return value if low == high else f"{value} ({low} to {high})"


def kind(sweep: Sweep) -> str:
    """Return what was swept, and how."""
    if sweep.swept != LR:
        return f"Sweep of the {_name(sweep)}"
    return "Range test" if isinstance(sweep, RangeTestRecord) else "Grid of rates"


def _name(sweep: Sweep) -> str:
    return "learning rate" if sweep.swept == LR else sweep.swept.replace("_", " ")


def _answer(suggestion: Suggestion | None, swept: str) -> tuple[tuple[str, str], ...]:
    """Return every number of a suggestion with its spread."""
    if suggestion is None:
        return ()
    name = "Rate for the schedule" if swept == LR else formatting.NAMES.get(swept, swept.replace("_", " ").capitalize())
    optional = (
        (name, suggestion.lr), ("Base of the cycle", suggestion.base),
        ("Largest stable rate, by curvature", suggestion.limit),
    )  # fmt: skip
    bounds = (("Least rate", bound(suggestion.min_lr)), ("Largest rate", bound(suggestion.max_lr))) * (swept == LR)
    digits = _digits(swept)
    lr, *others = [(label, bound(estimate, digits)) if estimate is not None else None for label, estimate in optional]
    return tuple(pair for pair in (lr, *bounds, *others) if pair is not None)


def _origin(sweep: Sweep) -> tuple[tuple[str, str], ...]:
    """Return what was run, and what it cost."""
    cost = formatting.count(sweep.cost, "update")
    if sweep.horizon:
        cost += f", {formatting.trainings(sweep.cost / sweep.horizon)} of {formatting.count(sweep.horizon, 'step')}"
    pairs: list[tuple[str, str]] = [("Seeds", ", ".join(map(str, sweep.seeds)))]
    if isinstance(sweep, RangeTestRecord):
        pairs.append(("Steps of the range test", thousands(sweep.steps)))
    else:
        length = sweep.lasting if isinstance(sweep, RunGrid) else formatting.count(sweep.steps, "step")
        pairs.append(("Runs of each seed", f"{len(sweep.x)} of {length}"))
    pairs += [("Cost, all seeds together", cost), ("Wall time", formatting.duration(sweep.seconds))]
    if isinstance(sweep, RangeTestRecord) and sweep.memory:
        pairs.append(("Snapshot kept in memory", formatting.size(sweep.memory)))
    return tuple(pairs)


def _schedule(suggestion: Suggestion) -> tuple[Section, ...]:
    return () if suggestion.policy is None else (Section("The schedule", (Code(repr(suggestion.policy)),)),)


def why(suggestion: Suggestion) -> tuple[Block, ...]:
    """Return the reason, and the warnings apart."""
    reason = Points((formatting.sentence(suggestion.reason),), warning=not suggestion.clear)
    if suggestion.generalisation:
        reason = replace(reason, items=(*reason.items, formatting.sentence(suggestion.generalisation)))
    warnings = tuple(map(formatting.sentence, suggestion.warnings))
    return (reason, Points(warnings, warning=True)) if warnings else (reason,)


def _picture_of_range_test(record: RangeTestRecord, suggestion: Suggestion | None) -> Picture:
    """Return a range test, drawn large, with what its curves are as the caption."""
    many = f"The {record.judged_name}" + f", the median of {len(record.seeds)} seeds" * (len(record.seeds) > 1)
    caption = f"{many}, smoothed, while the rate climbs. The shades are the spread over seeds."
    if record.has_gap:
        caption += " Between the two medians is the gap of validation to training loss."
    return draw(plot_sweep, record, suggestion, label=_label(record, suggestion), caption=caption)


def _picture_of_grid(grid: RunGrid, suggestion: Suggestion | None) -> Picture:
    """Return a grid, drawn large, with what their points are as the caption."""
    seeds = "the mean" if len(grid.seeds) > 1 else "its last"
    what = "peak rate" if grid.swept == LR else _name(grid)
    point = f"Each point is a whole run at its own {what}, {seeds} {loss_name(grid)}"
    caption = f"{point}; a run that diverged is a cross at the top."
    return draw(plot_rate_grid, grid, suggestion, label=_label(grid, suggestion), caption=caption)


def _label(sweep: Sweep, suggestion: Suggestion | None) -> str:
    what = "where whole runs end, against the" if isinstance(sweep, RunGrid) else "loss against"
    return f"Range test of {sweep.title}: {what} {_name(sweep)}; {verdict(suggestion, sweep.swept)}"
