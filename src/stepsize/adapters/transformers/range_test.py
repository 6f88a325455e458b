"""transformers: a range test before the first update, through the Trainer's own `training_step`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from stepsize.adapters.range_test import endless
from stepsize.adapters.torch.groups import plain
from stepsize.adapters.torch.range_test import RangeTest
from stepsize.adapters.torch.rates import DRIVEN, set_rate
from stepsize.adapters.transformers.policy import PolicyCallback, TrainerCallback
from stepsize.kernel.errors import DriveError
from stepsize.results import RangeTestRecord


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
        self._trainer, self._apply, self._options = trainer, apply, options

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002  (the Trainer's)
        """Run the test, put everything back, and set the rate that was found if that is wanted."""
        self.record = None
        if state.global_step:
            return
        trainer, scheduler, loader = self._trainer, kwargs["lr_scheduler"], kwargs["train_dataloader"]
        if self._apply is not None and any(
            isinstance(each, PolicyCallback) for each in trainer.callback_handler.callbacks
        ):
            raise DriveError(DRIVEN)
        accelerator = trainer.accelerator
        books = vars(accelerator.gradient_state)  # which loader is open, and whether gradients are exchanged
        others = (accelerator.scaler, loader, scheduler, books)
        given = {"horizon": state.max_steps, **self._options}
        trainer.current_gradient_accumulation_steps = (
            args.gradient_accumulation_steps
        )  # its loop sets it before each use
        batches = endless(loader)
        with RangeTest(trainer.model_wrapped, trainer.optimizer, *others, **given) as test:
            for _ in test:
                self._update(args, batches, test)
        self.record = test.record
        if self._apply is not None:
            set_rate([plain(trainer.optimizer)], self._apply(self.record), [scheduler])

    def _update(self, args: Any, batches: Iterator[Any], test: RangeTest) -> None:
        """Make one update as the Trainer's loop does."""
        trainer, model = self._trainer, self._trainer.model_wrapped
        samples, count = trainer.get_batch_samples(batches, args.gradient_accumulation_steps, args.device)
        test.tell(sum(trainer.training_step(model, inputs, count) for inputs in samples))
        if args.max_grad_norm:
            trainer.accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        trainer.optimizer.step()
        model.zero_grad()
