"""A loop of Accelerate that notes the values of each update; as a program, one of two processes of it."""

import sys
from pathlib import Path

import processes
import tinynet as tiny
import torch
from accelerate import Accelerator

from stepsize import as_lr_scheduler, drive


def prepared(way, *, fused=False, steps=tiny.STEPS, policy=tiny.POLICY, batches=4, scaler=None, **arguments):
    """Return an accelerator, what it has prepared, and what moves the policy in this way.

    way: "scheduler" is prepared with everything else; "driver" is attached, and registered for checkpoints.
    """
    accelerator = Accelerator(cpu=True, **arguments)
    accelerator.scaler = scaler
    net = tiny.model()
    optimizer = tiny.two_groups(net, fused=fused)
    if way == "scheduler":
        moves = as_lr_scheduler(optimizer, policy.over(steps), counts="updates")
        net, optimizer, loader, moves = accelerator.prepare(net, optimizer, tiny.loader(batches), moves)
        return accelerator, net, optimizer, loader, moves
    net, optimizer, loader = accelerator.prepare(net, optimizer, tiny.loader(batches))
    moves = drive(optimizer, policy, steps).attach()
    accelerator.register_for_checkpointing(moves)
    return accelerator, net, optimizer, loader, moves


def train(accelerator, net, optimizer, loader, moves, *, begin=0, end=12, infinite=()):
    """Train from one batch to another, and return the values of each update that has changed the weights."""
    seen, batches = [], begin
    while batches < end:
        within = batches % len(loader)
        for x, y in accelerator.skip_first_batches(loader, within) if within else loader:
            if batches == end:
                break
            with accelerator.accumulate(net):
                before = tiny.in_force(optimizer), tiny.weights(net)
                loss = torch.nn.functional.cross_entropy(net(x), y)
                accelerator.backward(loss * (float("inf") if batches in infinite else 1.0))
                optimizer.step()
                if hasattr(moves, "get_last_lr"):
                    moves.step()
                optimizer.zero_grad()
            batches += 1
            if not torch.equal(before[1], tiny.weights(net)):
                seen.append(before[0])
    return seen


def work(folder):
    kept = {}
    for way in ("scheduler", "driver"):
        parts = prepared(way, batches=8)
        kept[way] = {"seen": train(*parts), "weights": tiny.weights(parts[1])}
    accelerator = parts[0]
    torch.save({**kept, "processes": accelerator.num_processes}, folder / f"{accelerator.process_index}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(Path(sys.argv[1]))
    processes.leave()
