"""transformers: a policy as a callback, or as the scheduler of an optimizer, in the Trainer of a small GPT-2."""

import contextlib
import os

import tinynet as tiny
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

from stepsize import as_lr_scheduler
from stepsize.adapters.torch.groups import plain
from stepsize.adapters.transformers import PolicyCallback

os.environ["HF_HUB_OFFLINE"] = "1"


def model():
    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=16, n_positions=8, vocab_size=32, **ends))


def data(rows=64):
    tokens = torch.randint(32, (rows, 8), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": row, "labels": row} for row in tokens]


class Note(TrainerCallback):
    """Notes in `seen` the values of each update that has changed the weights, and in `logged` each rate in the logs."""

    def __init__(self):
        self.seen, self.logged = [], []

    def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
        self.seen = tiny.note(plain(optimizer), model)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "learning_rate" in logs:
            self.logged.append(logs["learning_rate"])


class InfiniteTrainer(Trainer):
    """The loss of the batches numbered in `infinite` is infinite."""

    infinite, batches = (), 0

    def compute_loss(self, model, *given, **named):
        loss = super().compute_loss(model, *given, **named)
        if not model.training:
            return loss
        self.batches += 1
        return loss * (float("inf") if self.batches - 1 in self.infinite else 1.0)


def trainer_of(folder, *callbacks, rows=64, optimizers=(None, None), net=None, **arguments):
    given = {
        "per_device_train_batch_size": 4,
        "max_steps": tiny.STEPS,
        "weight_decay": 0.1,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        **arguments,
    }
    return InfiniteTrainer(
        net or model(),
        TrainingArguments(str(folder), **given),
        train_dataset=data(rows),
        eval_dataset=data(8),
        callbacks=[*callbacks],
        optimizers=optimizers,
    )


class CrashError(Exception):
    pass


class Crash(TrainerCallback):
    def on_save(self, args, state, control, **kwargs):
        raise CrashError


WAYS = ("callback", "scheduler")
STOPS = (3, 8)
"""In an epoch of five updates."""

EXEMPT = {
    ("skipped", way): "the Trainer counts a skipped update as a step, and the policy does not: test_transformers.py"
    for way in WAYS
}


def trained(way, folder, *callbacks, policy=tiny.POLICY, steps=tiny.STEPS, fused=False, **arguments):
    """Return a Trainer in which a policy moves the optimizer in this way, and what notes its updates."""
    note = Note()
    if way == "callback":
        optim = "adamw_torch_fused" if fused else "adamw_torch"
        return trainer_of(folder, note, PolicyCallback(policy), *callbacks, optim=optim, **arguments), note
    net = model()
    optimizer = tiny.two_groups(net, fused=fused)
    scheduler = as_lr_scheduler(optimizer, policy.over(steps), counts="updates")
    return trainer_of(folder, note, *callbacks, net=net, optimizers=(optimizer, scheduler), **arguments), note


def train(way, folder, *, policy=tiny.POLICY, steps=tiny.STEPS, accumulation=1, stop=None, resume=False):
    arguments = {"max_steps": steps, "gradient_accumulation_steps": accumulation, "rows": 20 * tiny.PROCESSES}
    if stop:
        arguments |= {"save_strategy": "steps", "save_steps": stop}
    if tiny.PROCESSES > 1:
        arguments["ddp_backend"] = "gloo"
    trainer, note = trained(way, folder, *[Crash()] * bool(stop), policy=policy, steps=steps, **arguments)
    with contextlib.suppress(CrashError):
        trainer.train(resume_from_checkpoint=resume or None)
    return note.seen, tiny.weights(trainer.model)
