"""Two processes of DistributedDataParallel train after a range test, and without: `python ddp_range_test.py FOLDER`."""

import os
import sys
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parent))

import tinynet as tiny

from stepsize import RangeTest


def update(net, optimizer, step, rank):
    optimizer.zero_grad()
    loss = tiny.loss(net, 2 * step + rank)
    loss.backward()
    optimizer.step()
    return loss


def trained(rank, tested):
    """Train, and return the weights in the end and the range test before it; only one of the processes sees NaN."""
    net = DistributedDataParallel(tiny.model())
    optimizer, sweep = tiny.two_groups(net.module), None
    if tested:
        with RangeTest(net, optimizer, low=1e-4, high=1.0, points=40, validate=lambda: rank, every=10) as test:
            for step, rate in enumerate(test):
                loss = update(net, optimizer, step, rank)
                test.tell(float("nan") if rank and rate > 0.1 else loss)
        sweep = test.sweep
    for step in range(tiny.STEPS):
        update(net, optimizer, step, rank)
    return tiny.weights(net.module), sweep


def work(rank, folder):
    torch.set_num_threads(1)
    store = distributed.FileStore(str(folder / "store"), 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    tested, sweep = trained(rank, tested=True)
    untested, _ = trained(rank, tested=False)
    arrays = [torch.from_numpy(each.copy()) for each in (sweep.rates, sweep.losses, sweep.held_out)]
    torch.save({"tested": tested, "untested": untested, "sweep": arrays}, folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.multiprocessing.spawn(work, args=(Path(sys.argv[1]),), nprocs=2)
