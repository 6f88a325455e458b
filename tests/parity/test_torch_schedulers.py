"""Every schedule against torch.optim.lr_scheduler, step by step, and each intended difference by name.

The tolerance is 1e-12 of the largest value: torch evaluates many of its schedulers recursively, so its own
rounding adds up over the run.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from stepsize.policies import one_cycle
from stepsize.schedules import (
    Constant,
    Cosine,
    Exponential,
    ExpRange,
    Linear,
    Polynomial,
    Staircase,
    Triangular,
    Triangular2,
)

rates = st.floats(1e-4, 10)
horizons = st.integers(1, 120)


def stepped(scheduler, steps, base, **settings):
    """The rates that torch uses at steps 0..steps-1, and the momenta, when it moves them."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base, momentum=0.9)
    schedule = scheduler(optimizer, **settings)
    values, momenta = [], []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        schedule.step()
    return np.array(values), np.array(momenta)


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())


@given(base=rates, factor=st.floats(0.1, 1), every=st.integers(1, 30), steps=horizons)
def test_staircase_is_step_lr(base, factor, every, steps):
    theirs, _ = stepped(lr_scheduler.StepLR, steps, base, step_size=every, gamma=factor)
    same(Staircase(base, factor, every).table(0, steps), theirs)


@given(base=rates, gamma=st.floats(0.8, 1.0), steps=horizons)
def test_exponential_is_exponential_lr(base, gamma, steps):
    theirs, _ = stepped(lr_scheduler.ExponentialLR, steps, base, gamma=gamma)
    same(Exponential(base, base * gamma**steps, steps).table(0, steps), theirs)


@given(base=rates, power=st.floats(0.2, 5), length=st.integers(1, 60), extra=st.integers(0, 20))
def test_polynomial_is_polynomial_lr_also_past_its_end(base, power, length, extra):
    theirs, _ = stepped(lr_scheduler.PolynomialLR, length + extra, base, total_iters=length, power=power)
    ours = Polynomial(base, 0.0, length, power=power).table(0, length + extra)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11 * base)  # torch's is a product of `length` powers


@given(base=rates, end=st.floats(0, 1), length=st.integers(1, 100))
def test_cosine_is_cosine_annealing_lr_up_to_its_end(base, end, length):
    settings = {"T_max": length, "eta_min": end * base}
    theirs, _ = stepped(lr_scheduler.CosineAnnealingLR, length + 1, base, **settings)
    same(Cosine(base, end * base, length).table(0, length + 1), theirs)


@given(base=rates, start=st.floats(0.01, 1), end=st.floats(0, 1), length=st.integers(1, 60), extra=st.integers(0, 9))
def test_linear_is_linear_lr_also_past_its_end(base, start, end, length, extra):
    settings = {"start_factor": start, "end_factor": end, "total_iters": length}
    theirs, _ = stepped(lr_scheduler.LinearLR, length + extra, base, **settings)
    same(Linear(start * base, end * base, length).table(0, length + extra), theirs)


CYCLES = {"triangular": Triangular, "triangular2": Triangular2, "exp_range": ExpRange}


@pytest.mark.parametrize("mode", CYCLES)
@given(
    base=rates,
    height=rates,
    sides=st.tuples(st.integers(1, 25), st.integers(1, 25) | st.none()),
    gamma=st.floats(0.95, 1),
)
def test_cycles_are_cyclic_lr_over_many_cycles(mode, base, height, sides, gamma):
    extra = {"gamma": gamma} if mode == "exp_range" else {}
    (up, down), (least, most) = sides, (0.7, 0.95)
    theirs, their_momenta = stepped(
        lr_scheduler.CyclicLR, 12 * up + 7, base,
        base_lr=base, max_lr=base + height, step_size_up=up, step_size_down=down, mode=mode, gamma=gamma,
        base_momentum=least, max_momentum=most,
    )  # fmt: skip
    kind = CYCLES[mode]
    same(kind(base, base + height, up, fall=down, **extra).table(0, 12 * up + 7), theirs)
    same(kind(most, least, up, fall=down, **extra).table(0, 12 * up + 7), their_momenta)


@pytest.mark.parametrize("curve", ["cosine", "linear"])
@given(
    peak=rates,
    lengths=st.tuples(st.integers(1, 9), st.integers(2, 12)),
    ends=st.tuples(st.floats(2, 100), st.floats(10, 1e5)),
)
def test_one_cycle_is_one_cycle_lr(curve, peak, lengths, ends):
    (tenths, tens), (div, final) = lengths, ends
    steps = 10 * tens
    theirs, their_momenta = stepped(
        lr_scheduler.OneCycleLR, steps, peak,
        max_lr=peak, total_steps=steps, pct_start=tenths / 10, anneal_strategy={"cosine": "cos"}.get(curve, curve),
        div_factor=div, final_div_factor=final,
    )  # fmt: skip
    ours = one_cycle(peak, warmup=tenths * tens - 1, start=1 / div, end=1 / div / final, curve=curve)
    table = ours.over(steps - 1).table(0, steps)
    same(table["lr"], theirs)
    same(table["momentum"], their_momenta)


def test_the_defaults_of_one_cycle_are_those_of_one_cycle_lr():
    theirs, their_momenta = stepped(lr_scheduler.OneCycleLR, 200, 1.0, max_lr=1.0, total_steps=200)
    table = one_cycle(1.0, warmup=59).over(199).table(0, 200)
    same(table["lr"], theirs)
    same(table["momentum"], their_momenta)


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # torch 2.4 warns of its SequentialLR's own call
@given(peak=rates, start=st.floats(0.01, 0.9), warmup=st.integers(1, 20), length=st.integers(2, 80))
def test_warmup_then_cosine_is_sequential_lr(peak, start, warmup, length):
    def sequential(optimizer):
        first = lr_scheduler.LinearLR(optimizer, start_factor=start, total_iters=warmup)
        second = lr_scheduler.CosineAnnealingLR(optimizer, T_max=length)
        return lr_scheduler.SequentialLR(optimizer, [first, second], milestones=[warmup])

    theirs, _ = stepped(sequential, warmup + length, peak)
    ours = Linear(start * peak, peak, warmup) >> Cosine(peak, 0.0, length)
    same(ours.table(0, warmup + length), theirs)


def test_difference_cosine_holds_its_end_where_torch_climbs_again():
    theirs, _ = stepped(lr_scheduler.CosineAnnealingLR, 9, 1.0, T_max=4)
    assert theirs[8] == pytest.approx(1.0)
    assert Cosine(1.0, 0.0, 4).table(4, 9).tolist() == [0.0] * 5


@pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")
def test_difference_one_cycle_holds_its_end_where_torch_climbs_again_and_then_raises():
    settings = {"max_lr": 1.0, "total_steps": 10}
    theirs, _ = stepped(lr_scheduler.OneCycleLR, 10, 1.0, **settings)
    with pytest.raises(ValueError, match="Tried to step"):
        stepped(lr_scheduler.OneCycleLR, 12, 1.0, **settings)
    ours = one_cycle(1.0, warmup=2).over(9)["lr"].table(9, 14)
    np.testing.assert_allclose(ours, theirs[-1], rtol=1e-12)


def test_difference_one_cycle_with_a_warmup_of_one_update_exists_where_torch_divides_by_zero():
    with pytest.raises(ZeroDivisionError):
        stepped(lr_scheduler.OneCycleLR, 1, 1.0, max_lr=1.0, total_steps=10, pct_start=0.1)
    assert one_cycle(1.0, warmup=1).over(9)["lr"](1) == 1.0


def test_difference_a_bound_staircase_holds_where_torch_keeps_falling():
    theirs, _ = stepped(lr_scheduler.StepLR, 10, 1.0, step_size=3, gamma=0.5)
    assert Staircase(1.0, 0.5, 3).over(6).table(0, 10).tolist() == [*theirs[:7].tolist(), 0.25, 0.25, 0.25]
    assert theirs[9] == 0.125


def test_difference_exponential_is_given_its_end_and_reaches_it_whatever_the_horizon():
    for steps in (10, 1000):
        assert Exponential(0.1, 0.001).over(steps)(steps) == pytest.approx(0.001, rel=1e-14)


def test_difference_a_cosine_of_no_steps_is_refused_where_torch_divides_by_zero_later():
    with pytest.raises(ValueError, match="at least 1 step"):
        Cosine(1.0, 0.0, 0)


FIXTURES = [
    (Staircase(1.0, 0.5, 3), [1, 1, 1, 0.5, 0.5, 0.5, 0.25]),
    (Cosine(1.0, 0.0, 4), [1, 0.853553, 0.5, 0.146447, 0, 0]),
    (Polynomial(1.0, 0.0, 4, power=2.0), [1, 0.5625, 0.25, 0.0625, 0, 0, 0]),
    (Linear(0.25, 1.0, 3), [0.25, 0.5, 0.75, 1, 1]),
    (Triangular(0.1, 1.0, 2), [0.1, 0.55, 1, 0.55, 0.1]),
    (Triangular2(0.1, 1.0, 2), [0.1, 0.55, 1, 0.55, 0.1, 0.325, 0.55, 0.325, 0.1, 0.2125, 0.325]),
    (ExpRange(0.1, 1.0, 2, gamma=0.9), [0.1, 0.505, 0.829, 0.42805, 0.1, 0.365721, 0.578297, 0.315234, 0.1]),
    (
        one_cycle(1.0, warmup=2).over(9)["lr"],
        [0.04, 0.52, 1, 0.950485, 0.811746, 0.611262, 0.388742, 0.188258, 0.049519, 4e-6],
    ),
]


@pytest.mark.parametrize(("schedule", "printed"), FIXTURES, ids=lambda x: type(x).__name__)
def test_the_printed_fixtures_of_the_methods_sheet_are_reproduced(schedule, printed):
    assert schedule.table(0, len(printed)).round(6).tolist() == pytest.approx(printed, abs=1e-9)


def test_the_printed_momenta_of_one_cycle_are_reproduced():
    printed = [0.95, 0.9, 0.85, 0.855, 0.8688, 0.8889, 0.9111, 0.9312, 0.945, 0.95]
    ours = one_cycle(1.0, warmup=2).over(9)["momentum"].table(0, 10)
    assert ours.round(4).tolist() == pytest.approx(printed, abs=1e-9)


def test_three_phases_of_one_cycle_are_a_chain():
    """METHODS 1.4 (c), three_phase and linear: up, down, and far down."""
    chain = Linear(0.04, 1.0, 2) >> Linear(1.0, 0.04, 2) >> Linear(0.04, 4e-6, 5)
    printed = [0.04, 0.52, 1, 0.52, 0.04, 0.032001, 0.024002, 0.016002, 0.008003, 4e-6]
    assert chain.table(0, 10).round(6).tolist() == pytest.approx(printed, abs=1e-9)


def test_smiths_own_one_cycle_is_a_chain():
    """METHODS 1.4 (a): reconstructed from the logs of the paper; s = 2246 of 4882 updates, base .1, max 1."""
    half = 2246
    rate = Linear(0.1, 1.0, half) >> Linear(1.0, 0.0, half) >> Constant(0.1 / 1000)
    printed = {400: 0.260285, 2000: 0.901425, 2400: 0.931434, 4400: 0.0409617, 4600: 0.0001}
    bound = rate.over(4882)
    for step, value in printed.items():
        assert bound(step) == pytest.approx(value, rel=2e-6)
    momentum = Linear(0.95, 0.85, half) >> Linear(0.85, 0.95, half) >> Constant(0.95)
    for step, value in {400: 0.932191, 2400: 0.856857, 4400: 0.945904}.items():
        assert momentum.over(4882)(step) == pytest.approx(value, abs=1e-6)


@given(
    base=rates, height=rates, half=st.integers(1, 50), step=st.integers(0, 2000), decay=st.sampled_from(sorted(CYCLES))
)
def test_cycles_are_the_formula_of_the_paper(base, height, half, step, decay):
    """Smith's listing: `cycle = floor(1 + t/(2s)); x = |t/s - 2*cycle + 1|; base + (max - base)*max(0, 1 - x)`."""
    cycle = math.floor(1 + step / (2 * half))
    x = abs(step / half - 2 * cycle + 1)
    scale = {"triangular": 1.0, "triangular2": 1 / 2 ** (cycle - 1), "exp_range": 0.99**step}[decay]
    extra = {"gamma": 0.99} if decay == "exp_range" else {}
    ours = CYCLES[decay](base, base + height, half, **extra)(step)
    assert ours == pytest.approx(base + height * max(0.0, 1 - x) * scale, abs=1e-12 * (base + height) * 100)


@given(base=rates, gamma=st.floats(0.5, 0.99), every=st.integers(1, 9), step=st.integers(0, 60))
def test_a_staircase_counts_whole_stairs(base, gamma, every, step):
    assume(base * gamma ** (step // every) > 0)
    assert Staircase(base, gamma, every)(step) == pytest.approx(base * gamma ** (step // every), rel=1e-13)
