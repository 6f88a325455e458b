"""Runs from rows: what it means that the steps of a log fall back.

They fall back by a *resume*, to a step in the middle of the run: what was recorded from that step on is replaced by
what comes later. They fall back to the start where a line of names comes again: that is *another run*. And they fall
back to the start in every *epoch* where a column says so: then they are counted on. Anything else is refused, since
half of one run and half of another are no run.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stepsize.jobs.logs.columns import Series
from stepsize.jobs.logs.updates import interval_of, number_updates
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.errors import FormatError
from stepsize.kernel.text import count


class Untangled(NamedTuple):
    """One run. series: by word, steps rising. replaced: how many numbers were. epochs: in which steps began again."""

    series: dict[str, Series]
    replaced: int
    epochs: int


def untangle(name: str, series: Mapping[str, Series]) -> list[Untangled]:
    """Return the runs in the columns of a file, each with steps that rise.

    Raises FormatError where the steps begin again and nothing says why, and for a step that counts nothing.
    """
    for each in series.values():
        _check_steps(name, each.steps)
    parts = {word: _runs_of(_turned(each)) for word, each in series.items()}
    numbers = {word: len(each) for word, each in parts.items()}
    if len(set(numbers.values())) > 1:
        found = ", ".join(f"{count(number, 'run')} in {word!r}" for word, number in numbers.items())
        raise FormatError(f"{name} holds {found}, by its lines of names; give a file for each run.")
    return [_one(name, dict(zip(parts, run, strict=True))) for run in zip(*parts.values(), strict=True)]


def _check_steps(name: str, steps: Floats) -> None:
    wrong = steps[(steps < 0) | (steps != np.floor(steps))]
    if len(wrong):
        raise FormatError(f"{name}: a step is a whole number of at least 0, not {wrong[0]:g}.")


def _turned(series: Series) -> Series:
    """Return a series from its first step on, where the file begins with the last."""
    falls = np.diff(series.steps)
    return series.where(slice(None, None, -1)) if len(falls) > 1 and (falls < 0).all() else series


def _begins_again(series: Series) -> npt.NDArray[np.int64]:
    """Return where the steps fall back to the start of what came before: to where a log of the run begins."""
    steps, found, start = series.steps, [], 0
    reach = interval_of(steps)
    for i in (np.flatnonzero(np.diff(steps) < 0) + 1).tolist():
        following = steps[i + 1] - steps[i] if i + 1 < len(steps) else 0.0
        if steps[i] <= steps[start] + max(reach, following):
            found.append(i)
            start = i
    return np.array(found, dtype=np.int64)


def _runs_of(series: Series) -> list[Series]:
    """Return the runs that begin with a line of names of their own."""
    again = [i for i in _begins_again(series).tolist() if series.parts[i] != series.parts[i - 1]]
    return [series.where(slice(*bounds)) for bounds in zip([0, *again], [*again, None], strict=True)]


def _one(name: str, series: dict[str, Series]) -> Untangled:
    """Return a run whose epochs are counted on, without what was replaced."""
    begun = {word: _begins_again(each) for word, each in series.items()}
    epochs = 0
    if any(len(each) for each in begun.values()):
        if not any(_rises(series[word], at) for word, at in begun.items()):
            word, at = next((word, at) for word, at in begun.items() if len(at))
            raise FormatError(_unexplained(name, word, series[word].steps, at))
        series, epochs = _count_on(name, series)
        for word, each in series.items():
            if len(at := _begins_again(each)):
                raise FormatError(_unexplained(name, word, each.steps, at))
    kept = {word: _without_replaced(each) for word, each in series.items()}
    replaced = sum(len(series[word].steps) - len(kept[word].steps) for word in series)
    return Untangled(kept, replaced, epochs)


def _rises(series: Series, at: npt.NDArray[np.int64]) -> bool:
    """Return whether a column says of any of these events that a later epoch began."""
    return bool((series.epochs[at] > series.epochs[at - 1]).any()) if len(at) else False


def _unexplained(name: str, word: str, steps: Floats, at: npt.NDArray[np.int64]) -> str:
    first = int(at[0])
    return (
        f"{name}: the step falls back from {steps[first - 1]:.0f} to {steps[first]:.0f} beside {word!r}, "
        f"{count(len(at), 'time')} in all, and nothing says whether that is another run or another epoch. Runs need a "
        "file each, a line of column names before each, or a column that tells them apart (--run-column); epochs a "
        "column 'epoch', or a step that counts through the run (--step-column)."
    )


def _count_on(name: str, series: dict[str, Series]) -> tuple[dict[str, Series], int]:
    """Return series whose steps begin again in each epoch with steps of the run, and how many epochs there are."""
    epochs = np.concatenate([each.epochs for each in series.values()])
    steps = np.concatenate([each.steps for each in series.values()])
    numbers = np.unique(epochs)  # NaN, where an event has no epoch, is one of them
    if not np.isfinite(numbers).all() or (np.diff(numbers) != 1).any():
        raise FormatError(
            f"{name}: the steps begin again in each epoch, and the column 'epoch' is not a whole number for each row "
            "that goes up by 1. Give the step that counts through the run by --step-column."
        )
    of_epoch = [np.unique(steps[epochs == number]) for number in numbers]
    before = np.concatenate([[0.0], np.cumsum(_lengths(of_epoch))])
    counted = {
        word: each._replace(steps=floats(each.steps + before[np.searchsorted(numbers, each.epochs)]))
        for word, each in series.items()
    }
    return counted, len(numbers)


def _lengths(of_epoch: list[Floats]) -> list[float]:
    """Return how many updates each epoch had but the last: as a run's where all begin alike, else as rows are apart."""
    apart = interval_of(of_epoch[0])
    return [
        float(number_updates(own).total) if own[0] == after[0] else apart + own[-1] - after[0]
        for own, after in pairwise(of_epoch)
    ]  # fmt: skip


def _without_replaced(series: Series) -> Series:
    """Return the events that hold: of a step the last, and after a resume none of before from its step on."""
    least = np.minimum.accumulate(series.steps[::-1])[::-1]
    later = np.append(least[1:], np.inf)
    return series.where(series.steps < later)
