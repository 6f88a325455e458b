"""How much an answer is expected to lose, and what one more training is worth.

The draws of `worlds` are corrected by what they were wrong by on tasks of bench/advice (calibration.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stepsize.jobs.advise.belief import prior, valley
from stepsize.jobs.advise.belief.worlds import draw
from stepsize.jobs.advise.final import FINAL
from stepsize.jobs.advise.search import Search
from stepsize.kernel.arrays import floats
from stepsize.strategy import Strategy

KNOWN = 0.2
"""The spread of a best rate, in decades, that pilot runs for one training leave behind."""

NINE_OF_TEN = 0.9


@dataclass(frozen=True)
class Loss:
    """What an answer is expected to lose, and at most on nine of ten such tasks; shares of what training gains."""

    expected: float
    worst: float


def expected_loss(search: Search, answer: Strategy) -> Loss:
    """Return what `answer` loses against the best of all families at their best rates."""
    mean, quantile = drawn_loss(search, answer)
    fitted = prior.calibration(_known(search))
    return Loss(mean * fitted["mean"] + fitted["least"], quantile * fitted["worst"] + fitted["least_worst"])


def drawn_loss(search: Search, answer: Strategy) -> tuple[float, float]:
    """Return the mean and the nine-of-ten quantile of what `answer` loses, as they are drawn."""
    regrets = draw(search.belief, [answer], search.families_with([answer]), search.seed).regrets(0)
    return float(regrets.mean()), float(np.quantile(regrets, NINE_OF_TEN))


def gain_of_next(search: Search) -> tuple[Strategy, float]:
    """Return what one more training would be spent on, and what share of the gain that is expected to win.

    Before any full run the training goes into pilot runs, and wins what they leave of the loss by a wrong rate.
    """
    chosen, gain = search.next_full()
    if np.isfinite(gain):
        return chosen, gain * prior.calibration("full")["mean"]
    group = search.belief.prior_of(chosen).group
    lost, _ = search.belief.lost(chosen, floats([np.log10(chosen.peak)]))
    return chosen, max(0.0, float(lost[0]) - _lost_when_known(group)) * prior.calibration(_known(search))["mean"]


def _known(search: Search) -> prior.Known:
    """Return from what the answer of a search is known."""
    if FINAL in search.stages:
        return "final"
    return "full" if search.ran() else "pilot" if search.belief.runs else "look"


def _lost_when_known(group: str) -> float:
    """Return what is lost at the best answer where the best rate is known up to `KNOWN`."""
    x = np.arange(-1.0, 1.0 + valley.STEP / 2, valley.STEP)
    p = np.exp(-0.5 * (x / KNOWN) ** 2)
    lost = valley.at_distance(prior.shapes(group), floats(x[:, None] - x[None, :])).mean(axis=0)
    return float((lost @ (p / p.sum())).min())
