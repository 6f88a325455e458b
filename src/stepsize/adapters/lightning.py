"""Lightning: a policy as a callback of its Trainer or as a scheduler, and a range test before the first update.

::

    Trainer(max_epochs=10, callbacks=[PolicyCallback(one_cycle(1e-3))])         any module, as it is
    Trainer(max_epochs=10, callbacks=[RangeTestCallback()])                     a range test before the first update

    def configure_optimizers(self):                                             a module that brings its policy
        optimizer = torch.optim.AdamW(self.parameters())
        return with_scheduler(optimizer, one_cycle(1e-3), self.trainer.estimated_stepping_batches)

Policies move with the updates that the optimizers really make, and are part of Lightning's checkpoint. The range test
goes through the Trainer's own strategy, precision and clipping.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from stepsize.adapters.given_policy import PolicyLike
from stepsize.adapters.range_test import endless
from stepsize.adapters.torch import as_lr_scheduler
from stepsize.adapters.torch.range_test import RangeTest
from stepsize.adapters.torch.rates import DRIVEN, set_rate
from stepsize.adapters.trainer_hook import TrainerHook, UpdateBatches
from stepsize.kernel.errors import DriveError, brief, suggestion
from stepsize.kernel.optional import installed, need
from stepsize.results import RangeTestRecord

# Lightning has two names, and a callback of the one is at home in the Trainer of the other.
PACKAGE = "pytorch_lightning" if installed("pytorch_lightning") and not installed("lightning") else "lightning.pytorch"
Callback: Any = need(PACKAGE).Callback
DummyLogger: Any = need(f"{PACKAGE}.loggers.logger").DummyLogger
Averaging: Any = need(f"{PACKAGE}.callbacks").StochasticWeightAveraging
CombinedLoader: Any = need(f"{PACKAGE}.utilities.combined_loader").CombinedLoader


def with_scheduler(optimizer: Any, policy: PolicyLike, steps: float, *, rebind: bool = False) -> dict[str, Any]:
    """Return what `configure_optimizers` returns: the optimizer, and the policy as its scheduler of each update.

    steps: the horizon, optimizer updates: `self.trainer.estimated_stepping_batches`, or your own count.
    policy, rebind: as in `as_lr_scheduler`.

    Raises DriveError when `steps` is no number of updates, as for a run without an end, or when the optimizer lacks a
    scheduled hyperparameter.

    >>> import torch
    >>> from stepsize.policies import cosine
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> with_scheduler(optimizer, cosine(0.1), 100)["lr_scheduler"]["interval"]
    'step'
    """
    scheduler = as_lr_scheduler(optimizer, policy, steps=_whole(steps), counts="updates", rebind=rebind)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class PolicyCallback(TrainerHook, Callback):  # type: ignore[misc]  # the package is looked up, so its class is Any here
    """Drives the optimizers of a Lightning module: the values in force at each update are the policy's.

    policy: one policy; or for a module with several optimizers a list, one for each, in the order in which
        `configure_optimizers` returns them. Also a file that `save` wrote, its spec, or the name of a recipe, such as
        "cosine", which then peaks at the rate that the optimizer was made with.
    steps: the horizon, optimizer updates; by default Lightning's estimate for the trainer's epochs and accumulation. A
        list holds one for each optimizer, for those that are not updated once a batch.
    feedback: multiplies the learning rates by what it makes of the metric `monitor`, which it hears after each
        validation, averaged over the processes; without validation after each training epoch.
    log: is called with each step and its values, by the first process alone; several optimizers have names `0/lr` and
        `1/lr`.
    rebind: whether a checkpoint of another policy or horizon may be taken up: the fit goes on at its step, with this
        policy over the updates of this fit.
    drivers: one for each optimizer of the last fit.

    Raises DriveError when the run has no end and no `steps`, the policies are not as many as the optimizers, the module
    returns a scheduler too or anything else sets what the policy does, such as StochasticWeightAveraging, or a
    checkpoint was saved without this callback, or, unless `rebind` is given, with another policy or horizon.

    Watch out: with a validation the monitored metric has to be one of the validation; one of the training is then an
    epoch old.
    """

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002  (Lightning's)
        """Forget an earlier fit; the state of a checkpoint is loaded after this, and mostly before `on_fit_start`."""
        if stage == "fit":
            self.drivers, self._saved = [], None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  (Lightning's)
        """Attach a driver to each optimizer, before a checkpoint is loaded into it."""
        self._refuse_schedulers(trainer)
        if self._steps is None and self._saved is not None:
            # Lightning's estimate loads the data, and before the checkpoint is restored that makes Lightning forget
            # where its loaders were (its issue 20550). `on_train_start` compares the two.
            horizon = [state["steps"] for state in self._saved["drivers"]]
        else:
            horizon = self._lengths(trainer)
        self.begin(trainer.optimizers, horizon, logs=trainer.is_global_zero)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  (Lightning's)
        """Refuse to go on with a run of another length or one that was not driven; hold the values of the others."""
        if trainer.global_step and not any(driver.step for driver in self.drivers):
            raise DriveError(
                f"this run begins at global_step={trainer.global_step}, and nothing says where the policy stood then. "
                "Go on from a checkpoint that was saved with this callback: trainer.fit(model, ckpt_path=...)."
            )
        lengths = self._lengths(trainer)
        if self._rebind and lengths != [driver.steps for driver in self.drivers]:
            self._saved = TrainerHook.state_dict(self)  # only now the length of this fit may be asked for
            self.begin(trainer.optimizers, lengths, logs=trainer.is_global_zero)
        for driver, steps in zip(self.drivers, lengths, strict=True):
            if driver.steps != steps:
                raise DriveError(
                    f"this checkpoint was saved with another horizon: {driver.steps} updates then, and {steps} now. "
                    "Train as long as the run was meant to be, or start anew, for a longer one at the rate that "
                    "stepsize.transfer(strategy, before, now) gives; stepsize.schedules.jump says what another horizon "
                    f"would change, and {type(self).__name__}(..., rebind=True) goes on with it on purpose."
                )
        self.hold()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  (Lightning's)
        """Tell the feedback what the validation found."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._hear(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  (Lightning's)
        """Tell the feedback what the epoch found, where there is no validation."""
        if not trainer.enable_validation:
            self._hear(trainer)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002  (Lightning's)
        """Let go of the optimizers."""
        self.finish()

    def _refuse_schedulers(self, trainer: Any) -> None:
        if trainer.lr_scheduler_configs:
            kinds = ", ".join(type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs)
            raise DriveError(
                f"configure_optimizers returns a scheduler ({kinds}), which would undo what {type(self).__name__} "
                "sets. Return the optimizers alone, or drop the callback."
            )
        if any(isinstance(callback, Averaging) for callback in trainer.callbacks):
            raise DriveError(
                f"StochasticWeightAveraging sets the rate of each epoch from its start on, {type(self).__name__} that "
                "of each update. Return with_scheduler(...) from configure_optimizers, which it replaces when it "
                "starts; or average by Lightning's WeightAveraging, which sets no rate, and let the policy end in one: "
                "schedule >> Constant(0.05)."
            )

    def _lengths(self, trainer: Any) -> list[int]:
        return self.horizons(_whole(trainer.estimated_stepping_batches) if self._steps is None else 0)

    def _hear(self, trainer: Any) -> None:
        if self._monitor is None:
            return
        metrics = dict(trainer.callback_metrics)
        if self._monitor in metrics:  # one answer for all processes, or they drift apart
            metric = metrics[self._monitor].clone()
            metrics[self._monitor] = float(trainer.strategy.reduce(metric, reduce_op="mean"))
        self.notify(
            metrics,
            "Log it in validation_step, or in training_step where there is no validation: self.log(name, value, "
            "on_epoch=True).",
        )


def _whole(steps: float) -> int:
    """Return a horizon, of which Lightning may say that it is infinite or -1."""
    if not 0 < steps < float("inf"):
        raise DriveError(
            f"Lightning cannot tell how many updates this run has (it says {steps}), and a policy needs the horizon: "
            "set max_steps of the Trainer, or give steps=."
        )
    return int(steps)


class RangeTestCallback(Callback):  # type: ignore[misc]  # the package is looked up, so its class is Any here
    """Runs a range test when training starts, and then lets it start as if nothing had been.

    apply: a function of the record that returns the rate to train at; every group, optimizer and scheduler follows in
        proportion. Nothing is changed when not given.
    monitor: the name of the logged metric that is the loss, for manual optimization whose `training_step` returns none.
    horizon: updates of one full training; by default Lightning's estimate.
    options: `low`, `high`, `points`, `validate` and more, as `RangeTest` takes them.
    record: of the last fit; None before, and for a fit that goes on from a checkpoint, which has no test.

    A batch goes through `training_step`, with automatic or manual optimization, `accumulate_grad_batches`, clipping and
    mixed precision. Other callbacks, loggers and progress hear nothing of it; module, optimizers, schedulers, scaler,
    loaders and generators are put back. Under DDP all processes stop at the same rate.

    Raises DriveError when there is no loss to see, and when `apply` is given for an optimizer that a policy drives; and
    what `RangeTest` raises.

    Watch out: `on_train_batch_start` and `on_train_batch_end` of the module are not called in the test. A resource
    that `training_step` writes to by itself, such as a file, is written to. FSDP and DeepSpeed are not tested.
    """

    def __init__(
        self,
        *,
        apply: Callable[[RangeTestRecord], float] | None = None,
        monitor: str | None = None,
        horizon: int | None = None,
        **options: Any,
    ) -> None:
        self.record: RangeTestRecord | None = None
        self._apply, self._monitor, self._horizon = apply, monitor, horizon
        self._options = options  # a line of its own, from which LightningCLI knows that these are those of RangeTest

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Run the test, put everything back, and set the rate that was found if that is wanted."""
        self.record = None
        if trainer.global_step:
            return
        if self._apply is not None and any(isinstance(callback, PolicyCallback) for callback in trainer.callbacks):
            raise DriveError(DRIVEN)
        updates, planned = Updates(trainer, pl_module, self._monitor), trainer.estimated_stepping_batches
        horizon = self._horizon or (int(planned) if 0 < planned < float("inf") else None)
        test = RangeTest(pl_module, trainer.optimizers, *updates.things, horizon=horizon, **self._options)
        batches = endless(updates.batches)
        with aside(trainer), test:
            for _ in test:
                updates.make(next(batches), test.tell)
        self.record = test.record
        if self._apply is not None:
            schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
            set_rate(trainer.optimizers, self._apply(self.record), schedulers)


class Updates:
    """The updates of a Lightning training, made by a callback before the Trainer makes its own.

    monitor: the name of the logged metric that is the loss, where `training_step` returns none.
    batches: of the Trainer's loaders, those of one update at a time. things: what the updates change beside the module
    and the optimizers.
    """

    def __init__(self, trainer: Any, module: Any, monitor: str | None = None) -> None:
        self._trainer, self._module, self._monitor = trainer, module, monitor
        combined = trainer.fit_loop._combined_loader  # noqa: SLF001  (its mode is nowhere else)
        loaders, count = combined.flattened, trainer.accumulate_grad_batches if module.automatic_optimization else 1
        samplers = [getattr(loader, "sampler", None) for loader in loaders]
        samplers += [getattr(getattr(loader, "batch_sampler", None), "sampler", None) for loader in loaders]
        again = CombinedLoader(combined.iterables, combined._mode)  # noqa: SLF001  (as above)
        self.batches = UpdateBatches(again, count, samplers)
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self.things = (*schedulers, getattr(trainer.precision_plugin, "scaler", None), *loaders)

    def make(self, batches: list[Any], tell: Callable[[Any], object]) -> None:
        """Make one update of its batches, and tell the loss of each."""
        if self._module.automatic_optimization:
            self._automatic(batches, tell)
        else:
            self._manual(batches, tell)

    def _automatic(self, batches: list[Any], tell: Callable[[Any], object]) -> None:
        """Make one update as Lightning's automatic optimization does."""
        trainer, module = self._trainer, self._module
        epoch, last = trainer.current_epoch, len(batches) - 1
        optimizer = module.optimizers()  # the only one: Lightning allows no more in automatic optimization

        for index, batch in enumerate(batches):

            def closure(index: int = index, batch: Any = batch) -> Any:
                loss = _loss(self._stepped(batch, index))
                if index == 0:
                    module.optimizer_zero_grad(epoch, index, optimizer.optimizer)
                if loss is not None:
                    tell(loss)
                    trainer.strategy.backward(loss / trainer.accumulate_grad_batches, optimizer.optimizer)
                return loss

            if index < last:
                closure()
            else:
                module.optimizer_step(epoch, index, optimizer, closure)

    def _manual(self, batches: list[Any], tell: Callable[[Any], object]) -> None:
        """Let `training_step` make its own updates, and find the loss."""
        for batch in batches:
            loss = _loss(self._stepped(batch, 0))
            tell(self._logged() if loss is None else loss)

    def _stepped(self, batch: Any, index: int) -> Any:
        """Return what `training_step` makes of a batch."""
        trainer, module = self._trainer, self._module
        batch = trainer.precision_plugin.convert_input(batch[0])
        batch = module._on_before_batch_transfer(batch, dataloader_idx=0)  # noqa: SLF001  (as Lightning's loop does)
        batch = trainer.strategy.batch_to_device(batch, dataloader_idx=0)
        arguments = trainer.fit_loop.epoch_loop._build_kwargs(OrderedDict(), batch, index)  # noqa: SLF001  (as above)
        module._current_fx_name = "training_step"  # noqa: SLF001  (self.log asks for it)
        return trainer.strategy.training_step(*arguments.values())

    def _logged(self) -> Any:
        logged = self._trainer.fit_loop.epoch_loop._results.metrics(on_step=True)["callback"]  # noqa: SLF001  (of these updates alone)
        if self._monitor not in logged:
            raise DriveError(
                f"training_step returns no loss, and nothing has logged {brief(self._monitor)}. Give "
                f"monitor= the name of a logged metric. {suggestion(str(self._monitor), logged)}"
            )
        return logged[self._monitor]


@contextmanager
def aside(trainer: Any) -> Iterator[None]:
    """Keep what happens from the Trainer's callbacks, loggers and metrics."""
    loop = trainer.fit_loop.epoch_loop
    callbacks, loggers, results = trainer.callbacks, trainer.loggers, loop._results  # noqa: SLF001  (what self.log fills)
    trainer.callbacks, trainer.loggers = [], [DummyLogger() for _ in loggers]
    loop._results = type(results)(training=True)  # noqa: SLF001  (as above)
    try:
        yield
    finally:
        trainer.callbacks, trainer.loggers, loop._results = callbacks, loggers, results  # noqa: SLF001  (as above)


def _loss(output: Any) -> Any:
    return output.get("loss") if isinstance(output, dict) else output


def validated(trainer: Any) -> dict[str, Any]:
    """Return what a validation of the Trainer logs, as a fit makes one; its progress and metrics stay as they are."""
    loop, connector, stage = trainer.fit_loop.epoch_loop.val_loop, trainer._logger_connector, trainer.state.stage  # noqa: SLF001  (where metrics are)
    kept = [(part, dict(vars(part))) for part in (loop, connector)]
    loop.batch_progress, loop._results = type(loop.batch_progress)(), type(loop._results)(training=False)  # noqa: SLF001  (as above)
    loop._seen_batches_per_dataloader = defaultdict(int)  # noqa: SLF001  (as above)
    for metrics in ("_callback_metrics", "_logged_metrics", "_progress_bar_metrics"):
        setattr(connector, metrics, {})
    try:
        trainer.validating = True
        loop.run()
        return dict(trainer.callback_metrics)
    finally:
        trainer.state.stage = stage
        for part, attributes in kept:
            vars(part).clear()
            vars(part).update(attributes)
