"""The largest stable rate by the curvature of the initial weights: a second opinion on a range test.

The sharpness of the training loss, the largest eigenvalue of its Hessian, bounds the rate of a rule on a quadratic
(`stepsize.theory.stability`). It knows nothing of the range test, so where the two disagree, something is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from stepsize import diagnostics
from stepsize.kernel.arrays import Floats, floats
from stepsize.kernel.optional import need
from stepsize.problems import Task
from stepsize.problems.columns import joined
from stepsize.rules import Rule
from stepsize.theory import largest_stable_rate

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Precision:
    """How well the curvature is measured.

    samples: batches of samples that it is measured on. batches: those whose squared gradients stand for the running
    mean that an adaptive rule divides by. tolerance: its error, as a share.
    """

    samples: int
    batches: int
    tolerance: float

    @property
    def gradients(self) -> int:
        """About how many gradients of a batch it takes: one each of the divisor's, two for each product."""
        return self.batches + 2 * LEAST_PRODUCTS * self.samples


LEAST_PRODUCTS = 8
"""The Hessian is multiplied by so many vectors at least."""

FINE = Precision(samples=4, batches=16, tolerance=0.05)
"""What it is held against, a range test, is known to a tenth of a decade."""

ROUGH = Precision(samples=1, batches=4, tolerance=0.2)
"""Where it only says where a search begins."""


def stable_rates(task: Task, rule: Rule, seeds: Sequence[int], precision: Precision = FINE) -> Floats | None:
    """Return the largest stable rate of each seed's initial weights, (seeds,); None for a rule without a theory.

    `threshold / lambda`, with the largest eigenvalue of the Hessian H of the training loss; of `P**-1 H` for RMSProp
    and Adam, where P is the root of the mean squared gradient of a batch, over some of them, and epsilon.

    NaN where the curvature is not finite, and inf where nothing curves upward.

    Watch out: it is the curvature of the start. Training moves it, mostly down at first and, at a small rate, up later;
    and batch norm is in evaluation mode. An upper bound by its order of magnitude, and no rate to train with.

    Source: [cohen2021gradient], and [cohen2022adaptive] for Adam.
    """
    if rule.core is not rule or rule.facts.threshold is None:
        return None
    return floats([_stable_rate(task, rule, seed, precision) for seed in seeds])


def _stable_rate(task: Task, rule: Rule, seed: int, precision: Precision) -> float:
    model = task.build(seed)
    some = list(islice(chain.from_iterable(task.updates(seed)), _within_epoch(task, precision.samples)))
    divisor = None if rule.facts.euclidean else _divisor(task, rule, model, seed, precision.batches)
    curvature = diagnostics.sharpness(
        model, task.loss, [joined(some)],
        preconditioner=divisor, tolerance=precision.tolerance, seed=seed, batch_statistics=True,
    )  # fmt: skip
    return largest_stable_rate(rule, curvature.value) if math.isfinite(curvature.value) else math.nan


def _within_epoch(task: Task, batches: int) -> int:
    """Return how many of so many batches an epoch has; all of them where it does not say."""
    return batches if task.samples_per_epoch is None else min(batches, task.batches_per_epoch * task.accumulate)


def _divisor(task: Task, rule: Rule, model: torch.nn.Module, seed: int, batches: int) -> torch.Tensor:
    """Return `sqrt(mean of g**2) + epsilon` over some batches, (parameters,)."""
    squares = []
    for pieces in islice(task.updates(seed), batches):
        with diagnostics.untouched(model, batch_statistics=True):
            batch = diagnostics.Objective(model, task.loss, [joined(pieces)])
            squares.append(batch.gradient(batch.row) ** 2)
    mean: torch.Tensor = need("torch").stack(squares).mean(0)
    return mean.sqrt() + rule.hyperparameters["epsilon"]
