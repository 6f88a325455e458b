"""What only training sees of a task, in numbers: the loss and the gradient of its first batches, in training mode."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from stepsize.kernel import seeds
from stepsize.kernel.arrays import dense
from stepsize.kernel.errors import StepsizeError, TaskError, said
from stepsize.kernel.optional import need

DIGITS, HALF_DIGITS = 4, 2
"""Decimals of a number that stands for a task, in float32 and in half precision: fewer than another processor, or
another number of threads, leaves as they are."""

ROUNDING = 2
"""Units of the last decimal by which two computations of one number may differ."""

NUMBER = re.compile(r"-?\d\.\d{2,}e[+-]\d+")
MEASURED = re.compile(rf"((min|max) )?{NUMBER.pattern}([ ,]+{NUMBER.pattern})*")
"""A text that is nothing but measured numbers; one of settings, such as the `repr` of a rule, is compared as it is."""

UNSTABLE = "another each time"
"""What is said of a model that draws from elsewhere than the global generators."""


def seen_in_training(once: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Return what `once` does, if a second time agrees with it; else say of each part that it is another each time."""
    found, again = once(), once()
    return {part: text if agree(text, again[part]) else UNSTABLE for part, text in found.items()}


def agree(before: str, now: str) -> bool:
    """Whether two texts are the same up to the rounding of their measured numbers, such as "2.3026e+00".

    The numbers of a text are a vector: they may differ by two units of the last decimal of its largest one.

    >>> agree("2.3026e+00", "2.3027e+00"), agree("2.3026e+00", "2.3126e+00"), agree("1.5e-8", "1.6e-8")
    (True, False, False)
    >>> agree("4.0000e+00 1.0000e-04", "4.0001e+00 1.2000e-04")
    True
    """
    if before == now:
        return True
    if not (MEASURED.fullmatch(before) and MEASURED.fullmatch(now)) or NUMBER.sub("", before) != NUMBER.sub("", now):
        return False
    pairs = list(zip(*([Decimal(each) for each in NUMBER.findall(text)] for text in (before, now)), strict=True))
    unit = max(Decimal((0, (1,), int(number.as_tuple().exponent))) for pair in pairs for number in pair)
    return all(abs(one - other) <= ROUNDING * unit for one, other in pairs)


def decimals(task: Any, model: Any) -> int:
    """Return how many decimals of a number that was measured on a task hold on every processor."""
    half = task.autocast is not None or any(parameter.dtype.itemsize <= 2 for parameter in model.parameters())
    return HALF_DIGITS if half else DIGITS


def first_gradients(
    model: Any, batches: Iterable[Any], loss: Callable[[Any, Any], Any], digits: int = DIGITS
) -> dict[str, str]:
    """Return the losses and the gradients of `batches` as two short texts.

    model: in training mode, as it was built; it is used up. digits: decimals of the numbers. Of each
    gradient it is the norm, and the product with a direction of random numbers of variance 1, which is about as large.

    Raises TaskError for a batch whose gradient cannot be computed.
    """
    losses, gradients = [], []
    for number, (inputs, targets) in enumerate(batches):
        model.zero_grad(set_to_none=True)
        try:
            found = loss(model(inputs), targets)
            found.backward()
        except (StepsizeError, KeyboardInterrupt):
            raise
        except BaseException as error:  # also SystemExit: none of the user's code may end this process
            raise TaskError(f"the gradient of batch {number} fails: {said(error)}") from error
        losses.append(f"{float(found.detach()):.{digits}e}")
        gradients += [f"{value:.{digits}e}" for value in _norm_and_product(model)]
    return {"loss in training mode": " ".join(losses), "gradient": " ".join(gradients)}


def _norm_and_product(model: Any) -> tuple[float, float]:
    """Return the norm of a model's gradient, and its product with a direction that is always the same."""
    torch = need("torch")
    squares = product = 0.0
    for number, parameter in enumerate(model.parameters()):
        if parameter.grad is None:
            continue
        gradient = dense(parameter.grad.detach())
        gradient = (torch.view_as_real(gradient) if gradient.is_complex() else gradient).double().cpu().flatten()
        direction = seeds.generator(number, "direction of a gradient").standard_normal(len(gradient), dtype="float32")
        squares += float(gradient @ gradient)
        product += float(gradient @ torch.from_numpy(direction).double())
    return math.sqrt(squares), product
