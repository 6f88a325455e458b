"""The anchor: where the best rates of a group of rules lie, read off the model before any training.

For a `Task` it is the largest stable rate by the curvature of the initial weights, preconditioned as Adam does for the
adaptive rules [cohen2022adaptive]: it knows the width, the scale of the inputs, and whether the weights are pretrained.
For a training function, a closed box, it is the size of the first gradient and the widths of the layers. Which share of
either the best rate is was fitted (see `prior`). Where nothing can be read, what is left is a rate of other tasks, and
much doubt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stepsize.jobs.advise.belief import prior
from stepsize.jobs.advise.belief.evidence import Anchor
from stepsize.jobs.range_test.stability_limit import ROUGH, stable_rates
from stepsize.kernel.errors import StepsizeError
from stepsize.problems import Task, Trainable
from stepsize.problems.gradient_size import GradientSize, gradient_size
from stepsize.rules import Rule
from stepsize.strategy import find_rule

REFERENCES: dict[str, Rule] = {group: find_rule(name) for group, name in prior.REFERENCES.items()}
"""The rule whose curvature stands for its group."""

UNSEEN = 0.7
"""How far off, in decades, what is read off a model is where the first batch says nothing of its parameters.

Seen on embeddings of made-up words and ratings; in proportion to the share of such parameters.
"""

SOURCES = {
    "curvature": "the curvature of the initial weights",
    "gradient": "the first gradient and the widths of the layers",
    "none": "other tasks, as nothing can be read off this model",
}


@dataclass(frozen=True)
class Measured:
    """What a look at the model gave, and what it cost in updates.

    rates: log10 of a rate by its source, as `prior` has the sources; that of "none" is 0. unseen: the share of the
    parameters that the first batch says nothing of.
    """

    rates: dict[str, float]
    updates: int
    unseen: float = 0.0


def anchors(task: Trainable, groups: Sequence[str], seed: int, horizon: int) -> tuple[dict[str, Anchor], int]:
    """Return the anchor of every group of rules for runs of `horizon` steps, and the cost of measuring them, updates.

    groups: those that are measured; the others, such as that of a baseline, are believed to be as on other tasks.
    """
    found, cost = {}, 0
    for group, rule in REFERENCES.items():
        measured = measure(task, group, seed) if group in groups else Measured({"none": 0.0}, 0)
        found[group] = _anchor(group, measured, prior.of_horizon(rule, horizon))
        cost += measured.updates
    return found, cost


def _anchor(group: str, measured: Measured, drift: float) -> Anchor:
    """Return the anchor of a group: the mean of all sources, each by how sure it is; wider where they disagree.

    What other tasks say is one of them, and is heard where little can be read off the model.
    """
    fitted = {each: said for each, said in prior.numbers()["anchors"][group].items() if each in measured.rates}
    centres = {each: measured.rates[each] + said["shift"] + drift for each, said in fitted.items()}
    spreads = {each: said["spread"] for each, said in fitted.items()}
    read = [each for each in fitted if each != "none"]
    for each in read:
        spreads[each] = math.hypot(spreads[each], UNSEEN * measured.unseen)
    weights = {each: spread**-2 for each, spread in spreads.items()}
    centre = sum(weights[each] * centres[each] for each in fitted) / sum(weights.values())
    apart = max(centres[each] for each in read) - min(centres[each] for each in read) if read else 0.0
    said = " and ".join(SOURCES[each] for each in read or ["none"])
    return Anchor(centre, math.hypot(min(spreads.values()), apart / 2), said)


def measure(task: Trainable, group: str, seed: int) -> Measured:
    """Return what can be read off the model of `task` for a group of rules."""
    rates, updates, unseen = {"none": 0.0}, 0, 0.0
    if group == "parameter_free":
        return Measured(rates, updates)
    if isinstance(task, Task):
        limit = _stable_rate(task, REFERENCES[group], seed)
        updates += ROUGH.gradients
        if limit is not None:
            rates["curvature"] = math.log10(limit)
    size = _size(task, seed)
    if size is not None:
        updates += 1
        unseen = size.unseen
        rates["gradient"] = math.log10(by_gradient(size, group))
    return Measured(rates, updates, unseen)


def by_gradient(size: GradientSize, group: str) -> float:
    """Return the rate that the first gradient points to: of a step by its sign, with the width, or by itself."""
    return math.sqrt(size.sign_rate / size.width) if group == "adaptive" else size.gradient_rate


def _stable_rate(task: Task, rule: Rule, seed: int) -> float | None:
    try:
        limits = stable_rates(task, rule, [seed], ROUGH)
    except (StepsizeError, RuntimeError):  # a model whose gradient has no gradient, or is too large for one
        return None
    limit = math.nan if limits is None else float(limits[0])
    return limit if math.isfinite(limit) and limit > 0 else None


def _size(task: Trainable, seed: int) -> GradientSize | None:
    if not isinstance(task, Task):
        size: GradientSize | None = getattr(task, "first_gradient", None)
        return size
    model = task.build(seed)
    inputs, targets = task.batch(0, seed)
    loss = task.loss(model(inputs), targets)
    loss.backward()
    return gradient_size(float(loss.detach()), model.parameters())
