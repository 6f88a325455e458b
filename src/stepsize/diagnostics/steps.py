"""Effective step sizes: how far an update rule moved each parameter, and how far for its gradient.

Adaptive rules have one learning rate and as many effective ones as parameters: Adam's step in a coordinate is about lr
whatever the gradient there. This is where to see it, for a live optimizer in your own loop:

::

    with StepRecorder(optimizer) as recorder:
        for x, y in loader:
            ...
            optimizer.step()
    recorder.sizes.plot()
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from stepsize.diagnostics.thinning import Thinned
from stepsize.kernel.arrays import Floats
from stepsize.results import StepSizes
from stepsize.results.step_sizes import LEVELS

DECOUPLED = ("AdamW", "Adafactor", "Lion", "Muon")
"""The optimizers that decay by `p *= 1 - lr * weight_decay` although their groups have no key that says so."""


class Move(NamedTuple):
    """One tensor in one update.

    before: a copy. after: as it is now. gradient: what the update was made from. keep: the factor of decoupled weight
    decay, `1 - lr * weight_decay`; 1 without.
    """

    before: torch.Tensor
    after: torch.Tensor
    gradient: torch.Tensor
    keep: float


class StepLog:
    """The quantiles of some updates, thinned to between `most` and `2 * most` of them; `StepSizes` says of what."""

    def __init__(self, most: int, levels: Sequence[float] = LEVELS) -> None:
        self._levels = tuple(levels)
        self._kept: Thinned[tuple[Floats, Floats, list[float], float, float]] = Thinned(most)
        self.sizes("")  # levels that are refused are refused before the training

    def due(self, step: int) -> bool:
        """Whether update number `step`, counted from 0, is to be recorded."""
        return self._kept.due(step)

    def add(self, step: int, moves: Sequence[Move], lr: list[float]) -> None:
        """Record an update of all tensors at once; nothing when no tensor had a gradient."""
        if not moves:
            return
        delta = torch.cat([(m.after - m.keep * m.before).abs().reshape(-1) for m in moves])
        still = torch.cat([(m.after == m.before).reshape(-1) for m in moves])
        slope = torch.cat([m.gradient.abs().reshape(-1) for m in moves]).to(delta.device)
        felt = slope > 0
        concerned = delta[felt | (delta > 0)]  # what has no gradient and no step, a dead input, would hide the rest
        rates = delta[felt] / slope[felt].to(delta.dtype)
        stuck = float((still & felt).sum()) / max(1, int(felt.sum()))
        silent = 1 - float(felt.double().mean())
        spread = quantiles(concerned, self._levels), quantiles(rates, self._levels)
        self._kept.add(step, (*spread, lr, silent, stuck))

    def sizes(self, name: str) -> StepSizes:
        """Return what was recorded, under the name of the rule."""
        moves, rates, lr, silent, stuck = zip(*self._kept.entries, strict=True) if self._kept.steps else ([],) * 5
        shape = (len(self._kept.steps), len(self._levels))
        return StepSizes(
            name, self._levels, np.array(self._kept.steps, dtype=np.int64), np.array(moves).reshape(shape),
            np.array(rates).reshape(shape), np.array(lr).reshape(shape[0], -1 if shape[0] else 1), np.array(silent),
            np.array(stuck),
        )  # fmt: skip


class StepRecorder:
    """Records the effective step sizes of a live `torch.optim` optimizer, between entering and leaving.

    optimizer: seen through its step hooks, which are removed at the end; nothing of it is changed or patched.
    most: between this and twice as many updates are recorded, evenly spaced however long the run.
    decoupled: whether weight decay shrinks the parameters by `1 - lr * weight_decay`; that part is no step. By default
        the groups are asked (`decoupled_weight_decay`), and the optimizers in `DECOUPLED` are known.
    levels: the quantiles, with the median.

    An update that is not recorded costs one comparison. One that is costs a copy of the parameters and two sorts of as
    many numbers. The gradients are those that are there after the step: unscaled, clipped, of the last closure.

    Watch out: in float32 a step below about 6e-8 of its parameter is lost to rounding, so the lowest quantiles of large
    parameters are rounding; `StepSizes.stuck` is the share that did not move at all. L2 decay and momentum are part of
    the step but not of the gradient, so the rate of a parameter with a tiny gradient is large.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, most: int = 100, *, decoupled: bool | None = None,
        levels: Sequence[float] = LEVELS,
    ) -> None:  # fmt: skip
        self._optimizer, self._decoupled = optimizer, decoupled
        self._log = StepLog(most, levels)
        self._step = 0
        self._before: list[tuple[torch.Tensor, torch.Tensor, float]] = []
        self._hooks: list[Any] = []

    @property
    def sizes(self) -> StepSizes:
        """What was recorded so far."""
        return self._log.sizes(type(self._optimizer).__name__)

    def __enter__(self) -> Self:
        if not self._hooks:
            before = self._optimizer.register_step_pre_hook(self._look)
            self._hooks = [before, self._optimizer.register_step_post_hook(self._compare)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._before = [], []

    def _look(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002  (torch's signature)
        if self._log.due(self._step):
            kept = [(group, _keep(optimizer, group, decoupled=self._decoupled)) for group in optimizer.param_groups]
            self._before = [(p, p.detach().clone(), keep) for group, keep in kept for p in group["params"]]

    def _compare(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002  (torch's signature)
        if self._before:
            moves = [Move(old, p.detach(), _dense(p.grad), keep) for p, old, keep in self._before if p.grad is not None]
            self._log.add(self._step, moves, [float(group["lr"]) for group in optimizer.param_groups])
            self._before = []
        self._step += 1


def quantiles(values: torch.Tensor, levels: Sequence[float]) -> Floats:
    """Return the quantiles of `values`, (n,), interpolated as NumPy does, (levels,) float64; NaN of nothing.

    By one sort, where the values are: `torch.quantile` refuses more than 16 million.
    """
    if not values.numel():
        return np.full(len(levels), np.nan)
    ordered = values.sort().values
    places = np.asarray(levels) * (len(values) - 1)
    low = np.floor(places).astype(np.int64)
    ends = torch.from_numpy(np.stack([low, np.minimum(low + 1, len(values) - 1)])).to(values.device)
    below, above = ordered[ends].double().cpu().numpy()
    return np.asarray(below + (places - low) * (above - below), dtype=np.float64)


def _keep(optimizer: torch.optim.Optimizer, group: dict[str, Any], *, decoupled: bool | None) -> float:
    """Return the factor by which decoupled decay multiplies the parameters of a group in the next update."""
    if decoupled is None:
        decoupled = bool(group.get("decoupled_weight_decay", type(optimizer).__name__ in DECOUPLED))
    return 1 - float(group["lr"]) * float(group.get("weight_decay", 0.0)) if decoupled else 1.0


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    return (gradient.to_dense() if gradient.is_sparse else gradient).detach()
