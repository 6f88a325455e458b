"""`drive`: values before the update, exact resumption, groups with ratios, and nothing patched."""

import copy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from stepsize import Policy, build_optimizer, drive, load_task
from stepsize.adapters.torch import torch_arguments
from stepsize.kernel.errors import DriveError, LengthError, ParameterError, StepsizeError
from stepsize.policies import cosine, one_cycle, recipe
from stepsize.rules import SGD, Adam, AdamW, Lion, Momentum, Nesterov, RMSProp, Rule
from stepsize.schedules import Constant, Cosine, Linear, Staircase
from stepsize.strategy import Strategy

TINY = Path(__file__).parents[1] / "problems" / "tiny.py"
RULES = (SGD(), Momentum(dampening=0.1), Nesterov(), RMSProp(), Adam(), AdamW())


@pytest.fixture(scope="module")
def task():
    return load_task(f"{TINY}:perceptron")


def weight():
    return torch.nn.Parameter(torch.ones(2))


def optimizer_of(kind, **arguments):
    return getattr(torch.optim, kind)([weight()], **{"lr": 0.5, **arguments})


def update(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 0.1)
    optimizer.step()


def momentum_of(group):
    return group["betas"][0] if "betas" in group else group["momentum"]


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("SGD", {"momentum": 0.9}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("AdamW", {}),
        ("Adam", {"amsgrad": True}),
        ("NAdam", {}),
        ("RMSprop", {"momentum": 0.5}),
    ],
)
def test_every_update_sees_the_row_of_the_table(kind, arguments):
    optimizer = optimizer_of(kind, **arguments)
    policy = one_cycle(0.1)
    table = policy.over(30).table(0, 30)
    seen = []
    for _ in drive(optimizer, policy, 30):
        seen.append((optimizer.param_groups[0]["lr"], momentum_of(optimizer.param_groups[0])))
        update(optimizer)
    assert seen == list(zip(table["lr"], table["momentum"], strict=True))


def test_blocks_of_the_table_join_without_a_seam():
    optimizer, policy = optimizer_of("SGD"), Policy(lr=Cosine(1.0, 0.0))
    seen = [optimizer.param_groups[0]["lr"] for _ in drive(optimizer, policy, 2500)]
    assert seen == policy.over(2500).table(0, 2500)["lr"].tolist()


def test_beta2_and_epsilon_can_be_scheduled():
    optimizer = optimizer_of("Adam")
    policy = Policy(lr=0.1, beta2=Linear(0.9, 0.99), epsilon=Linear(1.0, 0.5))
    groups = [copy.copy(optimizer.param_groups[0]) for _ in drive(optimizer, policy, 2)]
    assert [group["betas"] for group in groups] == [(0.9, 0.9), (0.9, pytest.approx(0.945))]
    assert [group["eps"] for group in groups] == [1.0, 0.75]


def test_the_values_are_set_when_the_step_is_yielded():
    optimizer = optimizer_of("SGD")
    driver = iter(drive(optimizer, Policy(lr=Linear(1.0, 0.0)), 4))
    assert (next(driver), optimizer.param_groups[0]["lr"]) == (0, 1.0)
    assert (next(driver), optimizer.param_groups[0]["lr"]) == (1, 0.75)


def test_step_is_what_a_checkpoint_needs():
    driver = drive(optimizer_of("SGD"), cosine(0.1), 10)
    for step in driver:
        if step == 3:
            break
    assert (driver.step, len(driver)) == (4, 6)


def train(task, steps, start=0, checkpoint=None, *, rule, groups=None):
    """Train and return the weights after `steps`, and a checkpoint of after `steps` updates of 20."""
    model = task.build(0)
    optimizer = build_optimizer(groups(model) if groups else model, rule)
    if checkpoint is not None:
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
    policy = one_cycle(0.05).only(rule.hyperparameters)
    for step in drive(optimizer, policy, 20, start=start):
        if step == steps:
            break
        x, y = task.batch(step, 0)
        optimizer.zero_grad()
        task.loss(model(x), y).backward()
        optimizer.step()
    return copy.deepcopy({"model": model.state_dict(), "optimizer": optimizer.state_dict()})


def discriminative(model):
    decayed, plain, slow = list(model[0].parameters()), [model[2].weight], [model[2].bias]
    return [{"params": decayed}, {"params": plain, "weight_decay": 0.0}, {"params": slow, "lr": AdamW().lr / 3}]


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("start", [1, 7, 19])
def test_a_resumed_run_is_bit_identical(task, rule, start, tmp_path):
    whole = train(task, 20, rule=rule)
    torch.save(train(task, start, rule=rule), tmp_path / "checkpoint.pt")
    checkpoint = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert same(train(task, 20, start, checkpoint, rule=rule)["model"], whole["model"])


@pytest.mark.parametrize("start", [1, 7, 19])
def test_groups_with_ratios_resume_bit_identically(task, start):
    rule = AdamW(lr=AdamW().lr)
    whole = train(task, 20, rule=rule, groups=discriminative)
    checkpoint = train(task, start, rule=rule, groups=discriminative)
    resumed = train(task, 20, start, checkpoint, rule=rule, groups=discriminative)
    assert same(resumed["model"], whole["model"])


def two_groups(kind, default, first, second, **arguments):
    groups = [{"params": [weight()], **first}, {"params": [weight()], **second}]
    return getattr(torch.optim, kind)(groups, lr=default, **arguments)


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def test_each_group_keeps_its_ratio_to_the_default():
    optimizer = two_groups("AdamW", 0.1, {"lr": 0.01}, {"weight_decay": 0.0}, weight_decay=0.5)
    policy = Policy(lr=Linear(1.0, 0.0), weight_decay=Linear(0.2, 0.1))
    seen = [(rates(optimizer), optimizer.param_groups[1]["weight_decay"]) for _ in drive(optimizer, policy, 2)]
    assert seen == [([0.1, 1.0], 0.0), ([0.05, 0.5], 0.0)]


@pytest.mark.parametrize("decay", [0.1, 1e-4])
def test_a_decay_of_the_groups_own_beside_a_default_that_nobody_uses_is_the_policy_s(decay):
    """AdamW's default is .01; a group with a decay of .1 would otherwise have ten times what the policy says."""
    optimizer = two_groups("AdamW", 0.1, {"weight_decay": decay}, {"weight_decay": 0.0})
    policy = Policy(lr=1.0, weight_decay=Linear(0.2, 0.0))
    seen = []
    for step in drive(optimizer, policy, 4):
        seen.append([group["weight_decay"] for group in optimizer.param_groups])
        update(optimizer)
        if step == 1:
            break
    resumed = two_groups("AdamW", 0.1, {"weight_decay": decay}, {"weight_decay": 0.0})
    resumed.load_state_dict(optimizer.state_dict())
    for _ in drive(resumed, policy, 4, start=2):
        seen.append([group["weight_decay"] for group in resumed.param_groups])
        update(resumed)
    assert seen == [[value, 0.0] for value in policy.over(4).table(0, 4)["weight_decay"].tolist()]


def test_groups_that_agree_follow_the_policy_itself():
    optimizer = two_groups("SGD", 0.1, {"lr": 0.3}, {"lr": 0.3, "weight_decay": 0.1})
    assert [rates(optimizer) for _ in drive(optimizer, Policy(lr=1.0), 1)] == [[1.0, 1.0]]


def driven(policy, steps, **arguments):
    """An optimizer with groups of ratio 1 and .1, after `steps` driven updates, loaded into a new one."""
    old = two_groups("SGD", 0.1, {}, {"lr": 0.01}, **arguments)
    for step in drive(old, policy, 10):
        update(old)
        if step == steps - 1:
            break
    new = two_groups("SGD", 0.1, {}, {"lr": 0.01}, **arguments)
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    return new


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_ratios_survive_a_checkpoint_of_an_optimizer_without_state(momentum):
    optimizer = driven(Policy(lr=Linear(1.0, 0.0)), 3, momentum=momentum)
    driver = drive(optimizer, Policy(lr=Linear(1.0, 0.0)), 10, start=3)
    next(iter(driver))
    assert rates(optimizer) == pytest.approx([0.7, 0.07])


def test_a_driver_made_before_the_checkpoint_is_loaded_knows_the_ratios():
    stairs = Policy(lr=Staircase(0.1, 0.1, 5))
    optimizer = two_groups("AdamW", 0.1, {}, {"lr": 0.01})
    driver = drive(optimizer, stairs, 10, start=6)
    next(iter(driver))
    assert rates(optimizer) == pytest.approx([0.01, 0.001])


def test_ratios_at_a_rate_of_zero_are_not_guessed():
    optimizer = driven(Policy(lr=Linear(0.0, 1.0)), 1, momentum=0.9)
    with pytest.raises(DriveError, match="before the optimizer's first update"):
        drive(optimizer, Policy(lr=Linear(0.0, 1.0)), 10, start=1)


def test_ratios_of_an_optimizer_that_another_policy_moved_are_not_guessed():
    optimizer = driven(Policy(lr=Linear(2.0, 0.0)), 10, momentum=0.9)
    with pytest.raises(DriveError, match="before loading a checkpoint"):
        drive(optimizer, cosine(0.3), 20)
    with pytest.raises(DriveError, match="before loading a checkpoint"):
        drive(optimizer, cosine(0.3), 20, start=10)


@pytest.mark.parametrize("updates", [0, 3, 10])
def test_a_second_phase_keeps_the_ratios_that_the_first_one_found(updates):
    optimizer = two_groups("AdamW", 0.1, {"weight_decay": 0.1}, {"lr": 0.01, "weight_decay": 0.0})
    first = drive(optimizer, Policy(lr=Linear(2.0, 0.0), weight_decay=Linear(0.2, 0.1)), 10)
    first.load_state_dict({**first.state_dict(), "step": 4})
    for _ in range(updates):
        update(optimizer)
    for _ in drive(optimizer, Policy(lr=Linear(1.0, 0.5), weight_decay=0.3), 2):
        assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert rates(optimizer) == pytest.approx([0.75, 0.075])


def test_a_ratio_that_was_changed_by_hand_is_not_the_known_one():
    optimizer = two_groups("SGD", 0.1, {}, {"lr": 0.01})
    drive(optimizer, Policy(lr=1.0), 5)
    optimizer.param_groups[1]["lr"] = 0.05
    assert [rates(optimizer) for _ in drive(optimizer, Policy(lr=1.0), 1)] == [[1.0, 0.5]]


def test_two_drivers_made_first_drive_one_after_the_other():
    optimizer = two_groups("SGD", 0.1, {}, {"lr": 0.01}, momentum=0.9)
    first, second = drive(optimizer, cosine(1.0), 5), drive(optimizer, Policy(lr=2.0), 5)
    for _ in first:
        update(optimizer)
    next(iter(second))
    assert rates(optimizer) == pytest.approx([2.0, 0.2])


def test_a_group_above_a_default_of_zero_has_no_ratio():
    optimizer = two_groups("SGD", 0.1, {}, {"weight_decay": 0.1})
    with pytest.raises(DriveError, match="ratio to the policy is unknown"):
        drive(optimizer, Policy(lr=0.1, weight_decay=Linear(0.1, 0.2)), 10)


def test_an_optimizer_with_state_before_its_first_update_is_new():
    optimizer = two_groups("Adagrad", 0.1, {"lr": 0.2}, {"lr": 0.4})
    assert [rates(optimizer) for _ in drive(optimizer, Policy(lr=1.0), 1)] == [[2.0, 4.0]]


def test_a_tensor_rate_is_filled_in_place():
    rate = torch.tensor(0.5)
    optimizer = torch.optim.Adam([weight()], lr=rate, foreach=False)
    policy = Policy(lr=Linear(1.0, 0.0))
    assert [optimizer.param_groups[0]["lr"].item() for _ in drive(optimizer, policy, 4)] == [1.0, 0.75, 0.5, 0.25]
    assert optimizer.param_groups[0]["lr"] is rate


def test_without_momentum_there_is_one_warning():
    optimizer = optimizer_of("Adagrad")
    with pytest.warns(UserWarning, match="Adagrad has no momentum") as caught:
        driver = drive(optimizer, one_cycle(0.1), 5)
    assert len(caught) == 1
    assert [optimizer.param_groups[0]["lr"] for _ in driver] == one_cycle(0.1).over(5).table(0, 5)["lr"].tolist()
    assert caught[0].filename == __file__


def test_a_missing_hyperparameter_is_named_with_the_near_miss():
    with pytest.raises(DriveError, match=r"SGD has no hyperparameter 'weight_decoy'.*Did you mean 'weight_decay'"):
        drive(optimizer_of("SGD"), Policy(lr=0.1, weight_decoy=0.1), 5)


def test_a_start_behind_the_end_is_refused():
    with pytest.raises(DriveError, match="start=6 lies behind the end of a run of 5"):
        drive(optimizer_of("SGD"), cosine(0.1), 5, start=6)
    assert list(drive(optimizer_of("SGD"), cosine(0.1), 5, start=5)) == []


@pytest.mark.parametrize(("steps", "start"), [(0, 0), (2.5, 0), (5, -1), ("30%", 0)])
def test_steps_and_start_are_whole_numbers(steps, start):
    with pytest.raises((LengthError, ParameterError)):
        drive(optimizer_of("SGD"), cosine(0.1), steps, start=start)


def test_nothing_is_patched_and_no_key_is_added():
    optimizer = optimizer_of("AdamW")
    fresh = optimizer_of("AdamW")
    step, keys = optimizer.step, set(optimizer.param_groups[0])
    for _ in drive(optimizer, one_cycle(0.1), 5):
        update(optimizer)
    update(fresh)
    assert optimizer.step == step
    assert vars(optimizer).keys() == vars(fresh).keys()
    assert set(optimizer.param_groups[0]) == keys
    assert optimizer.state_dict()["param_groups"][0].keys() == fresh.state_dict()["param_groups"][0].keys()
    assert optimizer.state_dict()["state"][0].keys() == fresh.state_dict()["state"][0].keys()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_build_optimizer_sets_every_hyperparameter_of_the_rule(rule):
    changed = type(rule)(**{name: value * 0.5 for name, value in rule.hyperparameters.items()})
    optimizer = build_optimizer(torch.nn.Linear(2, 2), changed)
    group = optimizer.param_groups[0]
    names = {
        "beta2": lambda: group["betas"][1],
        "momentum": lambda: momentum_of(group),
        "epsilon": lambda: group["eps"],
    }
    found = {name: names.get(name, lambda name=name: group[name])() for name in changed.hyperparameters}
    assert found == changed.hyperparameters
    assert type(optimizer).__name__ == torch_arguments(rule)[0]
    assert bool(group.get("nesterov")) == isinstance(rule, Nesterov)


def test_build_optimizer_takes_a_strategy_and_an_iterable_of_parameters():
    strategy = Strategy(AdamW(lr=0.3), recipe("cosine")(0.1))
    assert build_optimizer([weight()], strategy).param_groups[0]["lr"] == 0.3


def test_a_rule_that_torch_does_not_have_is_refused():
    @dataclass(frozen=True)
    class Sign(Rule):
        facts = Lion.facts
        lr: float = 0.1
        weight_decay: float = 0.0

        def coefficients(self, h, k):
            return dict(h)

        def step(self, p, g, slots, c, xp):
            return p, ()

    with pytest.raises(DriveError, match=r"torch\.optim has no Sign"):
        torch_arguments(Sign())


def test_a_constant_policy_leaves_a_default_run_as_it_is(task):
    rule = AdamW()
    policy = Policy(lr=Constant(rule.lr))
    losses = []
    for driven_run in (False, True):
        model = task.build(0)
        optimizer = build_optimizer(model, rule)
        for step in drive(optimizer, policy, 5) if driven_run else range(5):
            x, y = task.batch(step, 0)
            optimizer.zero_grad()
            loss = task.loss(model(x), y)
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("rate", [0.1, torch.tensor(0.1)], ids=["a number", "a tensor"])
def test_a_group_that_is_added_has_its_ratio_to_the_default_as_it_was(rate):
    """The tensor of the defaults is that of the group, which the driver moves."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=rate)
    for step in drive(optimizer, Policy(lr=Linear(1.0, 0.0)), 10):
        if step == 5:
            optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 0.01})
        if step == 6:
            assert [float(group["lr"]) for group in optimizer.param_groups] == pytest.approx([0.4, 0.04])


def test_an_optimizer_that_has_all_in_its_groups_is_driven_by_the_first():
    """As Muon with an auxiliary Adam; torch's LambdaLR keeps the ratio of the groups too."""

    class InGroups(torch.optim.Optimizer):
        def __init__(self, groups):
            super().__init__(groups, {})

        def step(self, closure=None):
            """Nothing."""

    def groups(*rates):
        return [{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates]

    policy = Policy(lr=0.02 * Linear(1.0, 0.0))
    ours, theirs = InGroups(groups(0.02, 3e-4)), InGroups(groups(0.02, 3e-4))
    scheduler = torch.optim.lr_scheduler.LambdaLR(theirs, lambda step: 1 - step / 4)
    for _ in drive(ours, policy, 4):
        assert [group["lr"] for group in ours.param_groups] == pytest.approx(
            [each["lr"] for each in theirs.param_groups]
        )
        theirs.step()
        scheduler.step()
    with pytest.raises(DriveError, match=r"no hyperparameter 'lr' to schedule\. None of its groups has a number"):
        drive(InGroups([{"params": [nn.Parameter(torch.ones(1))]}]), policy, 4)


def test_a_horizon_may_be_a_whole_float():
    """As a division or a trainer's estimate returns one."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    assert len(drive(optimizer, Policy(lr=Linear(1.0, 0.0)), steps=10.0)) == 10
    with pytest.raises(StepsizeError, match=r"10\.5"):
        drive(optimizer, Policy(lr=Linear(1.0, 0.0)), steps=10.5)


def test_the_scale_that_timm_keeps_beside_the_rate_is_said():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr_scale": scale} for scale in (1.0, 0.5)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    with pytest.warns(UserWarning, match=r"lr_scale.*g\['lr'\] \*= g\['lr_scale'\]"):
        drive(optimizer, Policy(lr=Linear(1.0, 0.0)), 4)
    for group in optimizer.param_groups:
        group["lr"] *= group["lr_scale"]
    for step in drive(optimizer, Policy(lr=Linear(1.0, 0.0)), 4):
        assert [group["lr"] for group in optimizer.param_groups] == [1 - step / 4, (1 - step / 4) / 2]
