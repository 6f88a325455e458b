"""The numbers of the pictures that answer to the pointer: learning curves, standings, sensitivity."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from stepsize.kernel.arrays import Floats
from stepsize.plots import style
from stepsize.plots.curves import lines_of
from stepsize.plots.race import GROUPS
from stepsize.report.parts import Chart, Column, Line
from stepsize.results import Curves, Race, Sensitivity, Standing

DASHES = {"-": (), "--": (7, 4), ":": (2, 3), "-.": (7, 3, 2, 3)}
"""matplotlib's dashes in pixels."""

MOST = 12
"""The most strategies of the standings, as in their picture."""

REACH = 3.0
"""How far beyond the means whiskers are shown, in ranges of the means; those of two seeds may be endless."""

DIGITS = 4


def learning_chart(curves: Curves) -> Chart | None:
    """Return the learning curves: the smoothed training loss, and the validation loss where it was taken on the way."""
    steps, lines = lines_of(curves)
    lines = [line for line in lines if np.isfinite(line.losses).any()]
    if not lines:
        return None
    scored = len(curves.score_steps) > 1
    x = np.union1d(steps, curves.score_steps) if scored else steps
    found = []
    for line, (color, dash) in zip(lines, style.inks(len(lines)), strict=True):
        columns = [np.interp(x, steps, line.losses)]
        if scored:
            columns.append(np.full(len(x), np.nan))
            columns[1][np.searchsorted(x, curves.score_steps)] = line.scores
        finite = line.losses[np.isfinite(line.losses)]
        high = min(float(finite.max()), 1.5 * float(finite[0]))
        found.append(_line(line.label, (color, dash), columns, (float(finite.min()), high)))
    low, high = min(line.low for line in found), max(line.high for line in found)
    return Chart(
        tuple(x.tolist()), "step", "loss", ("training loss", "validation")[: 1 + scored],
        ("line", "dots")[: 1 + scored], tuple(found), floor=max(low, 0.0), log=bool(low > 0 and high / low > 5),
    )  # fmt: skip


def standings_chart(race: Race) -> Chart | None:
    """Return the standings: a dot and its interval for each strategy."""
    shown = [(place, each) for place, each in enumerate(race.standings[:MOST]) if math.isfinite(each.score.mean)]
    if not shown:
        return None
    means = [each.score.mean for _, each in shown]
    reach = REACH * max(max(means) - min(means), 0.05 * abs(means[0]), 1e-12)
    limits = (min(means) - reach, max(means) + reach)
    lines = [_standing(row, len(shown), each, limits) for row, (_, each) in enumerate(shown)]
    return Chart(
        tuple(map(float, range(1, len(shown) + 1))), "strategy", race.scored, ("mean", "low", "high"),
        ("mean", "low", "high"), tuple(lines), floor=max(min(means) / 2, 0.0),
        names=tuple(f"{place + 1}. {line.name}" for (place, _), line in zip(shown, lines, strict=True)),
    )  # fmt: skip


def _standing(row: int, count: int, standing: Standing, limits: tuple[float, float]) -> Line:
    score = standing.score
    columns = []
    for value in (score.mean, score.low, score.high):
        column = np.full(count, np.nan)
        column[row] = value
        columns.append(column)
    ends = [value if math.isfinite(value) else score.mean for value in (score.low, score.high)]
    color = style.BLUE if row == 0 or standing.tied else style.QUIET
    span = max(ends[0], limits[0]), min(ends[1], limits[1])
    return _line(style.short(standing.strategy.name), (color, "-"), columns, span)


def sensitivity_chart(race: Race) -> Chart | None:
    """Return the score against the peak rate for each family, and the rates that diverged."""
    families = race.sensitivities[:GROUPS]
    if not families:
        return None
    x = np.unique([rate for each in families for rate in each.rates])
    died = any(not math.isfinite(score) for each in families for score in each.scores)
    inks = style.inks(len(families))
    lines = [_family(each, x, ink, died=died) for each, ink in zip(families, inks, strict=True)]
    low, high = min(line.low for line in lines), max(line.high for line in lines)
    return Chart(
        tuple(map(_rounded, x.tolist())), "peak learning rate", race.scored,
        (race.scored, "diverged")[: 1 + died], ("both", "cross")[: 1 + died],
        lines=tuple(lines), floor=max(low, 0.0), log=bool(low > 0 and high / low > 5), rates=True,
    )  # fmt: skip


def _family(each: Sensitivity, x: Floats, ink: tuple[str, str], *, died: bool) -> Line:
    scores, crosses = np.full(len(x), np.nan), np.full(len(x), np.nan)
    at = np.searchsorted(x, each.rates)
    values = np.array(each.scores)
    scores[at] = values
    crosses[at[~np.isfinite(values)]] = 1.0
    finite = values[np.isfinite(values)]
    return _line(
        style.short(each.family), ink, (scores, crosses)[: 1 + died], (float(finite.min()), float(finite.max()))
    )


def _line(name: str, ink: tuple[str, str], columns: Iterable[Floats], span: tuple[float, float]) -> Line:
    """Return a line of `columns`. ink: its colour and dash. span: the y that it needs."""
    low, high = map(_rounded, span)
    return Line(name, ink[0], DASHES[ink[1]], tuple(map(_column, columns)), low, high)


def _column(values: Floats) -> Column:
    return tuple(_rounded(value) if math.isfinite(value) else None for value in values.tolist())


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
