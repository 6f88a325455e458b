"""A small Lightning module that notes the values of each update; as a program, one of two processes of it."""

import logging
import sys
import warnings
from pathlib import Path

import lightning.pytorch
import processes
import tinynet as tiny
import torch

from stepsize.adapters.lightning import PolicyCallback
from stepsize.schedules import Plateau

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
    logging.getLogger(name).setLevel(logging.ERROR)


def module(package=lightning.pytorch, configure=tiny.two_groups, infinite=(), validated=False):
    """Return a module of `package`; the loss of the batches numbered in `infinite` is infinite.

    It notes in `seen` the values of each update that has changed the weights.
    """

    class Module(package.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.seen, self.batches = tiny.model(), [], 0

        def training_step(self, batch):
            x, y = batch
            loss = torch.nn.functional.cross_entropy(self.net(x), y)
            self.log("train_loss", loss, on_epoch=True)
            self.batches += 1
            return loss * (float("inf") if self.batches - 1 in infinite else 1.0)

        def configure_optimizers(self):
            found = configure(self.net)
            optimizer = found["optimizer"] if isinstance(found, dict) else found
            optimizer.register_step_pre_hook(self.note)
            optimizer.register_step_post_hook(self.keep)
            return found

        def note(self, optimizer, *_):
            self.before = tiny.in_force(optimizer), tiny.weights(self.net)

        def keep(self, *_):
            values, weights = self.before
            if not torch.equal(weights, tiny.weights(self.net)):
                self.seen.append(values)

    class Validated(Module):
        """Its validation loss never falls, and is another one in each process."""

        def validation_step(self, batch):
            self.log("val_loss", 1.0 + self.global_rank)

    return Validated() if validated else Module()


def work(folder):
    """Train in two processes with a feedback that hears another number in each, and save what each has seen."""
    warnings.simplefilter("ignore")
    callback = PolicyCallback(tiny.POLICY, feedback=Plateau(factor=0.5, patience=0), monitor="val_loss")
    trainer = lightning.pytorch.Trainer(
        strategy="ddp", devices=2, max_epochs=3, num_sanity_val_steps=0, callbacks=[callback], **QUIET
    )
    made = module(validated=True)
    trainer.fit(made, tiny.loader(8), tiny.loader(2))
    kept = {"seen": made.seen, "weights": tiny.weights(made.net), "state": callback.drivers[0].state_dict()}
    torch.save(kept, folder / f"{trainer.global_rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(Path(sys.argv[1]))
    processes.leave()
