"""transformers: a policy, and a range test, as callbacks of the Trainer.

::

    Trainer(model, args, train_dataset=..., callbacks=[PolicyCallback(one_cycle(1e-3))])    drives its optimizer
    trainer.add_callback(RangeTestCallback(trainer))                        a range test before the first update

The Trainer makes its optimizer, with a group without weight decay, as ever. Its own scheduler goes on, but what that
sets is set anew before each update: `learning_rate` and the warmup of the TrainingArguments have no say.
For an optimizer of yours, `optimizers=(optimizer, as_lr_scheduler(optimizer, policy.over(steps)))` needs no callback.
The range test goes through the Trainer's own `training_step`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from stepsize.adapters.given_policy import PolicyLike
from stepsize.adapters.range_test import endless
from stepsize.adapters.torch import PolicyLR
from stepsize.adapters.torch.groups import plain
from stepsize.adapters.torch.logs import Log
from stepsize.adapters.torch.range_test import RangeTest
from stepsize.adapters.torch.rates import DRIVEN, set_rate
from stepsize.adapters.trainer_hook import TrainerHook, UpdateBatches
from stepsize.kernel.errors import DriveError, brief
from stepsize.kernel.optional import need
from stepsize.policies import Policy
from stepsize.results import RangeTestRecord
from stepsize.schedules import Constant, Feedback

TrainerCallback: Any = need("transformers").TrainerCallback

KEY = "stepsize"
"""The name of our state in trainer_state.json; under the name of its class the Trainer would make a callback anew."""

DECAY = "weight_decay"

LISTENERS = ("ReduceLROnPlateau", "GreedyLR")
"""Schedulers that the Trainer steps after an evaluation."""


class PolicyCallback(TrainerHook, TrainerCallback):  # type: ignore[misc]  # the package is looked up, so its class is Any here
    """Drives the Trainer's optimizer: the values in force at each update are the policy's, and so is the logged rate.

    policy: over the horizon `state.max_steps`, optimizer updates. Also a file that `save` wrote, its spec, or the name
        of a recipe, such as "cosine", which then peaks at the `learning_rate` of the TrainingArguments.
    feedback: multiplies the learning rate by what it makes of the metric `monitor`, which it hears after each
        evaluation that has it.
    log: is called with each step and its values, by the first process alone.
    rebind: whether a checkpoint of another policy or horizon may be taken up: the training goes on at its step, with
        this policy over the steps of this training.
    driver: that of the training that runs, else None.

    Raises DriveError when the Trainer's scheduler listens to a metric or is one of ours, when another callback sets
    what the policy does, when nothing tells the groups with and without weight decay from each other, when no
    evaluation has the metric that the feedback listens to, and for a checkpoint that was saved without this callback,
    or, unless `rebind` is given, of another policy or horizon.

    Watch out: the Trainer counts an update that a GradScaler has skipped as a step, so where there are such, training
    ends before the policy does. Not tried with DeepSpeed.
    """

    def __init__(
        self,
        policy: PolicyLike,
        *,
        feedback: Feedback | None = None,
        monitor: str = "eval_loss",
        log: Log | None = None,
        rebind: bool = False,
    ) -> None:
        listens = None if feedback is None else monitor
        super().__init__(policy, feedback=feedback, monitor=listens, log=log, rebind=rebind)
        self._heard, self._others = False, set[str]()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Attach a driver, at the step of the checkpoint if there is one, which the Trainer has loaded by now."""
        self.on_train_end(args, state, control)
        self._saved = saved = saved_state(state)
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
        self.check_values()
        self.hold()
        rates = [group["lr"] for group in kwargs["optimizer"].param_groups]
        kwargs["lr_scheduler"]._last_lr = rates  # noqa: SLF001  (from there it is logged, right after the update)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002  (the Trainer's)
        """Put the driver's state where the Trainer's checkpoint has it: into trainer_state.json."""
        rates = [float(group["lr"]) for group in kwargs["optimizer"].param_groups]
        if rates != list(map(float, kwargs["lr_scheduler"].get_last_lr())):  # neither ours nor the Trainer's
            self.check_values()
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


def saved_state(state: Any) -> Mapping[str, Any] | None:
    """Return our state of the checkpoint that the Trainer goes on from, if it does."""
    saved: Mapping[str, Any] | None = state.stateful_callbacks.get(KEY)
    if saved is not None and not state.global_step:
        raise DriveError(
            "two callbacks of this Trainer drive its optimizer, and each would undo what the other sets. Keep one, "
            "with everything in its policy: Policy(lr=..., momentum=..., weight_decay=...)."
        )
    if saved is None and state.global_step:
        raise DriveError(
            f"this training goes on from a checkpoint at step {state.global_step} that was saved without "
            "PolicyCallback, so nothing says where the policy stood. Go on from one that has its state, or start anew."
        )
    return saved


class RangeTestCallback(TrainerCallback):  # type: ignore[misc]  # the package is looked up, so its class is Any here
    """Runs a range test when training begins, and then lets it begin as if nothing had been.

    trainer: the Trainer that it is a callback of: `trainer.add_callback(RangeTestCallback(trainer))`; a callback does
        not know its Trainer, and the loss is what the Trainer's `compute_loss` says.
    apply: a function of the record that returns the rate to train at; the Trainer's scheduler, warmup included, is
        multiplied to peak there. Nothing is changed when not given.
    options: `low`, `high`, `points`, `validate` and more, as `RangeTest` takes them.
    record: of the last training; None before, and for one that goes on from a checkpoint, which has no test.

    Each update has `gradient_accumulation_steps` batches, mixed precision and clipping as in training. The Trainer's
    state, logs and other callbacks hear nothing of it; model, optimizer, scheduler, scaler, loader and generators are
    put back. Under DDP all processes stop at the same rate.

    Raises what `RangeTest` raises, and DriveError when `apply` is given for an optimizer that a policy drives.

    Watch out: for a pretrained model the rate that a short ramp bears is often a hundred times the best one; read the
    record as where to look. What a subclass of Trainer keeps for itself is not put back. FSDP and DeepSpeed are not
    tested.
    """

    def __init__(
        self, trainer: Any, *, apply: Callable[[RangeTestRecord], float] | None = None, **options: Any
    ) -> None:
        self.record: RangeTestRecord | None = None
        self._trainer, self._apply, self._options = checked(trainer, self), apply, options

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002  (the Trainer's)
        """Run the test, put everything back, and set the rate that was found if that is wanted."""
        self.record = None
        if state.global_step:
            return
        trainer, scheduler = self._trainer, kwargs["lr_scheduler"]
        callbacks = trainer.callback_handler.callbacks
        if self._apply is not None and any(isinstance(callback, PolicyCallback) for callback in callbacks):
            raise DriveError(DRIVEN)
        updates, options = Updates(trainer, kwargs["train_dataloader"]), {"horizon": state.max_steps, **self._options}
        batches = endless(updates.batches)
        test = RangeTest(trainer.model_wrapped, trainer.optimizer, scheduler, *updates.things, **options)
        with aside(trainer), test:
            for _ in test:
                updates.make(next(batches), test.tell)
        self.record = test.record
        if self._apply is not None:
            set_rate([plain(trainer.optimizer)], self._apply(self.record), [scheduler])


def checked(trainer: Any, callback: Any) -> Any:
    """Return a Trainer; raise DriveError for anything else, as a callback that runs its updates has to be given it."""
    if not hasattr(trainer, "training_step"):
        name = type(callback).__name__
        raise DriveError(
            f"{name} takes the Trainer that it is a callback of, not {brief(trainer)}: "
            f"trainer.add_callback({name}(trainer))."
        )
    return trainer


class Updates:
    """The updates of a Trainer, made by a callback before it makes its own.

    batches: of its loader, those of one update at a time. things: what the updates change beside the model, the
    optimizer and the scheduler.
    """

    def __init__(self, trainer: Any, loader: Any) -> None:
        self._trainer, accelerator = trainer, trainer.accelerator
        inner = getattr(getattr(loader, "batch_sampler", None), "batch_sampler", None)
        self.batches = UpdateBatches(loader, trainer.args.gradient_accumulation_steps, (loader, inner))
        books = vars(accelerator.gradient_state)  # which loader is open, and whether gradients are exchanged
        self.things = (accelerator.scaler, loader, books)

    def make(self, batches: list[Any], tell: Callable[[Any], object]) -> None:
        """Make one update as the Trainer's loop does, and tell its loss."""
        trainer, model, args = self._trainer, self._trainer.model_wrapped, self._trainer.args
        samples, count = trainer.get_batch_samples(iter(batches), len(batches), args.device)
        trainer.current_gradient_accumulation_steps = len(samples)  # its loop sets it before each use
        tell(sum(trainer.training_step(model, inputs, count) for inputs in samples))
        if args.max_grad_norm:
            trainer.accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        trainer.optimizer.step()
        model.zero_grad()


@contextmanager
def aside(trainer: Any) -> Iterator[None]:
    """Keep what happens from the Trainer's callbacks, and its state and what it logs as they are."""
    handler = trainer.callback_handler
    callbacks, state, control = handler.callbacks, trainer.state, trainer.control
    handler.callbacks, trainer.state, trainer.control = [], copy.deepcopy(state), copy.copy(control)
    try:
        yield
    finally:
        handler.callbacks, trainer.state, trainer.control = callbacks, state, control
