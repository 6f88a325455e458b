"""An advice on the page: the answer, what makes it safe, why, how it was found, the code; the rest is folded."""

from __future__ import annotations

import math
from collections.abc import Iterable

from stepsize.kernel.errors import ParameterError
from stepsize.kernel.text import thousands
from stepsize.plots import plot_advice, plot_search_course
from stepsize.plots.style import rate
from stepsize.report import formatting, race
from stepsize.report.parts import Article, Block, Checks, Code, Facts, Gallery, Picture, Points, Section, Table
from stepsize.report.pictures import draw
from stepsize.results import Advice, Race, SearchRun
from stepsize.results import advice_text as text
from stepsize.strategy import Strategy, describe_rule

MACHINE = "machine"
"""What the versions of an advice call the hardware."""

REASONS = 3
"""How many reasons are seen at once; the others are folded."""

NARROW = (4.2, 3.9)
"""The size of a picture, in inches, whose text can still be read at the width of a phone."""

MANY = 4
"""More policies that ran are counted and not listed."""


def advice_article(advice: Advice, framework: str = "torch") -> Article:
    """Return an advice as an article, the answer first; where nothing has learned, no strategy is put forward.

    framework: whose code to paste, as `Advice.code` takes it.
    """
    above = f"Advice · task {advice.task} · {formatting.count(advice.steps, 'step')}"
    careful = Section("Watch out", _points(advice.warnings, warning=True))
    if advice.learned:
        title, lead, facts = advice.strategy.name, _lead(advice), _answer(advice)
        sections = (*_found(advice), Section("Code to paste", (_code(advice, framework),)), careful)
    else:
        title, facts = "Nothing has learned", _spent(advice)
        lead = f"{formatting.heading(text.failure(advice))}, so no strategy is recommended; what to try is below."
        sections = (careful, Section("What ran", (Gallery((_belief(advice),)), *_points(_onward(advice)))))
    shown = tuple(each for each in (*sections, *_folded(advice, framework)) if each.blocks)
    return Article(above, title, facts, shown, lead)


def _found(advice: Advice) -> tuple[Section, ...]:
    """Return what makes the answer safe, why it is the answer, and how it was found."""
    checks = tuple((each.holds, each.name, each.because) for each in advice.insurances)
    return (
        Section("What makes it safe", (Checks(checks),) if checks else ()),
        Section("Why", _why(advice)),
        Section("How it was found", (Gallery((_belief(advice), _course(advice))), *_points(_onward(advice)))),
    )


def _folded(advice: Advice, framework: str) -> tuple[Section, ...]:
    """Return what an advice rests on, to be seen at a click."""
    parts = (
        ("The same without stepsize", (_code(advice, framework, native=True),) if advice.learned else ()),
        (f"All {formatting.count(len(advice.runs), 'run')}", _runs(advice)),
        *_final(advice),
        ("What was not tried", _untried(advice)),
        ("How to repeat it", (_origin(advice), *_specification(advice))),
    )
    return tuple(Section(title, blocks, folded=True) for title, blocks in parts)


def _points(items: Iterable[str], *, warning: bool = False, summary: str = "") -> tuple[Points, ...]:
    """Return the sentences that there are as a block; none where there are none."""
    there = tuple(filter(None, items))
    return (Points(there, warning, summary),) if there else ()


def _lead(advice: Advice) -> str:
    """Return what to do and what it is expected to lose, in two sentences."""
    strategy, steps = advice.strategy, formatting.count(advice.steps, "step")
    what = describe_rule(strategy.rule) + (f" and the schedule {strategy.recipe}" if strategy.recipe else "")
    size = f" in batches of {advice.batch_size}" if advice.batch_size else ""
    return (
        f"Train {advice.task} for {steps}{size} with {what}, at a peak rate of {rate(strategy.peak)}. "
        f"It is {text.expected_loss(advice)}."
    )


def _answer(advice: Advice) -> Facts:
    """Return the facts of the answer; what is not known has no line."""
    known = advice.score is not None and math.isfinite(advice.score.mean)
    expected = text.expected_score(advice).removeprefix(f"expected {advice.scored} " if known else "")
    promise = text.span(advice.promise)
    return Facts(
        (
            ("Peak learning rate", rate(advice.strategy.peak)),
            *formatting.policy_facts(advice.policy),
            (f"Expected {advice.scored}", formatting.heading(expected)),
            *([("One more run", f"{promise}, with 95 % confidence")] if promise else []),
            ("Against the baseline", formatting.heading(text.beside_baseline(advice))),
            *_spent(advice).pairs,
        )
    )


def _spent(advice: Advice) -> Facts:
    asked = f"; the budget was {advice.budget}" if advice.budget else ""
    return Facts((("Cost", f"{formatting.trainings(advice.cost)} in {formatting.duration(advice.seconds)}{asked}"),))


def _why(advice: Advice) -> tuple[Block, ...]:
    rest = advice.reasons[REASONS:]
    more = formatting.count(len(rest), "more reason")
    return *_points(advice.reasons[:REASONS]), *_points(rest, summary=more)


def _onward(advice: Advice) -> tuple[str, ...]:
    """Return what would be done with more."""
    return text.next_training(advice), advice.more


def _belief(advice: Advice) -> Picture:
    belief, ran = advice.belief, formatting.count(len(advice.own_runs), "run")
    source = f"; before any run it came from {belief.source}" if belief.source else ""
    caption = (
        f"The best peak rate of {belief.family} lies between {rate(belief.low, 2)} and {rate(belief.high, 2)} with "
        f"90 %, by {ran} of it{source}."
        if advice.learned
        else f"The {ran} of {belief.family}, over the rates at which one would expect its best."
    )
    label = f"Where the best peak rate of {belief.family} lies, and the scores of its runs"
    return draw(plot_advice, advice, label=label, caption=caption, size=NARROW)


def _course(advice: Advice) -> Picture:
    return draw(
        plot_search_course, advice,
        label="What the answer is expected to lose against what has been spent",
        caption=f"What the answer was expected to lose as the search went on; a dot is a run. In the end it is "
        f"{text.share(advice.loses)} {text.GAINED}, for {formatting.trainings(advice.cost)}.", size=NARROW,
    )  # fmt: skip


def _code(advice: Advice, framework: str, *, native: bool = False) -> Block:
    """Return the code for a framework; what is in the way of it where there is none."""
    try:
        return Code(advice.code(framework, native=native))
    except ParameterError as error:
        return Points((str(error),), warning=True)


def _runs(advice: Advice) -> tuple[Table, ...]:
    """Return every run in order; what would have been answered then is left out where nothing has learned."""
    if not advice.runs:
        return ()
    head = ("Run", "Strategy", "Steps", "Seed", formatting.heading(advice.scored), "Why", "Cost so far", "Answer then",
            "Expected to lose")  # fmt: skip
    kept = len(head) if advice.learned else head.index("Answer then")
    rows = tuple(_run(number, run)[:kept] for number, run in enumerate(advice.runs, start=1))
    own = advice.own_runs if advice.learned else ()
    apart = ", those of the answer's family set apart" if own else ""
    caption = f"Every run in order{apart}; costs in full trainings, added up"
    marked = frozenset(i for i, run in enumerate(advice.runs) if run in own)
    return (Table(caption, head[:kept], rows, marked, frozenset({1, 5, 7})),)


def _run(number: int, run: SearchRun) -> tuple[str, ...]:
    score = formatting.loss(run.score) if math.isfinite(run.score) else "diverged"
    return (
        str(number), run.strategy.name, thousands(run.steps), str(run.seed), score, run.stage, f"{run.cost:.3g}",
        run.answer.name, text.share(run.loses),
    )  # fmt: skip


def _final(advice: Advice) -> tuple[tuple[str, tuple[Block, ...]], ...]:
    """Return how the finalists did; nothing where the budget allowed no final."""
    if advice.final is None:
        return ()
    standings, learning = race.standings(advice.final), race.learning(advice.final.curves)
    return ("Finalists", (*_points(_tied(advice, advice.final)), *standings.blocks)), (learning.title, learning.blocks)


def _tied(advice: Advice, final: Race) -> tuple[str, ...]:
    if final.all_diverged:
        return ("Every finalist diverged.",)
    tied = advice.indistinguishable
    if len(tied) > 1:
        return (
            f"The seeds cannot tell these apart: {', '.join(each.name for each in tied)}.",
            f"The simplest of them, with the fewest pieces: {advice.simplest.name}.",
        )
    return ("The seeds tell all other finalists from it.",) if len(final.standings) > 1 else ()


def _untried(advice: Advice) -> tuple[Block, ...]:
    """Return what was left out of the default search space, and what was tried of each rule."""
    points = _points(
        (
            _listed("Of the default rules, not tried at all", advice.untried_rules),
            _listed("Of the default policies, tried with no rule", advice.untried_policies),
        )
    )
    field = [run.strategy for run in advice.runs]
    if not field:
        return points
    rules = dict.fromkeys(describe_rule(strategy.rule) for strategy in field)
    head, rows = ("Rule", "Runs", "Peak rates", "Policies"), tuple(_tried(rule, field) for rule in rules)
    return *points, Table("What was tried of every rule; rates outside were not", head, rows, text=frozenset({0, 3}))


def _listed(what: str, names: Iterable[str]) -> str:
    joined = ", ".join(names)
    return f"{what}: {joined}." if joined else ""


def _tried(rule: str, field: list[Strategy]) -> tuple[str, ...]:
    """Return the row of one rule."""
    own = [strategy for strategy in field if describe_rule(strategy.rule) == rule]
    low, high = (rate(extreme(strategy.peak for strategy in own)) for extreme in (min, max))
    policies = list(dict.fromkeys(strategy.recipe for strategy in own if strategy.recipe))
    names = f"{len(policies)}" if len(policies) > MANY else ", ".join(policies) or formatting.NONE
    return rule, str(len(own)), low if low == high else f"{low} to {high}", names


def _origin(advice: Advice) -> Facts:
    """Return what the numbers depend on."""
    versions = [(name, version) for name, version in advice.versions if name != MACHINE]
    finals = () if advice.final is None else advice.final.rungs
    seeds = sorted({run.seed for run in advice.runs} | {seed for rung in finals for seed in rung.seeds})
    return Facts(
        (
            ("Seed of the search", str(advice.seed)),
            ("Seeds of the runs", ", ".join(map(str, seeds)) or formatting.NONE),
            ("Versions", ", ".join(f"{name} {version}" for name, version in versions) or formatting.NONE),
            ("Hardware", dict(advice.versions).get(MACHINE, formatting.NONE)),
            ("Engine", advice.engine or formatting.NONE),
            *([("Command", advice.command)] if advice.command else []),
        )
    )


def _specification(advice: Advice) -> tuple[Block, ...]:
    """Return the answer as it can be read back, with its schedule; nothing where there is no answer."""
    if not advice.learned:
        return ()
    return Gallery((race.policy_picture(advice.strategy),)), race.strategy_json(advice.strategy)
