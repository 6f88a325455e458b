"""The further forms and the operators against torch, optax and the formulas of their papers, step by step.

torch's are recursive, so 1e-12 of the largest value; optax computes in float32, so 1e-6.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from stepsize.schedules import (
    Clipped,
    Constant,
    Cosine,
    ExponentialToZero,
    Geometric,
    Interpolated,
    KCosine,
    Linear,
    MirrorCosine,
    MultiStep,
    PowerLaw,
    Repeat,
    Reversed,
    Rex,
    Sqrt,
    Square,
    Staircase,
    Stepped,
    Table,
    Tanh,
)

rates = st.floats(1e-4, 10)
lengths = st.integers(1, 60)
STEPS = jnp.arange(200)


def stepped(make, steps, base):
    """The rates that torch uses at steps 0..steps-1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base, momentum=0.9)
    scheduler, values = make(optimizer), []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(values)


def same(schedule, theirs, tolerance=1e-12):
    table = schedule.table(0, len(theirs))
    np.testing.assert_allclose(table, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def same_as_optax(schedule, theirs, steps):
    same(schedule, np.asarray(jax.vmap(theirs)(STEPS), dtype=np.float64)[:steps], 1e-6)


@given(base=rates, factor=st.floats(0.1, 1), at=st.lists(st.integers(1, 60), max_size=5))
def test_multi_step_is_multi_step_lr_duplicates_and_all(base, factor, at):
    theirs = stepped(lambda o: lr_scheduler.MultiStepLR(o, sorted(at), factor), 80, base)
    same(MultiStep(base, factor, tuple(at)), theirs)


@given(base=rates, factor=st.floats(0.8, 1.0))
def test_geometric_is_exponential_lr(base, factor):
    same(Geometric(base, factor), stepped(lambda o: lr_scheduler.ExponentialLR(o, factor), 100, base))


@given(base=rates, end=st.floats(0, 1), first=st.integers(1, 12), stretch=st.integers(1, 4))
def test_repeated_cosines_are_cosine_annealing_warm_restarts(base, end, first, stretch):
    theirs = stepped(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, first, stretch, end * base), 150, base)
    same(Repeat(Cosine(base, end * base, first), stretch=stretch), theirs)


def test_a_restart_is_found_where_torchs_logarithm_may_miss_it():
    """Asked for an epoch, torch takes a logarithm: after 1, 3, 9, 27 and 81 steps, at 121, it may still be at 0."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 1, 3)
    theirs.step(121)
    rate = optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(round(rate), abs=1e-9)
    assert Repeat(Cosine(1.0, 0.0, 1), stretch=3)(121) == 1.0


@given(base=rates, first=st.integers(2, 20), factor=st.floats(0.5, 1.0), starts=st.floats(0.1, 1.0))
def test_a_product_is_a_chained_scheduler(base, first, factor, starts):
    def chained(optimizer):
        warmup = lr_scheduler.LinearLR(optimizer, starts, 1.0, total_iters=first)
        return lr_scheduler.ChainedScheduler([warmup, lr_scheduler.StepLR(optimizer, 7, factor)])

    same(Linear(starts, 1.0, first) * Staircase(base, factor, 7), stepped(chained, 60, base), 1e-11)


@pytest.mark.parametrize("curve", ["cosine", "linear"])
@given(total=st.integers(5, 120), share=st.floats(0.25, 0.9))
def test_points_between_the_steps_are_one_cycle_lr(curve, total, share):
    """torch's warmup ends at `share*total - 1`, which need not be a step."""
    strategy = {"cosine": "cos", "linear": "linear"}[curve]
    theirs = stepped(
        lambda o: lr_scheduler.OneCycleLR(o, 1.0, total, pct_start=share, anneal_strategy=strategy), total, 1.0
    )
    same(Interpolated((0.0, share * total - 1, total - 1.0), (1 / 25, 1.0, 1 / 250_000), curve), theirs)


@given(start=rates, factor=st.floats(0.3125, 1.0, width=16), every=st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_geometric_is_exponential_decay_and_stepped_its_staircase(start, factor, every):
    """Optax works in float32: it cannot hold every factor, and a stair that is no power of 2 comes late."""
    same_as_optax(Geometric(start, factor, every), optax.exponential_decay(start, every, factor), 100)
    stairs = optax.exponential_decay(start, every, factor, staircase=True)
    same_as_optax(Stepped(Geometric(start, factor, every), every), stairs, 100)


@given(start=rates, sizes=st.dictionaries(st.integers(1, 80), st.floats(0.1, 2.0), min_size=1, max_size=4))
@pytest.mark.parametrize("curve", ["cosine", "linear"])
def test_interpolated_is_piecewise_interpolate_schedule(curve, start, sizes):
    at, values = [0.0], [start]
    for moment in sorted(sizes):
        at.append(float(moment))
        values.append(values[-1] * sizes[moment])
    theirs = optax.piecewise_interpolate_schedule(curve, start, sizes)
    same_as_optax(Interpolated(tuple(at), tuple(values), curve), theirs, 120)


@given(peaks=st.lists(rates, min_size=1, max_size=3), warm=st.integers(1, 10), decay=st.integers(11, 40))
def test_a_chain_of_warmups_and_cosines_is_sgdr_schedule(peaks, warm, decay):
    cycle = [
        {"init_value": 0.0, "peak_value": peak, "end_value": 0.1 * peak, "warmup_steps": warm, "decay_steps": decay}
        for peak in peaks
    ]
    parts = [Linear(0.0, peak, warm) >> Cosine(peak, 0.1 * peak, decay - warm) for peak in peaks]
    ours = parts[0]
    for part in parts[1:]:
        ours = ours >> part
    same_as_optax(ours, optax.sgdr_schedule(cycle), decay * len(peaks))


@given(values=st.lists(st.floats(0, 10), min_size=1, max_size=40))
def test_a_table_of_a_schedule_is_lambda_lr(values):
    theirs = stepped(lambda o: lr_scheduler.LambdaLR(o, lambda step: values[min(step, len(values) - 1)]), 60, 1.0)
    assert Table(tuple(values)).table(0, 60).tolist() == theirs.tolist()


COOLDOWNS = {
    "1-sqrt": (Sqrt(1.0, 0.0, 40), lambda q: 1 - math.sqrt(q)),
    "square": (Square(1.0, 0.0, 40), lambda q: 1 - q**2),
    "mirror cosine": (MirrorCosine(1.0, 0.0, 40), lambda q: 2 * (1 - q) - 0.5 * (1 + math.cos(math.pi * q))),
    "exponential": (ExponentialToZero(1.0, 0.0, 40, left=0.1), lambda q: (0.1**q - 0.1) / 0.9),
    "rex": (Rex(1.0, 0.0, 40), lambda q: (1 - q) / (1 - q / 2)),
    "k-decay": (KCosine(1.0, 0.0, 40, k=1.5), lambda q: 0.5 * (1 + math.cos(math.pi * q**1.5))),
    "1-sqrt warmup": (Reversed(Sqrt(1.0, 0.0, 40)), lambda q: 1 - math.sqrt(1 - q)),
}


@pytest.mark.parametrize("name", COOLDOWNS)
def test_a_cooldown_is_its_papers_formula(name):
    schedule, formula = COOLDOWNS[name]
    np.testing.assert_allclose(schedule.table(0, 41), [formula(step / 40) for step in range(41)], rtol=0, atol=1e-14)


def test_tanh_is_timms_but_for_its_ends():
    """timm's begins at 1 - 6e-6 and ends at .0025; ours is the same curve, stretched to reach both values."""
    theirs = [0.5 * (1 - math.tanh(-6.0 * (1 - step / 40) + 3.0 * step / 40)) for step in range(41)]
    np.testing.assert_allclose(Tanh(theirs[0], theirs[-1], 40).table(0, 41), theirs, rtol=0, atol=1e-14)


@given(warm=st.integers(1, 30), base=rates)
def test_a_power_law_after_a_warmup_is_inverse_sqrt(warm, base):
    """transformers: `t / W` up to W, then `1 / sqrt((t + s) / tau)` with tau = W and s = 0."""
    theirs = [base * (t / warm if t < warm else 1 / math.sqrt(t / warm)) for t in range(120)]
    same(Linear(0.0, base, warm) >> PowerLaw(base, 0.5, float(warm)), np.array(theirs))


@given(base=rates, rate=st.floats(0.01, 5), every=st.integers(1, 50))
def test_a_power_law_of_1_is_inverse_time_decay(base, rate, every):
    theirs = [base / (1 + rate * t / every) for t in range(120)]
    same(PowerLaw(base, 1.0, every / rate), np.array(theirs))


def test_the_power_scheduler_may_be_clipped():
    """`min(peak, a * n**b)` is what 2408.13359 uses between warmup and decay."""
    theirs = [min(0.02, 0.1 * (1 + n) ** -0.51) for n in range(100)]
    same(Clipped(PowerLaw(0.1, 0.51), high=0.02), np.array(theirs))
    assert Clipped(Constant(1.0), high=0.5)(3) == 0.5
