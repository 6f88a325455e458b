"""Tune a loop as one of two processes, each with batches of its own, and drive it at what was found: a program."""

import os
import sys
from pathlib import Path

import numpy as np
import processes
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import stepsize
from stepsize.jobs.tune.pilots import RESTED

STEPS, RANK = 60, int(os.environ.get("RANK", "0"))


def made():
    """Return the same model in both processes, in DDP, and batches and generators that differ."""
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)))
    x = torch.randn(96, 4)
    data = TensorDataset(x, (x[:, 0] > x[:, 1]).long())
    torch.manual_seed(10 + RANK)
    np.random.seed(RANK)  # noqa: NPY002  (put back)
    return model, torch.optim.AdamW(model.parameters()), DataLoader(data, 12, sampler=DistributedSampler(data, seed=3))


def turn(model, optimizer, batch):
    x, y = batch
    loss = nn.functional.cross_entropy(model(x + 0.1 * np.random.rand()), y)  # noqa: NPY002  (put back)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def driven(policy):
    model, optimizer, loader = made()

    def batches():
        for epoch in range(STEPS):
            loader.sampler.set_epoch(epoch)
            yield from loader

    for _, batch in zip(stepsize.drive(optimizer, policy, STEPS), batches(), strict=False):
        turn(model, optimizer, batch)
    return weights(model)


def work(folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    model, optimizer, loader = made()
    loop = stepsize.tune(model, optimizer, loader, steps=STEPS, share=0.8)
    first, turns = [], 0
    for batch in loop:
        loss = turn(model, optimizer, batch)
        first.append(loss.item())
        turns += loop.piloting
        loop.tell(loss)
    found = {
        "first": sum(first[:RESTED]) / RESTED, "start": loop.answer.start, "turns": turns,
        "weights": weights(model),
        "rates": [run.strategy.peak for run in loop.answer.runs], "scores": [run.score for run in loop.answer.runs],
        "rate": loop.answer.strategy.peak, "driven": driven(loop.answer.policy),
    }  # fmt: skip
    torch.save(found, folder / f"{RANK}.pt")


def refuse(folder):
    """What the first process refuses, both refuse."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    model, optimizer, loader = made()
    before, said = weights(model).clone(), ""
    loop = stepsize.tune(model, optimizer, loader, steps=STEPS, share=0.8)
    try:
        for number, batch in enumerate(loop):
            turn(model, optimizer, batch)
            loop.tell(float("nan") if number >= RESTED and RANK else 1.0)
    except stepsize.StepsizeError as error:
        said = str(error)
    torch.save({"said": said, "same": torch.equal(before, weights(model))}, folder / f"{RANK}.pt")


if __name__ == "__main__":
    {"work": work, "refuse": refuse}[sys.argv[2]](Path(sys.argv[1]))
    processes.leave()
