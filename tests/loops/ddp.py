"""Two processes of DistributedDataParallel; run as a program: `python ddp.py FOLDER`."""

import os
import sys
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parent))

import tinynet as tiny

from stepsize import drive


def work(rank, folder):
    torch.set_num_threads(1)
    store = distributed.FileStore(str(folder / "store"), 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    net = DistributedDataParallel(tiny.model())
    optimizer = tiny.two_groups(net.module)
    seen = []
    for step in drive(optimizer, tiny.POLICY, tiny.STEPS):
        seen.append([list(group) for group in tiny.in_force(optimizer)])
        optimizer.zero_grad()
        tiny.loss(net, 2 * step + rank).backward()
        optimizer.step()
    torch.save({"seen": seen, "weights": tiny.weights(net.module)}, folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.multiprocessing.spawn(work, args=(Path(sys.argv[1]),), nprocs=2)
