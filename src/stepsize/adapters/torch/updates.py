"""The updates that an optimizer really makes, by hooks of torch's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch

Optimizer = torch.optim.Optimizer

PAUSED: WeakSet[Optimizer] = WeakSet()
"""Those whose updates are no part of the training, and are told to nobody who follows it."""


@contextmanager
def paused(optimizers: Sequence[Optimizer]) -> Iterator[None]:
    """Keep the updates of `optimizers` from the drivers that are attached to them."""
    mine = [optimizer for optimizer in optimizers if optimizer not in PAUSED]
    PAUSED.update(mine)
    try:
        yield
    finally:
        PAUSED.difference_update(mine)


def before_update(optimizer: Optimizer, told: Callable[[Optimizer], None]) -> Any:
    """Have `told(optimizer)` called before each `optimizer.step()`; the handle's `remove()` ends it."""

    def ready(optimizer: Optimizer, *_: Any) -> None:
        if optimizer not in PAUSED:
            told(optimizer)

    return optimizer.register_step_pre_hook(_uncompiled(ready))


def after_update(optimizer: Optimizer, told: Callable[[Optimizer], None], *, always: bool = False) -> Any:
    """Have `told(optimizer)` called after each update; the handle's `remove()` ends it.

    An update that a GradScaler skips is none: it does not call `step()`, or it tells a fused optimizer by `found_inf`
    to leave the weights as they are. always: also while the optimizer is paused.
    """

    def made(optimizer: Optimizer, *_: Any) -> None:
        infinite = getattr(optimizer, "found_inf", None)
        if (always or optimizer not in PAUSED) and (infinite is None or not infinite.item()):
            told(optimizer)

    return optimizer.register_step_post_hook(_uncompiled(made))


def _uncompiled(hook: Callable[..., None]) -> Any:
    """Return the hook as one that `torch.compile` runs as it is, instead of burning its numbers into the graph."""
    return torch.compiler.disable(hook)  # type: ignore[no-untyped-call]  # torch has no types for it
