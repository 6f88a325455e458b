"""Lightning: a range test before the first update, through the Trainer's own strategy, precision and clipping."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stepsize.adapters.lightning.policy import PACKAGE, Callback, PolicyCallback
from stepsize.adapters.range_test import endless
from stepsize.adapters.torch.range_test import RangeTest
from stepsize.adapters.torch.rates import DRIVEN, set_rate
from stepsize.kernel.errors import DriveError, brief, suggestion
from stepsize.kernel.optional import need
from stepsize.results import RangeTestRecord

DummyLogger: Any = need(f"{PACKAGE}.loggers.logger").DummyLogger
CombinedLoader: Any = need(f"{PACKAGE}.utilities.combined_loader").CombinedLoader


class RangeTestCallback(Callback):  # type: ignore[misc]  # the package is looked up, so its class is Any here
    """Runs a range test when training starts, and then lets it start as if nothing had been.

    apply: a function of the record that returns the rate to train at; every group, optimizer and scheduler follows in
        proportion. Nothing is changed when not given.
    monitor: the name of the logged metric that is the loss, for manual optimization whose `training_step` returns none.
    options: `low`, `high`, `points`, `validate` and more, as `RangeTest` takes them.
    record: of the last fit; None before, and for a fit that goes on from a checkpoint, which has no test.

    A batch goes through `training_step`, with automatic or manual optimization, `accumulate_grad_batches`, clipping and
    mixed precision. Other callbacks, loggers and progress hear nothing of it; module, optimizers, schedulers, scaler,
    loaders and generators are put back. Under DDP all processes stop at the same rate.

    Raises DriveError when there is no loss to see, and when `apply` is
    given for an optimizer that a policy drives; and what `RangeTest` raises.

    Watch out: `on_train_batch_start` and `on_train_batch_end` of the module are not called in the test. A resource
    that `training_step` writes to by itself, such as a file, is written to. FSDP and DeepSpeed are not tested.
    """

    def __init__(
        self, *, apply: Callable[[RangeTestRecord], float] | None = None, monitor: str | None = None, **options: Any
    ) -> None:
        self.record: RangeTestRecord | None = None
        self._apply, self._monitor, self._options = apply, monitor, options

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Run the test, put everything back, and set the rate that was found if that is wanted."""
        self.record = None
        if trainer.global_step:
            return
        if self._apply is not None and any(isinstance(each, PolicyCallback) for each in trainer.callbacks):
            raise DriveError(DRIVEN)
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        combined = trainer.fit_loop._combined_loader  # noqa: SLF001  (its mode is nowhere else)
        batches = endless(CombinedLoader(combined.iterables, combined._mode))  # noqa: SLF001  (as above)
        given = {"horizon": _horizon(trainer), **self._options}
        test = RangeTest(pl_module, trainer.optimizers, *schedulers, scaler, *combined.flattened, **given)
        turn = self._automatic if pl_module.automatic_optimization else self._manual
        with _aside(trainer), test:
            for _ in test:
                turn(trainer, pl_module, batches, test)
        self.record = test.record
        if self._apply is not None:
            set_rate(trainer.optimizers, self._apply(self.record), schedulers)

    def _automatic(self, trainer: Any, module: Any, batches: Iterator[Any], test: RangeTest) -> None:
        """Make one update as Lightning's automatic optimization does."""
        epoch, last = trainer.current_epoch, trainer.accumulate_grad_batches - 1
        (optimizer,) = _optimizers(module)

        for index in range(last + 1):

            def closure(index: int = index) -> Any:
                loss = _loss(_stepped(trainer, module, batches, index))
                if index == 0:
                    module.optimizer_zero_grad(epoch, index, optimizer.optimizer)
                if loss is not None:
                    test.tell(loss)
                    trainer.strategy.backward(loss / (last + 1), optimizer.optimizer)
                return loss

            if index < last:
                closure()
            else:
                module.optimizer_step(epoch, index, optimizer, closure)

    def _manual(self, trainer: Any, module: Any, batches: Iterator[Any], test: RangeTest) -> None:
        """Let `training_step` make its own updates, and find the loss."""
        loss = _loss(_stepped(trainer, module, batches, 0))
        if loss is None:
            loss = self._logged(trainer)
        test.tell(loss)

    def _logged(self, trainer: Any) -> Any:
        logged = trainer.fit_loop.epoch_loop._results.metrics(on_step=True)["callback"]  # noqa: SLF001  (of this test alone)
        if self._monitor not in logged:
            raise DriveError(
                f"training_step returns no loss, and nothing has logged {brief(self._monitor)}. Give "
                f"RangeTestCallback(monitor=...) the name of a logged metric. {suggestion(str(self._monitor), logged)}"
            )
        return logged[self._monitor]


@contextmanager
def _aside(trainer: Any) -> Iterator[None]:
    """Keep what happens from the Trainer's callbacks, loggers and metrics."""
    loop = trainer.fit_loop.epoch_loop
    callbacks, loggers, results = trainer.callbacks, trainer.loggers, loop._results  # noqa: SLF001  (what self.log fills)
    trainer.callbacks, trainer.loggers = [], [DummyLogger() for _ in loggers]
    loop._results = type(results)(training=True)  # noqa: SLF001  (as above)
    try:
        yield
    finally:
        trainer.callbacks, trainer.loggers, loop._results = callbacks, loggers, results  # noqa: SLF001  (as above)


def _stepped(trainer: Any, module: Any, batches: Iterator[Any], index: int) -> Any:
    """Return what `training_step` makes of the next batch."""
    batch, _, _ = next(batches)
    batch = trainer.precision_plugin.convert_input(batch)
    batch = module._on_before_batch_transfer(batch, dataloader_idx=0)  # noqa: SLF001  (as Lightning's loop does)
    batch = trainer.strategy.batch_to_device(batch, dataloader_idx=0)
    given = trainer.fit_loop.epoch_loop._build_kwargs(OrderedDict(), batch, index)  # noqa: SLF001  (as above)
    module._current_fx_name = "training_step"  # noqa: SLF001  (self.log asks for it)
    return trainer.strategy.training_step(*given.values())


def _loss(output: Any) -> Any:
    return output.get("loss") if isinstance(output, dict) else output


def _optimizers(module: Any) -> list[Any]:
    optimizers = module.optimizers()
    return optimizers if isinstance(optimizers, list) else [optimizers]


def _horizon(trainer: Any) -> int | None:
    steps = trainer.estimated_stepping_batches
    return int(steps) if 0 < steps < float("inf") else None
