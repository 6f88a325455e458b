"""Lightning: a training that finds its rate in pilot runs of its own, and is driven at it.

::

    Trainer(max_epochs=10, callbacks=[TuneCallback("one_cycle")])
"""

from __future__ import annotations

import warnings
from typing import Any

from stepsize.adapters.lightning import PolicyCallback, Updates, aside, validated
from stepsize.callbacks.hook import TuneHook, metric, only
from stepsize.jobs.tune.family import Asked


class TuneCallback(TuneHook, PolicyCallback):
    """Makes pilot runs when training starts, puts everything back, and drives the optimizer at the rate found.

    policy: by name, as a function of its peak, or as a value, whose own peak does not matter.
    monitor: the name of the logged metric that is the loss, for manual optimization whose `training_step` returns none.
    share: what the pilot runs may cost, as a share of the run: when not given .35 of it from 5000 updates on, and at
        most all of it below. With 0 there are none, and it trains at what its first gradient says.
    validate: the name of a loss that the module logs in its validation, such as "val_loss", or a function that returns
        the held-out loss. Without it the training losses of the last tenth of each pilot run score it.
    rule: that the optimizer follows, where it is none of torch's. steps, log: of the real run, as in `PolicyCallback`.
    device, skip_frozen: as in `Snapshot`.
    answer: what the pilot runs found, a result to save. piloting: whether this is a pilot run.

    A pilot run goes through `training_step`, with `accumulate_grad_batches`, clipping and mixed precision. Other
    callbacks, loggers and progress hear nothing of it, and no checkpoint is saved. The real run is bit by bit that of
    `PolicyCallback(callback.answer.policy)`, and groups keep their ratios. The answer is in the checkpoint: a fit that
    goes on from it makes no pilot runs. Under DDP all processes agree.

    Raises DriveError for a run of less than 40 updates, or without an end and `steps`, for several optimizers, and for
    what PolicyCallback refuses; TaskError where the first loss is no number, and where all pilot runs diverge;
    ParameterError for a policy or share that there is not.

    Watch out: `on_train_batch_start`, `on_train_batch_end` and the epoch's hooks of the module are not called in a
    pilot run. What `training_step` does beside training is done there too, unless it asks `piloting`. With
    `fast_dev_run` nothing is tuned or driven. FSDP and DeepSpeed are not tested.
    """

    def __init__(
        self, policy: Asked = "one_cycle", *, steps: int | None = None, monitor: str | None = None, **options: Any
    ) -> None:
        super().__init__(policy, steps=steps, **options)
        self._loss = monitor
        self._trainer: Any = None

    @property
    def state_key(self) -> str:
        """The name in Lightning's checkpoint: that of PolicyCallback, which can go on from it too."""
        return str(PolicyCallback.__qualname__)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Forget an earlier fit."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self.forget()

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Go on where a checkpoint was saved; else look whether the training can be tuned."""
        self._refuse_schedulers(trainer)
        if trainer.fast_dev_run:
            warnings.warn("with fast_dev_run nothing is tuned or driven; the optimizer keeps its rate.", stacklevel=2)
            return
        optimizer = only(trainer.optimizers)
        if self._saved is None:
            self.check(optimizer, self._lengths(trainer)[0])
        else:
            self.resume(optimizer, self._saved["drivers"][0]["steps"])
            super().on_fit_start(trainer, pl_module)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Make the pilot runs, unless this goes on from a checkpoint, and drive the optimizer from now on."""
        if trainer.fast_dev_run:
            return
        if not self.drivers and not trainer.global_step:
            updates, self._trainer = Updates(trainer, pl_module, self._loss), trainer
            held_out = trainer.fit_loop.epoch_loop.val_loop._combined_loader  # noqa: SLF001  (nowhere else)
            loaders = [] if held_out is None else held_out.flattened
            with aside(trainer):
                self.find([pl_module], only(trainer.optimizers), updates, self._lengths(trainer)[0], *loaders)
            super().on_fit_start(trainer, pl_module)
        super().on_train_start(trainer, pl_module)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Let go of the optimizer and the Trainer."""
        super().teardown(trainer, pl_module, stage)
        self._trainer = None

    def own_validation(self, name: str) -> Any:
        """Return a loss of the Trainer's validation."""
        return metric(validated(self._trainer), name)
