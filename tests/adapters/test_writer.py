"""What the writer remembers about a run (a block of the table, what a group holds) never shows in the values."""

import copy

import pytest
import torch

from stepsize import Policy, as_lr_scheduler, drive
from stepsize.adapters.torch import writer as adapter
from stepsize.policies import one_cycle
from stepsize.schedules import Custom, Linear

POLICY = one_cycle(0.1)


def optimizer_of(*rates, kind="SGD", **arguments):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return getattr(torch.optim, kind)(groups, lr=0.5, **arguments)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(adapter, "BLOCK", 4)


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_a_run_of_many_blocks_sees_every_row_of_the_table(kind):
    optimizer = optimizer_of(0.5, kind=kind, **({"momentum": 0.9} if kind == "SGD" else {}))
    (group,) = optimizer.param_groups
    seen = [
        (group["lr"], group["momentum"] if kind == "SGD" else group["betas"][0]) for _ in drive(optimizer, POLICY, 11)
    ]
    table = POLICY.over(11).table(0, 11)
    assert list(zip(table["lr"], table["momentum"], strict=True)) == seen


def test_groups_that_load_state_dict_exchanged_are_written():
    optimizer = optimizer_of(0.5)
    state = copy.deepcopy(optimizer.state_dict())
    driver = drive(optimizer, Policy(lr=Linear(1.0, 0.0)), 8)
    seen = []
    for step in driver:
        seen.append(optimizer.param_groups[0]["lr"])
        if step in (1, 5):
            optimizer.load_state_dict(state)
    assert Linear(1.0, 0.0, 8).table(0, 8).tolist() == seen


def test_groups_of_numbers_and_tensors_are_each_kept_as_they_are():
    rate = torch.tensor(0.5)
    optimizer = optimizer_of(rate, 0.25)
    for _ in drive(optimizer, Policy(lr=Linear(1.0, 0.0)), 2):
        pass
    assert optimizer.param_groups[0]["lr"] is rate
    assert [float(group["lr"]) for group in optimizer.param_groups] == [0.5, 0.25]


def test_a_step_that_is_set_back_is_followed():
    optimizer = optimizer_of(0.5)
    driver = drive(optimizer, Policy(lr=Linear(1.0, 0.0)), 8)
    steps = iter(driver)
    assert [next(steps) for _ in range(6)] == [0, 1, 2, 3, 4, 5]
    driver.step = 2
    assert next(steps) == 2
    assert optimizer.param_groups[0]["lr"] == 0.75


def test_a_function_is_not_asked_behind_the_end_of_the_run():
    asked = []
    schedule = Custom(lambda step: asked.append(step) or 0.1, 6)
    scheduler = as_lr_scheduler(optimizer_of(0.5), Policy(lr=schedule))
    for _ in range(5):
        scheduler.optimizer.step()
        scheduler.step()
    assert max(asked) == 5


def test_a_group_that_is_added_is_driven_by_a_scheduler_too():
    scheduler = as_lr_scheduler(optimizer_of(0.5), Policy(lr=Linear(1.0, 0.0, 8)))
    for step in range(1, 8):
        if step == 4:
            scheduler.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.25})
        scheduler.optimizer.step()
        scheduler.step()
        assert [group["lr"] for group in scheduler.optimizer.param_groups] == scheduler.get_last_lr()
    assert scheduler.get_last_lr() == [0.125, 0.0625]
