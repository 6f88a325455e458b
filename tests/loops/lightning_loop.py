"""Lightning: a policy as a callback, or as the scheduler that a small module returns."""

import contextlib
import logging
import sys
import warnings
from pathlib import Path

import lightning.pytorch
import processes
import tinynet as tiny
import torch
from lightning.pytorch.plugins import MixedPrecision

from stepsize.adapters.lightning import PolicyCallback, with_scheduler
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


WAYS = ("callback", "scheduler")
WARNINGS = (".*does not have many workers", ".*LeafSpec.*is deprecated")
STOPS = (3, 4, 8, 10)
"""At the end of an epoch of four updates, or within one."""

EPOCHS = 3


def train(way, folder, *, policy=tiny.POLICY, steps=tiny.STEPS, accumulation=1, infinite=(), stop=None, resume=False):
    """The horizon is Lightning's estimate, where it is not another one, and no update is skipped."""
    horizon = None if steps == tiny.STEPS and not infinite else steps
    configure, callbacks = ways_of(way, horizon, policy, fused=bool(infinite))
    made = module(configure=configure, infinite=infinite)
    batches = 5 if infinite else 4 * accumulation * tiny.PROCESSES
    path, arguments = folder / "crashed.ckpt", {"accumulate_grad_batches": accumulation}
    if stop:
        callbacks = [*callbacks, Crash(path, stop)]
    if infinite:
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        arguments["plugins"] = [MixedPrecision("16-mixed", "cpu", scaler=scaler)]
    if tiny.PROCESSES > 1:
        warnings.simplefilter("ignore")
        data, arguments = tiny.loader(batches), {**arguments, "strategy": "ddp", "devices": tiny.PROCESSES}
    else:
        data = Resumable(tiny.loader(batches).dataset, batch_size=8)
    with contextlib.suppress(CrashError):
        trainer_of(*callbacks, **arguments).fit(made, data, ckpt_path=path if resume else None, weights_only=True)
    return made.seen, tiny.weights(made.net)


def trainer_of(*callbacks, package=lightning.pytorch, **arguments):
    return package.Trainer(**{**QUIET, "max_epochs": EPOCHS, "callbacks": list(callbacks), **arguments})


def ways_of(way, steps=None, policy=tiny.POLICY, **optimizer):
    """How the module configures its optimizer, and the callbacks that make a policy move it in this way."""

    def configure(net):
        made = tiny.two_groups(net, **optimizer)
        return made if way == "callback" else with_scheduler(made, policy, steps or tiny.STEPS)

    return configure, [PolicyCallback(policy, steps=steps)] if way == "callback" else []


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
            self.seen = tiny.note(optimizer, self.net)
            return found

    class Validated(Module):
        """Its validation loss never falls, and is another one in each process."""

        def validation_step(self, batch):
            self.log("val_loss", 1.0 + self.global_rank)

    return Validated() if validated else Module()


class CrashError(Exception):
    pass


class Crash(lightning.pytorch.Callback):
    """Saves a checkpoint when `update` updates are made, at the end of the epoch if that ends too, and crashes."""

    def __init__(self, path, update):
        self.path, self.update = path, update

    def on_train_epoch_end(self, trainer, pl_module):
        self.crash(trainer)

    def on_train_batch_end(self, trainer, *_):
        if self.update % 4:
            self.crash(trainer)

    def crash(self, trainer):
        if trainer.global_step == self.update:
            trainer.save_checkpoint(self.path, weights_only=False)
            raise CrashError


class Resumable(torch.utils.data.DataLoader):
    """A loader that begins at the batch that a checkpoint says; Lightning asks for one to resume within an epoch."""

    begin = 0

    def __iter__(self):
        begin, self.begin = self.begin, 0
        for self.count, batch in enumerate(super().__iter__(), 1):
            if self.count > begin:
                yield batch

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.begin = state_dict["count"] % len(self)


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
