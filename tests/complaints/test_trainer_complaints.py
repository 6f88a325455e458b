"""What users of trainers complain of: steps that are counted wrongly. Each with the peer, and as it is here.

The numbers and threads are those of docs/complaints.md.
"""

import logging
import warnings
from types import SimpleNamespace

import accelerate
import lightning
import optax
import pytest
import torch
from torch.optim import lr_scheduler as peer

from stepsize import as_lr_scheduler, drive
from stepsize.policies import Clock, cosine, in_updates
from stepsize.schedules import Cosine

STEPS = 8
TABLE = cosine(0.1).over(STEPS).table(0, STEPS)["lr"].tolist()


def optimizer_of():
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)


def rate(optimizer):
    return optimizer.param_groups[0]["lr"]


def update(optimizer):
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def theirs(optimizer):
    return peer.CosineAnnealingLR(optimizer, STEPS)


def ours(optimizer):
    return as_lr_scheduler(optimizer, cosine(0.1).over(STEPS), counts="updates")


def test_c01_accelerate_steps_a_scheduler_once_for_each_process(monkeypatch):
    """As for two processes; with two real ones it is `test_two_processes` of tests/loops/test_accelerate.py."""
    seen = {}
    accelerator = accelerate.Accelerator(cpu=True)
    monkeypatch.setattr(accelerate.scheduler, "AcceleratorState", lambda: SimpleNamespace(num_processes=2))
    for make in (theirs, ours):
        optimizer = optimizer_of()
        wrapped, scheduler = accelerator.prepare(optimizer, make(optimizer))
        seen[make] = []
        for _ in range(STEPS):
            seen[make].append(rate(optimizer))
            update(wrapped)
            scheduler.step()
    assert seen[theirs][:3] == pytest.approx([TABLE[0], TABLE[2], TABLE[4]])
    assert seen[ours] == TABLE


def test_c10_accumulated_batches_are_one_update():
    optimizer = optimizer_of()
    scheduler = theirs(optimizer)
    seen = []
    for turn in range(4 * STEPS):
        if turn % 4 == 3:
            seen.append(rate(optimizer))
            update(optimizer)
        with warnings.catch_warnings(action="ignore"):
            scheduler.step()
    assert seen[1] == pytest.approx(TABLE[-1])  # at the end of its curve in its second update, and climbs again

    optimizer, seen = optimizer_of(), []
    clock = Clock(batches_per_epoch=4 * STEPS, accumulation=4)
    policy = in_updates(cosine(0.1), clock)
    for turn, _ in enumerate(drive(optimizer, policy, clock.updates("1 epochs")).attach()):
        if turn % 4 == 3:
            seen.append(rate(optimizer))
            update(optimizer)
    assert seen == TABLE


def test_c11_an_update_that_a_scaler_skips_is_none():
    seen = {}
    for make in (theirs, ours):
        optimizer = optimizer_of()
        scheduler, scaler = make(optimizer), torch.amp.GradScaler("cpu", init_scale=2.0)
        (parameter,) = optimizer.param_groups[0]["params"]
        seen[make] = []
        for turn in range(STEPS + 2):
            loss = parameter.sum() * (float("inf") if turn in (0, 3) else 1.0)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            if turn not in (0, 3):
                seen[make].append(rate(optimizer))
            scaler.step(optimizer)
            scaler.update()
            with warnings.catch_warnings(action="ignore"):
                scheduler.step()
    assert seen[theirs][2] == pytest.approx(TABLE[4])  # two steps ahead
    assert seen[ours] == TABLE


class Module(lightning.LightningModule):
    """Returns its scheduler the short way, which Lightning steps once an epoch."""

    def __init__(self, make):
        super().__init__()
        self.layer, self.make, self.seen = torch.nn.Linear(2, 1), make, []

    def training_step(self, batch):
        self.seen.append(rate(self.optimizers()))
        return self.layer(batch).sum()

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [self.make(optimizer)]


def test_c12_an_interval_of_epochs_is_one_of_updates():
    logging.getLogger("lightning").setLevel(logging.ERROR)
    seen = {}
    for make in (theirs, ours):
        module = Module(make)
        with warnings.catch_warnings(action="ignore"):
            trainer = lightning.Trainer(
                max_epochs=2,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                accelerator="cpu",
            )
            trainer.fit(module, torch.utils.data.DataLoader(torch.ones(STEPS // 2, 2)))
        seen[make] = module.seen
    assert len(set(seen[theirs])) == 2
    assert seen[ours] == TABLE


def test_c19_the_step_that_optax_counts_is_ours():
    """Update number k, from 0, uses the value of k: in optax's own count, and by asking the schedule."""
    schedule = Cosine(0.1, 0.0, STEPS)
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=schedule)
    weights = {"w": 1.0}
    state, seen = optimizer.init(weights), []
    for _ in range(STEPS):
        _, state = optimizer.update({"w": 1.0}, state, weights)
        seen.append(float(state.hyperparams["learning_rate"]))
    assert seen == pytest.approx([schedule(step) for step in range(STEPS)], abs=1e-8)
