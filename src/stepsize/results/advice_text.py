"""What an advice says in sentences: each quantity is written here once, for the page and the terminal alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepsize.kernel.text import count

if TYPE_CHECKING:
    from stepsize.results.advice import Advice, Baseline
    from stepsize.results.race import Interval

GAINED = "of what training gains"
"""What a share is a share of."""


def share(value: float) -> str:
    """Return a share in per cent, with two digits and never in powers of ten; "unknown" where it is no number.

    >>> share(0.0121), share(0.4), share(1.234), share(0.0), share(0.00002), share(math.nan)
    ('1.2 %', '40 %', '123 %', '0 %', 'below 0.01 %', 'unknown')
    """
    if not math.isfinite(value):
        return "unknown"
    percents = 100 * value
    if 0 < abs(percents) < 0.01:
        return "below 0.01 %"
    return f"{percents:.0f} %" if abs(percents) >= 10 else f"{percents:.2g} %"


def trainings(cost: float) -> str:
    """Return a cost in full trainings.

    >>> trainings(1.0), trainings(2.5)
    ('1 full training', '2.5 full trainings')
    """
    number = f"{cost:.3g}"
    return f"{number} full training{'s' * (number != '1')}"


def expected_loss(advice: Advice) -> str:
    """Return what the answer is expected to lose, and what it loses at most on nine of ten such tasks."""
    worst = f", at most {share(advice.worst)} on nine of ten such tasks" if math.isfinite(advice.worst) else ""
    return f"expected to lose {share(advice.loses)} {GAINED}{worst}"


def expected_score(advice: Advice) -> str:
    """Return the score to expect with its interval; what is not promised where fewer than two seeds scored it."""
    if advice.score is None or not math.isfinite(advice.score.mean):
        full = any(run.steps == advice.steps for run in advice.own_runs)
        source = "one seed" if full else "pilot runs alone" if advice.runs else "a look at the model"
        return f"no {advice.scored} is promised from {source}"
    return f"expected {advice.scored} {with_span(advice.score)}"


def with_span(interval: Interval) -> str:
    """Return a mean in four digits with its interval, where that is known."""
    bounds = span(interval)
    return f"{interval.mean:.4g}" + (f" ({bounds})" if bounds else "")


def span(interval: Interval | None) -> str:
    """Return "low to high" in four digits; "" where one of the two is not known."""
    if interval is None or not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return ""
    return f"{interval.low:.4g} to {interval.high:.4g}"


def beside_baseline(advice: Advice) -> str:
    """Return by how much the answer is better than the baseline, or worse."""
    baseline = advice.baseline
    if baseline is None:
        return "nothing ran beside it as a baseline"
    whose = f"{baseline.strategy.name}, {'yours' if baseline.named else 'the usual one'},"
    runs = len(baseline.seeds)
    seeds = "one seed" if runs == 1 else f"{runs} paired seeds"
    length = "" if baseline.steps == advice.steps else f" in {baseline.steps} steps"
    dead, lost = (sum(not math.isfinite(score) for score in each) for each in (baseline.scores, baseline.answer))
    if dead or lost:
        return f"of {count(runs, 'run')}{length}, {whose} diverged in {dead}, and the answer in {lost}"
    return f"{_difference(baseline, whose)} on {seeds}{length}"


def _difference(baseline: Baseline, whose: str) -> str:
    """Return by how much the answer is better or worse, with the interval and as a share."""
    mean, low, high = baseline.better.mean, baseline.better.low, baseline.better.high
    if mean < 0:
        low, high = -high, -low
    bounds = f" ({low:.3g} to {high:.3g})" if math.isfinite(low) and math.isfinite(high) else ""
    part = f", {share(abs(baseline.share))} {GAINED}," if math.isfinite(baseline.share) else ""
    return f"{'worse' if mean < 0 else 'better'} than {whose} by {abs(mean):.3g}{bounds}{part}"


def failure(advice: Advice) -> str:
    """Return what is said where nothing has learned."""
    return f"none of {count(len(advice.runs), 'run')} did better than what needs no model"


def next_training(advice: Advice) -> str:
    """Return what one more training would be spent on and is expected to gain; "" where nothing is left to run."""
    if not advice.next_run:
        return ""
    gain = f", and is expected to gain {share(advice.next_gain)}" if math.isfinite(advice.next_gain) else ""
    return f"One more training would be spent on {advice.next_run}{gain}."
