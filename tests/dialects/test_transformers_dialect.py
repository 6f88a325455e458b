# ruff: noqa: PLR0917  (drawn parameters come as keywords)
"""transformers' schedules by their own names, stepped beside ours, and each intended difference by name."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import LengthError, ParameterError
from stepsize.policies.dialects import transformers as ours

theirs = pytest.importorskip("transformers.optimization")

few = settings(max_examples=25, deadline=None)
rates = st.floats(1e-4, 10)
warmups = st.integers(0, 20)
lengths = st.integers(1, 40)


def stepped(name, steps, lr, warmup, total, **settings):
    """The rates that transformers uses at steps 0..steps-1."""
    owner = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = theirs.get_scheduler(name, owner, warmup, total, settings)
    values = []
    for step in range(steps):
        if step:
            owner.step()
            scheduler.step()
        values.append(owner.param_groups[0]["lr"])
    return np.array(values)


def both(name, steps, lr, warmup, total, skip=(), **settings):
    table = ours.get_scheduler(name, lr, warmup, total, settings).table(0, steps)["lr"]
    values = stepped(name, steps, lr, warmup, total, **settings)
    kept = np.setdiff1d(np.arange(steps), skip)
    np.testing.assert_allclose(table[kept], values[kept], rtol=0, atol=1e-12 * np.abs(values).max())


@pytest.mark.parametrize("name", ["constant", "constant_with_warmup", "linear"])
@few
@given(lr=rates, warmup=warmups, left=lengths)
def test_constants_and_lines_also_past_their_end(name, lr, warmup, left):
    both(name, 2 * (warmup + left), lr, warmup, warmup + left)


@few
@given(lr=rates, warmup=warmups, left=lengths, num_cycles=st.sampled_from([0.5, 1, 1.5]) | st.floats(0.1, 4))
def test_cosine_up_to_its_end(lr, warmup, left, num_cycles):
    both("cosine", warmup + left + 1, lr, warmup, warmup + left, num_cycles=num_cycles)


@few
@given(lr=rates, warmup=warmups, left=lengths, num_cycles=st.integers(1, 6))
def test_cosine_with_restarts_also_past_its_end(lr, warmup, left, num_cycles):
    """At a restart itself a remainder of floats may be just below 1."""
    skip = [warmup + edge * left // num_cycles for edge in range(num_cycles) if edge * left % num_cycles == 0]
    both("cosine_with_restarts", 2 * (warmup + left), lr, warmup, warmup + left, skip, num_cycles=num_cycles)


@few
@given(lr=rates, warmup=warmups, left=lengths, end=st.floats(0, 0.99), power=st.floats(0.3, 4))
def test_polynomial_also_past_its_end(lr, warmup, left, end, power):
    both("polynomial", 2 * (warmup + left), lr, warmup, warmup + left, lr_end=end * lr, power=power)


@few
@given(lr=rates, warmup=warmups, timescale=st.none() | st.integers(1, 100))
def test_inverse_sqrt(lr, warmup, timescale):
    """By its function, as get_scheduler took its `timescale` for nothing until transformers 5."""
    owner = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    multiplier = theirs.get_inverse_sqrt_schedule(owner, warmup, timescale).lr_lambdas[0]
    table = ours.get_scheduler("inverse_sqrt", lr, warmup, None, {"timescale": timescale}).table(0, 90)["lr"]
    np.testing.assert_allclose(table, [lr * multiplier(step) for step in range(90)], rtol=0, atol=1e-12 * lr)


@few
@given(lr=rates, warmup=warmups, left=lengths, num_cycles=st.sampled_from([0.5, 1.5]), low=st.floats(0, 1))
def test_cosine_with_min_lr_up_to_its_end(lr, warmup, left, num_cycles, low):
    for floor in ({"min_lr_rate": low}, {"min_lr": low * lr}):
        both("cosine_with_min_lr", warmup + left + 1, lr, warmup, warmup + left, num_cycles=num_cycles, **floor)


@few
@given(lr=rates, warmup=st.integers(2, 20), left=lengths, low=st.floats(0, 1), first=st.none() | st.floats(0, 1))
def test_cosine_warmup_with_min_lr_up_to_its_end(lr, warmup, left, low, first):
    settings = {"min_lr_rate": low, "warmup_lr_rate": first}
    both("cosine_warmup_with_min_lr", warmup + left, lr, warmup, warmup + left, **settings)


@few
@given(
    lr=rates,
    warmup=warmups,
    stable=warmups,
    decay=lengths,
    inferred=st.booleans(),
    settings=st.fixed_dictionaries(
        {
            "warmup_type": st.sampled_from(ours.WARMUPS),
            "decay_type": st.sampled_from(ours.DECAYS),
            "min_lr_ratio": st.floats(0, 1),
            "num_cycles": st.sampled_from([0.5, 1.5, 0.8]),
        }
    ),
)
def test_warmup_stable_decay_also_past_its_end(lr, warmup, stable, decay, inferred, settings):
    if not inferred:
        settings["num_stable_steps"] = stable
    total = warmup + stable + decay if inferred else None
    policy = ours.get_wsd_schedule(lr, warmup, decay, total, **settings)
    owner = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    multiplier = theirs.get_wsd_schedule(owner, warmup, decay, total, **settings).lr_lambdas[0]
    values = [lr * multiplier(step) for step in range(90)]
    np.testing.assert_allclose(policy.table(0, 90)["lr"], values, rtol=0, atol=1e-12 * lr)


def test_warmup_stable_decay_by_name():
    both("warmup_stable_decay", 40, 0.1, 5, 30, num_decay_steps=10, min_lr_ratio=0.1)


@pytest.mark.parametrize("name", [name for name in ours.SCHEDULES if "min_lr" not in name])
def test_every_default_is_transformers(name):
    settings = {"num_decay_steps": 20} if name == "warmup_stable_decay" else {}
    both(name, 100, 0.1, 10, 100, **settings)


def test_a_warmup_that_is_the_whole_run():
    for name in ("linear", "cosine", "cosine_with_restarts", "polynomial"):
        both(name, 10, 0.1, 10, 10)


def test_every_name_of_get_scheduler_is_here_or_listens_to_a_metric():
    others = {"reduce_lr_on_plateau", "greedy"}  # the second came with transformers 5
    assert {kind.value for kind in theirs.SchedulerType} - others == set(ours.SCHEDULES)


@pytest.mark.parametrize("name", ["cosine", "cosine_with_min_lr"])
def test_difference_cosine_climbs_again_in_transformers_and_is_held_here(name):
    settings = {"min_lr": 0.1} if name == "cosine_with_min_lr" else {}
    values = stepped(name, 21, 1.0, 0, 10, **settings)
    assert values[20] == pytest.approx(1.0)
    held = ours.get_scheduler(name, 1.0, 0, 10, settings).table(10, 21)["lr"]
    assert held == pytest.approx([settings.get("min_lr", 0.0)] * 11)


def test_difference_transformers_finds_a_restart_by_a_remainder_and_ours_is_exact():
    """Which end of the cycle transformers has there is up to the rounding of the remainder."""
    settings = {"num_cycles": 49}
    table = ours.get_scheduler("cosine_with_restarts", 1.0, 0, 98, settings).table(0, 98)["lr"]
    assert table[::2].tolist() == [1.0] * 49
    values = stepped("cosine_with_restarts", 98, 1.0, 0, 98, **settings)[::2]
    np.testing.assert_allclose(values, values.round(), atol=1e-9)


def test_difference_parts_longer_than_the_run_are_refused():
    owner = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    multiplier = theirs.get_wsd_schedule(owner, 10, 30, 20).lr_lambdas[0]
    assert multiplier(9) > multiplier(10)
    with pytest.raises(LengthError, match="num_warmup_steps - num_decay_steps is -20, and must be at least 0"):
        ours.get_wsd_schedule(1.0, 10, 30, 20)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ours.get_scheduler("cosin", 1.0, 0, 10),
            "cannot be 'cosin'. Did you mean 'cosine'?",
        ),
        (lambda: ours.get_scheduler("linear", 1.0, 5), "needs num_training_steps, which is None"),
        (lambda: ours.get_linear_schedule_with_warmup(1.0, 11, 10), "num_training_steps - num_warmup_steps is -1"),
        (lambda: ours.get_linear_schedule_with_warmup(1.0, -1, 10), "num_warmup_steps is -1"),
        (
            lambda: ours.get_polynomial_decay_schedule_with_warmup(1.0, 0, 9, lr_end=2.0),
            "must be below lr",
        ),
        (lambda: ours.get_cosine_schedule_with_warmup(1.0, 0, 9, num_cycles=0), "num_cycles is 0, and must be above 0"),
        (lambda: ours.get_cosine_with_hard_restarts_schedule_with_warmup(1.0, 0, 9, 0), "num_cycles is 0"),
        (lambda: ours.get_cosine_with_min_lr_schedule_with_warmup(1.0, 0, 9), "give exactly one of them"),
        (lambda: ours.get_cosine_with_min_lr_schedule_with_warmup(1.0, 0, 9, 0.5, 0.1, 0.1), "give exactly one"),
        (lambda: ours.get_scheduler("cosine_warmup_with_min_lr", 1.0, 0, 9, {"min_lr": 0.1}), "num_warmup_steps is 0"),
        (lambda: ours.get_wsd_schedule(1.0, 1, 2), "give num_training_steps or num_stable_steps"),
        (lambda: ours.get_wsd_schedule(1.0, 1, 2, 9, decay_type="sqrt"), "decay_type cannot be 'sqrt'"),
        (lambda: ours.get_wsd_schedule(1.0, 1, 2, 9, min_lr_ratio=2.0), "must lie from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in str(caught.value)


def test_the_first_update_has_rate_0_but_for_the_schedule_that_begins_one_step_earlier():
    assert ours.get_scheduler("linear", 1.0, 4, 9).at(0)["lr"] == 0
    early = ours.get_scheduler("cosine_warmup_with_min_lr", 1.0, 4, 9, {"min_lr": 0.1})["lr"]
    assert [early(step) for step in (0, 3, 8)] == pytest.approx([0.25, 1.0, 0.1])
