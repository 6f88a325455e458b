"""Ignite: an attached driver in a trainer of its own making, and the policy as one of its parameter schedulers."""

import sys
from pathlib import Path

import ignite.distributed as idist
import processes
import pytest
import tinynet as tiny
import torch
from ignite.engine import Engine, Events, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver, LRScheduler
from ignite.handlers.param_scheduler import (
    ConcatScheduler,
    LinearCyclicalScheduler,
    ParamGroupScheduler,
    create_lr_scheduler_with_warmup,
)
from tinynet import POLICY, STEPS

from stepsize import Policy, as_lr_scheduler, drive
from stepsize.adapters.ignite import PolicyScheduler
from stepsize.kernel.errors import DriveError
from stepsize.policies import Groups, cosine
from stepsize.schedules import Linear

EPOCH = STEPS // 3
KINDS = ("driver", "scheduler")


def policy_in(kind, trainer, optimizer, every=1):
    """The policy in one of its two ways: an attached driver, or a handler of the trainer."""
    if kind == "driver":
        return drive(optimizer, POLICY, STEPS).attach()
    scheduler = PolicyScheduler(optimizer, POLICY, STEPS)
    scheduler.attach(trainer, Events.ITERATION_STARTED(every=every))
    return scheduler


def trainer_of(net, optimizer, **arguments):
    """Ignite's own supervised trainer, and the values in force at each update that it makes."""
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(tiny.in_force(optimizer)))
    return create_supervised_trainer(net, optimizer, torch.nn.functional.cross_entropy, **arguments), seen


def batches(count):
    return [tiny.batch(step) for step in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_values_right_at_each_update(kind):
    net = tiny.model()
    optimizer = tiny.two_groups(net)
    trainer, seen = trainer_of(net, optimizer)
    policy_in(kind, trainer, optimizer)
    trainer.run(batches(EPOCH), max_epochs=3)
    assert seen == tiny.expected()


@pytest.mark.parametrize("kind", KINDS)
def test_resume_is_bit_identical(kind, tmp_path):
    """Stopped after an epoch: Ignite begins an epoch that broke off anew, whatever the policy does."""

    def run(epochs, checkpoint=None):
        net = tiny.model()
        optimizer = tiny.two_groups(net)
        trainer, _ = trainer_of(net, optimizer)
        parts = {"trainer": trainer, "policy": policy_in(kind, trainer, optimizer), "net": net, "optimizer": optimizer}
        saver = DiskSaver(tmp_path, create_dir=False, require_empty=False)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint(parts, saver, filename_pattern="checkpoint.pt"))
        if checkpoint is not None:
            Checkpoint.load_objects(parts, checkpoint)
        trainer.add_event_handler(Events.EPOCH_COMPLETED(once=epochs), trainer.terminate)
        trainer.run(batches(EPOCH), max_epochs=3)
        return tiny.weights(net)

    whole = run(3)
    run(1)
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert checkpoint["policy"]["step"] == EPOCH
    assert torch.equal(run(3, checkpoint), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_accumulation(kind):
    net = tiny.model()
    optimizer = tiny.two_groups(net)
    trainer, seen = trainer_of(net, optimizer, gradient_accumulation_steps=4)
    policy_in(kind, trainer, optimizer, every=4)
    trainer.run(batches(2 * STEPS), max_epochs=2)
    assert seen == tiny.expected()


def test_skipped_steps():
    """A GradScaler in a process function, as in Ignite's examples; the attached driver counts updates."""
    net = tiny.model()
    optimizer = tiny.two_groups(net)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    seen = []
    optimizer.register_step_post_hook(lambda *_: seen.append(before))

    def process(engine, batch):
        nonlocal before
        optimizer.zero_grad()
        factor = float("inf") if engine.state.iteration in (1, 4, 5) else 1.0
        loss = torch.nn.functional.cross_entropy(net(batch[0]), batch[1]) * factor
        scaler.scale(loss).backward()
        before = tiny.in_force(optimizer)
        scaler.step(optimizer)
        scaler.update()

    before = None
    driver = drive(optimizer, POLICY, STEPS)
    driver.attach()
    Engine(process).run(batches(STEPS + 3), max_epochs=1)
    assert driver.step == STEPS
    assert seen == tiny.expected()


def work(rank, folder):
    """One of two processes of `ignite.distributed.Parallel`: this file, run as a program."""
    torch.set_num_threads(1)
    for kind in KINDS:
        net = idist.auto_model(tiny.model())
        optimizer = idist.auto_optim(tiny.two_groups(net.module))
        trainer, seen = trainer_of(net, optimizer)
        policy_in(kind, trainer, optimizer)
        trainer.run([tiny.batch(2 * step + rank) for step in range(EPOCH)], max_epochs=3)
        torch.save({"seen": seen, "weights": tiny.weights(net.module)}, folder / f"{kind}{rank}.pt")


def test_two_processes(tmp_path):
    """DistributedDataParallel over gloo, each process with batches of its own: Ignite's values of the table."""
    processes.two("test_ignite.py", tmp_path)
    for kind in KINDS:
        first, second = (torch.load(tmp_path / f"{kind}{rank}.pt", weights_only=True) for rank in range(2))
        assert torch.equal(first["weights"], second["weights"])
        assert first["seen"] == second["seen"] == tiny.expected()


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_reloaded(kind, tmp_path):
    optimizer = tiny.two_groups(tiny.model())
    trainer = Engine(lambda *_: None)
    saved = policy_in(kind, trainer, optimizer)
    saved.load_state_dict({**saved.state_dict(), "step": 5})
    saver = DiskSaver(tmp_path, create_dir=False)
    Checkpoint({"policy": saved, "trainer": trainer}, saver, filename_pattern="saved.pt")(trainer)
    state = torch.load(tmp_path / "saved.pt", weights_only=True)
    optimizer = tiny.two_groups(tiny.model())
    again = policy_in(kind, trainer, optimizer)
    Checkpoint.load_objects({"policy": again}, state)
    assert again.state_dict() == saved.state_dict()
    assert tiny.in_force(optimizer) == tiny.expected()[5]
    for policy, steps in ((POLICY, STEPS + 1), (cosine(0.1), STEPS)):
        other = PolicyScheduler(tiny.two_groups(tiny.model()), policy, steps)
        with pytest.raises(DriveError, match="another policy, horizon or feedback"):
            Checkpoint.load_objects({"policy": other}, state)


def test_the_wrapper_of_ignite_sets_the_rate_of_ours_alone():
    """`ignite.handlers.LRScheduler` never calls `step()`. (OneCycleLR moves momentum in it: its `get_lr` does.)"""
    net = tiny.model()
    optimizer = tiny.two_groups(net)
    trainer, seen = trainer_of(net, optimizer)
    wrapper = LRScheduler(as_lr_scheduler(optimizer, POLICY.over(STEPS)))
    trainer.add_event_handler(Events.ITERATION_STARTED, wrapper)
    trainer.run(batches(STEPS), max_epochs=1)
    assert [row[0][0] for row in seen] == [row[0][0] for row in tiny.expected()]
    assert {row[0][1:] for row in seen} == {tiny.expected()[0][0][1:]}


def test_param_history_has_every_hyperparameter():
    net = tiny.model()
    optimizer = tiny.two_groups(net)
    trainer, seen = trainer_of(net, optimizer)
    PolicyScheduler(optimizer, POLICY, STEPS, save_history=True).attach(trainer)
    trainer.run(batches(EPOCH), max_epochs=3)
    history = trainer.state.param_history
    assert sorted(history) == ["lr", "momentum", "weight_decay"]
    rows = zip(history["lr"], history["momentum"], history["weight_decay"], strict=True)
    assert [list(zip(*row, strict=True)) for row in rows] == seen


def test_a_warmup_of_ignite_goes_before_it():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5, momentum=0.9)
    policy = Policy(lr=Linear(1.0, 0.0), momentum=Linear(0.8, 0.0))
    warmed = create_lr_scheduler_with_warmup(
        PolicyScheduler(optimizer, policy, 4), warmup_start_value=0.0, warmup_end_value=1.0, warmup_duration=3
    )
    seen = []
    for _ in range(6):
        warmed(engine=None)
        seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
    assert seen == [(0.0, 0.9), (0.5, 0.9), (1.0, 0.8), (0.75, pytest.approx(0.6)), (0.5, 0.4), (0.25, 0.2)]


def test_ignite_simulates_it_and_leaves_it_where_it_was():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    first = LinearCyclicalScheduler(optimizer, "lr", 0.0, 1.0, 4)
    second = PolicyScheduler(optimizer, Policy(lr=Linear(1.0, 0.0)), 4)
    values = ConcatScheduler.simulate_values(num_events=5, schedulers=[first, second], durations=[2])
    assert values == [[0, 0.0], [1, 0.5], [2, 1.0], [3, 0.75], [4, 0.5]]
    assert (second.driver.step, optimizer.param_groups[0]["lr"]) == (0, 0.5)
    assert ParamGroupScheduler.simulate_values(3, schedulers=[second]) == [[0, 1.0], [1, 0.75], [2, 0.5]]


def test_simulated_values_are_the_table():
    values = PolicyScheduler.simulate_values(STEPS, policy=POLICY, steps=STEPS, param_name="momentum")
    assert values == [[step, row[0][1]] for step, row in enumerate(tiny.expected())]


def test_it_is_plotted_by_ignite():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    (line,) = PolicyScheduler.plot_values(STEPS, policy=POLICY, steps=STEPS)
    assert list(line.get_ydata()) == [row[0][0] for row in tiny.expected()]
    pyplot.close("all")


def test_get_param_is_what_the_next_event_sets():
    optimizer = tiny.two_groups(tiny.model())
    groups = Groups(Policy(lr=Linear(1.0, 0.0)), {"whole": {}, "half": {"lr": 0.5}})
    scheduler = PolicyScheduler(optimizer, groups, 4)
    assert scheduler.get_param() == [1.0, 0.5]
    scheduler(engine=None)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.5]
    assert scheduler.get_param() == [0.75, 0.375]
    assert scheduler.event_index == 1
    alone = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    assert PolicyScheduler(alone, cosine(0.1), 4).get_param() == 0.1


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(DriveError, match=r"drives a torch\.optim\.Optimizer, not list"):
        PolicyScheduler([], POLICY, STEPS)


if __name__ == "__main__":
    with idist.Parallel(backend="gloo") as parallel:
        parallel.run(work, Path(sys.argv[1]))
        processes.leave()
