"""The updates that an optimizer really makes, by hooks of torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Optimizer = torch.optim.Optimizer


def before_update(optimizer: Optimizer, told: Callable[[Optimizer], None]) -> Any:
    """Have `told(optimizer)` called before each `optimizer.step()`; the handle's `remove()` ends it."""
    return optimizer.register_step_pre_hook(_uncompiled(lambda optimizer, *_: told(optimizer)))


def after_update(optimizer: Optimizer, told: Callable[[Optimizer], None]) -> Any:
    """Have `told(optimizer)` called after each update; the handle's `remove()` ends it.

    An update that a GradScaler skips is none: it does not call `step()`, or it tells a fused optimizer by `found_inf`
    to leave the weights as they are.
    """

    def made(optimizer: Optimizer, *_: Any) -> None:
        infinite = getattr(optimizer, "found_inf", None)
        if infinite is None or not infinite.item():
            told(optimizer)

    return optimizer.register_step_post_hook(_uncompiled(made))


def _uncompiled(hook: Callable[..., None]) -> Any:
    """Return the hook as one that `torch.compile` runs as it is, instead of burning its numbers into the graph."""
    return torch.compiler.disable(hook)  # type: ignore[no-untyped-call]  # torch has no types for it
