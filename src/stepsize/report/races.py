"""A race on the page: standings, learning curves, sensitivity, rungs."""

from __future__ import annotations

import math
from typing import Any

from stepsize.plots import plot_curves, plot_policy, plot_race, plot_sensitivity
from stepsize.plots.style import entitle, rate, short, thousands
from stepsize.policies import LR
from stepsize.report import words
from stepsize.report.charts import learning_chart, sensitivity_chart, standings_chart
from stepsize.report.parts import Article, Code, Facts, Gallery, Picture, Section, Table
from stepsize.report.pictures import HALF, draw
from stepsize.results import Curves, Race, Sensitivity, Standing
from stepsize.results.io import dumps
from stepsize.results.sensitivity import rates_a_family
from stepsize.strategy import Strategy

POLICIES = 6
"""The most policies that are drawn, best first."""


def race_article(race: Race) -> Article:
    """Return a race as an article: who won, and everything that was measured."""
    best = race.standings[0]
    return Article(
        above=f"Race · task {race.task} · {words.count(race.steps, 'step')}",
        title=best.strategy.name if math.isfinite(best.score.mean) else "Every strategy diverged",
        facts=Facts(
            (
                ("Peak learning rate", rate(best.strategy.peak)),
                *words.policy_facts(bound(best.strategy, race.steps).policy),
                ("Validation loss", words.mean_and_span(best.score)),
                ("Strategies tried", str(tried(race))),
                ("Cost", words.trainings(race.cost)),
                ("Wall time", words.duration(race.seconds)),
                ("Engine", race.engine or words.NONE),
            )
        ),
        sections=(
            standings(race), learning(race.curves), policies(race), sensitivity(race), rungs(race),
            Section("Specification", (strategy_json(best.strategy),)),
        ),
    )  # fmt: skip


def tried(race: Race) -> int:
    """Return how many strategies a race tried."""
    return len({strategy.name for rung in race.rungs for strategy in rung.strategies})


def standings(race: Race) -> Section:
    """Return the last rung's picture and table."""
    seeds = words.count(len(race.rungs[-1].seeds), "seed")
    ties = sum(standing.tied for standing in race.standings[1:])
    picture = draw(
        plot_race, race,
        label=f"Validation loss of {words.count(len(race.standings), 'strategy', 'strategies')}, best on top",
        caption=f"Mean validation loss over {seeds} with its 95 % interval, at {words.count(race.steps, 'step')}: "
        f"{race.best.name} is on top, and {ties} more {'is' if ties == 1 else 'are'} tied with it.",
        chart=standings_chart(race),
    )  # fmt: skip
    head = ("Strategy", "Place", "Peak rate", "Validation loss", "95 % interval", "Behind the best")
    table = Table(
        f"Standings on {seeds}, best first; tied: the difference to the best, paired by seed, may well be zero", head,
        tuple(_standing(place, standing) for place, standing in enumerate(race.standings)),
        frozenset(i for i, s in enumerate(race.standings) if i == 0 or s.tied), frozenset({0, 1}),
    )  # fmt: skip
    return Section("Standings", (picture, table))


def _standing(place: int, standing: Standing) -> tuple[str, ...]:
    note = "best" if place == 0 else "tied" if standing.tied else str(place + 1)
    if standing.diverged:
        note = f"{standing.diverged} diverged"
    score, strategy = standing.score, standing.strategy
    behind = words.difference(standing.behind)
    return strategy.name, note, rate(strategy.peak), words.loss(score.mean), words.span(score), behind


def learning(curves: Curves) -> Section:
    """Return the learning curves."""
    died = int((curves.died_at >= 0).sum())
    dead = f"; {words.count(died, 'trial')} of {len(curves.trials)} diverged" if died else ""
    return Section(
        "Learning curves",
        (
            draw(
                plot_curves, curves,
                label="Training and validation loss against the step, one line a strategy",
                caption=f"Training loss, smoothed and averaged over seeds, of each strategy{dead}.",
                chart=learning_chart(curves),
            ),
        ),
    )  # fmt: skip


def policies(race: Race) -> Section:
    """Return how the finalists' rate and momentum move, best first."""
    chosen = [bound(standing.strategy, race.steps) for standing in race.standings[:POLICIES]]
    return Section("Schedules of the finalists", (Gallery(tuple(map(policy_picture, chosen))),))


def bound(strategy: Strategy, steps: int) -> Strategy:
    """Return `strategy` as it ran: bound to `steps`, unless it is bound already."""
    return strategy if isinstance(strategy.policy[LR].steps, int) else strategy.over(steps)


def policy_picture(strategy: Strategy) -> Picture:
    """Return the learning rate and the momentum of a strategy, drawn small."""
    moves = "; ".join(f"{name.lower()} {how}" for name, how in words.policy_facts(strategy.policy))
    caption = f"{strategy.name}: {moves}."
    return draw(_named_policy, strategy, label=f"Schedule of {strategy.name}", caption=caption, size=HALF)


def _named_policy(strategy: Strategy, ax: Any) -> Any:
    ax = plot_policy(strategy.policy, ax=ax)
    entitle(ax, short(strategy.name))
    return ax


def sensitivity(race: Race) -> Section:
    """Return how the score depends on the peak rate."""
    rung, families = max(race.rungs, key=rates_a_family), race.sensitivities
    several = any(len(each.rates) > 1 for each in families)
    picture = draw(
        plot_sensitivity, race,
        label="Validation loss against peak learning rate, one line a policy",
        caption=f"Validation loss after {thousands(rung.steps)} steps for every peak rate that was tried"
        + (": a flat line forgives a wrong rate, a steep one does not." if several else "."),
        chart=sensitivity_chart(race),
    )  # fmt: skip
    head = ("Rule and policy", "Rates tried", "Best rate", "Within 5 % of the best", "Width")
    table = Table(
        "How far the peak rate may move, the best rule and policy first; * the best rate is the last that was tried",
        head, tuple(map(_family, families)),
    )  # fmt: skip
    return Section("Sensitivity to the peak rate", (picture, table) if several else (picture,))


def _family(each: Sensitivity) -> tuple[str, ...]:
    best = rate(each.best) + "*" * bool(each.edge)
    return each.family, str(len(each.rates)), best, f"{rate(each.low)} to {rate(each.high)}", str(each)


def rungs(*races: Race) -> Section:
    """Return the rungs of races that followed each other, as one table."""
    rows: list[tuple[str, ...]] = []
    for race in races:
        for i, rung in enumerate(race.rungs):
            agreement = f"{race.agreement[i]:.2f}" if i < len(race.agreement) else words.NONE
            best = rung.strategies[rung.order[0]].name
            seeds = ", ".join(map(str, rung.seeds))
            shape = (thousands(rung.steps), str(len(rung.strategies)), seeds, agreement, best)
            rows.append((str(len(rows) + 1), *shape))
    caption = (
        "The rungs in order; agreement is Kendall's tau with the order of the next rung (1: the same, 0: unrelated)"
    )
    head = ("Rung", "Steps", "Strategies", "Seeds", "Agreement", "Best")
    return Section("Rungs", (Table(caption, head, tuple(rows), words=frozenset({5})),))


def strategy_json(strategy: Strategy) -> Code:
    """Return the strategy as JSON that `stepsize.results.io.loads` reads, folded."""
    return Code(dumps(strategy, indent=2), "The strategy as JSON")
