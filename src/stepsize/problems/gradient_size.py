"""How large the first gradient of a model is: what a look before any training says of the scale of its rates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stepsize.kernel.arrays import dense


@dataclass(frozen=True)
class GradientSize:
    """The size of the gradient of the first batch.

    loss: of that batch. absolute: the sum of the absolute values of the gradient. squared: the sum of their squares.
    width: the geometric mean of the inputs that a parameter's output has, over all parameters.
    unseen: the share of the parameters that the batch said nothing of, such as the embeddings of words that it has not.
    """

    loss: float
    absolute: float
    squared: float
    width: float
    unseen: float = 0.0

    @property
    def sign_rate(self) -> float:
        """The rate at which a step by the sign of the gradient would take all of the loss, to first order."""
        return abs(self.loss) / self.absolute

    @property
    def gradient_rate(self) -> float:
        """The rate at which a step by the gradient would take all of the loss, to first order."""
        return abs(self.loss) / self.squared


def gradient_size(loss: float, parameters: Iterable[Any]) -> GradientSize | None:
    """Return the size of the gradient that torch parameters have now; None where there is none, or it is no number."""
    absolute = squared = logs = 0.0
    count = unseen = 0
    for parameter in parameters:
        if parameter.grad is None:
            continue
        gradient = dense(parameter.grad.detach())
        gradient = (gradient.abs() if gradient.is_complex() else gradient).double()
        absolute += float(gradient.abs().sum())
        squared += float((gradient**2).sum())
        inputs = math.prod(parameter.shape[1:]) if parameter.ndim > 1 else 1
        logs += parameter.numel() * math.log10(inputs)
        count += parameter.numel()
        unseen += int((gradient == 0).sum())
    sizes = (loss, absolute, squared)
    if not count or not all(map(math.isfinite, sizes)) or not all(sizes):
        return None
    return GradientSize(loss, absolute, squared, 10 ** (logs / count), unseen / count)
