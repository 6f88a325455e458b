"""torch's own loop: `for step in drive(...)`, and `.attach()` where a turn of the loop may make no update."""

import processes
import pytest
import tinynet as tiny
import torch
from tinynet import POLICY, STEPS

from stepsize import Policy, drive
from stepsize.adapters.torch import as_lr_scheduler
from stepsize.kernel.errors import DriveError
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


@pytest.mark.parametrize("stop", [1, 5, STEPS - 1])
@pytest.mark.parametrize("attached", [False, True])
def test_resume_is_bit_identical(stop, attached, tmp_path):
    def run(until, checkpoint=None):
        net = tiny.model()
        optimizer = tiny.two_groups(net)
        driver = drive(optimizer, POLICY, STEPS)
        if checkpoint is not None:
            driver.load_state_dict(checkpoint["driver"])
            net.load_state_dict(checkpoint["net"])
            optimizer.load_state_dict(checkpoint["optimizer"])
        train(STEPS, until, net, optimizer, driver.attach() if attached else driver)
        parts = {"net": net, "optimizer": optimizer, "driver": driver}
        torch.save({name: part.state_dict() for name, part in parts.items()}, tmp_path / "checkpoint.pt")
        return tiny.weights(net)

    whole = run(STEPS)
    run(stop)
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert torch.equal(run(STEPS, checkpoint), whole)


def test_accumulation():
    net = tiny.model()
    optimizer = tiny.two_groups(net)
    seen, steps = [], []
    for turn, step in enumerate(drive(optimizer, POLICY, STEPS).attach()):
        tiny.loss(net, turn).backward()
        if turn % 4 == 3:
            seen.append(tiny.in_force(optimizer))
            optimizer.step()
            optimizer.zero_grad()
        steps.append(step)
    assert seen == tiny.expected()
    assert steps == [turn // 4 for turn in range(4 * STEPS)]


@pytest.mark.parametrize("fused", [False, True])
def test_skipped_steps(fused):
    net = tiny.model()
    optimizer = tiny.two_groups(net, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    seen, skipped = [], 0
    for turn, step in enumerate(drive(optimizer, POLICY, STEPS).attach()):
        optimizer.zero_grad()
        loss = tiny.loss(net, step) * (float("inf") if turn in (0, 3, 4) else 1.0)
        scaler.scale(loss).backward()
        before, values = tiny.weights(net), tiny.in_force(optimizer)
        scaler.step(optimizer)
        scaler.update()
        if torch.equal(before, tiny.weights(net)):
            skipped += 1
        else:
            seen.append(values)
    assert skipped == 3
    assert seen == tiny.expected()


def test_saved_and_reloaded(tmp_path):
    optimizer = tiny.two_groups(tiny.model())
    driver = drive(optimizer, POLICY, STEPS, start=5)
    torch.save(driver.state_dict(), tmp_path / "driver.pt")
    state = torch.load(tmp_path / "driver.pt", weights_only=True)
    again = drive(optimizer, POLICY, STEPS)
    again.load_state_dict(state)
    assert again.step == 5
    assert tiny.in_force(optimizer) == tiny.expected()[5]
    for other in (drive(optimizer, POLICY, STEPS + 1), drive(optimizer, Policy(lr=0.1), STEPS)):
        with pytest.raises(DriveError, match="another policy, horizon or feedback"):
            other.load_state_dict(state)


def test_two_processes(tmp_path):
    """DistributedDataParallel over gloo: the same values at each update, and equal weights in the end."""
    processes.two("ddp.py", tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first["weights"], second["weights"])
    assert first["seen"] == second["seen"] == [[list(group) for group in row] for row in tiny.expected()]


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
