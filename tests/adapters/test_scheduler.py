"""`as_lr_scheduler`: a real LRScheduler whose values are a function of `last_epoch` alone."""

import copy

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler

from stepsize import Policy, as_lr_scheduler
from stepsize.kernel.errors import DriveError, ParameterError, UnboundError
from stepsize.policies import cosine, one_cycle
from stepsize.schedules import Linear

STEPS = 12
POLICY = one_cycle(0.1).over(STEPS)


def optimizer_of(kind="AdamW", groups=None, **arguments):
    groups = groups or [{}]
    made = [{"params": [torch.nn.Parameter(torch.ones(2))], **group} for group in groups]
    return getattr(torch.optim, kind)(made, **{"lr": 0.5, **arguments})


def update(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 0.1)
    optimizer.step()


def momentum_of(optimizer):
    group = optimizer.param_groups[0]
    return group["betas"][0] if "betas" in group else group["momentum"]


@pytest.mark.parametrize(("kind", "arguments"), [("AdamW", {}), ("SGD", {"momentum": 0.9})])
def test_a_loop_sees_the_rows_of_the_table(kind, arguments):
    optimizer = optimizer_of(kind, **arguments)
    scheduler = as_lr_scheduler(optimizer, POLICY)
    table, seen = POLICY.table(0, STEPS), []
    for _ in range(STEPS):
        assert scheduler.get_last_lr() == [optimizer.param_groups[0]["lr"]]
        seen.append((optimizer.param_groups[0]["lr"], momentum_of(optimizer)))
        update(optimizer)
        scheduler.step()
    assert isinstance(scheduler, LRScheduler)
    assert seen == list(zip(table["lr"], table["momentum"], strict=True))


def test_behind_the_end_the_last_value_holds():
    optimizer = optimizer_of()
    scheduler = as_lr_scheduler(optimizer, POLICY)
    for _ in range(STEPS + 5):
        update(optimizer)
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == POLICY["lr"](STEPS)


def checkpoint(steps, path, **arguments):
    optimizer = optimizer_of(**arguments)
    scheduler = as_lr_scheduler(optimizer, POLICY)
    for _ in range(steps):
        update(optimizer)
        scheduler.step()
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, path)
    return optimizer


@pytest.mark.parametrize("order", [("optimizer", "scheduler"), ("scheduler", "optimizer")])
@pytest.mark.parametrize("groups", [[{}], [{}, {"lr": 0.05}]])
def test_a_checkpoint_is_loaded_in_any_order(order, groups, tmp_path):
    old = checkpoint(5, tmp_path / "c.pt", groups=groups)
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    optimizer = optimizer_of(groups=groups)
    parts = {"optimizer": optimizer, "scheduler": as_lr_scheduler(optimizer, POLICY)}
    for name in order:
        parts[name].load_state_dict(state[name])
    assert [group["lr"] for group in optimizer.param_groups] == [group["lr"] for group in old.param_groups]
    assert momentum_of(optimizer) == POLICY["momentum"](5)
    assert parts["scheduler"].last_epoch == 5
    assert parts["scheduler"].get_last_lr() == [group["lr"] for group in old.param_groups]
    update(optimizer)
    parts["scheduler"].step()
    ratios = [1.0] if len(groups) == 1 else [1.0, 0.1]
    assert [group["lr"] for group in optimizer.param_groups] == [POLICY["lr"](6) * ratio for ratio in ratios]


def test_a_scheduler_loaded_alone_sets_its_values_at_once(tmp_path):
    checkpoint(5, tmp_path / "c.pt")
    optimizer = optimizer_of()
    scheduler = as_lr_scheduler(optimizer, POLICY)
    scheduler.load_state_dict(torch.load(tmp_path / "c.pt", weights_only=True)["scheduler"])
    assert (optimizer.param_groups[0]["lr"], momentum_of(optimizer)) == (POLICY["lr"](5), POLICY["momentum"](5))


def test_a_scheduler_made_after_the_optimizer_was_loaded_keeps_the_ratios(tmp_path):
    groups = [{}, {"lr": 0.05}]
    checkpoint(5, tmp_path / "c.pt", groups=groups)
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    optimizer = optimizer_of(groups=groups)
    optimizer.load_state_dict(state["optimizer"])
    scheduler = as_lr_scheduler(optimizer, POLICY)
    scheduler.load_state_dict(state["scheduler"])
    assert [group["lr"] for group in optimizer.param_groups] == [POLICY["lr"](5), POLICY["lr"](5) * 0.1]


def test_last_epoch_resumes_as_in_torch(tmp_path):
    groups = [{}, {"lr": 0.05}]
    checkpoint(5, tmp_path / "c.pt", groups=groups)
    optimizer = optimizer_of(groups=groups)
    optimizer.load_state_dict(torch.load(tmp_path / "c.pt", weights_only=True)["optimizer"])
    scheduler = as_lr_scheduler(optimizer, POLICY, last_epoch=4)
    assert scheduler.last_epoch == 5
    assert [group["lr"] for group in optimizer.param_groups] == [POLICY["lr"](5), POLICY["lr"](5) * 0.1]


def test_the_state_is_two_plain_values():
    state = as_lr_scheduler(optimizer_of(), POLICY).state_dict()
    assert {name: type(value) for name, value in state.items()} == {"step": int, "spec": str}


@pytest.mark.parametrize("other", [one_cycle(0.2).over(STEPS), one_cycle(0.1).over(STEPS + 1)])
def test_the_state_of_another_policy_is_refused(other):
    scheduler = as_lr_scheduler(optimizer_of(), POLICY)
    before = copy.deepcopy(scheduler.optimizer.state_dict())
    with pytest.raises(DriveError, match="saved with another policy or horizon"):
        scheduler.load_state_dict({"step": 5, "spec": as_lr_scheduler(optimizer_of(), other).state_dict()["spec"]})
    assert scheduler.optimizer.state_dict() == before


def test_the_state_of_torchs_own_scheduler_is_refused():
    with pytest.raises(DriveError, match="saved with another policy"):
        as_lr_scheduler(optimizer_of(), POLICY).load_state_dict({"last_epoch": 5, "base_lrs": [0.1]})


def test_an_unbound_policy_is_refused():
    with pytest.raises(UnboundError):
        as_lr_scheduler(optimizer_of(), cosine(0.1))


def test_a_missing_hyperparameter_is_refused():
    with pytest.raises(DriveError, match="no hyperparameter 'beta2'"):
        as_lr_scheduler(optimizer_of("SGD"), Policy(lr=0.1, beta2=0.9))


def test_a_policy_without_a_rate_is_refused():
    with pytest.raises(ParameterError, match="does not schedule 'lr'"):
        as_lr_scheduler(optimizer_of("SGD", momentum=0.9), Policy(momentum=Linear(0.9, 0.8, 5)))


def test_a_tensor_rate_is_filled_in_place():
    rate = torch.tensor(0.5)
    optimizer = optimizer_of("Adam", lr=rate, foreach=False)
    scheduler = as_lr_scheduler(optimizer, Policy(lr=Linear(1.0, 0.0, 4)))
    update(optimizer)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.75


def test_the_state_of_another_horizon_goes_on_on_purpose():
    state = as_lr_scheduler(optimizer_of(), POLICY, last_epoch=4).state_dict()
    scheduler = as_lr_scheduler(optimizer_of(), one_cycle(0.1), steps=2 * STEPS, rebind=True)
    scheduler.load_state_dict(state)
    assert scheduler.get_last_lr() == [one_cycle(0.1).over(2 * STEPS)["lr"](5)]
    with pytest.raises(DriveError, match="saved with another policy"):
        scheduler.load_state_dict({"last_epoch": 5, "base_lrs": [0.1]})
