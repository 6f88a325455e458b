"""A race in sentences with numbers: who leads and how sure, what the runs were scored by, what to be careful of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from stepsize.rules import Rule
from stepsize.strategy import describe_rule

if TYPE_CHECKING:
    from stepsize.results.race import Race

WEAK = 0.3
"""Below this agreement a rung did not tell those apart who went on from it."""

VIEWS = {"retimed": "whole schedules in fewer steps", "prefix": "the first part of the long runs"}
"""What a rung below the full length ran, in words."""

FEWEST = 3
"""Over fewer strategies an agreement says nothing."""

UNEQUAL = 1.5
"""Total decays of one rule that differ by more than this factor are worth a word."""


def sentences(race: Race) -> tuple[str, ...]:
    """Return what a race says, and how far that may be trusted."""
    parts = (_winner, _scored, _seeds, _rungs, _edges, _decay)
    found = (sentence for part in parts for sentence in part(race))
    return (*found, *by_class(standing.strategy.rule for standing in race.standings))


def _winner(race: Race) -> Iterator[str]:
    best, *others = race.standings
    if race.all_diverged:
        yield "Every strategy diverged."
        return
    chance = f", with a chance of {percent(best.chance)} to be the best" if math.isfinite(best.chance) else ""
    yield f"{best.strategy.name} has the lowest mean {race.scored}, {best.score.mean:.4g}{chance}."
    judgements = " and extensions" if race.extensions else ""
    ties = [standing.strategy.name for standing in others if standing.tied]
    if ties and len(race.rungs[-1].seeds) < 2:
        yield "One seed tells nothing apart; run at least three."
    elif ties:
        yield f"It cannot be separated from {_listed(ties)} (Holm's correction, 5 % over all comparisons{judgements})."
    elif others:
        yield f"It is separated from all others (Holm's correction, 5 % over all comparisons{judgements})."


def _scored(race: Race) -> Iterator[str]:
    if race.selection == "last":
        yield "Runs are scored by their last iterate."
    else:
        yield "Runs are scored by the best of their checkpoints, which flatters noisy ones."


def _seeds(race: Race) -> Iterator[str]:
    if race.tuned:
        chosen, judged = race.rungs[race.tuned - 1].seeds, race.rungs[race.tuned].seeds
        yield f"Rates were chosen on seeds {numbers(chosen)}, and are judged on seeds {numbers(judged)}."
    if race.extensions:
        times = "once" if race.extensions == 1 else f"{race.extensions} times"
        yield f"Seeds for the leaders were added {times}, and every time the standings were judged has its part of 5 %."


def _rungs(race: Race) -> Iterator[str]:
    for rung, tau, rank in zip(race.rungs, race.agreement, race.ranks, strict=False):
        shared = len({each.name for each in rung.strategies} & _full(race))
        if rung.steps == race.steps:
            continue
        parts = [f"the winner was number {rank} of {len(rung.strategies)}"] if rank else []
        if math.isfinite(tau) and shared >= FEWEST:
            weak = ", so it did not tell those apart" if tau < WEAK else ""
            agrees = f"its order agrees with the full length by {tau:.2f} (Kendall's tau, over the {shared} "
            parts = [f"{agrees}strategies that ran in both){weak}", *parts]
        if parts:
            yield f"On the rung of {rung.steps} steps ({VIEWS[race.view]}) {'; '.join(parts)}."


def _full(race: Race) -> set[str]:
    """Return the names of those who ran on the first rung at the full horizon."""
    return {each.name for each in next(rung for rung in race.rungs if rung.steps == race.steps).strategies}


def _edges(race: Race) -> Iterator[str]:
    raced = {standing.strategy.family for standing in race.standings}
    yield from (each.edge_sentence for each in race.sensitivities if each.edge and each.strategy.family in raced)


def _decay(race: Race) -> Iterator[str]:
    totals: dict[str, list[float]] = {}
    for standing in race.standings:
        if standing.decay > 0:
            totals.setdefault(standing.strategy.rule.title, []).append(standing.decay)
    for rule, found in totals.items():
        low, high = min(found), max(found)
        if high > UNEQUAL * low:
            yield (
                f"The total decay of {rule}, the sum of rate times weight decay, is {low:.3g} to {high:.3g}: its "
                "strategies differ in that as well."
            )


def by_class(rules: Iterable[Rule]) -> Iterator[str]:
    """Yield what to know of rules that are a class of torch: that a loop runs them, and which are rules of ours.

    >>> from stepsize.rules import TorchRule
    >>> for sentence in by_class([TorchRule("torch.optim.Rprop"), TorchRule("torch.optim.AdamW")]):
    ...     print(sentence)
    A plain loop runs torch.optim.Rprop and torch.optim.AdamW, one trial after the other.
    AdamW of the catalogue is the same rule as torch.optim.AdamW, and runs in the ensemble.
    """
    named = {describe_rule(rule): rule.known for rule in rules if not rule.formula}
    if named:
        yield f"A plain loop runs {_listed(list(named))}, one trial after the other."
    for name, known in named.items():
        if known.formula:
            yield f"{describe_rule(known)} of the catalogue is the same rule as {name}, and runs in the ensemble."


def percent(chance: float) -> str:
    """Return a chance in per cent, never quite 0 or 100.

    >>> percent(0.423), percent(0.9999), percent(0.0)
    ('42 %', '>99 %', '<1 %')
    """
    rounded = round(100 * chance)
    return "<1 %" if rounded < 1 else ">99 %" if rounded > 99 else f"{rounded} %"


def numbers(seeds: Sequence[int]) -> str:
    """Return seeds as they are written, three or more in a row by their ends.

    >>> numbers((0, 1, 2)), numbers((4, 9)), numbers((0, 1, 2, 3, 1004, 1005))
    ('0 to 2', '4, 9', '0 to 3, 1004, 1005')
    """
    rows: list[list[int]] = []
    for seed in seeds:
        if rows and seed == rows[-1][-1] + 1:
            rows[-1].append(seed)
        else:
            rows.append([seed])
    return ", ".join(f"{row[0]} to {row[-1]}" if len(row) > 2 else ", ".join(map(str, row)) for row in rows)


def _listed(names: list[str]) -> str:
    """Return names as a person lists them.

    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
