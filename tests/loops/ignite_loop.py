"""Ignite: an attached driver in a trainer of its own making, and the policy as one of its parameter schedulers."""

import ignite.distributed as idist
import tinynet as tiny
import torch
from ignite.engine import Events, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver

from stepsize import drive
from stepsize.adapters.ignite import PolicyScheduler

WAYS = ("driver", "scheduler")
STOPS = (4, 8)
"""After an epoch: Ignite begins an epoch that broke off anew, whatever the policy does."""

EXEMPT = {
    ("skipped", "driver"): "a GradScaler stands in a process function of the user's: test_ignite.py",
    ("skipped", "scheduler"): "it counts events, as Ignite's own do",
}


def policy_in(way, trainer, optimizer, *, policy=tiny.POLICY, steps=tiny.STEPS, every=1):
    """The policy in one of its two ways: an attached driver, or a handler of the trainer."""
    if way == "driver":
        return drive(optimizer, policy, steps).attach()
    scheduler = PolicyScheduler(optimizer, policy, steps)
    scheduler.attach(trainer, Events.ITERATION_STARTED(every=every))
    return scheduler


def train(way, folder, *, policy=tiny.POLICY, steps=tiny.STEPS, accumulation=1, stop=tiny.STEPS, resume=False):
    net = tiny.model()
    optimizer = tiny.two_groups(net)
    model, seen = net, tiny.note(optimizer, net)
    if tiny.PROCESSES > 1:
        idist.initialize("gloo")
        model, optimizer = idist.auto_model(net), idist.auto_optim(optimizer)
    loss = torch.nn.functional.cross_entropy
    trainer = create_supervised_trainer(model, optimizer, loss, gradient_accumulation_steps=accumulation)
    moves = policy_in(way, trainer, optimizer, policy=policy, steps=steps, every=accumulation)
    parts = {"trainer": trainer, "policy": moves, "net": net, "optimizer": optimizer}
    saver = DiskSaver(folder, require_empty=False)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint(parts, saver, filename_pattern="checkpoint.pt"))
    if resume:
        Checkpoint.load_objects(parts, torch.load(folder / "checkpoint.pt", weights_only=True))
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=stop // 4), trainer.terminate)
    own = range(tiny.RANK, 4 * accumulation * tiny.PROCESSES, tiny.PROCESSES)
    trainer.run([tiny.batch(step) for step in own], max_epochs=3)
    return seen, tiny.weights(net)
