"""A race on the page: standings, learning curves, sensitivity, rungs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stepsize.kernel.text import thousands
from stepsize.plots import plot_chances, plot_curves, plot_policy, plot_race, plot_rungs, plot_sensitivity
from stepsize.plots.curves import learning_graph
from stepsize.plots.race import sensitivity_graph, standings_graph
from stepsize.plots.style import entitle, rate, short
from stepsize.report import formatting
from stepsize.report.parts import Article, Code, Facts, Gallery, Picture, Points, Section, Table
from stepsize.report.pictures import HALF, chart_json, draw
from stepsize.results import Curves, Race, Sensitivity, Standing
from stepsize.results.io import dumps
from stepsize.results.race_text import VIEWS, numbers
from stepsize.strategy import Strategy

POLICIES = 6
"""The most policies that are drawn, best first."""

MANY = 12
"""From more seeds on, the differences seed by seed are left to the JSON."""


def race_article(race: Race) -> Article:
    """Return a race as an article: who won, and everything that was measured."""
    best = race.standings[0]
    return Article(
        above=f"Race · task {race.task} · {formatting.count(race.steps, 'step')}",
        title="Every strategy diverged" if race.all_diverged else best.strategy.name,
        facts=Facts(
            (
                ("Peak learning rate", rate(best.strategy.peak)),
                *formatting.policy_facts(best.strategy.policy.bound_to(race.steps)),
                (formatting.heading(race.scored), formatting.mean_and_span(best.score)),
                ("Strategies tried", str(tried(race))),
                ("Scored by", {"last": "the last iterate", "best": "the best checkpoint"}[race.selection]),
                ("Cost, tuning included", formatting.trainings(race.cost)),
                ("Wall time", formatting.duration(race.seconds)),
                ("Engine", race.computed_by or formatting.NONE),
            )
        ),
        sections=(
            Section("What the race says", (Points(race.sentences),)),
            standings(race), learning(race.curves), policies(race), sensitivity(race), rungs(race),
            Section("Specification", (strategy_json(best.strategy),)),
        ),
    )  # fmt: skip


def tried(race: Race) -> int:
    """Return how many strategies a race tried."""
    return len({strategy.name for rung in race.rungs for strategy in rung.strategies})


def standings(race: Race) -> Section:
    """Return the standings: their pictures, the table, and the differences seed by seed."""
    seeds = formatting.count(len(race.rungs[-1].seeds), "seed")
    ties = sum(standing.tied for standing in race.standings[1:])
    field = formatting.count(len(race.standings), "strategy", "strategies")
    picture = draw(
        plot_race, race,
        label=f"{formatting.heading(race.scored)} of {field}, best on top",
        caption=f"Mean {race.scored} over {seeds} with its 95 % interval, at {formatting.count(race.steps, 'step')}: "
        f"{race.best.name} is on top, and {ties} more {'is' if ties == 1 else 'are'} tied with it.",
        chart=chart_json(standings_graph(race)),
    )  # fmt: skip
    head, rows = _columns(race)
    table = Table(
        f"Standings on {seeds}, best first; tied: the difference to the best, paired by seed, may well be zero "
        "(with Holm's correction, so an interval by itself may leave zero out)", head, rows,
        frozenset(i for i, s in enumerate(race.standings) if i == 0 or s.tied), frozenset({0, 1}),
    )  # fmt: skip
    return Section("Standings", (picture, *_chances(race), table, *_differences(race)))


def _chances(race: Race) -> tuple[Picture, ...]:
    """Return how likely each is the best; nothing for a single seed, or a field of one."""
    known = [standing for standing in race.standings if math.isfinite(standing.chance) and not standing.diverged]
    if len(known) < 2:
        return ()
    caption = (
        f"The probability of each strategy to have the lowest mean, of this field of {len(known)}; many rates of one "
        "family share what is theirs."
    )
    return (draw(plot_chances, race, label="Probability to be the best, one bar a strategy", caption=caption),)


def _columns(race: Race) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the head and the rows of the standings; seeds and total decay have a column where strategies differ."""
    head = ("Strategy", "Rank", "Peak rate", formatting.heading(race.scored), "95 % interval", "Behind the best")
    columns = [_standing(index, standing) for index, standing in enumerate(race.standings)]
    more = {
        "Seeds": [str(race.seeds_of(standing.strategy.name)) for standing in race.standings],
        "Total decay": [rate(standing.decay) if standing.decay else formatting.NONE for standing in race.standings],
    }
    extra = {name: cells for name, cells in more.items() if len(set(cells)) > 1}
    rows = tuple((*row, *(cells[i] for cells in extra.values())) for i, row in enumerate(columns))
    return (*head, *extra), rows


def _standing(index: int, standing: Standing) -> tuple[str, ...]:
    note = "best" if index == 0 else "tied" if standing.tied else str(index + 1)
    if standing.diverged:
        note = f"{standing.diverged} diverged"
    score, strategy = standing.score, standing.strategy
    behind = formatting.difference(standing.behind)
    return strategy.name, note, rate(strategy.peak), formatting.loss(score.mean), formatting.span(score), behind


def _differences(race: Race) -> tuple[Table, ...]:
    """Return the raw differences to the best of those who ran on all of the last seeds, seed by seed."""
    seeds = race.rungs[-1].seeds
    rows = [each for each in race.standings if len(each.differences) == len(seeds)]
    if not rows or len(seeds) > MANY:
        return ()
    head = ("Behind the best", *(f"Seed {seed}" for seed in seeds))
    cells = tuple((each.strategy.name, *map(rate, each.differences)) for each in rows)
    return (Table(f"{formatting.heading(race.scored)} minus that of the best on the same seed", head, cells),)


def learning(curves: Curves) -> Section:
    """Return the learning curves."""
    died = int((curves.died_at >= 0).sum())
    dead = f"; {formatting.count(died, 'trial')} of {len(curves.trials)} diverged" if died else ""
    return Section(
        "Learning curves",
        (
            draw(
                plot_curves, curves,
                label="Training loss and validation against the step, one line a strategy",
                caption=f"Training loss, smoothed and averaged over seeds, of each strategy{dead}.",
                chart=chart_json(learning_graph(curves)),
            ),
        ),
    )  # fmt: skip


def policies(race: Race) -> Section:
    """Return how the finalists' rate and momentum move, best first."""
    chosen = [standing.strategy.bound_to(race.steps) for standing in race.standings[:POLICIES]]
    return Section("Schedules of the finalists", (Gallery(tuple(map(policy_picture, chosen))),))


def policy_picture(strategy: Strategy) -> Picture:
    """Return the learning rate and the momentum of a strategy, drawn small."""
    moves = "; ".join(f"{name.lower()} {how}" for name, how in formatting.policy_facts(strategy.policy))
    caption = f"{strategy.name}: {moves}."
    return draw(_named_policy, strategy, label=f"Schedule of {strategy.name}", caption=caption, size=HALF)


def _named_policy(strategy: Strategy, ax: Any) -> Any:
    ax = plot_policy(strategy.policy, ax=ax)
    entitle(ax, short(strategy.name))
    return ax


def sensitivity(race: Race) -> Section:
    """Return how the score depends on the peak rate."""
    found = race.sensitivities
    several = any(len(each.rates) > 1 for each in found)
    picture = draw(
        plot_sensitivity, race,
        label=f"{formatting.heading(race.scored)} against peak learning rate, one line a policy",
        caption=f"{formatting.heading(race.scored)} after {thousands(race.widest.steps)} steps for every peak tried"
        + (": a flat line forgives a wrong rate, a steep one does not." if several else "."),
        chart=chart_json(sensitivity_graph(race)),
    )  # fmt: skip
    return Section("Sensitivity to the peak rate", (picture, *((_widths(found),) if several else ())))


def _widths(found: Sequence[Sensitivity]) -> Table:
    """Return how wide the good rates of each family are; with a column for those whose best is at an edge."""
    careful = any(each.edge for each in found)
    head = ("Family", "Best rate", "From", "To", "Width", *(("Careful",) if careful else ()))
    rows = tuple(
        (
            each.family, rate(each.best), rate(each.low), rate(each.high), str(each),
            *((f"the best is the {each.edge} that was tried" if each.edge else "",) if careful else ()),
        )
        for each in found
    )  # fmt: skip
    caption = "The rates of each rule and policy whose score is within 5 % of its best, and how wide they are"
    return Table(caption, head, rows, text=frozenset({0, 4, 5}))


def rungs(*races: Race) -> Section:
    """Return the rungs of races that followed each other, as a picture of each and one table."""
    rows: list[tuple[str, ...]] = []
    pictures: list[Picture] = []
    for race in races:
        for i, rung in enumerate(race.rungs):
            agreement = f"{race.agreement[i]:.2f}" if i < len(race.agreement) else formatting.NONE
            best = rung.strategies[rung.order[0]].name
            shape = (thousands(rung.steps), str(len(rung.strategies)), numbers(rung.seeds), agreement, best)
            rows.append((str(len(rows) + 1), *shape))
        if len(race.rungs) > 1:
            pictures.append(_ranks(race))
    caption = (
        "The rungs in order; agreement is Kendall's tau with the order at the full length, over the strategies that "
        "ran in both (1: the same, 0: unrelated)"
    )
    head = ("Rung", "Steps", "Strategies", "Seeds", "Agreement", "Best")
    return Section("Rungs", (*pictures, Table(caption, head, tuple(rows), text=frozenset({5}))))


def _ranks(race: Race) -> Picture:
    caption = f"The rank of every strategy on every rung; a rung below the full length ran {VIEWS[race.view]}."
    return draw(plot_rungs, race, label="Ranks of the strategies over the rungs", caption=caption)


def strategy_json(strategy: Strategy) -> Code:
    """Return the strategy as JSON that `stepsize.results.io.loads` reads, folded."""
    return Code(dumps(strategy, indent=2), "The strategy as JSON")
