"""A driver's other ways: attached, set to a step, given the loss, with declared groups; and what it refuses."""

import gc
import weakref

import pytest
import torch

from stepsize import Policy, as_lr_scheduler, drive
from stepsize.adapters.torch import configuration, driver
from stepsize.kernel.errors import DriveError, ParameterError
from stepsize.policies import Groups, cosine, one_cycle
from stepsize.schedules import Custom, Greedy, Linear, Listener, Plateau


def weight(value=1.0):
    return torch.nn.Parameter(torch.full((2,), value))


def optimizer_of(kind="SGD", *groups, **arguments):
    made = [{"params": [weight()], **group} for group in groups or [{}]]
    return getattr(torch.optim, kind)(made, **{"lr": 0.5, **arguments})


def update(optimizer):
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 0.1)
    optimizer.step()


def rates(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


LINE = Policy(lr=Linear(1.0, 0.0))


def test_an_attached_driver_moves_with_the_updates_alone():
    optimizer = optimizer_of()
    attached = drive(optimizer, LINE, 4).attach()
    seen = []
    for _ in range(4):
        seen.append(rates(optimizer)[0])
        update(optimizer)
    assert seen == [1.0, 0.75, 0.5, 0.25]
    assert attached.step == 4


def test_attach_twice_counts_once_and_detach_lets_go():
    optimizer = optimizer_of()
    attached = drive(optimizer, LINE, 8).attach().attach()
    update(optimizer)
    assert (attached.step, rates(optimizer)) == (1, [0.875])
    attached.detach()
    update(optimizer)
    assert (attached.step, rates(optimizer)) == (1, [0.875])
    assert not optimizer._optimizer_step_post_hooks
    assert not optimizer._optimizer_step_pre_hooks


def test_a_run_behind_its_horizon_holds_the_last_value_and_warns_once():
    optimizer = optimizer_of()
    attached = drive(optimizer, LINE, 2).attach()
    update(optimizer)
    update(optimizer)
    assert rates(optimizer) == [0.5]
    with pytest.warns(UserWarning, match="behind the horizon of 2 updates"):
        update(optimizer)
    update(optimizer)  # a second warning would be an error
    update(optimizer)
    assert (attached.step, rates(optimizer)) == (5, [0.0])


def test_a_function_is_not_asked_behind_the_end_of_an_attached_run():
    asked = []
    optimizer = optimizer_of()
    drive(optimizer, Policy(lr=Custom(lambda step: asked.append(step) or 0.1)), 3).attach()
    for _ in range(3):
        update(optimizer)
    assert max(asked) == 2


def test_a_loop_that_makes_no_update_is_told_so(monkeypatch):
    monkeypatch.setattr(driver, "PATIENCE", 20)
    with pytest.raises(DriveError, match="20 turns of the loop have made no update at step 0"):
        list(drive(optimizer_of(), LINE, 4).attach())


def test_set_follows_a_loop_that_tells_its_step():
    optimizer = optimizer_of()
    driver = drive(optimizer, LINE, 4)
    seen = []
    for step in (0, 1, 1, 3):
        driver.set(step)
        seen.append(rates(optimizer)[0])
    assert seen == [1.0, 0.75, 0.75, 0.25]
    assert driver.step == 4
    with pytest.raises(DriveError, match="after update 3 comes no update 2: training does not go backwards"):
        driver.set(2)
    with pytest.warns(UserWarning, match="behind the horizon"):
        driver.set(4)


def test_two_drivers_of_one_optimizer_are_refused_at_their_second_update():
    optimizer = optimizer_of()
    first, second = iter(drive(optimizer, LINE, 9)), iter(drive(optimizer, cosine(0.1), 9))
    next(first)
    next(second)
    with pytest.raises(DriveError, match=r"two drivers move the hyperparameters.*into one policy"):
        next(first)


def test_a_driver_beside_a_scheduler_is_refused():
    optimizer = optimizer_of()
    scheduler = as_lr_scheduler(optimizer, LINE.over(9))
    driven = iter(drive(optimizer, cosine(0.1), 9))
    next(driven)
    update(optimizer)
    scheduler.step()
    with pytest.raises(DriveError, match="two drivers"):
        next(driven)


def test_a_cell_that_is_run_again_takes_the_optimizer_over():
    optimizer = optimizer_of()
    for _ in range(3):
        steps = iter(drive(optimizer, LINE, 9))
        next(steps)
        next(steps)
    assert rates(optimizer) == [pytest.approx(8 / 9)]


@pytest.mark.parametrize("iterated", [False, True])
def test_one_attached_driver_after_another(iterated):
    optimizer, seen = optimizer_of(), []
    for policy in (LINE, Policy(lr=Linear(3.0, 1.0))):
        driven = drive(optimizer, policy, 2).attach()
        for _ in driven if iterated else range(2):
            seen.append(rates(optimizer)[0])
            update(optimizer)
        assert driven.step == 2
    assert seen == [1.0, 0.5, 3.0, 2.0]


def test_groups_are_found_by_their_place():
    optimizer = optimizer_of("AdamW", {}, {"lr": 7.0})
    groups = Groups(one_cycle(0.1).replace(weight_decay=0.2), {"head": {}, "body": {"lr": 0.1, "weight_decay": 0.0}})
    table = groups.over(6).table(0, 6)
    for step in drive(optimizer, groups, 6):
        for name, group in zip(("head", "body"), optimizer.param_groups, strict=True):
            found = {"lr": group["lr"], "momentum": group["betas"][0], "weight_decay": group["weight_decay"]}
            assert found == pytest.approx({key: values[step] for key, values in table[name].items()}, rel=1e-15)


def test_groups_are_found_by_their_name_also_when_they_are_added_later():
    optimizer = optimizer_of("SGD", {"name": "body"})
    groups = Groups(LINE, {"head": {"lr": 0.5}, "body": {}})
    for step in drive(optimizer, groups, 4):
        if step == 1:
            assert rates(optimizer) == [0.75]
            optimizer.add_param_group({"params": [weight()], "name": "head", "lr": 123.0})
        elif step > 1:
            assert rates(optimizer) == [1 - step / 4, 0.5 * (1 - step / 4)]


def test_a_group_that_no_one_declared_is_refused():
    with pytest.raises(DriveError, match=r"parameter group 0 is 'neck'.*head, body.*with_group"):
        drive(optimizer_of("SGD", {"name": "neck"}), Groups(LINE, {"head": {}, "body": {}}), 4)
    with pytest.raises(DriveError, match="parameter group 1 is None"):
        drive(optimizer_of("SGD", {}, {}), Groups(LINE, {"head": {}}), 4)


def test_a_group_without_a_name_takes_no_name_of_another():
    """By its position it would be the head too, and nobody the body."""
    with pytest.raises(DriveError, match="parameter group 0 has no name, and by its position it is 'head'"):
        drive(optimizer_of("SGD", {}, {"name": "head"}), Groups(LINE, {"head": {}, "body": {"lr": 0.1}}), 4)


def test_declared_groups_need_no_guess_on_resumption(tmp_path):
    groups = Groups(Policy(lr=Linear(1.0, 0.0), momentum=0.9), {"head": {}, "body": {"lr": 0.25}})
    optimizer = optimizer_of("SGD", {}, {}, momentum=0.9)
    for step in drive(optimizer, groups, 8):
        update(optimizer)
        if step == 3:
            break
    again = optimizer_of("SGD", {}, {}, momentum=0.9)
    again.load_state_dict(optimizer.state_dict())
    assert next(rates(again) for _ in drive(again, groups, 8, start=4)) == [0.5, 0.125]


def test_a_group_that_is_added_keeps_its_ratio_to_the_default():
    optimizer = optimizer_of("SGD", lr=0.1, momentum=0.9)
    seen = []
    for step in drive(optimizer, LINE, 4):
        seen.append(rates(optimizer))
        update(optimizer)
        if step == 1:
            optimizer.add_param_group({"params": [weight()], "lr": 0.01})
    assert seen == [[1.0], [0.75], [0.5, 0.05], [0.25, 0.025]]


@pytest.mark.parametrize("feedback", [Plateau(factor=0.5, patience=1), Greedy(factor=0.5, patience=1)])
@pytest.mark.parametrize("attached", [False, True])
def test_a_feedback_multiplies_the_rate_and_nothing_else(feedback, attached):
    losses = [1.0, 0.9, 0.9, 0.9, 0.9, 0.5, 0.4, 0.3, 0.2, 0.1]
    listen, multiplier = Listener(feedback), 1.0
    optimizer = optimizer_of("AdamW", {}, {"lr": 0.05})
    policy = one_cycle(0.1)
    table = policy.over(10).table(0, 10)
    driven = drive(optimizer, policy, 10, feedback=feedback)
    for step in driven.attach() if attached else driven:
        assert rates(optimizer) == pytest.approx([table["lr"][step] * multiplier, 0.1 * table["lr"][step] * multiplier])
        assert optimizer.param_groups[0]["betas"][0] == table["momentum"][step]
        update(optimizer)
        multiplier = listen(losses[step])
        assert driven.tell(losses[step]) == multiplier
    assert listen.changes


def test_a_feedback_goes_through_a_checkpoint(tmp_path):
    feedback = Plateau(factor=0.5, patience=0)
    driven = drive(optimizer_of(), LINE, 8, feedback=feedback)
    for step in driven:
        driven.tell(1.0)
        if step == 2:
            break
    torch.save(driven.state_dict(), tmp_path / "state.pt")
    optimizer = optimizer_of()
    again = drive(optimizer, LINE, 8, feedback=feedback)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert rates(optimizer) == [0.25 * Linear(1.0, 0.0, 8)(3)]
    assert again.tell(1.0) == driven.tell(1.0) == 0.125
    with pytest.raises(DriveError, match="another policy, horizon or feedback"):
        drive(optimizer_of(), LINE, 8).load_state_dict(driven.state_dict())


def test_what_a_feedback_cannot_hear_is_refused():
    with pytest.raises(DriveError, match="has no feedback to tell"):
        drive(optimizer_of(), LINE, 8).tell(1.0)
    with pytest.raises(ParameterError, match="one number a call"):
        drive(optimizer_of(), LINE, 8, feedback=Plateau()).tell(torch.ones(3))


def test_closures_are_evaluated_often_and_move_once():
    optimizer = torch.optim.LBFGS([weight()], lr=1.0, max_iter=5)
    (parameter,) = optimizer.param_groups[0]["params"]
    calls, seen = [], []

    def closure():
        calls.append(rates(optimizer)[0])
        optimizer.zero_grad()
        loss = ((parameter - torch.tensor([3.0, -2.0])) ** 4).sum()
        loss.backward()
        return loss

    driven = drive(optimizer, LINE, 4)
    for _ in driven.attach():
        seen.append(rates(optimizer)[0])
        optimizer.step(closure)
    assert seen == [1.0, 0.75, 0.5, 0.25]
    assert len(calls) > 4
    assert set(calls) == set(seen)


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "NAdam", "RAdam"])
def test_tensor_rates_and_betas_are_filled_in_place(kind):
    """What `capturable` and a captured graph need: the same memory, a new number."""
    lr, beta1, beta2 = (torch.tensor(value, dtype=torch.float64) for value in (0.5, 0.9, 0.99))
    optimizer = getattr(torch.optim, kind)([weight()], lr=lr, betas=(0.9, 0.99), foreach=False)
    optimizer.param_groups[0]["betas"] = (beta1, beta2)
    policy = one_cycle(0.1).replace(beta2=Linear(0.9, 0.99))
    table = policy.over(5).table(0, 5)
    for step in drive(optimizer, policy, 5):
        group = optimizer.param_groups[0]
        assert group["lr"] is lr
        assert group["betas"][0] is beta1
        assert group["betas"][1] is beta2
        assert [lr.item(), beta1.item(), beta2.item()] == [table[name][step] for name in ("lr", "momentum", "beta2")]


@pytest.mark.parametrize("made", [lambda optimizer: drive(optimizer, LINE, 9).attach(), lambda o: drive(o, LINE, 9)])
def test_nothing_is_kept_alive_by_a_circle(made):
    gc.collect()
    gc.disable()
    try:
        optimizer = optimizer_of()
        driven = made(optimizer)
        update(optimizer)
        gone = weakref.ref(optimizer), weakref.ref(driven)
        del optimizer, driven
        assert [ref() for ref in gone] == [None, None]
    finally:
        gc.enable()


def test_an_attached_driver_lives_as_long_as_its_optimizer():
    optimizer = optimizer_of()
    drive(optimizer, LINE, 9).attach()
    gc.collect()
    update(optimizer)
    assert rates(optimizer) == [1 - 1 / 9]
    driven = drive(optimizer, LINE, 9).attach()
    del optimizer
    with pytest.raises(DriveError, match="the optimizer of this driver is gone"):
        driven.set(1)


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(DriveError, match=r"drives a torch\.optim\.Optimizer, not Linear"):
        drive(torch.nn.Linear(1, 1), LINE, 9)
    with pytest.raises(DriveError, match="not list"):
        as_lr_scheduler([optimizer_of()], LINE.over(9))
    with pytest.raises(DriveError, match="counts 'calls' or 'updates', not 'epochs'"):
        as_lr_scheduler(optimizer_of(), LINE.over(9), counts="epochs")


def test_a_configuration_is_everything_and_plain(tmp_path):
    optimizer = optimizer_of("AdamW", {"name": "head"}, {"lr": torch.tensor(0.25), "weight_decay": 0.0}, foreach=False)
    found = configuration(optimizer)
    assert found["framework"] == f"torch {torch.__version__}"
    assert found["kind"] == "AdamW"
    assert [(group["lr"], group["weight_decay"], group["parameters"]) for group in found["groups"]] == [
        (0.5, 0.01, 2),
        (0.25, 0.0, 2),
    ]
    assert found["groups"][0]["betas"] == [0.9, 0.999]
    assert set(optimizer.param_groups[0]) - {"params"} == set(found["groups"][0]) - {"parameters"}
    torch.save(found, tmp_path / "c.pt")
    assert torch.load(tmp_path / "c.pt", weights_only=True) == found


def test_at_tells_the_values_of_a_step_and_sets_nothing():
    optimizer = optimizer_of("SGD", {}, {"lr": 0.25})
    driving = drive(optimizer, LINE.replace(weight_decay=0.5), steps=4)
    assert driving.at(1) == [{"lr": 0.75, "weight_decay": 0.5}, {"lr": 0.375, "weight_decay": 0.5}]
    assert (driving.step, rates(optimizer)) == (0, [0.5, 0.25])
    assert driving.at(0) == [{"lr": rate, "weight_decay": 0.5} for rate in [1.0, 0.5]]


def test_an_attached_driver_sets_what_is_loaded_or_added_before_the_update():
    """The optimizer's checkpoint has the values of the update before, and a new group those that it came with."""
    old = optimizer_of("SGD", {}, {"lr": 0.25})
    first = drive(old, LINE, steps=4).attach()
    update(old)
    optimizer = optimizer_of("SGD", {}, {"lr": 0.25})
    used = []
    second = drive(optimizer, LINE, steps=4).attach()
    optimizer.register_step_pre_hook(lambda optimizer, *_: used.append(rates(optimizer)))
    second.load_state_dict(first.state_dict())
    optimizer.load_state_dict(optimizer_of("SGD", {}, {}).state_dict())
    update(optimizer)
    optimizer.add_param_group({"params": [weight()]})
    update(optimizer)
    assert used == [[0.75, 0.375], [0.5, 0.25, 0.5]]


def test_a_state_of_another_horizon_goes_on_on_purpose():
    optimizer = optimizer_of()
    driven = drive(optimizer, LINE, 8)
    driven.set(3)
    again = drive(optimizer_of(), LINE, 16, rebind=True)
    again.load_state_dict(driven.state_dict())
    assert again.step == 4
    assert rates(again._optimizer()) == [Linear(1.0, 0.0, 16)(4)]
    with pytest.raises(DriveError, match="rebind=True goes on with another policy or horizon on purpose"):
        drive(optimizer_of(), LINE, 16).load_state_dict(driven.state_dict())
    with pytest.raises(DriveError, match="stands at update 4, behind the end of a run of 3"):
        drive(optimizer_of(), LINE, 3, rebind=True).load_state_dict(driven.state_dict())
    with pytest.raises(DriveError, match="another policy, horizon or feedback"):
        drive(optimizer_of(), LINE, 8, feedback=Plateau(), rebind=True).load_state_dict(driven.state_dict())
