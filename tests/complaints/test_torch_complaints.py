"""What users of torch's schedulers complain of: each test shows it with the peer, and that it cannot happen here.

The numbers and threads are those of docs/complaints.md.
"""

import io
import warnings

import pytest
import torch
from torch.optim import lr_scheduler as peer
from transformers import get_cosine_schedule_with_warmup

from stepsize import Policy, as_lr_scheduler, drive
from stepsize.kernel.errors import DriveError
from stepsize.policies import cosine, one_cycle
from stepsize.schedules import Cosine, Linear, Plateau, jump, with_horizon

STEPS = 20


@pytest.fixture(autouse=True)
def quiet():
    """The peers warn of the order of calls, of an epoch argument, and of much else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        yield


def optimizer_of(kind="SGD", **arguments):
    if kind == "SGD":
        arguments.setdefault("momentum", 0.9)
    return getattr(torch.optim, kind)([torch.nn.Parameter(torch.ones(2))], **{"lr": 0.1, **arguments})


def update(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def rate(optimizer):
    return optimizer.param_groups[0]["lr"]


def stepped(optimizer, scheduler, steps):
    """Train, and return the rate of each update."""
    seen = []
    for _ in range(steps):
        seen.append(rate(optimizer))
        update(optimizer)
        scheduler.step()
    return seen


def resumed(make, optimizer, scheduler):
    """Return a new pair in the state of the old one: the optimizer is loaded, then the scheduler made and loaded."""
    again = optimizer_of()
    again.load_state_dict(optimizer.state_dict())
    fresh = make(again)
    fresh.load_state_dict(scheduler.state_dict())
    return again, fresh


def test_c04_the_rate_after_a_resume():
    def theirs(optimizer):
        return peer.OneCycleLR(optimizer, 1.0, total_steps=STEPS)

    def ours(optimizer):
        return as_lr_scheduler(optimizer, one_cycle(1.0).over(STEPS))

    first = {}
    for make in (theirs, ours):
        optimizer = optimizer_of()
        scheduler = make(optimizer)
        stepped(optimizer, scheduler, 8)
        again, _ = resumed(make, optimizer, scheduler)
        first[make] = rate(again) / rate(optimizer)
    assert first[theirs] < 0.05  # the next update of the peer has the very first rate
    assert first[ours] == 1.0


def test_c05_the_value_at_any_step():
    scheduler = peer.OneCycleLR(optimizer_of(), 1.0, total_steps=7_000_000)
    assert not hasattr(scheduler, "_get_closed_form_lr")  # seven million calls of step() is the way there
    policy = one_cycle(1.0).over(7_000_000)
    driver = drive(optimizer_of(), policy, 7_000_000, start=6_999_999)
    assert [driver.values["lr"] for _ in driver] == [policy["lr"](6_999_999)]


def test_c06_a_sequence_in_a_sequence():
    optimizer = optimizer_of(lr=1.0)
    inner = peer.SequentialLR(
        optimizer, [peer.ConstantLR(optimizer, 0.05, 99), peer.ConstantLR(optimizer, 0.02, 99)], [2]
    )
    outer = peer.SequentialLR(optimizer, [inner, peer.ConstantLR(optimizer, 1.0, 99)], [6])
    assert stepped(optimizer, outer, 4) == pytest.approx([0.05, 0.02, 0.02, 0.02])

    inner = Linear(0.05, 0.05, 2) >> Linear(0.02, 0.02, 4)
    assert (inner >> Linear(1.0, 1.0, 4)).over(10).table(0, 4) == pytest.approx([0.05, 0.05, 0.02, 0.02])


def test_c07_a_plateau_after_a_warmup():
    optimizer = optimizer_of()
    parts = [peer.LinearLR(optimizer, 0.1, total_iters=3), peer.ReduceLROnPlateau(optimizer)]
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
        peer.SequentialLR(optimizer, parts, [3])

    warmup = Policy(lr=Linear(0.01, 0.1, 4) >> Linear(0.1, 0.1))
    seen = []
    driver = drive(optimizer_of(), warmup, 8, feedback=Plateau(factor=0.5, patience=2))
    for _ in driver:
        seen.append(driver.values["lr"])
        driver.tell(1.0)
    assert seen == pytest.approx([0.01, 0.0325, 0.055, 0.0775, 0.05, 0.05, 0.05, 0.025])


def test_c08_a_run_that_is_longer_than_its_horizon():
    optimizer = optimizer_of()
    assert max(stepped(optimizer, peer.CosineAnnealingLR(optimizer, STEPS), 2 * STEPS + 1)[STEPS:]) > 0.099
    optimizer = optimizer_of()
    with pytest.raises(ValueError, match="Tried to step 21 times"):
        stepped(optimizer, peer.OneCycleLR(optimizer, 1.0, total_steps=STEPS), 2 * STEPS)

    for policy in (cosine(1.0), one_cycle(1.0)):
        optimizer = optimizer_of()
        end = policy.over(STEPS)["lr"](STEPS)
        seen = stepped(optimizer, as_lr_scheduler(optimizer, policy.over(STEPS)), 2 * STEPS)
        assert set(seen[STEPS:]) == {end}
        driver = drive(optimizer, policy, STEPS)
        driver.set(STEPS - 1)
        with pytest.warns(UserWarning, match="goes on behind the horizon of 20 updates"):
            driver.set(STEPS)
        assert rate(optimizer) == end


def test_c09_a_run_that_is_made_longer():
    optimizer = optimizer_of()
    scheduler = peer.CosineAnnealingLR(optimizer, 10)
    stepped(optimizer, scheduler, 5)
    scheduler.T_max = 20
    stepped(optimizer, scheduler, 3)
    assert rate(optimizer) == pytest.approx(0.0383, abs=1e-4)  # on neither of the two curves, in silence
    assert Cosine(0.1, 0.0, 10)(8) == pytest.approx(0.0095, abs=1e-4)
    assert Cosine(0.1, 0.0, 20)(8) == pytest.approx(0.0655, abs=1e-4)

    schedule = Cosine(0.1, 0.0).over(10)
    longer = with_horizon(schedule, 20)
    assert longer(8) == Cosine(0.1, 0.0, 20)(8)
    assert jump(schedule, longer, 5) == pytest.approx(1.7071, abs=1e-4)  # known before it happens


def test_c13_a_checkpoint_knows_its_schedule():
    def theirs(total):
        optimizer = optimizer_of()
        return optimizer, get_cosine_schedule_with_warmup(optimizer, 2, total)

    def ours(total):
        optimizer = optimizer_of()
        return optimizer, as_lr_scheduler(optimizer, cosine(0.1).over(total))

    for make in (theirs, ours):
        state = io.BytesIO()
        torch.save(make(STEPS)[1].state_dict(), state)
        state.seek(0)
        loaded = torch.load(state, weights_only=True)
        _, other = make(5 * STEPS)
        if make is theirs:
            assert loaded["lr_lambdas"] == [{}]  # the warmup and the horizon are not in it
            other.load_state_dict(loaded)  # and another horizon is taken in silence
        else:
            with pytest.raises(DriveError, match="another policy or horizon"):
                other.load_state_dict(loaded)


def test_c15_a_compiled_step_is_not_patched():
    def compiled():
        optimizer = optimizer_of("AdamW")
        optimizer.step = torch.compile(optimizer.step, backend=lambda module, _: module.forward)
        return optimizer

    with pytest.raises(AttributeError, match="__func__"):
        peer.LambdaLR(compiled(), lambda step: 1.0)

    optimizer = compiled()
    step = optimizer.step
    scheduler = as_lr_scheduler(optimizer, cosine(0.1).over(STEPS))
    assert stepped(optimizer, scheduler, STEPS) == cosine(0.1).over(STEPS).table(0, STEPS)["lr"].tolist()
    assert optimizer.step is step


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("attached", [False, True])
def test_c15_a_compiled_step_is_compiled_no_more_often_than_with_a_constant_rate(tensor, attached):
    """A float rate costs one graph more, once, whoever moves it; betas that move cost none."""

    def graphs(move):
        torch._dynamo.reset()
        found = []

        def count(module, _):
            found.append(module)
            return module.forward

        optimizer = optimizer_of("AdamW", lr=torch.tensor(0.1) if tensor else 0.1)
        step = torch.compile(lambda: optimizer.step(), backend=count)  # noqa: PLW0108  (the call is what is compiled)
        for _ in move(optimizer):
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.grad = torch.ones_like(parameter)
            step()
        return len(found)

    def ours(optimizer):
        driver = drive(optimizer, one_cycle(0.1), STEPS)
        return driver.attach() if attached else driver

    def theirs(optimizer):
        scheduler = peer.OneCycleLR(optimizer, 0.1, total_steps=STEPS)
        for step in range(STEPS):
            yield step
            scheduler.step()

    assert graphs(ours) <= graphs(theirs) == 2


def test_c16_momentum_with_an_optimizer_that_has_none():
    with pytest.raises(ValueError, match="must support momentum"):
        peer.OneCycleLR(optimizer_of("Adagrad"), 1.0, total_steps=STEPS)
    optimizer = optimizer_of("Adagrad")
    with pytest.warns(UserWarning, match="Adagrad has no momentum"):
        driver = drive(optimizer, one_cycle(1.0), STEPS)
    assert [rate(optimizer) for _ in driver] == one_cycle(1.0).over(STEPS).table(0, STEPS)["lr"].tolist()


def test_c17_anything_can_be_scheduled():
    optimizer = optimizer_of("AdamW", weight_decay=0.1)
    stepped(optimizer, peer.OneCycleLR(optimizer, 1.0, total_steps=STEPS), STEPS)
    assert optimizer.param_groups[0]["weight_decay"] == 0.1  # there is no scheduler of it in torch
    policy = Policy(lr=0.1, weight_decay=Linear(0.1, 0.0), beta2=Linear(0.9, 0.99), epsilon=Linear(1e-4, 1e-8))
    table = policy.over(STEPS).table(0, STEPS)
    driver = drive(optimizer, policy, STEPS)
    for step in driver:
        assert driver.values == {name: values[step] for name, values in table.items()}


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda optimizer: peer.OneCycleLR(optimizer, 1.0, total_steps=STEPS), KeyError),
        (lambda optimizer: peer.LambdaLR(optimizer, lambda step: 0.5**step), ValueError),
    ],
)
def test_c18_a_group_that_is_added_later(make, error):
    def added(optimizer):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.01})

    optimizer = optimizer_of()
    scheduler = make(optimizer)
    stepped(optimizer, scheduler, 2)
    added(optimizer)
    with pytest.raises(error):
        stepped(optimizer, scheduler, 2)

    optimizer = optimizer_of()
    for step in drive(optimizer, cosine(0.1), STEPS):
        if step == 2:
            added(optimizer)
        elif step > 2:
            head, body = (group["lr"] for group in optimizer.param_groups)
            assert (head, body) == pytest.approx((cosine(0.1).over(STEPS)["lr"](step), head / 10))
