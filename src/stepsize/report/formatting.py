"""Numbers and schedules as text."""

from __future__ import annotations

import math
import re
from functools import partial

from stepsize.codegen import folded
from stepsize.kernel import text
from stepsize.plots.style import rate
from stepsize.policies import Policy
from stepsize.results import Interval, advice_text
from stepsize.schedules import Chain, Constant, Cycle, Scaled, Schedule, Segment, Staircase, Sum

NAMES = {"lr": "Learning rate", "momentum": "Momentum", "weight_decay": "Weight decay"}
count = partial(text.count, thin=True)
trainings = advice_text.trainings
NONE = "—"
"""What stands where there is no number."""


def loss(value: float) -> str:
    """Return a loss in four digits; a dash where there is none."""
    return f"{value:.4g}" if math.isfinite(value) else NONE


def span(interval: Interval | None) -> str:
    """Return "low to high", or a dash where one of the two is not known."""
    return advice_text.span(interval) or NONE


def mean_and_span(interval: Interval) -> str:
    """Return "mean (low to high)", or the mean alone where the interval is not known; a dash without a mean."""
    return advice_text.with_span(interval) if math.isfinite(interval.mean) else NONE


def difference(interval: Interval | None) -> str:
    """Return a difference with its interval, in three digits."""
    if interval is None or not math.isfinite(interval.mean):
        return NONE
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    return rate(interval.mean) + (f" ({rate(interval.low)} to {rate(interval.high)})" if known else "")


def share(interval: Interval) -> str:
    """Return a share in per cent, with its interval.

    >>> share(Interval(0.8, 0.49, 0.9433))
    '80.00 % (49.00 to 94.33)'
    """
    low, mean, high = (f"{100 * value:.2f}" for value in (interval.low, interval.mean, interval.high))
    return f"{mean} % ({low} to {high})"


def steps(interval: Interval, most: int) -> str:
    """Return a median of steps with its interval; what lies beyond the run of `most` steps is "over" its length.

    >>> steps(Interval(5.0, 2.0, math.inf), 100)
    '5 (2 to over 100)'
    """
    low, mean, high = (
        f"{value:.0f}" if math.isfinite(value) else f"over {most}"
        for value in (interval.low, interval.mean, interval.high)
    )
    return mean if low == mean == high else f"{mean} ({low} to {high})"


def heading(text: str) -> str:
    """Return `text` with a capital letter."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Return `text` with one full stop."""
    return f"{text.rstrip().rstrip('.')}."


def duration(seconds: float) -> str:
    """Return a time in the unit that people would use.

    >>> duration(12.34), duration(600.0), duration(9000.0)
    ('12.3 seconds', '10 minutes', '2.5 hours')
    """
    for limit, unit, size in ((120.0, "seconds", 1.0), (7200.0, "minutes", 60.0)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 3600.0:.3g} hours"


def size(memory: int) -> str:
    """Return a number of bytes in the unit that people would use.

    >>> size(300), size(12_345_678), size(3 * 10**9)
    ('300 bytes', '12.3 MB', '3 GB')
    """
    for unit, amount in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if memory >= amount:
            return f"{memory / amount:.3g} {unit}"
    return count(memory, "byte")


def policy_facts(policy: Policy) -> tuple[tuple[str, str], ...]:
    """Return each hyperparameter that a policy moves, with its schedule as a phrase; the learning rate first."""
    order = sorted(policy.schedules, key=lambda pair: (pair[0] != "lr", pair[0]))
    return tuple((NAMES.get(name, name), describe(folded(schedule))) for name, schedule in order)


def describe(schedule: Schedule) -> str:
    """Return a schedule as a phrase.

    >>> from stepsize.schedules import Cosine, Linear
    >>> describe(Linear(0.0, 0.1, "10%") >> Cosine(0.1, 0.0))
    'linear from 0 to 0.1 over 10%, then cosine from 0.1 to 0 over the rest'
    """
    match schedule:
        case Chain():
            phrase = ", then ".join(map(describe, schedule.parts))
        case Scaled():
            phrase = f"{rate(schedule.factor)} times ({describe(schedule.schedule)})"
        case Sum():
            phrase = f"({describe(schedule.first)}) + ({describe(schedule.second)})"
        case Constant():
            phrase = f"constant {rate(schedule.level)}"
        case Segment():
            span_of = f"from {rate(schedule.start)} to {rate(schedule.end)}"
            phrase = f"{_kind(schedule)} {span_of} over {_length(schedule.steps)}"
        case Staircase():
            phrase = f"{rate(schedule.start)}, times {rate(schedule.factor)} every {_length(schedule.every)}"
        case Cycle():
            span_of = f"between {rate(schedule.base)} and {rate(schedule.peak)}"
            phrase = f"{_kind(schedule)} {span_of}, half a cycle in {_length(schedule.half_cycle)}"
        case _:
            phrase = repr(schedule)
    return phrase


def _kind(schedule: Schedule) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(schedule).__name__).lower()


def _length(steps: int | str) -> str:
    if isinstance(steps, int):
        return count(steps, "step")
    return f"the {steps}" if steps == "rest" else steps
