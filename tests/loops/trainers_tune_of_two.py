"""Tuned in two Trainers, and driven at the rate found, in one of two processes."""

import sys
import warnings
from pathlib import Path

import lightning.pytorch
import processes
import tinynet as tiny
import torch
from lightning_loop import QUIET, module
from torch import distributed
from transformers_loop import trainer_of

from stepsize.adapters import lightning as for_lightning
from stepsize.adapters import transformers as for_transformers
from stepsize.callbacks import lightning as tune_lightning
from stepsize.callbacks import transformers as tune_transformers


def by_lightning(callback):
    trainer = lightning.pytorch.Trainer(strategy="ddp", devices=2, max_epochs=10, callbacks=[callback], **QUIET)
    torch.manual_seed(0)
    made = module()
    trainer.fit(made, tiny.loader(8))
    return tiny.weights(made.net)


def by_transformers(make, folder):
    trainer = trainer_of(folder / "out", ddp_backend="gloo", gradient_accumulation_steps=2, max_steps=40)
    callback = make(trainer)
    trainer.add_callback(callback)
    trainer.train()
    return callback, tiny.weights(trainer.model)


def work(folder):
    warnings.simplefilter("ignore")
    distributed.init_process_group("gloo")
    one = tune_lightning.TuneCallback()
    found = {"lightning": by_lightning(one)}
    found["lightning driven"] = by_lightning(for_lightning.PolicyCallback(one.answer.policy))
    two, found["transformers"] = by_transformers(tune_transformers.TuneCallback, folder)
    policy = for_transformers.PolicyCallback(two.answer.policy)
    found["transformers driven"] = by_transformers(lambda _: policy, folder)[1]
    for name, callback in (("lightning", one), ("transformers", two)):
        found[f"{name} runs"] = [(run.strategy.peak, run.steps, run.score) for run in callback.answer.runs]
    torch.save(found, folder / f"{distributed.get_rank()}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(Path(sys.argv[1]))
    processes.leave()
