"""One run of a loop that is not ours: it is given its batches with the rate set, and gives the loss of each update."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import torch

from stepsize.adapters.torch.driver import Driver
from stepsize.adapters.torch.epochs import Epochs
from stepsize.adapters.torch.groups import before_update
from stepsize.adapters.torch.losses import Losses
from stepsize.adapters.torch.range_test import PATIENCE
from stepsize.jobs.tune.pilots import AT_REST, RESTED
from stepsize.kernel.errors import DriveError
from stepsize.policies import Policy
from stepsize.problems.gradient_size import GradientSize, gradient_size

Turns = Generator[Any, None, list[float]]
"""The batches of a run, and in the end the loss of each of its updates; the last is no number where it diverged."""


class Loop:
    """The runs of a loop, one after the other.

    optimizer, loader: what it trains with. losses: what it tells. driver, epochs: of the run at hand.
    first_gradient: of the first update that was made, per unit of loss; None where it cannot be read.
    seconds: that the quickest update took.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, loader: Any) -> None:
        self.optimizer, self.loader = optimizer, loader
        self.losses = Losses(optimizer.param_groups[0]["params"][0].device)
        self.first_gradient: GradientSize | None = None
        self.seconds = math.inf
        self._updates = 0
        self.leave()

    def leave(self) -> None:
        """Forget the run at hand."""
        self.driver: Driver | None = None
        self.epochs = Epochs(self.loader)
        self.losses.clear()

    def rehearse(self) -> Turns:
        """Yield the batches of a few updates that move nothing, and look at the gradient of the first."""
        hook = before_update(self.optimizer, self._measure)
        try:
            return (yield from self.run(Policy(lr=AT_REST), RESTED))
        finally:
            hook.remove()

    def run(self, policy: Policy, steps: int) -> Turns:
        """Yield the batches of a run, each with its rate set; it ends early at the first loss that is no number."""
        self.leave()
        self.driver = Driver(self.optimizer, policy, steps, 0, feedback=None, log=None)
        losses: list[float] = []
        waited, began = 0, time.perf_counter()
        with closing(self.epochs), attached(self.driver):
            for step in self.driver:
                self.driver.hold()
                yield next(self.epochs)
                loss, updates = self.losses.agreed(self.driver.step - step)
                waited = 0 if updates else waited + 1
                if waited >= PATIENCE:
                    loss = self._stuck()
                if updates or not math.isfinite(loss or 0.0):
                    losses.append(_known(loss, step))
                    now = time.perf_counter()
                    self.seconds, began = min(self.seconds, now - began), now
                    self._updates += updates
                    self.losses.clear()
                    if not math.isfinite(losses[-1]):
                        break
        return losses

    def go_on(self, driver: Driver) -> Iterator[Any]:
        """Yield the batches that are left of a driver's run."""
        self.driver = driver
        with attached(driver):
            for _ in driver:
                driver.hold()
                yield next(self.epochs)

    def _stuck(self) -> float:
        """Return what stands for a loss whose gradients stay infinite; raise DriveError where no update ever came."""
        if not self._updates:
            raise DriveError(
                f"{PATIENCE} turns of the loop have made no update: either it steps another optimizer, or every "
                "gradient is infinite, or a captured graph is replayed, which runs no hooks."
            )
        return math.inf

    def _measure(self, optimizer: torch.optim.Optimizer) -> None:
        if self._updates:
            return
        scale = getattr(optimizer, "grad_scale", None)  # of a GradScaler, where a fused optimizer unscales by itself
        size = gradient_size(1.0, [p for group in optimizer.param_groups for p in group["params"]])
        if size is not None and scale is not None:
            size = replace(size, absolute=size.absolute / float(scale), squared=size.squared / float(scale) ** 2)
        self.first_gradient = size


def _known(loss: float | None, step: int) -> float:
    if loss is None:
        raise DriveError(
            f"update {step} of a pilot run was made, and its loss is not known: call tell(loss) in every turn of the "
            "loop, after or before optimizer.step()."
        )
    return loss


@contextmanager
def attached(driver: Driver) -> Iterator[None]:
    """Have a driver move with the updates of its optimizer for a while."""
    driver.attach()
    try:
        yield
    finally:
        driver.detach()
