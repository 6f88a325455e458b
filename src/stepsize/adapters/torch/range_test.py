"""The learning rate range test in a torch loop of yours, which leaves no trace in it.

::

    with RangeTest(model, optimizer) as test:
        for rate in test:
            ...                              # forward, backward, optimizer.step()
            test.tell(loss)
    print(suggest(test.record).reason)

The rate is set before each update, and on leaving the block everything is as it was (`snapshots.py` says what).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Literal, Self

import torch

from stepsize.adapters.range_test import Ramp, endless
from stepsize.adapters.torch.groups import after_update, check_trained, paused, plain
from stepsize.adapters.torch.losses import Losses, held_out
from stepsize.adapters.torch.optimizers import rule_of
from stepsize.adapters.torch.rates import Rates
from stepsize.adapters.torch.snapshots import Snapshot, modules, resumable
from stepsize.kernel.arrays import as_number
from stepsize.kernel.errors import DriveError
from stepsize.results import RangeTestRecord
from stepsize.theory.range_test import HIGH, LOW

PATIENCE = 1000
"""Turns of the loop at one rate without an update, after which none will come."""

Many = Any
"""One of them, or a list."""


class RangeTest:
    """A range test in a loop of yours: it yields the rate of each turn, and puts everything back at the end.

    model, optimizer: one, or a list of them. Each parameter group climbs at its own ratio to its optimizer's rate, and
        each further optimizer at its ratio to the first; rates that are tensors are filled in place.
    others: what else the loop changes: a GradScaler, the loader, schedulers, an average of the weights; what a
        `Snapshot` takes.
    low, high, points, spacing, batches: as in `Ramp`.
    validate: returns the validation loss; called before the first update of each `every` points, without gradients.
        Modes of modules that it changes are put back.
    seed: the label of the record's column. horizon: updates of one full training, if known. task: a name.
    device, skip_frozen: as in `Snapshot`: where the copy is kept, and whether frozen parameters are left out of it.
    record: what was recorded, during the test and afterwards.

    A turn of the loop that makes no update, because it only adds up gradients or because a GradScaler skips, sees the
    same rate again, and its losses are averaged with those up to the update. So are several losses of a
    turn. Under torch.distributed the loss is the mean over all processes, and all of them stop at the same rate. A
    driver or scheduler of ours that is attached to the optimizer does not move meanwhile.

    Raises DriveError for what is no optimizer or cannot be put back, when no parameter is trained, and for a loop that
    makes no updates; TaskError when there is no loss, for one that is no number, and when the first is NaN;
    ParameterError and BudgetError as `Ramp` does. Everything is put back first.

    Watch out: the rate found holds for this model, optimizer and batch size, from these weights: mostly the first ones.

    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with RangeTest(model, optimizer, low=1e-3, high=100.0) as test:
    ...     for rate in test:
    ...         optimizer.zero_grad()
    ...         loss = (model(torch.ones(4, 2)) - 1).square().mean()
    ...         loss.backward()
    ...         optimizer.step()
    ...         test.tell(loss)
    >>> test.record.optimizer, optimizer.param_groups[0]["lr"], len(optimizer.state)
    ('SGD', 0.1, 0)
    """

    def __init__(
        self,
        model: Many,
        optimizer: Many,
        *others: Any,
        low: float = LOW,
        high: float = HIGH,
        points: int | None = None,
        spacing: Literal["exponential", "linear"] = "exponential",
        batches: int = 1,
        validate: Callable[[], Any] | None = None,
        every: int = 10,
        seed: int = 0,
        horizon: int | None = None,
        task: str = "",
        device: torch.device | str | None = None,
        skip_frozen: bool = False,
    ) -> None:
        self._models, self._optimizers = modules(model), _optimizers(optimizer)
        self._ramp = Ramp(low, high, points, spacing=spacing, batches=batches, every=0 if validate is None else every)
        self._rates = Rates(self._optimizers, self._ramp.schedule)
        self._kept = (*self._models, *_listed(optimizer), *self._optimizers, *others)
        self._validate = validate
        self._options: dict[str, Any] = {"device": device, "skip_frozen": skip_frozen}
        self._known: dict[str, Any] = {
            "task": task or type(self._models[0]).__name__, "horizon": horizon, "seed": seed,
            "optimizer": ", ".join(type(optimizer).__name__ for optimizer in self._optimizers),
            "rule": rule_of(self._optimizers[0]) if len(self._optimizers) == 1 else None,
        }  # fmt: skip
        self._undo: ExitStack | None = None
        self._losses = Losses(self._optimizers[0].param_groups[0]["params"][0].device)
        self._updates = [0] * len(self._optimizers)
        self._began = self._seconds = 0.0
        self._memory = 0

    def __enter__(self) -> Self:
        """Take the snapshot, and listen to the optimizers."""
        if self._ramp.updates or self._undo is not None:
            raise DriveError("this range test has been run; make another one.")
        self._began = time.perf_counter()
        with ExitStack() as stack:
            self._memory = stack.enter_context(Snapshot(*self._kept, **self._options)).bytes
            stack.enter_context(paused(self._optimizers))
            for index, optimizer in enumerate(self._optimizers):
                stack.callback(after_update(optimizer, partial(self._count, index), always=True).remove)
            self._undo = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Put everything back."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo.close()
        self._seconds = time.perf_counter() - self._began

    def __iter__(self) -> Iterator[float]:
        """Yield the rate of each turn of the loop, already set, until the ramp is over."""
        while self._ramp.going:
            if self._undo is None:
                raise DriveError("a range test puts everything back at its end: with RangeTest(...) as test: ...")
            if self._validate is not None and self._ramp.due:
                self.tell_held_out(held_out(self._validate, self._models))
            self._updates = [0] * len(self._optimizers)
            yield from self._turns()

    def tell(self, loss: Any) -> None:
        """Tell the loss of this turn's batch: a number or a tensor of one, not yet divided for accumulation.

        Raises TaskError for a tensor of several numbers.
        """
        self._losses.add(loss)

    def tell_held_out(self, loss: Any) -> None:
        """Tell a validation loss, taken before this turn's update; `validate=` does so by itself."""
        self._ramp.tell_held_out(self._losses.mean(as_number(loss, "loss")))

    @property
    def record(self) -> RangeTestRecord:
        """The rates that were used with their losses, as a record; raises TaskError when there is none."""
        seconds = self._seconds or time.perf_counter() - self._began
        return self._ramp.record(seconds=seconds, memory=self._memory, **self._known)

    def _turns(self) -> Iterator[float]:
        """Yield the rate of one update, in as many turns as it takes, and keep its loss."""
        self._losses.clear()
        for _ in range(PATIENCE):
            self._rates.set(self._ramp.point)
            yield self._ramp.rate
            loss, updates = self._losses.agreed(max(self._updates))
            if updates or not math.isfinite(loss or 0.0):
                break
        else:
            loss = self._diverged()
        self._ramp.tell(loss, updates)

    def _diverged(self) -> float:
        """Return what stands for a loss whose gradients stay infinite; raise DriveError where no update ever came."""
        if not self._ramp.updates:
            raise DriveError(
                f"{PATIENCE} turns of the loop have made no update: either it steps another optimizer, or every "
                "gradient is infinite, or a captured graph is replayed, which runs no hooks."
            )
        return math.inf

    def _count(self, index: int, _: torch.optim.Optimizer) -> None:
        self._updates[index] += 1


def climb(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Any, Any], torch.Tensor],
    loader: Any,
    *others: Any,
    accumulation: int = 1,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    **options: Any,
) -> RangeTestRecord:
    """Return the range test of a plain supervised loop: `loss(model(inputs), targets)` on pairs from `loader`.

    loader: goes round again when it ends before the ramp; it may also be without an end.
    others, options: as `RangeTest` takes them. accumulation: batches whose gradients make one update.
    autocast: the dtype of mixed precision; with float16 there should be a scaler, whose state is put back too.

    Raises TaskError for a loader that gives nothing, and what `RangeTest` raises.

    Watch out: an iterator of yours stays where the test has left it; a DataLoader deals the same batches again.

    >>> x = torch.linspace(-1, 1, 32)[:, None]
    >>> data = torch.utils.data.TensorDataset(x, 3 * x)
    >>> model = torch.nn.Linear(1, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> loader = torch.utils.data.DataLoader(data, batch_size=8)
    >>> climb(model, optimizer, torch.nn.functional.mse_loss, loader, low=1e-4).optimizer
    'SGD'
    """
    batches, device = endless(loader), next(model.parameters()).device
    kept = loader if isinstance(loader, torch.utils.data.DataLoader) or resumable(loader) else None
    scaler = scaler or torch.amp.GradScaler(device.type, enabled=False)
    with RangeTest(model, optimizer, scaler, kept, *others, **options) as test:
        model.train()
        for _ in test:
            optimizer.zero_grad()
            for _ in range(accumulation):
                inputs, targets = (part.to(device) for part in next(batches))
                with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
                    value = loss(model(inputs), targets)
                test.tell(value)
                torch.autograd.backward(scaler.scale(value / accumulation))
            scaler.step(optimizer)
            scaler.update()
    return test.record


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _optimizers(optimizer: Many) -> list[torch.optim.Optimizer]:
    return check_trained([plain(item) for item in _listed(optimizer)])
