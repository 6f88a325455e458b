"""torch's own loop: an attached driver, or a scheduler that counts the updates."""

import tinynet as tiny
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from stepsize import as_lr_scheduler, drive

WAYS = ("driver", "scheduler")
STOPS = (1, 5, 11)


def train(
    way, folder, *, policy=tiny.POLICY, steps=tiny.STEPS, accumulation=1, infinite=(), stop=tiny.STEPS, resume=False
):
    net = tiny.model()
    optimizer = tiny.two_groups(net, fused=bool(infinite))
    if way == "driver":
        moves = drive(optimizer, policy, steps)
    else:
        moves = as_lr_scheduler(optimizer, policy.over(steps), counts="updates")
    parts = {"moves": moves, "net": net, "optimizer": optimizer}
    if resume:
        state = torch.load(folder / "checkpoint.pt", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
    begin = moves.step if way == "driver" else moves.last_epoch
    if way == "driver":
        moves.attach()
    seen = tiny.note(optimizer, net)
    model = net
    if tiny.PROCESSES > 1:
        distributed.init_process_group("gloo")
        model = DistributedDataParallel(net)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, enabled=bool(infinite))
    turn = begin * accumulation
    while begin + len(seen) < stop:
        loss = tiny.loss(model, tiny.PROCESSES * turn + tiny.RANK) * (float("inf") if turn in infinite else 1.0)
        scaler.scale(loss).backward()
        turn += 1
        if turn % accumulation == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    torch.save({name: part.state_dict() for name, part in parts.items()}, folder / "checkpoint.pt")
    return seen, tiny.weights(net)
