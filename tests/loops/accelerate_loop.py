"""Accelerate: a policy as a scheduler that it prepares, or as an attached driver that it checkpoints."""

import tinynet as tiny
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState

from stepsize import as_lr_scheduler, drive

WAYS = ("scheduler", "driver")
STOPS = (4, 6)


def train(
    way, folder, *, policy=tiny.POLICY, steps=tiny.STEPS, accumulation=1, infinite=(), stop=tiny.STEPS, resume=False
):
    """Accelerate has a GradScaler for fp16 on an accelerator alone; here it is given the one of the CPU.

    A fused optimizer is called for an update that is to be skipped, so Accelerate does not see that it was.
    """
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0) if infinite else None
    more = {"gradient_accumulation_steps": accumulation} if accumulation > 1 else {}
    batches = 4 * accumulation * tiny.PROCESSES
    parts = prepared(way, policy=policy, steps=steps, batches=batches, fused=bool(infinite), scaler=scaler, **more)
    if resume:
        parts[0].load_state(folder)
    begin = (parts[4].step if way == "driver" else parts[4].scheduler.last_epoch) * accumulation
    seen = go_on(*parts, begin=begin, end=accumulation * stop + len(infinite), infinite=infinite)
    if tiny.PROCESSES == 1:
        parts[0].save_state(folder)
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
    return seen, tiny.weights(parts[1])


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


def go_on(accelerator, net, optimizer, loader, moves, *, begin=0, end=12, infinite=()):
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
