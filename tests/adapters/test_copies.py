"""Copies and pickles: what drives an optimizer goes on with the copy of it, and leaves the first one alone."""

import copy
import io
import pickle

import pytest
import torch

from stepsize import Policy, as_lr_scheduler, drive
from stepsize.adapters.torch import RuleOptimizer, csv_log
from stepsize.policies import Groups
from stepsize.rules import Lion
from stepsize.schedules import Linear, Plateau

FALLING = Policy(lr=Linear(1.0, 0.0), weight_decay=Linear(0.1, 0.0))
STEPS = 10


def saved(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing)), "torch.save": saved}  # noqa: S301  (our own)


def optimizer_of(kind):
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "name": name} for name in ("head", "body")]
    if kind == "rule":
        return RuleOptimizer(groups, Lion(lr=1.0, weight_decay=0.1))
    rate = torch.tensor(1.0) if kind == "tensor" else 1.0
    return torch.optim.SGD([groups[0], {**groups[1], "lr": rate / 10}], lr=rate, weight_decay=0.1)


def values(optimizer):
    return [[float(group[name]) for name in ("lr", "weight_decay")] for group in optimizer.param_groups]


def scheduler(counts):
    def begin(optimizer, policy):
        made = as_lr_scheduler(optimizer, policy.over(STEPS), counts=counts)
        return made, lambda it: (it.optimizer.step(), it.step()), lambda it: it.optimizer

    return begin


def driver(*, attached):
    def begin(optimizer, policy):
        made = drive(optimizer, policy, STEPS)
        if attached:
            made.attach()

        def update(it):
            if not attached:
                it.set(it.step)
            it._optimizer().step()

        return made, update, lambda it: it._optimizer()

    return begin


WAYS = {
    "calls": scheduler("calls"), "updates": scheduler("updates"),
    "driver": driver(attached=False), "attached": driver(attached=True),
}  # fmt: skip


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["number", "tensor", "rule"])
def test_a_copy_goes_on_with_the_copied_optimizer(copied, way, kind):
    optimizer = optimizer_of(kind)
    policy = Groups(FALLING, {"head": {}, "body": {"lr": 0.1}}) if kind == "rule" else FALLING
    first, update, optimizer_in = WAYS[way](optimizer, policy)
    for _ in range(3):
        update(first)
    second = COPIES[copied](first)
    before = values(optimizer)
    for _ in range(3):
        update(second)
    assert optimizer_in(second) is not optimizer
    assert values(optimizer) == before
    for _ in range(3):
        update(first)
    assert values(optimizer) == values(optimizer_in(second)) != before


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_has_the_feedback_and_the_log(copied, tmp_path):
    optimizer = optimizer_of("number")
    first = drive(
        optimizer, FALLING, STEPS, feedback=Plateau(factor=0.5, patience=0), log=csv_log(tmp_path / "log.csv")
    )
    for _ in range(3):
        first.set(first.step)
        first.tell(1.0)
    second = COPIES[copied](first)
    second.set(3)
    assert second.state_dict()["feedback"] == first.state_dict()["feedback"]
    assert second.values["lr/head"] == pytest.approx(0.7 * 0.25)
    assert (tmp_path / "log.csv").read_text().splitlines()[-4].startswith("3,lr/head,0.175")


def test_a_model_an_optimizer_and_a_driver_are_copied_as_one():
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    made = {"model": model, "optimizer": optimizer, "driver": drive(optimizer, Policy(lr=Linear(1.0, 0.0)), 4).attach()}
    other = copy.deepcopy(made)
    assert other["optimizer"].param_groups[0]["params"][0] is other["model"].weight
    other["optimizer"].step()
    assert (other["optimizer"].param_groups[0]["lr"], optimizer.param_groups[0]["lr"]) == (0.75, 1.0)
