"""torch's own loop: `for step in drive(...)`, and `.attach()` where a turn of the loop may make no update."""

import pytest
import tinynet as tiny
from tinynet import POLICY, STEPS

from stepsize import drive
from stepsize.adapters.torch import as_lr_scheduler
from stepsize.policies import one_cycle


def train(steps, stop, net, optimizer, driver):
    """Go on with a driver until update `stop`, and return the values that each update used."""
    seen = []
    for step in driver:
        seen.append(tiny.in_force(optimizer))
        optimizer.zero_grad()
        tiny.loss(net, step).backward()
        optimizer.step()
        if step + 1 == stop:
            break
    assert steps == driver.steps
    return seen


def test_values_right_at_each_update():
    net = tiny.model()
    optimizer = tiny.two_groups(net)
    assert train(STEPS, STEPS, net, optimizer, drive(optimizer, POLICY, STEPS)) == tiny.expected()


def test_several_optimizers():
    """A generator and a discriminator, each with its own policy, and one that is stepped half as often."""
    nets = tiny.model(0), tiny.model(1)
    often, seldom = (tiny.two_groups(net) for net in nets)
    slow, seen = one_cycle(0.3), ([], [])
    driver = drive(seldom, slow, STEPS // 2).attach()
    for step in drive(often, POLICY, STEPS):
        seen[0].append(tiny.in_force(often))
        tiny.loss(nets[0], step).backward()
        often.step()
        if step % 2:
            seen[1].append(seldom.param_groups[0]["lr"])
            tiny.loss(nets[1], step).backward()
            seldom.step()
    assert seen[0] == tiny.expected()
    assert seen[1] == slow.over(6).table(0, 6)["lr"].tolist()
    assert driver.step == 6


@pytest.mark.parametrize("counts", ["calls", "updates"])
def test_as_lr_scheduler(counts):
    net = tiny.model()
    optimizer = tiny.two_groups(net)
    scheduler = as_lr_scheduler(optimizer, POLICY.over(STEPS), counts=counts)
    seen = []
    for step in range(STEPS):
        seen.append(tiny.in_force(optimizer))
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        optimizer.zero_grad()
        tiny.loss(net, step).backward()
        optimizer.step()
        scheduler.step()
    assert seen == tiny.expected()
