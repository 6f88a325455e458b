# ruff: noqa: N803, PLR0917  (names are torch's, and drawn parameters come as keywords)
"""torch's schedulers by their own names, stepped beside ours, and each intended difference by name."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as theirs

from stepsize.kernel.errors import LengthError, ParameterError
from stepsize.policies.dialects import pytorch as ours

few = settings(max_examples=25, deadline=None)
rates = st.floats(1e-4, 10)
shares = st.floats(0, 1)
lengths = st.integers(1, 40)
by_epoch = pytest.mark.filterwarnings("ignore:The epoch parameter")  # torch 2.4 warns of its SequentialLR's own call


def optimizer(lr=1.0):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))], lr=lr, momentum=0.9)


def stepped(steps, make, lr=1.0):
    """The rates and momenta that torch uses at steps 0..steps-1."""
    owner = optimizer(lr)
    scheduler, rows = make(owner), []
    for step in range(steps):
        if step:
            owner.step()
            scheduler.step()
        rows.append((owner.param_groups[0]["lr"], owner.param_groups[0]["momentum"]))
    return np.array(rows).reshape(steps, 2).T


def same(policy, peer, steps, lr=1.0, precision=1e-12):
    table = policy.table(0, steps)
    values, momenta = stepped(steps, peer, lr)
    np.testing.assert_allclose(table["lr"], values, rtol=0, atol=precision * np.abs(values).max())
    if "momentum" in table:
        np.testing.assert_allclose(table["momentum"], momenta, rtol=0, atol=precision)


def both(name, steps, lr=1.0, precision=1e-12, **settings):
    same(getattr(ours, name)(lr, **settings), lambda o: getattr(theirs, name)(o, **settings), steps, lr, precision)


@few
@given(lr=rates, factor=st.floats(0.01, 1), total_iters=lengths)
def test_constant_lr(lr, factor, total_iters):
    both("ConstantLR", 2 * total_iters, lr, factor=factor, total_iters=total_iters)


@few
@given(lr=rates, step_size=lengths, gamma=st.floats(0.1, 1.2))
def test_step_lr(lr, step_size, gamma):
    both("StepLR", 2 * step_size + 9, lr, step_size=step_size, gamma=gamma)


@few
@given(lr=rates, milestones=st.lists(st.integers(0, 40), max_size=6), gamma=st.floats(0.1, 1.2))
def test_multi_step_lr_also_with_milestones_at_0_and_twice(lr, milestones, gamma):
    both("MultiStepLR", 81, lr, milestones=milestones, gamma=gamma)


@few
@given(lr=rates, gamma=st.floats(0.8, 1.01))
def test_exponential_lr(lr, gamma):
    both("ExponentialLR", 80, lr, gamma=gamma)


@few
@given(lr=rates, start=st.floats(0.01, 1), end=shares, total_iters=lengths)
def test_linear_lr(lr, start, end, total_iters):
    both("LinearLR", 2 * total_iters, lr, start_factor=start, end_factor=end, total_iters=total_iters)


@few
@given(lr=rates, power=st.floats(0.2, 4), total_iters=lengths)
def test_polynomial_lr(lr, power, total_iters):
    both("PolynomialLR", 2 * total_iters, lr, total_iters=total_iters, power=power)


@few
@given(lr=rates, eta_min=shares, T_max=lengths)
def test_cosine_annealing_lr_up_to_its_end(lr, eta_min, T_max):
    both("CosineAnnealingLR", T_max + 1, lr, T_max=T_max, eta_min=eta_min * lr)


@few
@given(lr=rates, eta_min=shares, T_0=st.integers(1, 20), T_mult=st.integers(1, 4))
def test_cosine_annealing_warm_restarts(lr, eta_min, T_0, T_mult):
    both("CosineAnnealingWarmRestarts", 2 * T_0 * (1 + T_mult), lr, T_0=T_0, T_mult=T_mult, eta_min=eta_min * lr)


@pytest.mark.parametrize("mode", ours.MODES)
@few
@given(
    base=rates,
    height=rates,
    up=st.integers(1, 15),
    down=st.none() | st.integers(1, 15),
    gamma=st.floats(0.9, 1),
    cycle_momentum=st.booleans(),
)
def test_cyclic_lr(mode, base, height, up, down, gamma, cycle_momentum):
    settings = {"base_lr": base, "max_lr": base + height, "step_size_up": up, "step_size_down": down, "mode": mode}
    settings |= {"gamma": gamma, "cycle_momentum": cycle_momentum}
    same(ours.CyclicLR(**settings), lambda o: theirs.CyclicLR(o, **settings), 70)


@few
@given(
    peak=rates,
    total=st.integers(2, 60),
    share=st.floats(0.01, 0.99),
    strategy=st.sampled_from(["cos", "linear"]),
    cycle_momentum=st.booleans(),
    three_phase=st.booleans(),
    div=st.floats(1, 100),
)
def test_one_cycle_lr(peak, total, share, strategy, cycle_momentum, three_phase, div):
    """With a climb of at least a step, in any place between two steps."""
    turn = share * ((total - 1) / 2 if three_phase else total - 1)
    settings = {"max_lr": peak, "total_steps": total, "pct_start": (1 + turn) / total, "anneal_strategy": strategy}
    settings |= {"cycle_momentum": cycle_momentum, "three_phase": three_phase, "div_factor": div}
    same(ours.OneCycleLR(**settings), lambda o: theirs.OneCycleLR(o, **settings), total)


def test_one_cycle_lr_of_epochs():
    settings = {"max_lr": 0.1, "epochs": 3, "steps_per_epoch": 7}
    same(ours.OneCycleLR(**settings), lambda o: theirs.OneCycleLR(o, **settings), 21)


def pieces(lr, length, gamma):
    """Three schedulers, ours and theirs."""
    mine = [ours.LinearLR(lr, 0.1, 1.0, length), ours.CosineAnnealingLR(lr, 30), ours.ExponentialLR(lr, gamma)]
    makers = [
        lambda o: theirs.LinearLR(o, 0.1, 1.0, length),
        lambda o: theirs.CosineAnnealingLR(o, 30),
        lambda o: theirs.ExponentialLR(o, gamma),
    ]
    return mine, makers


@by_epoch
@few
@given(lr=rates, length=lengths, first=lengths, second=st.integers(1, 30), gamma=st.floats(0.8, 1))
def test_sequential_lr_whose_parts_are_cut_or_held(lr, length, first, second, gamma):
    mine, makers = pieces(lr, length, gamma)
    milestones = [first, first + second]
    policy = ours.SequentialLR(mine, milestones)
    same(policy, lambda o: theirs.SequentialLR(o, [make(o) for make in makers], milestones), first + second + 20, lr)


def test_every_default_is_torchs():
    both("ConstantLR", 12)
    both("LinearLR", 12)
    both("PolynomialLR", 12)
    settings = {"base_lr": 0.1, "max_lr": 1.0}
    same(ours.CyclicLR(**settings), lambda o: theirs.CyclicLR(o, **settings), 4100)


def test_policies_fit_a_run_of_any_length_that_they_fill():
    for policy in (ours.LinearLR(0.1), ours.CosineAnnealingLR(0.1, 8), ours.OneCycleLR(0.1, 9), ours.StepLR(0.1, 3)):
        bound = policy.over(20)
        np.testing.assert_array_equal(bound.table(0, 20)["lr"], policy.table(0, 20)["lr"])


def test_difference_cosine_climbs_again_in_torch_and_is_held_here():
    (values, _) = stepped(9, lambda o: theirs.CosineAnnealingLR(o, 4))
    assert values[8] == pytest.approx(1.0)
    assert ours.CosineAnnealingLR(1.0, 4).table(4, 9)["lr"].tolist() == [0.0] * 5


def test_difference_cosine_of_one_step_alternates_in_torch_and_stays_low_here():
    (values, _) = stepped(4, lambda o: theirs.CosineAnnealingLR(o, 1))
    assert values.round(9).tolist() == [1, 0, 1, 0]
    assert ours.CosineAnnealingLR(1.0, 1).table(0, 4)["lr"].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(("T_0", "T_mult", "epoch"), [(10, 3, 1210), (10, 10, 1110), (1, 3, 121)])
def test_difference_torch_finds_a_restart_by_a_logarithm_and_ours_is_exact(T_0, T_mult, epoch):
    """Which end of the cycle torch has there is up to the rounding of its logarithm, and so to the machine."""
    scheduler = theirs.CosineAnnealingWarmRestarts(optimizer(), T_0, T_mult)
    scheduler.step(epoch)
    value = scheduler.get_last_lr()[0]
    assert value == pytest.approx(round(value), abs=1e-9)
    assert ours.CosineAnnealingWarmRestarts(1.0, T_0, T_mult).at(epoch)["lr"] == 1.0


@pytest.mark.parametrize("T_mult", range(1, 11))
@pytest.mark.parametrize("T_0", [1, 2, 3, 7, 10, 100])
def test_every_restart_is_at_the_peak(T_0, T_mult):
    rate, edge, size = ours.CosineAnnealingWarmRestarts(1.0, T_0, T_mult)["lr"], 0, T_0
    while edge < 2**50 and size < T_0 * 10**9:
        assert rate(edge) == 1.0
        edge, size = edge + size, size * T_mult
        if T_mult == 1 and edge > 1000:
            break


def test_difference_one_cycle_climbs_one_step_past_its_end_in_torch():
    (values, _) = stepped(11, lambda o: theirs.OneCycleLR(o, 1.0, total_steps=10))
    assert values[9] == pytest.approx(4e-6)
    assert values[10] > 0.04
    assert ours.OneCycleLR(1.0, 10).table(9, 13)["lr"] == pytest.approx([4e-6] * 4)


def test_difference_one_cycle_of_no_climb_starts_below_the_peak_in_torch():
    (values, _) = stepped(10, lambda o: theirs.OneCycleLR(o, 1.0, total_steps=10, pct_start=0.0))
    assert values.max() == pytest.approx(0.9755, abs=1e-4)
    policy = ours.OneCycleLR(1.0, 10, pct_start=0.0)
    assert policy.at(0) == {"lr": 1.0, "momentum": 0.85}
    assert policy.at(9) == {"lr": pytest.approx(4e-6), "momentum": 0.95}


def test_difference_one_cycle_whose_climb_stops_at_step_0_divides_by_zero_in_torch():
    with pytest.raises(ZeroDivisionError):
        theirs.OneCycleLR(optimizer(), 1.0, total_steps=10, pct_start=0.1)
    assert ours.OneCycleLR(1.0, 10, pct_start=0.1).at(0) == {"lr": 1.0, "momentum": 0.85}


def test_difference_one_cycle_without_a_descent_divides_by_zero_at_the_end_in_torch():
    with pytest.raises(ZeroDivisionError):
        stepped(11, lambda o: theirs.OneCycleLR(o, 1.0, total_steps=10, pct_start=1.0))
    values, momenta = stepped(10, lambda o: theirs.OneCycleLR(o, 1.0, total_steps=10, pct_start=1.0))
    table = ours.OneCycleLR(1.0, 10, pct_start=1.0).table(0, 12)
    np.testing.assert_allclose(table["lr"][:10], values, atol=1e-12)
    np.testing.assert_allclose(table["momentum"][:10], momenta, atol=1e-12)
    assert table["lr"][10:].tolist() == [1, 1]


def test_difference_one_cycle_of_two_steps_never_reaches_its_peak_in_torch():
    (values, _) = stepped(2, lambda o: theirs.OneCycleLR(o, 1.0, total_steps=2))
    assert values.max() == pytest.approx(0.8117, abs=1e-4)
    assert ours.OneCycleLR(1.0, 2).table(0, 2)["lr"] == pytest.approx([1.0, 4e-6])


def test_difference_one_cycle_of_one_step_is_refused():
    (values, _) = stepped(1, lambda o: theirs.OneCycleLR(o, 1.0, total_steps=1))
    assert values == pytest.approx([4e-6])
    with pytest.raises(LengthError, match="total_steps is 1, and must be at least 2"):
        ours.OneCycleLR(1.0, 1)


@pytest.mark.parametrize("name", ["LinearLR", "ConstantLR"])
def test_difference_a_warmup_of_no_steps_goes_on_for_ever_in_torch_and_is_refused_here(name):
    (values, _) = stepped(9, lambda o: getattr(theirs, name)(o, total_iters=0))
    assert values == pytest.approx([1 / 3] * 9)
    with pytest.raises(LengthError, match="total_iters is 0, and must be at least 1"):
        getattr(ours, name)(1.0, total_iters=0)


def test_difference_a_linear_warmup_may_start_at_0_here():
    with pytest.raises(ValueError, match="Starting multiplicative factor"):
        theirs.LinearLR(optimizer(), start_factor=0.0)
    assert ours.LinearLR(1.0, 0.0, total_iters=2).table(0, 3)["lr"].tolist() == [0.0, 0.5, 1.0]


@by_epoch
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_difference_a_sequence_in_a_sequence_is_the_chain_of_its_parts():
    def nested(o):
        inner = theirs.SequentialLR(o, [theirs.ConstantLR(o, 0.5, 9), theirs.ConstantLR(o, 0.2, 9)], [2])
        return theirs.SequentialLR(o, [inner], [])

    constants = [ours.ConstantLR(0.1, 0.5, 9), ours.ConstantLR(0.1, 0.2, 9)]
    chain = [0.05, 0.05, 0.02, 0.02]
    (values, _) = stepped(4, nested, lr=0.1)
    assert values != pytest.approx(chain)  # torch's first steps differ from version to version
    assert ours.SequentialLR([ours.SequentialLR(constants, [2])], []).table(0, 4)["lr"] == pytest.approx(chain)


def test_difference_one_cycle_in_a_sequence_does_not_change_its_neighbours_rate():
    def sequence(o):
        return theirs.SequentialLR(o, [theirs.LinearLR(o, 0.1, 1.0, 3), theirs.OneCycleLR(o, 1.0, total_steps=9)], [3])

    (values, _) = stepped(1, sequence, lr=0.1)
    assert values[0] == pytest.approx(0.004)
    policies = [ours.LinearLR(0.1, 0.1, 1.0, 3), ours.OneCycleLR(1.0, 9, cycle_momentum=False)]
    assert ours.SequentialLR(policies, [3]).at(0)["lr"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ours.StepLR(0.1, 0), "step_size is 0, and must be at least 1"),
        (lambda: ours.StepLR(0.1, 2.5), "step_size is a whole number of steps, not 2.5"),
        (lambda: ours.StepLR(-0.1, 3), "at least 0"),
        (lambda: ours.CosineAnnealingLR(0.1, 0), "T_max is 0"),
        (lambda: ours.CosineAnnealingWarmRestarts(0.1, 3, 0), "T_mult is 0"),
        (lambda: ours.MultiStepLR(0.1, [-1]), "a milestone is -1"),
        (lambda: ours.CyclicLR(0.1, 1.0, mode="triangle"), "mode cannot be 'triangle'. Did you mean 'triangular'?"),
        (lambda: ours.OneCycleLR(1.0), "give total_steps, or both epochs and steps_per_epoch"),
        (lambda: ours.OneCycleLR(1.0, 10, pct_start=30), "pct_start is 30, and must lie from 0 to 1"),
        (lambda: ours.OneCycleLR(1.0, 10, anneal_strategy="cosine"), "Did you mean 'cos'?"),
        (lambda: ours.OneCycleLR(1.0, 10, pct_start=0.8, three_phase=True), "choose pct_start between 0.1 and 0.55"),
        (lambda: ours.OneCycleLR(1.0, 10, pct_start=0.1, three_phase=True), "choose pct_start between"),
        (lambda: ours.SequentialLR([ours.StepLR(0.1, 3)], [4]), "milestones holds 1 steps for 1 schedulers, and needs"),
        (lambda: ours.SequentialLR([ours.StepLR(0.1, 3)] * 3, [4, 4]), "must be at least 1"),
        (lambda: ours.SequentialLR([ours.StepLR(0.1, 3), ours.OneCycleLR(0.1, 3)], [4]), "different hyperparameters"),
    ],
)
def test_what_torch_takes_in_silence_is_refused(make, message):
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in str(caught.value)


def test_difference_three_phases_of_no_climb_divide_by_zero_in_torch():
    with pytest.raises(ZeroDivisionError):
        theirs.OneCycleLR(optimizer(), 1.0, total_steps=10, pct_start=0.1, three_phase=True)
    assert math.isclose(ours.OneCycleLR(1.0, 10, pct_start=0.11, three_phase=True).at(0)["lr"], 0.04)


def test_difference_a_constant_of_factor_0_divides_by_zero_in_torch():
    with pytest.raises(ZeroDivisionError):
        stepped(4, lambda o: theirs.ConstantLR(o, 0.0, 2))
    assert ours.ConstantLR(1.0, 0.0, 2).table(0, 4)["lr"].tolist() == [0, 0, 1, 1]


CYCLE = {"base_lr": 1, "max_lr": 5, "base_momentum": 1, "max_momentum": 5}
THIRDS = [1, 2, 3, 4, 5, 13 / 3, 11 / 3, 3, 7 / 3, 5 / 3, 1]
TABLES = {
    "step": (lambda: ours.StepLR(1.0, 3, 0.5), [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
    "multi step": (lambda: ours.MultiStepLR(1.0, [2, 2, 5], 0.5), [1, 1, 0.25, 0.25, 0.25, 0.125]),
    "cosine": (lambda: ours.CosineAnnealingLR(1.0, 4), [1, 0.853553, 0.5, 0.146447, 0]),
    "polynomial": (lambda: ours.PolynomialLR(1.0, 4, 2), [1, 0.5625, 0.25, 0.0625, 0, 0, 0]),
    "linear": (lambda: ours.LinearLR(1.0, 0.25, 1.0, 3), [0.25, 0.5, 0.75, 1, 1]),
    "restarts": (lambda: ours.CosineAnnealingWarmRestarts(1.0, 3, 2), [1, 0.75, 0.25, 1, 0.933013, 0.75, 0.5, 0.25]),
    "triangular": (lambda: ours.CyclicLR(**CYCLE, step_size_up=4), [1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3]),
    "triangular up and down": (lambda: ours.CyclicLR(**CYCLE, step_size_up=4, step_size_down=6), THIRDS),
    "triangular2": (
        lambda: ours.CyclicLR(**CYCLE, step_size_up=4, mode="triangular2"),
        [1, 2, 3, 4, 5, 4, 3, 2, 1, 1.5, 2, 2.5, 3, 2.5, 2, 1.5, 1, 1.25, 1.5, 1.75, 2, 1.75],
    ),
    "exp_range": (
        lambda: ours.CyclicLR(0.1, 1.0, 2, mode="exp_range", gamma=0.9),
        [0.1, 0.505, 0.829, 0.42805, 0.1, 0.365721, 0.578297, 0.315234, 0.1],
    ),
    "1cycle": (
        lambda: ours.OneCycleLR(25, 10, final_div_factor=2, anneal_strategy="linear"),
        [1, 13, 25, 21.5, 18, 14.5, 11, 7.5, 4, 0.5],
    ),
    "1cycle in three phases": (
        lambda: ours.OneCycleLR(1.0, 10, anneal_strategy="linear", three_phase=True),
        [0.04, 0.52, 1, 0.52, 0.04, 0.032001, 0.024002, 0.016002, 0.008003, 4e-6],
    ),
}


@pytest.mark.parametrize(("make", "values"), TABLES.values(), ids=TABLES.keys())
def test_tables_of_values_that_torch_tests_for(make, values):
    np.testing.assert_allclose(make().table(0, len(values))["lr"], values, rtol=0, atol=6e-7)


def test_tables_of_momenta_that_torch_tests_for():
    cycle = ours.CyclicLR(**CYCLE, step_size_up=4).table(0, 11)["momentum"]
    assert cycle.tolist() == [5, 4, 3, 2, 1, 2, 3, 4, 5, 4, 3]
    settings = {"base_momentum": 1, "max_momentum": 22, "anneal_strategy": "linear"}
    momenta = ours.OneCycleLR(25, 10, **settings).table(0, 10)["momentum"]
    assert momenta == pytest.approx([22, 11.5, 1, 4, 7, 10, 13, 16, 19, 22])
