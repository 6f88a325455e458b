"""Smith's four steps on the page: what they come to, then each with its reason, its picture and its decision."""

from __future__ import annotations

from stepsize.plots.style import rate
from stepsize.report import formatting
from stepsize.report.parts import Article, Block, Code, Facts, Points, Section
from stepsize.report.range_test import sweep_sections, why
from stepsize.results import FourSteps, TakenStep


def four_steps_article(steps: FourSteps) -> Article:
    """Return the four steps of a task as an article."""
    strategy = steps.strategy
    facts = Facts((
        ("Peak learning rate", rate(strategy.peak)), ("Batch size", str(steps.batch_size)),
        ("Length", formatting.count(steps.steps, "step")), ("Cost", formatting.count(steps.cost, "update")),
        ("Wall time", formatting.duration(steps.seconds)),
    ))  # fmt: skip
    parts = [_section(number, part) for number, part in enumerate(steps.parts, start=1)]
    code = Section("What they come to", (Code(repr(strategy.policy)),))
    return Article(f"Four steps · task {steps.task}", f"Use {strategy.name}", facts, (*parts, code))


def _section(number: int, part: TakenStep) -> Section:
    pictures: list[Block] = [block for each in sweep_sections(part.sweep, part.found) for block in each.blocks]
    said = Points(tuple(map(formatting.sentence, (part.why, f"Kept: {part.kept}"))))
    title = f"{number}. {formatting.NAMES.get(part.name, part.name.replace('_', ' ').capitalize())}"
    return Section(title, (said, *why(part.found), *pictures))
