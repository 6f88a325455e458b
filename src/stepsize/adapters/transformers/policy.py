"""transformers: a policy as a callback of the Trainer.

::

    Trainer(model, args, train_dataset=..., callbacks=[PolicyCallback(one_cycle(1e-3))])

The Trainer makes its optimizer, with a group without weight decay, as ever. Its own scheduler goes on, but what that
sets is set anew before each update: `learning_rate` and the warmup of the TrainingArguments have no say.
For an optimizer of yours, `optimizers=(optimizer, as_lr_scheduler(optimizer, policy.over(steps)))` needs no callback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from stepsize.adapters.torch import PolicyLR
from stepsize.adapters.torch.groups import plain
from stepsize.adapters.torch.logs import Log
from stepsize.adapters.trainer_hook import TrainerHook
from stepsize.kernel.errors import DriveError
from stepsize.kernel.optional import need
from stepsize.policies import Groups, Policy
from stepsize.schedules import Constant, Feedback

TrainerCallback: Any = need("transformers").TrainerCallback

KEY = "stepsize"
"""The name of our state in trainer_state.json; under the name of its class the Trainer would make a callback anew."""

DECAY = "weight_decay"

LISTENERS = ("ReduceLROnPlateau", "GreedyLR")
"""Schedulers that the Trainer steps after an evaluation."""


class PolicyCallback(TrainerHook, TrainerCallback):  # type: ignore[misc]  # the package is looked up, so its class is Any here
    """Drives the Trainer's optimizer: the values in force at each update are the policy's, and so is the logged rate.

    policy: over the horizon `state.max_steps`, optimizer updates.
    feedback: multiplies the learning rate by what it makes of the metric `monitor`, which it hears after each
        evaluation that has it.
    log: is called with each step and its values, by the first process alone.
    driver: that of the training that runs, else None.

    Raises DriveError when the Trainer's scheduler listens to a metric or is one of ours, when nothing tells the groups
    with and without weight decay from each other, when no evaluation has the metric that the feedback listens to, and
    for a checkpoint of another policy or horizon, or one that was saved without this callback.

    Watch out: the Trainer counts an update that a GradScaler has skipped as a step, so where there are such, training
    ends before the policy does. Not tried with DeepSpeed.
    """

    def __init__(
        self,
        policy: Policy | Groups,
        *,
        feedback: Feedback | None = None,
        monitor: str = "eval_loss",
        log: Log | None = None,
    ) -> None:
        super().__init__(policy, feedback=feedback, monitor=None if feedback is None else monitor, log=log)
        self._heard, self._others = False, set[str]()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Attach a driver, at the step of the checkpoint if there is one, which the Trainer has loaded by now."""
        self.on_train_end(args, state, control)
        self._saved = saved = _saved(state)
        self._check_scheduler(kwargs["lr_scheduler"])
        if saved is None:
            self._check_decay(plain(kwargs["optimizer"]))
        start = 0 if saved is None else int(saved["drivers"][0]["step"])
        self.begin([kwargs["optimizer"]], int(state.max_steps), start=start, logs=state.is_world_process_zero)
        self._heard, self._others = False, set()
        state.stateful_callbacks[KEY] = self.state_dict()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002  (the Trainer's)
        """Set the values of the update to come, and let the Trainer log the rate that it has."""
        if self._others and not self._heard:
            self.notify(dict.fromkeys(self._others), "An evaluation has to return it: compute_metrics=.")
        self.hold()
        rates = [group["lr"] for group in kwargs["optimizer"].param_groups]
        kwargs["lr_scheduler"]._last_lr = rates  # noqa: SLF001  (from there it is logged, right after the update)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002  (the Trainer's)
        """Put the driver's state where the Trainer's checkpoint has it: into trainer_state.json."""
        self.hold()
        state.stateful_callbacks[KEY] = self.state_dict()

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **kwargs: Any) -> None:  # noqa: ARG002  (the Trainer's)
        """Tell the feedback what the evaluation found; one of several data sets may have the metric."""
        if self.driver is None or self._feedback is None:
            return
        if self.notify(metrics):
            self._heard = True
            state.stateful_callbacks[KEY] = self.state_dict()
        else:
            self._others |= set(metrics)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002  (the Trainer's)
        """Let go of the optimizer; the feedback hears no evaluation from now on."""
        self.finish()
        self.drivers = []

    def _check_scheduler(self, scheduler: Any) -> None:
        name = type(scheduler).__name__
        if isinstance(scheduler, PolicyLR):
            raise DriveError("the Trainer has a scheduler of ours, which needs no PolicyCallback; keep one of the two.")
        if name in LISTENERS:
            raise DriveError(
                f"the Trainer's scheduler is a {name}, which changes the rate after an evaluation, as a feedback does. "
                "Leave lr_scheduler_type at its default, and give PolicyCallback feedback=Plateau() or Greedy()."
            )

    def _check_decay(self, optimizer: torch.optim.Optimizer) -> None:
        groups, policy = [group.get(DECAY) for group in optimizer.param_groups], self.policies[0]
        if not isinstance(policy, Policy) or DECAY not in policy or policy[DECAY] == Constant(0.0):
            return
        if len(groups) > 1 and not any(groups):
            raise DriveError(
                f"the policy schedules {DECAY}, and all {len(groups)} groups of the optimizer have none, so nothing "
                f"tells apart those that are meant to stay without. Give TrainingArguments a {DECAY} above 0, whatever "
                "it is: the policy's values replace it."
            )


def _saved(state: Any) -> Mapping[str, Any] | None:
    """Return our state of the checkpoint that the Trainer goes on from, if it does."""
    saved: Mapping[str, Any] | None = state.stateful_callbacks.get(KEY)
    if saved is None and state.global_step:
        raise DriveError(
            f"this training goes on from a checkpoint at step {state.global_step} that was saved without "
            "PolicyCallback, so nothing says where the policy stood. Go on from one that has its state, or start anew."
        )
    return saved
