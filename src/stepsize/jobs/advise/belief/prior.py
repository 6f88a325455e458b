"""What is believed of every family before anything has run: where its best rate lies, and how good it gets.

The numbers were fitted on the dev half of bench/advice, by a script there, and lie in `prior.json`. Rates are relative:
the reference family of a class of rules lies around an anchor, which is measured on the model itself, and the other
families around that one. A family that was not among them gets its place from its rule and from the shape of its
schedule, and a wider one.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stepsize.jobs.rescale import rescale_exponent, rescale_to_shape
from stepsize.kernel.arrays import Floats, floats
from stepsize.policies import one_cycle
from stepsize.rules import AdamW, Rule
from stepsize.strategy import Strategy

FILE = Path(__file__).with_name("prior.json")

USUAL_MOMENTUM, MOST_MOMENTUM = 0.9, 0.999
"""Of the reference rule among those whose steps are as long as the gradients; and what counts as the largest."""

SHAPE_STEPS = 300
"""The length at which the shapes of two schedules are compared; the ratio hardly hangs on it."""


ANCHORED_AT = 300
"""The horizon of the tasks that the anchors were fitted on, in steps: their median."""

WALK, FAR_WALK, EARLY_WALK, EARLY = 0.1, 0.22, 0.2, 50
"""How far the best rate walks beside its drift in a doubling of the length, in decades; of rules that do not divide by
the gradient's size, or have steps of one size; and below so many updates."""

STEEPER = tuple(round(0.2 * step, 1) for step in range(-7, 4))
"""By how much the power of the horizon that the best rates of a task follow may differ from the usual one."""

STEEPER_SPREAD, STEEPER_TAIL, STEEPER_WIDE = 0.2, 0.2, 0.6
"""How far it does: a standard deviation, and the share of tasks that are unlike the others, with theirs."""

BY_HEART, BY_HEART_SPREAD = -1.0, 0.12
"""By how much it differs where runs learn by heart, and the standard deviation: a training that is so many times longer
goes as far at a rate that is so many times lower, and no further, as one that is stopped early."""

BY_HEART_DOUBT = 0.7
"""How far off, in decades, an anchor is then: it knows how fast a model may go, and not how far."""

LIKE = {"Adam": "AdamW", "SGD": "Momentum"}
"""Rules that are as good as measured: what differs is known."""

REFERENCES = {"adaptive": "AdamW", "euclidean": "Momentum", "parameter_free": "Prodigy"}
"""The rule that stands for others of its group which were not measured."""

OTHER_RULE, OTHER_POLICY, OTHER_LOSES = 0.4, 0.3, 0.01
"""How far the best rate of a rule, and of a policy, that was not measured may lie off (decades), and what it loses."""

UNKNOWN_RULE = 1.0
"""How far the best rate of an optimizer that nothing is known of may lie off (decades), beside `OTHER_RULE`, from where
its own default stands to that of AdamW. Of the rules that were measured, RMSProp lies 1.2 off that, and none more."""

DOUBT = 0.002
"""How much more than on the tasks of the prior a family may lose or win."""


@dataclass(frozen=True)
class FamilyPrior:
    """What is believed of one family: a rule and a policy.

    group: of rules that share an anchor: "adaptive", "euclidean" or "parameter_free". offset: of its best log10 rate
        from that of the reference family of the group, in decades. spread: its standard deviation.
    loses: of each of the tasks that the prior was fitted on, what share of the gain its best run loses against the best
        run of AdamW with 1cycle, (tasks,); less than 0 where it is better.
    doubt: how much more it may lose or win than on any of them, a standard deviation.
    """

    group: str
    offset: float
    spread: float
    loses: Floats
    doubt: float


@functools.cache
def numbers() -> dict[str, Any]:
    """Return what was fitted."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


Known = Literal["look", "pilot", "full", "final"]
"""From what an answer is known: a look at the model, pilot runs, runs over the full horizon, or a final among those."""


def calibration(known: Known) -> dict[str, float]:
    """Return by what the losses that are drawn are multiplied, and what is added, for answers known from that."""
    found: dict[str, float] = numbers()["calibration"][known]
    return found


@functools.cache
def shapes(group: str) -> Floats:
    """Return the valleys of a group of rules, (shapes, distances)."""
    table = numbers()["shapes"]
    return floats(table.get(group, table["adaptive"]))


def group_of(rule: Rule) -> str:
    """Return which rules a rule shares its anchor with."""
    if rule.facts.parameter_free:
        return "parameter_free"
    return "euclidean" if rule.facts.euclidean else "adaptive"


def family_prior(strategy: Strategy) -> FamilyPrior:
    """Return what is believed of the family of `strategy`, whose own rate does not matter."""
    rule, group = strategy.rule, group_of(strategy.rule)
    table, like = numbers()["families"], _like(strategy.rule)
    known = table.get(f"{like} {strategy.recipe}")
    if known is not None:
        offset, spread, loses = known["offset"], known["spread"], floats(known["loses"])
    else:
        known = table[f"{like} one_cycle"]
        shape = rescale_to_shape(rule, one_cycle(1.0), strategy.policy, SHAPE_STEPS)
        offset, spread = known["offset"] + math.log10(shape), math.hypot(known["spread"], OTHER_POLICY)
        loses = floats(known["loses"]) + OTHER_LOSES
    name = rule.core.known.kind
    named = like == name or name in LIKE
    if not named:
        spread, loses = math.hypot(spread, OTHER_RULE), loses + OTHER_LOSES
    if not rule.core.known.formula:
        offset, spread = offset + math.log10(rule.lr / AdamW().lr), math.hypot(spread, UNKNOWN_RULE)
    return FamilyPrior(group, offset + _momentum(rule), spread, loses, DOUBT if named else OTHER_LOSES)


def _like(rule: Rule) -> str:
    """Return the name of the measured rule that a rule is most like."""
    name = rule.core.known.kind
    name = LIKE.get(name, name)
    return name if f"{name} one_cycle" in numbers()["families"] else REFERENCES[group_of(rule)]


def _momentum(rule: Rule) -> float:
    """Return by how much another momentum than the usual one moves the rate: a step is `lr / (1 - momentum)` long."""
    if not rule.facts.euclidean:
        return 0.0
    own = min(rule.hyperparameters.get("momentum", 0.0), MOST_MOMENTUM)
    return math.log10((1 - own) / (1 - USUAL_MOMENTUM))


@functools.cache
def log_of_steeper(*, by_heart: bool) -> Floats:
    """Return the log probability of each of STEEPER before it has shown.

    by_heart: of runs that learn their samples by heart.
    """
    about, spread = (BY_HEART, BY_HEART_SPREAD) if by_heart else (0.0, STEEPER_SPREAD)
    away = floats(STEEPER) - about
    narrow, wide = (np.exp(-0.5 * (away / each) ** 2) / each for each in (spread, STEEPER_WIDE))
    found = narrow if by_heart else (1 - STEEPER_TAIL) * narrow + STEEPER_TAIL * wide
    return floats(np.log(found / found.sum()))


def drift_spread(rule: Rule, short: int, long: int) -> float:
    """Return how far the best rate walks beside its drift between runs of two lengths, in decades, one deviation.

    >>> from stepsize.rules import AdamW
    >>> round(drift_spread(AdamW(), 100, 400), 3), round(drift_spread(AdamW(), 25, 100), 3)
    (0.141, 0.224)
    """
    usual = FAR_WALK if rule.facts.euclidean or rule.facts.same_size else WALK
    below = max(0.0, math.log2(min(long, EARLY) / short)) if short < EARLY else 0.0
    return math.sqrt(usual**2 * (math.log2(long / short) - below) + max(usual, EARLY_WALK) ** 2 * below)


def of_horizon(rule: Rule, horizon: int) -> float:
    """Return by how much the best rate moves from the length that the anchors speak of, in decades."""
    return rescale_exponent(rule) * math.log10(horizon / ANCHORED_AT)
