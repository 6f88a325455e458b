"""transformers: a training that finds its rate in pilot runs of its own, and is driven at it.

::

    trainer = Trainer(model, args, train_dataset=...)
    trainer.add_callback(TuneCallback(trainer, "warmup_linear"))
"""

from __future__ import annotations

from typing import Any

from stepsize.adapters.torch.groups import plain
from stepsize.adapters.transformers import PolicyCallback, Updates, aside, checked, saved_state
from stepsize.callbacks.hook import TuneHook, metric
from stepsize.jobs.tune.family import Asked
from stepsize.kernel.errors import DriveError


class TuneCallback(TuneHook, PolicyCallback):
    """Makes pilot runs when training begins, puts everything back, and drives the optimizer at the rate found.

    trainer: the Trainer that it is a callback of: `trainer.add_callback(TuneCallback(trainer))`; a callback does not
        know its Trainer, and the loss is what the Trainer's `compute_loss` says.
    policy: by name, as a function of its peak, or as a value, whose own peak does not matter.
    share: what the pilot runs may cost, as a share of the run: when not given .35 of it from 5000 updates on, and at
        most all of it below. With 0 there are none, and it trains at what its first gradient says.
    validate: the name of a loss that `trainer.evaluate()` returns, such as "eval_loss", or a function that returns the
        held-out loss. Without it the training losses of the last tenth of each pilot run score it.
    rule: that the optimizer follows, where it is none of torch's. log: of the real run, as in `PolicyCallback`.
    device, skip_frozen: as in `Snapshot`.
    answer: what the pilot runs found, a result to save. piloting: whether this is a pilot run.

    Each update has `gradient_accumulation_steps` batches, mixed precision and clipping as in training. The Trainer's
    state, logs, checkpoints and other callbacks hear nothing of the pilot runs. The real run is bit by bit that of
    `PolicyCallback(callback.answer.policy)`, and groups keep their ratios. The answer is in the checkpoint: a training
    that goes on from it makes no pilot runs. Under DDP all processes agree.

    Raises DriveError for a run of less than 40 updates, and for what PolicyCallback refuses; TaskError where the first
    loss is no number, where all pilot runs diverge, and for no batches; ParameterError for a policy or share that there
    is not.

    Watch out: what a subclass of Trainer keeps for itself is not put back. `train_runtime` of the Trainer's last log
    has the time of the pilot runs too. FSDP and DeepSpeed are not tested.
    """

    def __init__(self, trainer: Any, policy: Asked = "one_cycle", **options: Any) -> None:
        super().__init__(policy, **options)
        self._trainer = checked(trainer, self)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Make the pilot runs, unless this goes on from a checkpoint, and drive the optimizer from now on."""
        others = [each for each in self._trainer.callback_handler.callbacks if each is not self]
        if any(isinstance(each, PolicyCallback) for each in others):
            raise DriveError("two callbacks of this Trainer drive its optimizer; keep one of them.")
        optimizer, steps, saved = kwargs["optimizer"], int(state.max_steps), saved_state(state)
        if saved is None:
            self.forget()
            self._check_scheduler(kwargs["lr_scheduler"])
            self.check(plain(optimizer), steps)
            trainer, updates = self._trainer, Updates(self._trainer, kwargs["train_dataloader"])
            with aside(trainer):
                self.find([trainer.model, trainer.model_wrapped], optimizer, updates, steps, kwargs["lr_scheduler"])
        else:
            self.load_answer(saved)
            self.resume(plain(optimizer), steps)
        super().on_train_begin(args, state, control, **kwargs)

    def own_validation(self, name: str) -> Any:
        """Return a loss of the Trainer's evaluation."""
        return metric(self._trainer.evaluate(), name)
