"""Training after a range test and without: in a loop of torch and in two Trainers, one of two processes."""

import sys
import warnings
from pathlib import Path

import lightning.pytorch
import processes
import tinynet as tiny
import torch
from lightning_loop import QUIET, module
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from transformers_loop import trainer_of

from stepsize import RangeTest
from stepsize.adapters import lightning as for_lightning
from stepsize.adapters import transformers as for_transformers

RANGE = {"low": 1e-4, "high": 1.0, "points": 25}


def update(net, optimizer, step, rank):
    optimizer.zero_grad()
    loss = tiny.loss(net, 2 * step + rank)
    loss.backward()
    optimizer.step()
    return loss


def by_hand(rank, tested):
    """DistributedDataParallel in a loop of torch; only one of the processes sees NaN."""
    net = DistributedDataParallel(tiny.model())
    optimizer, record = tiny.two_groups(net.module), None
    if tested:
        with RangeTest(net, optimizer, low=1e-4, high=1.0, points=40, validate=lambda: rank, every=10) as test:
            for step, rate in enumerate(test):
                loss = update(net, optimizer, step, rank)
                test.tell(float("nan") if rank and rate > 0.1 else loss)
        record = test.record
    for step in range(tiny.STEPS):
        update(net, optimizer, step, rank)
    return tiny.weights(net.module), record


def by_lightning(tested):
    callback = for_lightning.RangeTestCallback(**RANGE)
    trainer = lightning.pytorch.Trainer(
        strategy="ddp", devices=2, max_epochs=1, callbacks=[callback] if tested else [], **QUIET
    )
    torch.manual_seed(0)
    made = module()
    trainer.fit(made, tiny.loader(8))
    return tiny.weights(made.net), callback.record


def by_transformers(tested, folder):
    trainer = trainer_of(folder / "out", ddp_backend="gloo", gradient_accumulation_steps=2)
    callback = for_transformers.RangeTestCallback(trainer, **RANGE)
    if tested:
        trainer.add_callback(callback)
    trainer.train()
    return tiny.weights(trainer.model), callback.record


def work(folder):
    warnings.simplefilter("ignore")
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    ways = [
        lambda tested: by_hand(rank, tested),
        by_lightning,
        lambda tested: by_transformers(tested, folder),
    ]
    tested, untested = ([way(with_test) for way in ways] for with_test in (True, False))
    arrays = [(record.rates, record.losses, record.held_out) for _, record in tested]
    records = [[torch.from_numpy(array.copy()) for array in three if array is not None] for three in arrays]
    weights = [[net for net, _ in runs] for runs in (tested, untested)]
    torch.save({"tested": weights[0], "untested": weights[1], "records": records}, folder / f"{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(Path(sys.argv[1]))
    processes.leave()
