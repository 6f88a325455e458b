"""A task that misbehaves where a trial's rate is enormous, and an engine that runs trials three at a time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from torch import nn

import stepsize
from stepsize.engines import Loop
from stepsize.kernel import seeds

ENORMOUS = 1e3


class Threes(Loop):
    """The plain loop, in batches of three; every trial that begins is noted in the file `log`."""

    def __init__(self, log: str = "") -> None:
        super().__init__()
        self.log = log

    def split(self, trials):
        return [list(range(i, min(i + 3, len(trials)))) for i in range(0, len(trials), 3)]

    def run(self, task, trials, steps, *, score_every=None, progress=None):
        if self.log:
            with Path(self.log).open("a") as file:
                file.writelines(f"{os.getpid()} {trial.strategy.name} {trial.seed}\n" for trial in trials)
        return super().run(task, trials, steps, score_every=score_every, progress=progress)


def _data(samples: int):
    noise = seeds.generator(samples, "faulty")
    x = torch.from_numpy(noise.standard_normal((samples, 4))).float()
    return x, x.sum(1, keepdim=True)


def _task(misbehave, name: str, delay: float = 0.0) -> stepsize.Task:
    def loss(outputs, targets):
        if outputs.detach().abs().max() > ENORMOUS:
            misbehave()
        if delay and torch.is_grad_enabled():
            time.sleep(delay)
        return nn.functional.mse_loss(outputs, targets)

    return stepsize.Task(lambda: nn.Linear(4, 1), loss, _data(32), _data(16), 8, 10, name)


def task() -> stepsize.Task:
    """Nothing misbehaves."""
    return _task(lambda: None, "fine")


def slow() -> stepsize.Task:
    """Every update takes a while."""
    return _task(lambda: None, "slow", delay=0.02)


def raises() -> stepsize.Task:
    """A bad trial raises."""

    def misbehave():
        raise ArithmeticError("far out")

    return _task(misbehave, "raises")


def hangs() -> stepsize.Task:
    """A bad trial hangs."""
    return _task(lambda: time.sleep(3600), "hangs")


def eats() -> stepsize.Task:
    """A bad trial takes 1.5 GB of memory and holds it until it is seen, however late that is."""

    def misbehave():
        hoard = [bytearray(50_000_000) for _ in range(30)]
        time.sleep(3600)
        raise MemoryError(f"nobody stopped it at {len(hoard)} pieces")

    return _task(misbehave, "eats")


def dies() -> stepsize.Task:
    """A bad trial takes its process with it."""
    return _task(lambda: os.kill(os.getpid(), 9), "dies")


def changing() -> stepsize.Task:
    """Its data are drawn without a seed."""
    fine = task()
    x = torch.from_numpy(seeds.generator(int.from_bytes(os.urandom(4), "big"), "x").standard_normal((32, 4))).float()
    return stepsize.Task(fine.model, fine.loss, (x, x.sum(1, keepdim=True)), fine.validation, 8, 10, "changing")
