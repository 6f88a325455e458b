"""Lightning: a policy as a callback of its Trainer, or as the scheduler that `configure_optimizers` returns.

::

    Trainer(max_epochs=10, callbacks=[PolicyCallback(one_cycle(1e-3))])         any module, as it is

    def configure_optimizers(self):                                             a module that brings its policy
        optimizer = torch.optim.AdamW(self.parameters())
        return with_scheduler(optimizer, one_cycle(1e-3), self.trainer.estimated_stepping_batches)

Both move with the updates that the optimizers really make, and both are part of Lightning's checkpoint.
"""

from __future__ import annotations

from typing import Any

from stepsize.adapters.torch import as_lr_scheduler
from stepsize.adapters.trainer_hook import TrainerHook
from stepsize.kernel.errors import DriveError
from stepsize.kernel.optional import installed, need
from stepsize.policies import Groups, Policy

# Lightning has two names, and a callback of the one is at home in the Trainer of the other.
PACKAGE = "pytorch_lightning" if installed("pytorch_lightning") and not installed("lightning") else "lightning.pytorch"
Callback: Any = need(PACKAGE).Callback


def with_scheduler(optimizer: Any, policy: Policy | Groups, steps: float) -> dict[str, Any]:
    """Return what `configure_optimizers` returns: the optimizer, and the policy as its scheduler of each update.

    steps: the horizon, optimizer updates: `self.trainer.estimated_stepping_batches`, or your own count.

    Raises DriveError when `steps` is no number of updates, as for a run without an end, or when the optimizer lacks a
    scheduled hyperparameter.

    >>> import torch
    >>> from stepsize.policies import cosine
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> with_scheduler(optimizer, cosine(0.1), 100)["lr_scheduler"]["interval"]
    'step'
    """
    scheduler = as_lr_scheduler(optimizer, policy.over(_whole(steps)), counts="updates")
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class PolicyCallback(TrainerHook, Callback):  # type: ignore[misc]  # the package is looked up, so its class is Any here
    """Drives the optimizers of a Lightning module: the values in force at each update are the policy's.

    policy: one policy; or for a module with several optimizers a list, one for each, in the order in which
        `configure_optimizers` returns them.
    steps: the horizon, optimizer updates; by default Lightning's estimate for the trainer's epochs and accumulation. A
        list holds one for each optimizer, for those that are not updated once a batch.
    feedback: multiplies the learning rates by what it makes of the metric `monitor`, which it hears after each
        validation, averaged over the processes; without validation after each training epoch.
    log: is called with each step and its values, by the first process alone; several optimizers have names `0/lr` and
        `1/lr`.
    drivers: one for each optimizer of the last fit.

    Raises DriveError when the run has no end and no `steps`, the policies are not as many as the optimizers, the module
    returns a scheduler too, or a checkpoint was saved with another policy or horizon, or without this callback.

    Watch out: with a validation the monitored metric has to be one of the validation; one of the training is then an
    epoch old.
    """

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002  (Lightning's)
        """Forget an earlier fit; the state of a checkpoint is loaded after this, and mostly before `on_fit_start`."""
        if stage == "fit":
            self.drivers, self._saved = [], None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  (Lightning's)
        """Attach a driver to each optimizer, before a checkpoint is loaded into it."""
        if trainer.lr_scheduler_configs:
            kinds = ", ".join(type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs)
            raise DriveError(
                f"configure_optimizers returns a scheduler ({kinds}), which would undo what PolicyCallback sets. "
                "Return the optimizers alone, or drop the callback."
            )
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
        for driver, steps in zip(self.drivers, self._lengths(trainer), strict=True):
            if driver.steps != steps:
                raise DriveError(
                    f"this checkpoint was saved with another horizon: {driver.steps} updates then, and {steps} now. "
                    "Train as long as the run was meant to be, or start anew; stepsize.schedules.jump says what "
                    "another horizon would change."
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
