"""A loop under DistributedDataParallel; run as a program, one of two processes of it."""

import sys
from pathlib import Path

import processes
import tinynet as tiny
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from stepsize import drive


def work(folder):
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    net = DistributedDataParallel(tiny.model())
    optimizer = tiny.two_groups(net.module)
    seen = []
    for step in drive(optimizer, tiny.POLICY, tiny.STEPS):
        seen.append([list(group) for group in tiny.in_force(optimizer)])
        optimizer.zero_grad()
        tiny.loss(net, 2 * step + rank).backward()
        optimizer.step()
    torch.save({"seen": seen, "weights": tiny.weights(net.module)}, folder / f"{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(Path(sys.argv[1]))
    processes.leave()
