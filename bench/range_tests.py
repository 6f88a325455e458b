"""What a range test costs in a torch loop: its time over a bare loop of as many updates, and the memory it keeps.

    python bench/range_tests.py [--rounds 5] [--only perceptron convolution transformer]

Each round trains the same model for the same number of updates, bare and by each peer, in turn; a figure is the
median over the rounds of the ratio to the bare loop of that round, in seconds of CPU: with one thread
(OMP_NUM_THREADS=1) what a quiet machine takes, less the waiting for a disk. All start from an optimizer that has state.
The memory is the growth of the resident set's high-water mark over the bare loop's, each in a process of its own, over
the bytes of one copy of parameters, buffers and optimizer state. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import itertools
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from stepsize import RangeTest

LOW, HIGH = 1e-7, 1e-4

LARGE = 1 << 26
"""Bytes of a copy that stand out from the noise of a process."""


class Transformer(nn.Module):
    """30 million parameters: 9 blocks of width 512, a vocabulary of 2048, 16 tokens."""

    def __init__(self):
        super().__init__()
        block = nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.1, batch_first=True)
        self.tokens, self.blocks = (
            nn.Embedding(2048, 512),
            nn.TransformerEncoder(block, 9, enable_nested_tensor=False),
        )
        self.head = nn.Linear(512, 2048)

    def forward(self, x):
        return self.head(self.blocks(self.tokens(x)).mean(1))


def convolution():
    layers = [nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)]
    more = [nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()]
    return nn.Sequential(*layers, *more, nn.Linear(1024, 10))


def pairs(inputs, classes):
    data = torch.utils.data.TensorDataset(inputs, torch.randint(classes, (len(inputs),)))
    return lambda batch: torch.utils.data.DataLoader(data, batch_size=batch, shuffle=True)


WORKLOADS = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)),
        lambda: pairs(torch.randn(6400, 64), 10)(64), 100,
    ),
    "convolution": (convolution, lambda: pairs(torch.randn(320, 3, 32, 32), 10)(32), 40),
    "transformer": (Transformer, lambda: pairs(torch.randint(2048, (60, 16)), 2048)(2), 30),
}  # fmt: skip


def endless(loader):
    while True:
        yield from loader


def update(model, optimizer, batch):
    x, y = batch
    optimizer.zero_grad()
    loss = cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


def prepared(name):
    torch.manual_seed(0)
    make, load, steps = WORKLOADS[name]
    model, loader = make(), load()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LOW)
    update(model, optimizer, next(iter(loader)))
    optimizer.zero_grad()
    return model, optimizer, loader, steps


def bare(model, optimizer, loader, steps):
    for step, batch in zip(range(steps), endless(loader), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = LOW * (HIGH / LOW) ** (step / (steps - 1))
        update(model, optimizer, batch).item()


def ours(model, optimizer, loader, steps):
    batches = endless(loader)
    with RangeTest(model, optimizer, loader, low=LOW, high=HIGH, points=steps) as test:
        for _ in test:
            test.tell(update(model, optimizer, next(batches)))
    return test.record.memory


def torch_lr_finder(model, optimizer, loader, steps):
    peer = importlib.import_module("torch_lr_finder").LRFinder(model, optimizer, nn.CrossEntropyLoss())
    peer.range_test(loader, start_lr=LOW, end_lr=HIGH, num_iter=steps, diverge_th=1e9)
    peer.reset()


def ignite(model, optimizer, loader, steps):
    engine = importlib.import_module("ignite.engine").Engine(lambda _, batch: update(model, optimizer, batch).item())
    peer = importlib.import_module("ignite.handlers").FastaiLRFinder()
    kept = {"model": model, "optimizer": optimizer}
    with peer.attach(engine, kept, start_lr=LOW, end_lr=HIGH, num_iter=steps - 1, diverge_th=1e9) as test:
        test.run(loader, max_epochs=100)


def lightning(model, optimizer, loader, steps):
    pl = importlib.import_module("lightning.pytorch")

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.lr = model, LOW

        def training_step(self, batch):
            return cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return optimizer

    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, "accelerator": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(enable_progress_bar=False, default_root_dir=folder, **quiet)
        tuner = importlib.import_module("lightning.pytorch.tuner").Tuner(trainer)
        tuner.lr_find(
            Module(), loader, min_lr=LOW, max_lr=HIGH, num_training=steps, early_stop_threshold=None, update_attr=False
        )


WAYS = {
    "bare": bare,
    "the bare loop again": bare,
    "stepsize RangeTest": ours,
    "torch-lr-finder": torch_lr_finder,
    "ignite FastaiLRFinder": ignite,
    "Lightning Tuner.lr_find": lightning,
}


def timed(way, name):
    parts = prepared(name)
    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        WAYS[way](*parts)
    return time.process_time() - began


def times(name, rounds):
    found = {way: [] for way in WAYS if way != "bare"}
    for turn in range(rounds + 1):
        base = timed("bare", name)
        for way, ratios in found.items():
            with contextlib.suppress(ModuleNotFoundError):
                ratio = timed(way, name) / base
                if turn:  # the first round warms up
                    ratios.append(ratio)
    return found


def peak(way, name):
    """The high-water mark of a process that does nothing else, in bytes; None where the peer is missing."""
    command = [sys.executable, __file__, "--child", way, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    return int(done.stdout.split()[-1]) if done.returncode == 0 else None


def child(way, name):
    parts = prepared(name)
    for module in ("torch_lr_finder", "ignite.handlers", "lightning.pytorch"):  # imports are no part of the growth
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
    bare(*parts[:3], 3)
    parts[1].zero_grad()
    with contextlib.redirect_stderr(io.StringIO()):
        WAYS[way](*parts)
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # getrusage counts what the parent had
    print(1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1]))


def one_copy(name):
    model, optimizer, *_ = prepared(name)
    states = (each for state in optimizer.state.values() for each in state.values())
    return sum(each.nbytes for each in itertools.chain(model.parameters(), model.buffers(), states))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--child", nargs=2)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "ignite"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if given.child:
        child(*given.child)
        return
    for name in given.only:
        copy = one_copy(name)
        base = peak("bare", name) if copy > LARGE else None
        kept = ours(*prepared(name))
        print(f"{name}, {WORKLOADS[name][2]} updates; one copy is {copy / 2**20:.1f} MiB, ours keeps {kept / copy:.3f}")
        for way, ratios in times(name, given.rounds).items():
            if ratios:
                grown = "" if base is None else f"memory {(peak(way, name) - base) / copy:5.2f}"
                spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
                print(f"  {way:<26}{statistics.median(ratios):7.2f} {spread:<16} {grown}")


if __name__ == "__main__":
    main()
