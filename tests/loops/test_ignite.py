"""Ignite: what a policy does with its own parameter schedulers, its history and its plots."""

import pytest
import tinynet as tiny
import torch
from ignite.engine import Engine, Events, create_supervised_trainer
from ignite.handlers import LRScheduler
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


def trainer_of(net, optimizer, **arguments):
    """Ignite's own supervised trainer, and the values in force at each update that it makes."""
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(tiny.in_force(optimizer)))
    return create_supervised_trainer(net, optimizer, torch.nn.functional.cross_entropy, **arguments), seen


def batches(count):
    return [tiny.batch(step) for step in range(count)]


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


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("end", [None, 1.0, 0.8])
def test_a_warmup_of_ignite_ends_as_before_one_of_its_own(end, groups):
    """Up to the rate that comes next (1.0), which stands once, to another (0.8), or to the optimizer's own (None)."""

    def rates(make):
        parameters = [{"params": [torch.nn.Parameter(torch.ones(1))]} for _ in range(groups)]
        optimizer = torch.optim.SGD(parameters, lr=0.5)
        warmed = create_lr_scheduler_with_warmup(make(optimizer), 0.0, 3, warmup_end_value=end)
        return [[group["lr"] for group in optimizer.param_groups] for _ in range(6) if warmed(engine=None) is None]

    ours = rates(lambda optimizer: PolicyScheduler(optimizer, Policy(lr=Linear(1.0, 0.0)), 4))
    assert ours == rates(lambda optimizer: LinearCyclicalScheduler(optimizer, "lr", 1.0, 0.0, 8))


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
