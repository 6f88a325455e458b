"""A descent on the page: who got to a global minimum, when, along which paths, from which basins."""

from __future__ import annotations

from typing import Any

from stepsize.kernel.text import thousands
from stepsize.plots import plot_arrivals, plot_basins, plot_paths, plot_rates, side_by_side
from stepsize.plots.landscape import name
from stepsize.report import formatting, race
from stepsize.report.parts import Article, Code, Facts, Gallery, Picture, Section, Table
from stepsize.report.pictures import draw
from stepsize.results import Descent, Outcome
from stepsize.results.io import dumps

_RATES = (
    "The share of all starts that end in the basin of a global minimum, and the escape rate, the same among the starts "
    "from which gradient flow leads elsewhere; with 95 % intervals."
)
_LEAVING = (
    "The share of the starts that left the saddle, whose value came to lie more than 1 below that of it, with 95 % "
    "intervals. There a trajectory ends, since it would fall for ever."
)


def descent_article(descent: Descent) -> Article:
    """Return a descent as an article: the best strategy first, then everything that was counted."""
    best = max(descent.outcomes, key=lambda outcome: (outcome.share.mean, -outcome.time.mean))
    title = best.strategy.name if best.share.mean > 0 else descent.goal.lacking
    maps = (_basins(descent),) if descent.landscape.dimensions <= 2 and not descent.landscape.saddle else ()
    return Article(
        above=f"Descent · {name(descent)} · {formatting.count(descent.steps, 'step')}",
        title=title,
        facts=_facts(descent, best),
        sections=(
            _outcomes(descent, best),
            Section("When they leave" if descent.landscape.saddle else "When they come near", (_arrivals(descent),)),
            Section("Trajectories", (_paths(descent),)),
            *((Section("Basins", maps),) if maps else ()),
            Section("Strategies", _strategies(descent)),
            Section("How to repeat it", _origin(descent)),
        ),
    )


def _facts(descent: Descent, best: Outcome) -> Facts:
    return Facts(
        (
            (formatting.heading(descent.goal.does), formatting.share(best.share)),
            *(() if descent.landscape.saddle else (("Escapes from elsewhere", _escape(best)),)),
            (formatting.heading(descent.goal.steps), formatting.steps(best.time, descent.steps)),
            ("Starts", thousands(len(descent.starts))),
            *(() if descent.landscape.saddle else (_trapped(descent),)),
            ("Strategies", str(len(descent.strategies))),
            ("Wall time", formatting.duration(descent.seconds)),
        )
    )


def _trapped(descent: Descent) -> tuple[str, str]:
    return "Of them, gradient flow leads elsewhere", thousands(int(descent.trapped.sum()))


def _escape(outcome: Outcome) -> str:
    return formatting.NONE if outcome.escape is None else formatting.share(outcome.escape)


def _outcomes(descent: Descent, best: Outcome) -> Section:
    picture = draw(
        plot_rates, descent,
        label=f"Share of the starts of which one {descent.goal.does}, by strategy",
        caption=_LEAVING if descent.landscape.saddle else _RATES,
    )  # fmt: skip
    elsewhere = () if descent.landscape.saddle else ("Escapes from elsewhere",)
    does, steps = map(formatting.heading, (descent.goal.does, descent.goal.steps))
    head = ("Strategy", does, *elsewhere, steps, "Diverged")
    rows = tuple(
        (
            outcome.strategy.name, formatting.share(outcome.share), *(_escape(outcome) for _ in elsewhere),
            formatting.steps(outcome.time, descent.steps), thousands(outcome.diverged),
        )
        for outcome in descent.outcomes
    )  # fmt: skip
    marked = frozenset({descent.outcomes.index(best)} if best.share.mean > 0 else ())
    starts = formatting.count(len(descent.starts), "start")
    table = Table(f"Outcomes of {starts}, with 95 % intervals: Wilson's for shares", head, rows, marked)
    return Section(f"Who {descent.goal.got}", (picture, table))


def _arrivals(descent: Descent) -> Picture:
    return draw(
        plot_arrivals, descent,
        label=f"Share of the starts of which one {descent.goal.done}, against the step",
        caption="The share of the starts that have left the saddle." if descent.landscape.saddle else
        "The share of the starts that have come near a global minimum; some leave it again.",
    )  # fmt: skip


def _paths(descent: Descent) -> Picture:
    return draw(
        _panels, descent, plot_paths, label="Trajectories over the contours of the landscape, one panel a strategy",
        caption="The first trajectories of each strategy, all from the same starts.",
    )  # fmt: skip


def _basins(descent: Descent) -> Picture:
    return draw(
        _panels, descent, plot_basins, label="Where each start ended, one map a strategy",
        caption="Every point has the colour of the basin that its nearest start ended in; gradient flow, the first "
        "map, shows the basins themselves.",
    )  # fmt: skip


def _panels(descent: Descent, function: Any) -> Any:
    return side_by_side(descent, function, flow=function is plot_basins)[0]


def _strategies(descent: Descent) -> tuple[Gallery | Code, ...]:
    """Return each strategy as it ran: its schedule, and its JSON."""
    pictures = Gallery(tuple(map(race.policy_picture, descent.strategies)))
    return pictures, *(Code(dumps(each, indent=2), f"{each.name} as JSON") for each in descent.strategies)


def _origin(descent: Descent) -> tuple[Facts | Code, ...]:
    facts = Facts(
        (
            ("Landscape", repr(descent.landscape)),
            ("Noise of the gradient", "none" if descent.noise is None else repr(descent.noise)),
            ("Seed of starts and noise", str(descent.seed)),
            ("Steps", thousands(descent.steps)),
        )
    )
    return facts, Code(dumps(descent.landscape, indent=2), "The landscape as JSON")
