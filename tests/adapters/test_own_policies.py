"""A parameter group may have a policy of its own, beside those that share one."""

import copy
import json
import pickle

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from stepsize import Policy, as_lr_scheduler, drive
from stepsize.adapters.torch import csv_log
from stepsize.adapters.torch import writer as adapter
from stepsize.kernel.errors import DriveError, LengthError
from stepsize.policies import Groups, cosine, one_cycle
from stepsize.policies.dialects import pytorch
from stepsize.schedules import Constant, Custom, Linear, Plateau

LINE = Policy(lr=Linear(1.0, 0.0))
OWN = Policy(lr=Linear(0.0, 0.5), weight_decay=Linear(0.1, 0.0))
GROUPS = Groups(LINE, {"body": {"lr": 0.5}, "head": OWN, "neck": {}})


def optimizer_of(kind="SGD", names=("body", "head", "neck"), **arguments):
    made = [{"params": [torch.nn.Parameter(torch.ones(2))], "name": name} for name in names]
    return getattr(torch.optim, kind)(made, **{"lr": 0.25, **arguments})


def update(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 0.1)
    optimizer.step()


def values(optimizer, *names):
    return [tuple(float(group[name]) for name in names) for group in optimizer.param_groups]


def expected(step, steps):
    return [(0.5 * (1 - step / steps), 0.0), (0.5 * step / steps, 0.1 * (1 - step / steps)), (1 - step / steps, 0.0)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(adapter, "BLOCK", 4)


@pytest.mark.parametrize("tensor", [False, True])
def test_the_group_follows_its_own_and_the_others_the_shared_one(tensor):
    optimizer = optimizer_of(lr=torch.tensor(0.25) if tensor else 0.25, **({"foreach": False} if tensor else {}))
    driver = drive(optimizer, GROUPS, 10)
    for step in driver:
        there, wanted = values(optimizer, "lr", "weight_decay"), expected(step, 10)
        assert [rate for rate, _ in there] == pytest.approx([rate for rate, _ in wanted], rel=1e-6 if tensor else 0)
        assert [decay for _, decay in there] == [decay for _, decay in wanted]
        assert [each["lr"] for each in driver.at(step)] == [rate for rate, _ in wanted]
    assert driver.names == ["lr", "weight_decay"]
    assert driver.at(0)[0] == {"lr": 0.5}


LAMBDAS = [lambda step: 1.0, lambda step: 0.95**step, lambda step: 1 / (1 + step)]


@pytest.mark.parametrize("way", ["drive", "scheduler"])
def test_it_is_torchs_LambdaLR_with_a_list(way):  # noqa: N802  (torch's name)
    """The rates of every group, and the weights of a training with them, to the bit."""
    theirs, ours = optimizer_of(), optimizer_of()
    scheduler = LambdaLR(theirs, LAMBDAS)
    policies = [Policy(lr=Custom(lambda step, f=f: 0.25 * f(step))) for f in LAMBDAS]
    groups = Groups(policies[0], {"body": {}, "head": policies[1], "neck": policies[2]})
    mine = as_lr_scheduler(ours, groups, steps=12) if way == "scheduler" else drive(ours, groups, 12).attach()
    for _ in range(12):
        assert values(ours, "lr") == values(theirs, "lr")
        update(theirs)
        update(ours)
        scheduler.step()
        if way == "scheduler":
            mine.step()
            assert mine.get_last_lr() == [group["lr"] for group in ours.param_groups]
    for one, other in zip(theirs.param_groups, ours.param_groups, strict=True):
        assert torch.equal(one["params"][0], other["params"][0])


@pytest.mark.parametrize(("kind", "name"), [("SGD", "momentum"), ("AdamW", "betas")])
def test_it_is_torchs_OneCycleLR_with_lists(kind, name):  # noqa: N802  (torch's name)
    peaks, bases, tops = [0.1, 0.02, 0.5], [0.85, 0.8, 0.9], [0.95, 0.9, 0.99]
    arguments = {"momentum": 0.9} if kind == "SGD" else {}
    theirs, ours = optimizer_of(kind, **arguments), optimizer_of(kind, **arguments)
    scheduler = OneCycleLR(theirs, peaks, total_steps=40, base_momentum=bases, max_momentum=tops)
    own = [
        pytorch.OneCycleLR(max_lr=peak, total_steps=40, base_momentum=base, max_momentum=top)
        for peak, base, top in zip(peaks, bases, tops, strict=True)
    ]
    groups = Groups(own[0], {"body": {}, "head": own[1], "neck": own[2]})
    for step in drive(ours, groups, 40):
        for mine, peer in zip(ours.param_groups, theirs.param_groups, strict=True):
            assert mine["lr"] == pytest.approx(peer["lr"], rel=1e-12)
            assert mine[name] == pytest.approx(peer[name], rel=1e-12)
        update(theirs)
        if step < 39:
            scheduler.step()


def test_several_groups_of_one_name_share_its_policy():
    optimizer = optimizer_of(names=("head", "body", "head"))
    for step in drive(optimizer, GROUPS, 4):
        rates = [rate for (rate,) in values(optimizer, "lr")]
        assert rates == [0.125 * step, 0.5 - 0.125 * step, 0.125 * step]


def test_a_group_that_comes_later_has_its_own_at_once():
    optimizer = optimizer_of(names=("body",))
    driver = drive(optimizer, GROUPS, 4)
    for step in driver:
        if step == 1:
            assert driver.names == ["lr"]
            optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "name": "head"})
        elif step > 1:
            assert values(optimizer, "lr", "weight_decay") == expected(step, 4)[:2]
    assert driver.values == {"lr/body": 0.125, "lr/head": 0.375, "weight_decay/body": 0.0, "weight_decay/head": 0.025}


def test_every_group_may_have_its_own():
    optimizer = optimizer_of(names=("head", "tail"))
    driver = drive(optimizer, Groups(cosine(9.0), {"head": LINE, "tail": OWN}), 4)
    assert [[rate for (rate,) in values(optimizer, "lr")] for _ in driver] == [
        [1.0, 0.0], [0.75, 0.125], [0.5, 0.25], [0.25, 0.375],
    ]  # fmt: skip


@pytest.mark.parametrize("first", ["optimizer", "driver"])
def test_a_resumed_run_goes_on_in_every_group(first):
    whole, seen = optimizer_of(momentum=0.9), []
    driver = drive(whole, GROUPS, 10)
    for step in driver:
        seen.append(values(whole, "lr", "weight_decay"))
        update(whole)
        if step == 5:
            saved = json.loads(json.dumps(driver.state_dict())), copy.deepcopy(whole.state_dict())
    again = optimizer_of(momentum=0.9)
    driver = drive(again, GROUPS, 10)
    load = [lambda: again.load_state_dict(saved[1]), lambda: driver.load_state_dict(saved[0])]
    for each in load if first == "optimizer" else reversed(load):
        each()
    assert [values(again, "lr", "weight_decay") for _ in driver] == seen[6:]


def test_a_state_of_another_own_policy_is_refused():
    state = drive(optimizer_of(), GROUPS, 10).state_dict()
    other = GROUPS.with_group("head", LINE)
    with pytest.raises(DriveError, match="saved with another policy"):
        drive(optimizer_of(), other, 10).load_state_dict(state)
    drive(optimizer_of(), other, 10, rebind=True).load_state_dict(state)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda driver: pickle.loads(pickle.dumps(driver))])  # noqa: S301  (our own bytes)
def test_a_copy_goes_on_with_the_copied_optimizer(copied):
    first = drive(optimizer_of(), GROUPS, 10)
    for step in range(3):
        first.set(step)
    second = copied(first)
    second.set(3)
    assert values(second._optimizer(), "lr", "weight_decay") == expected(3, 10)
    assert values(first._optimizer(), "lr", "weight_decay") == expected(2, 10)


def test_a_feedback_multiplies_the_rates_of_all_groups_and_nothing_else():
    optimizer = optimizer_of()
    driver = drive(optimizer, GROUPS, 10, feedback=Plateau(factor=0.5, patience=0))
    driver.set(0)
    driver.tell(1.0)
    assert driver.tell(1.0) == 0.5
    driver.set(1)
    assert values(optimizer, "lr", "weight_decay") == [(0.5 * rate, decay) for rate, decay in expected(1, 10)]
    assert [each["lr"] for each in driver.at(1)] == [0.5 * rate for rate, _ in expected(1, 10)]


def test_the_log_has_each_group(tmp_path):
    for _ in drive(optimizer_of(), GROUPS, 2, log=csv_log(tmp_path / "log.csv")):
        pass
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[1:7] == [
        "0,lr/body,0.5", "0,lr/head,0.0", "0,lr/neck,1.0",
        "0,weight_decay/body,0.0", "0,weight_decay/head,0.1", "0,weight_decay/neck,0.0",
    ]  # fmt: skip


@pytest.mark.parametrize("index", [0, 1, 2])
def test_who_else_sets_a_rate_is_noticed_in_any_group(index):
    optimizer = optimizer_of()
    driver = drive(optimizer, GROUPS, 10)
    driver.set(0)
    optimizer.param_groups[index]["lr"] = 7.0
    with pytest.raises(DriveError, match=f"lr of group {index} is 7"):
        driver.set(1)


def test_what_its_policy_does_not_schedule_is_the_users():
    optimizer = optimizer_of()
    driver = drive(optimizer, GROUPS, 10)
    driver.set(0)
    optimizer.param_groups[0]["weight_decay"] = 0.3
    driver.set(1)
    assert values(optimizer, "weight_decay") == [(0.3,), (pytest.approx(0.09),), (0.0,)]


def test_a_second_policy_infers_no_ratios_from_rates_that_were_two_policies():
    """A training in two phases: where the first has left the rates, they are ratios of nothing."""
    optimizer = optimizer_of(names=("body", "head"), momentum=0.9)
    for _ in drive(optimizer, Groups(LINE, {"body": {}, "head": OWN}), 10):
        update(optimizer)
    with pytest.raises(DriveError, match="ratios neither to its default nor to"):
        drive(optimizer, LINE, 10)
    drive(optimizer, Groups(LINE, {"body": {}, "head": {}}), 10)


class OfTwoKinds(torch.optim.SGD):
    """Groups of which one has no momentum, as those of Muon beside Adam differ."""

    def __init__(self):
        groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "name": name, "lr": 0.1} for name in ("body", "head")]
        super().__init__(groups, lr=0.1)
        del self.param_groups[1]["momentum"]


def test_groups_of_two_kinds_have_each_what_they_have():
    optimizer, moving = OfTwoKinds(), Policy(lr=Linear(1.0, 0.0), momentum=Linear(0.9, 0.5))
    driver = drive(optimizer, Groups(moving, {"body": {}, "head": LINE}), 4)
    driver.set(0)
    assert values(optimizer, "lr") == [(1.0,), (1.0,)]
    assert driver.values == {"lr/body": 1.0, "lr/head": 1.0, "momentum/body": 0.9}
    assert "momentum" not in optimizer.param_groups[1]


@pytest.mark.parametrize("groups", [None, {"body": {}, "head": {}}, {"body": {}, "head": one_cycle(0.1)}])
def test_momentum_of_a_group_that_has_none_is_refused(groups):
    policy = one_cycle(0.1)
    with pytest.raises(DriveError, match=r"parameter group 'head' has no momentum, which its policy schedules\. Give"):
        drive(OfTwoKinds(), policy if groups is None else Groups(policy, groups), 4)


@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        (
            {"body": {}, "tail": OWN},
            DriveError,
            "parameter group 1 is 'head', and the policy has groups for body, tail",
        ),
        ({"body": {}, "head": Policy(nesterow=0.1)}, DriveError, "SGD has no hyperparameter 'nesterow' to schedule"),
        ({"body": {}, "head": cosine(0.1).over(9)}, LengthError, r"of the parameter group 'head': the parts 9 add up"),
    ],
)
def test_what_fits_no_group_is_refused_when_the_driver_is_made(groups, error, words):
    with pytest.raises(error, match=words):
        drive(optimizer_of(names=("body", "head")), Groups(LINE, groups), 4)


def test_an_optimizer_without_momentum_leaves_that_of_its_own_out():
    with pytest.warns(UserWarning, match="Adagrad has no momentum, so the policy's momentum is left out"):
        driver = drive(optimizer_of("Adagrad", ("body", "head")), Groups(LINE, {"body": {}, "head": one_cycle(0.1)}), 4)
    assert driver.names == ["lr"]


def test_a_part_that_is_lost_is_said_of_a_groups_own():
    own = Policy(lr=Linear(0.0, 1.0, "0.5%") >> Constant(1.0))
    with pytest.warns(UserWarning, match="a part of the schedule of lr is shorter than half a step"):
        drive(optimizer_of(names=("body", "head")), Groups(LINE, {"body": {}, "head": own}), 4)


def test_a_scheduler_gives_the_rate_of_a_group_whose_rate_no_schedule_moves():
    optimizer = optimizer_of(names=("body", "head"))
    groups = Groups(LINE, {"body": {}, "head": Policy(weight_decay=Linear(0.1, 0.0))})
    scheduler = as_lr_scheduler(optimizer, groups, steps=4)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.75, 0.25]


def test_it_may_be_a_spec_out_of_a_yaml_file():
    spec = {
        "kind": "Groups",
        "policy": {"kind": "Policy", "lr": {"kind": "Cosine", "start": 0.1, "end": 0.0}},
        "ratios": {"body": {"lr": 0.5}, "head": {"kind": "Policy", "lr": 0.01, "weight_decay": 0.0}},
    }
    optimizer = optimizer_of(names=("body", "head"), weight_decay=0.1)
    next(iter(drive(optimizer, spec, 4)))
    assert values(optimizer, "lr", "weight_decay") == [(0.05, 0.1), (0.01, 0.0)]
