"""Two writers of one hyperparameter: the one that drives notices the other before it writes again, and nothing else."""

import copy
import itertools
import warnings

import pytest
import torch
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.optim import lr_scheduler as theirs

from stepsize import Policy, as_lr_scheduler, drive
from stepsize.kernel.errors import DriveError
from stepsize.policies import Groups
from stepsize.schedules import Constant, Linear, Plateau

STEPS = 6
POLICY = Policy(lr=Linear(0.1, 0.0), momentum=Linear(0.9, 0.8), weight_decay=0.1)
NOTICED = "something else sets it too, and each undoes the other"

OPTIMIZERS = {
    "number": lambda: torch.optim.SGD([weight()], lr=0.1, momentum=0.9, weight_decay=0.1),
    "tensor": lambda: torch.optim.Adam([weight()], lr=torch.tensor(0.1), weight_decay=0.1),
    "betas": lambda: torch.optim.AdamW([weight()], lr=0.1, weight_decay=0.1),
    "groups": lambda: torch.optim.AdamW(two_groups(0.1, 0.01), lr=0.1, weight_decay=0.1),
    "tensors": lambda: torch.optim.AdamW(two_groups(torch.tensor(0.1), torch.tensor(0.01)), lr=0.1, weight_decay=0.1),
    "tensor betas": lambda: torch.optim.Adam(
        [weight()], lr=torch.tensor(0.1), betas=(torch.tensor(0.9), torch.tensor(0.99)), weight_decay=0.1,
        capturable=True,
    ),
}  # fmt: skip
"""What a parameter group may have: numbers, tensors, betas of either; one group and two."""


def weight():
    return torch.nn.Parameter(torch.ones(1))


def two_groups(*rates):
    return [{"params": [weight()], "lr": rate} for rate in rates]


def looped(optimizer, policy=POLICY, **options):
    for _ in drive(optimizer, policy, STEPS, **options):
        yield
        optimizer.step()


def attached(optimizer, policy=POLICY):
    drive(optimizer, policy, STEPS).attach()
    for _ in range(STEPS):
        yield
        optimizer.step()


def counted(optimizer, policy=POLICY):
    driver = drive(optimizer, policy, STEPS)
    for step in range(STEPS):
        driver.set(step)
        yield
        optimizer.step()


def called(optimizer, policy=POLICY, counts="calls"):
    scheduler = as_lr_scheduler(optimizer, policy.over(STEPS), counts=counts)
    for _ in range(STEPS):
        yield
        optimizer.step()
        scheduler.step()


def hooked(optimizer, policy=POLICY):
    return called(optimizer, policy, "updates")


WAYS = [looped, attached, counted, called, hooked]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def values(optimizer):
    return [
        (float(group["lr"]), float(group["betas"][0] if "betas" in group else group["momentum"]), group["weight_decay"])
        for group in optimizer.param_groups
    ]


def scaled(group):
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].mul_(0.5)
    else:
        group["lr"] *= 0.5


def replaced(group):
    group["lr"] = torch.tensor(0.05)


def slowed(group):
    if "momentum" in group:
        group["momentum"] = 0.5
    elif isinstance(group["betas"][0], torch.Tensor):
        group["betas"][0].fill_(0.5)
    else:
        group["betas"] = (0.5, group["betas"][1])


def freed(group):
    group["weight_decay"] = 0.0


@ways
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("write", [scaled, replaced, slowed, freed], ids=lambda write: write.__name__)
def test_a_second_writer_is_noticed_before_the_second_write(way, kind, write):
    optimizer = OPTIMIZERS[kind]()
    turns = way(optimizer)
    for _ in itertools.islice(turns, 3):
        pass
    write(optimizer.param_groups[-1])
    left = values(optimizer)
    with pytest.raises(DriveError, match=NOTICED):
        next(turns)
    assert values(optimizer) == left


@ways
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_no_second_writer_is_none(way, kind):
    """The same value in another object, a copy of the state, groups that are added or loaded, another's own values."""
    optimizer, twin = OPTIMIZERS[kind](), OPTIMIZERS[kind]()
    expected = [values(twin) for _ in way(twin)]
    seen = []
    for turn, _ in enumerate(way(optimizer)):
        seen.append(values(optimizer)[: len(twin.param_groups)])
        for group in optimizer.param_groups:
            rate = group["lr"]
            if turn == 1:  # as what keeps it in float32 would
                group["lr"] = rate.clone() if isinstance(rate, torch.Tensor) else float(torch.tensor(rate))
            group["initial_lr"], group["swa_lr"] = 0.1, 0.5
        if turn == 2:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        if turn == 3:
            optimizer.add_param_group({"params": [weight()], "lr": 0.05})
    assert seen == expected


def chained(optimizer, ours):
    return theirs.ChainedScheduler([ours, theirs.ExponentialLR(optimizer, 0.5)]).step


def plateau(optimizer, ours):
    reduce = theirs.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    return lambda: (ours.step(), reduce.step(1.0))


def beside(optimizer, ours):
    other = theirs.LambdaLR(optimizer, lambda step: 0.5)
    return lambda: (ours.step(), other.step())


@pytest.mark.parametrize("counts", ["calls", "updates"])
@pytest.mark.parametrize("other", [chained, plateau, beside], ids=lambda other: other.__name__)
def test_a_scheduler_of_torchs_beside_ours_is_noticed(other, counts):
    optimizer = OPTIMIZERS["number"]()
    step = other(optimizer, as_lr_scheduler(optimizer, Policy(lr=Constant(0.1)).over(STEPS), counts=counts))

    def train():
        for _ in range(STEPS):
            optimizer.step()
            step()

    with pytest.raises(DriveError, match=NOTICED + r".*feedback=Plateau\(\).*first \* second"):
        train()


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_one_scheduler_after_the_other_is_no_second_writer(first):
    optimizer = OPTIMIZERS["number"]()
    ours = as_lr_scheduler(optimizer, Policy(lr=Linear(0.1, 0.0)).over(5))
    constant = theirs.ConstantLR(optimizer, 0.5, 99)
    order = [ours, constant] if first == "ours" else [constant, ours]
    scheduler, seen = theirs.SequentialLR(optimizer, order, [3]), []
    for _ in range(6):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings(action="ignore"):
            scheduler.step()
    expected = {"ours": [0.1, 0.08, 0.06, 0.05, 0.05, 0.05], "theirs": [0.05, 0.05, 0.05, 0.1, 0.08, 0.06]}
    assert seen == pytest.approx(expected[first])


def test_what_the_driver_is_asked_for_is_no_second_writer():
    """A feedback, a step that is set again, and a state that is loaded write through the driver."""
    optimizer = OPTIMIZERS["number"]()
    driver = drive(optimizer, Policy(lr=Constant(0.1)), STEPS, feedback=Plateau(factor=0.5, patience=0)).attach()
    seen = []
    for _ in driver:
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        driver.tell(1.0)
        driver.load_state_dict(driver.state_dict())
    assert seen == pytest.approx([0.1, 0.1, 0.05, 0.025, 0.0125, 0.00625])


def test_the_update_that_makes_a_state_is_none():
    """`torch.distributed.checkpoint` steps a new optimizer at the rate 0, and puts the rate back."""
    model = torch.nn.Linear(1, 1)
    for rate, counts in itertools.product((0.1, torch.tensor(0.1)), (True, False)):
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
        if counts:
            moved = as_lr_scheduler(optimizer, Policy(lr=Linear(0.1, 0.0)).over(4), counts="updates")
        else:
            moved = drive(optimizer, Policy(lr=Linear(0.1, 0.0)), 4).attach()
        get_optimizer_state_dict(model, optimizer)
        assert (moved.last_epoch if counts else moved.step) == 0
        assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(0.1)
        optimizer.step()
        assert float(optimizer.param_groups[0]["lr"]) == pytest.approx(0.075)


def test_groups_that_share_a_tensor_have_each_its_own_value():
    """Those that say no rate share the tensor of the default; with `Groups` their values differ all the same."""
    parameters = [{"params": [weight()], "name": name} for name in ("head", "body")]
    optimizer = torch.optim.SGD(parameters, lr=torch.tensor(1.0))
    for step in drive(optimizer, Groups(Policy(lr=Linear(1.0, 0.0)), {"head": {}, "body": {"lr": 0.1}}), 4):
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        assert rates == pytest.approx([1 - step / 4, 0.1 - step / 40])


def test_a_group_that_is_taken_away_is_said():
    optimizer = torch.optim.SGD(two_groups(0.1, 0.01), lr=0.1)
    turns = iter(drive(optimizer, Policy(lr=Linear(0.1, 0.0)), 4))
    next(turns)
    del optimizer.param_groups[0]
    with pytest.raises(DriveError, match="has 1 parameter groups, and had 2"):
        next(turns)
