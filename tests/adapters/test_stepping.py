"""Who makes the updates: the optimizer, or one that it holds on its own groups, or nobody that a driver hears of."""

import pytest
import torch

from stepsize import Policy, RangeTest, as_lr_scheduler, drive
from stepsize.adapters.torch.range_test import PATIENCE
from stepsize.kernel.errors import DriveError
from stepsize.schedules import Linear

FALLING = Policy(lr=Linear(1.0, 0.0))
RATES = [1.0, 0.75, 0.5, 0.25]


class SAM(torch.optim.Optimizer):
    """As it is mostly written: two calls make an update, and the second is the step of another optimizer."""

    def __init__(self, parameters, base, **arguments):
        super().__init__(parameters, arguments)
        self.base_optimizer = base(self.param_groups, **arguments)
        self.param_groups = self.base_optimizer.param_groups

    def first_step(self):
        pass

    def second_step(self):
        self.base_optimizer.step()

    def step(self, closure=None):
        self.first_step()
        self.second_step()


def sam():
    return SAM([torch.nn.Parameter(torch.ones(1))], torch.optim.SGD, lr=1.0)


def peers_sam():
    peer = pytest.importorskip("pytorch_optimizer").SAM
    return peer([torch.nn.Parameter(torch.ones(1))], torch.optim.SGD, lr=1.0)


def two_calls(optimizer):
    for call in (optimizer.first_step, optimizer.second_step):
        optimizer.param_groups[0]["params"][0].grad = torch.ones(1)
        call()


def one_call(optimizer):
    optimizer.param_groups[0]["params"][0].grad = torch.ones(1)
    optimizer.step(lambda: torch.ones(()))


@pytest.mark.parametrize("update", [two_calls, one_call], ids=lambda update: update.__name__)
@pytest.mark.parametrize("make", [sam, peers_sam], ids=lambda make: make.__name__)
@pytest.mark.parametrize("counts", [None, "calls", "updates"])
def test_two_calls_of_sam_are_one_update(make, update, counts):
    optimizer, seen = make(), []
    moved = (
        as_lr_scheduler(optimizer, FALLING.over(4), counts=counts) if counts else drive(optimizer, FALLING, 4).attach()
    )
    for _ in range(4):
        seen.append(optimizer.param_groups[0]["lr"])
        update(optimizer)
        if counts == "calls":
            moved.step()
    assert seen == RATES


def test_a_range_test_of_sam_sees_its_updates():
    model = torch.nn.Linear(1, 1)
    optimizer = SAM(model.parameters(), torch.optim.SGD, lr=1.0)
    with RangeTest(model, optimizer, low=1e-3, high=1e-2, points=20) as test:
        turns = 0
        for _ in test:
            turns += 1
            loss = model(torch.ones(1, 1)).square().mean()
            loss.backward()
            optimizer.second_step()
            test.tell(loss)
    assert turns < PATIENCE
    assert len(test.record.rates) == 20


def test_parameters_that_change_without_a_step_are_noticed():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    (parameter,) = optimizer.param_groups[0]["params"]
    turns = 0

    def train():
        nonlocal turns
        for _ in drive(optimizer, FALLING, 4).attach():
            turns += 1
            with torch.no_grad():
                parameter.sub_(0.1)

    with pytest.raises(DriveError, match=r"nobody calls its step\(\).*base_optimizer.*counts=\"calls\""):
        train()
    assert turns == 3


def test_accumulated_batches_and_weights_that_are_set_once_are_no_update_that_was_missed():
    optimizer, seen = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0), []
    (parameter,) = optimizer.param_groups[0]["params"]
    for turn, step in enumerate(drive(optimizer, FALLING, 4).attach()):
        parameter.square().sum().backward()
        if turn == 2:
            with torch.no_grad():
                parameter.copy_(torch.zeros(1))
        if turn % 8 == 7:
            optimizer.step()
            seen.append(step)
    assert seen == [0, 1, 2, 3]
