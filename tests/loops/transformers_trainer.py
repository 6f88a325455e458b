"""A Trainer of a GPT-2 of two layers that notes the values of each update; as a program, one of two processes of it."""

import os
import sys
from pathlib import Path

import processes
import tinynet as tiny
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

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
        optimizer = plain(optimizer)

        def before(*_):
            self.before = tiny.in_force(optimizer), tiny.weights(model)

        def after(*_):
            if not torch.equal(self.before[1], tiny.weights(model)):
                self.seen.append(self.before[0])

        optimizer.register_step_pre_hook(before)
        optimizer.register_step_post_hook(after)

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


def work(folder):
    note = Note()
    trainer = trainer_of(folder / "out", note, PolicyCallback(tiny.POLICY), ddp_backend="gloo")
    trainer.train()
    kept = {"seen": note.seen, "weights": tiny.weights(trainer.model), "processes": trainer.args.world_size}
    torch.save(kept, folder / f"{trainer.args.process_index}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(Path(sys.argv[1]))
    processes.leave()
