"""Lightning: a policy as a callback of its Trainer, or as the scheduler that `configure_optimizers` returns.

::

    Trainer(max_epochs=10, callbacks=[PolicyCallback(one_cycle(1e-3))])         any module, as it is

    def configure_optimizers(self):                                             a module that brings its policy
        optimizer = torch.optim.AdamW(self.parameters())
        return with_scheduler(optimizer, one_cycle(1e-3), self.trainer.estimated_stepping_batches)

Both move with the updates that the optimizers really make, and both are part of Lightning's checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepsize.adapters.torch import Driver, as_lr_scheduler, drive
from stepsize.adapters.torch.groups import plain
from stepsize.adapters.torch.logs import Log
from stepsize.kernel.errors import DriveError, brief, suggestion
from stepsize.kernel.optional import installed, need
from stepsize.policies import Groups, Policy
from stepsize.schedules import Feedback

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


class PolicyCallback(Callback):  # type: ignore[misc]  # the package is looked up, so its class is Any here
    """Drives the optimizers of a Lightning module: the values in force at each update are the policy's.

    policy: one policy; or for a module with several optimizers a list, one for each, in the order in which
        `configure_optimizers` returns them.
    steps: the horizon, optimizer updates; by default Lightning's estimate for the trainer's epochs and accumulation. A
        list holds one for each optimizer, for those that are not updated once a batch.
    feedback: multiplies the learning rates by what it makes of the metric `monitor`, which it is told after each
        validation, averaged over the processes; without validation after each training epoch.
    log: is told each step and its values, by the first process alone; several optimizers have names `0/lr` and `1/lr`.
    drivers: one for each optimizer of the last fit.

    Raises DriveError when the run has no end and no `steps`, the policies are not as many as the optimizers, the module
    returns a scheduler too, or a checkpoint was saved with another policy or horizon, or without this callback.

    Watch out: with a validation the monitored metric has to be one of the validation; one of the training is then an
    epoch old.
    """

    def __init__(
        self,
        policy: Policy | Groups | Sequence[Policy | Groups],
        *,
        steps: int | Sequence[int] | None = None,
        feedback: Feedback | None = None,
        monitor: str | None = None,
        log: Log | None = None,
    ) -> None:
        if (feedback is None) != (monitor is None):
            raise DriveError("a feedback listens to a metric of the module: give feedback= and monitor= together.")
        self.policies = [policy] if isinstance(policy, Policy | Groups) else list(policy)
        self.drivers: list[Driver] = []
        self._steps, self._feedback, self._monitor, self._log = steps, feedback, monitor, log
        self._saved: Mapping[str, Any] | None = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002  (Lightning's)
        """Forget an earlier fit; the state of a checkpoint is loaded after this, and mostly before `on_fit_start`."""
        if stage == "fit":
            self.drivers, self._saved = [], None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  (Lightning's)
        """Attach a driver to each optimizer, before a checkpoint is loaded into it."""
        optimizers = [plain(each) for each in trainer.optimizers]
        self._check(trainer, optimizers)
        saved, self._saved = self._saved, None
        for place, (optimizer, steps) in enumerate(zip(optimizers, self._horizons(trainer, saved), strict=True)):
            log = self._log if trainer.is_global_zero else None
            if log is not None and len(optimizers) > 1:
                log = _named(log, place)
            self.drivers.append(drive(optimizer, self.policies[place], steps, feedback=self._feedback, log=log))
        if saved is not None:
            self.load_state_dict(saved)
        for driver in self.drivers:
            driver.attach()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  (Lightning's)
        """Refuse to go on with a run of another length or one that was not driven; hold the values of the others."""
        if trainer.global_step and not any(driver.step for driver in self.drivers):
            raise DriveError(
                f"this run begins at global_step={trainer.global_step}, and nothing says where the policy stood then. "
                "Go on from a checkpoint that was saved with this callback: trainer.fit(model, ckpt_path=...)."
            )
        for driver, steps in zip(self.drivers, self._horizons(trainer), strict=True):
            if driver.steps != steps:
                raise DriveError(
                    f"this checkpoint was saved with another horizon: {driver.steps} updates then, and {steps} now. "
                    "Train as long as the run was meant to be, or start anew; stepsize.schedules.jump says what "
                    "another horizon would change."
                )
            driver.hold()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  (Lightning's)
        """Tell the feedback what the validation found."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._tell(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002  (Lightning's)
        """Tell the feedback what the epoch found, where there is no validation."""
        if not trainer.enable_validation:
            self._tell(trainer)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002  (Lightning's)
        """Let go of the optimizers."""
        for driver in self.drivers:
            driver.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each driver: plain numbers and strings."""
        return {"drivers": [driver.state_dict() for driver in self.drivers]} if self.drivers else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a saved step; before the optimizers exist, keep it for when they do.

        Raises DriveError when it was saved with other policies or another horizon.
        """
        saved = state_dict["drivers"]
        if len(saved) != len(self.policies):
            raise DriveError(
                f"this checkpoint was saved with {len(saved)} policies, and there are {len(self.policies)} now. Give "
                "PolicyCallback those that it was saved with, or start anew."
            )
        if not self.drivers:
            self._saved = state_dict
        for driver, state in zip(self.drivers, saved, strict=False):
            driver.load_state_dict(state)

    def _check(self, trainer: Any, optimizers: Sequence[Any]) -> None:
        if len(optimizers) != len(self.policies):
            raise DriveError(
                f"the module has {len(optimizers)} optimizers, and PolicyCallback has {len(self.policies)} policies. "
                "Give a list with one for each, in the order in which configure_optimizers returns them."
            )
        if trainer.lr_scheduler_configs:
            kinds = ", ".join(type(each.scheduler).__name__ for each in trainer.lr_scheduler_configs)
            raise DriveError(
                f"configure_optimizers returns a scheduler ({kinds}), which would undo what PolicyCallback sets. "
                "Return the optimizers alone, or drop the callback."
            )

    def _horizons(self, trainer: Any, saved: Mapping[str, Any] | None = None) -> list[int]:
        """Return the horizon of each driver.

        A saved one comes before Lightning's estimate, which loads the data: before the checkpoint is restored, that
        makes Lightning forget where its loaders were (its issue 20550).
        """
        if self._steps is None and saved is not None:
            return [state["steps"] for state in saved["drivers"]]
        given = _whole(trainer.estimated_stepping_batches) if self._steps is None else self._steps
        horizons = [given] * len(self.policies) if isinstance(given, int) else list(given)
        if len(horizons) != len(self.policies):
            raise DriveError(
                f"PolicyCallback has {len(self.policies)} policies and steps={brief(self._steps)}; give one number for "
                "all of them, or a list with one for each."
            )
        return horizons

    def _tell(self, trainer: Any) -> None:
        if self._feedback is None or self._monitor is None:
            return
        found = trainer.callback_metrics.get(self._monitor)
        if found is None:
            raise DriveError(
                f"the feedback listens to {self._monitor!r}, which nothing has logged. "
                f"{suggestion(self._monitor, map(str, trainer.callback_metrics))} Log it in validation_step, or in "
                "training_step where there is no validation: self.log(name, value, on_epoch=True)."
            )
        metric = float(
            trainer.strategy.reduce(found.clone(), reduce_op="mean")
        )  # one answer, or the processes drift apart
        for driver in self.drivers:
            driver.tell(metric)


def _whole(steps: float) -> int:
    """Return a horizon, of which Lightning may say that it is infinite or -1."""
    if not 0 < steps < float("inf"):
        raise DriveError(
            f"Lightning cannot tell how many updates this run has (it says {steps}), and a policy needs the horizon: "
            "set max_steps of the Trainer, or give steps=."
        )
    return int(steps)


def _named(log: Log, place: int) -> Log:
    return lambda step, values: log(step, {f"{place}/{name}": value for name, value in values.items()})
