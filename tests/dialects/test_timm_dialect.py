"""timm's schedulers by their own argument names, against its formulas, one step at a time in plain Python.

timm need not be installed. What follows is its documentation's arithmetic written again, but for the cycle, which is
found by adding up whole lengths where timm takes a logarithm. Where it can be imported, its newest two are run too.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.kernel.errors import ParameterError
from stepsize.policies.dialects import timm as ours

few = settings(max_examples=30, deadline=None)
rates = st.floats(1e-3, 10)
shares = st.floats(0, 1)
STEPS = 130


def cycle_of(t, first, stretch):
    """The number of the cycle, the step in it, and its length."""
    number, begin, size = 0, Fraction(0), Fraction(first)
    while t >= begin + size:
        number, begin, size = number + 1, begin + size, size * Fraction(stretch)
    return number, float(t - begin), float(size)


def expected(shape, drawn, curve_only=False):
    """The values of a timm scheduler whose decay within a cycle is `shape(u)`, from 1 to 0."""
    lr, low, warmup = drawn["lr"], drawn.get("lr_min", 0.0), 0 if curve_only else drawn.get("warmup_t", 0)

    def decayed(t):
        number, index, size = cycle_of(t, drawn["t_initial"], drawn.get("cycle_mul", 1))
        if number >= drawn.get("cycle_limit", 1):
            return low
        top = lr * drawn.get("cycle_decay", 1.0) ** number
        return low + (top - low) * shape(index / size)

    prefix, start = drawn.get("warmup_prefix", False), drawn.get("warmup_lr_init", 0.0)
    target = drawn.get("target", lr)
    if target == "curve":
        target = lr if prefix else decayed(warmup)
    return [
        start + t * (target - start) / warmup if t < warmup else decayed(t - warmup if prefix else t)
        for t in range(STEPS)
    ]


def same(policy, values):
    table = policy.table(0, STEPS)["lr"]
    np.testing.assert_allclose(table, values, rtol=0, atol=1e-11 * np.max(values))


cycled = {
    "lr": rates,
    "t_initial": st.integers(1, 30),
    "lr_min": shares,
    "cycle_mul": st.integers(1, 3),
    "cycle_decay": st.just(1.0) | st.floats(0.3, 1.2),
    "cycle_limit": st.integers(1, 4),
    "warmup_t": st.integers(0, 20),
    "warmup_lr_init": shares,
    "warmup_prefix": st.booleans(),
}


@few
@given(drawn=st.fixed_dictionaries(cycled | {"k_decay": st.just(1.0) | st.floats(0.5, 3)}))
def test_cosine(drawn):
    k = drawn["k_decay"]
    same(ours.CosineLRScheduler(**drawn), expected(lambda u: (1 + math.cos(math.pi * u**k)) / 2, drawn))


@few
@given(drawn=st.fixed_dictionaries(cycled | {"cycle_mul": st.sampled_from([1.25, 1.5, 2.5])}))
def test_cosine_whose_cycles_begin_between_two_steps(drawn):
    same(ours.CosineLRScheduler(**drawn), expected(lambda u: (1 + math.cos(math.pi * u)) / 2, drawn))


@few
@given(drawn=st.fixed_dictionaries(cycled), lb=st.floats(-8, -1), ub=st.floats(0, 4))
def test_tanh(drawn, lb, ub):
    def shape(u):
        return (1 - math.tanh(lb * (1 - u) + ub * u)) / 2

    same(ours.TanhLRScheduler(**drawn, lb=lb, ub=ub), expected(shape, drawn | {"target": "curve"}))


@few
@given(
    drawn=st.fixed_dictionaries(
        cycled | {"power": st.just(1) | st.floats(0.4, 3), "k_decay": st.just(1) | st.floats(0.5, 3)}
    )
)
def test_poly(drawn):
    k, power = drawn["k_decay"], drawn["power"]
    same(ours.PolyLRScheduler(**drawn), expected(lambda u: (1 - u**k) ** power, drawn))


@few
@given(drawn=st.fixed_dictionaries(cycled | {"cycle_mul": st.sampled_from([1.5, 2.5])}))
def test_a_line_whose_cycles_begin_between_two_steps(drawn):
    same(ours.PolyLRScheduler(**drawn, power=1), expected(lambda u: 1 - u, drawn))


@few
@given(
    lr=rates,
    decay_t=st.integers(1, 30),
    decay_rate=st.floats(0.3, 1.1),
    warmup=st.integers(0, 20),
    start=shares,
    prefix=st.booleans(),
)
def test_step(lr, decay_t, decay_rate, warmup, start, prefix):  # noqa: PLR0917
    values = [
        start + t * (lr - start) / warmup if t < warmup else lr * decay_rate ** ((t - prefix * warmup) // decay_t)
        for t in range(STEPS)
    ]
    same(ours.StepLRScheduler(lr, decay_t, decay_rate, warmup, start, prefix), values)


@few
@given(
    lr=rates,
    moments=st.lists(st.integers(1, 60), max_size=5).map(sorted),
    decay_rate=st.floats(0.3, 1.1),
    warmup=st.integers(0, 20),
    prefix=st.booleans(),
)
def test_multi_step(lr, moments, decay_rate, warmup, prefix):
    def decayed(t):
        return lr * decay_rate ** sum(moment <= t + 1 for moment in moments)

    values = [t * lr / warmup if t < warmup else decayed(t - prefix * warmup) for t in range(STEPS)]
    same(ours.MultiStepLRScheduler(lr, moments, decay_rate, warmup, warmup_prefix=prefix), values)
    same(ours.MultiStepLRScheduler(lr, moments), [lr] * STEPS)


DECAYS = {
    "linear": lambda u, power, ratio: 1 - u,
    "1-sqrt": lambda u, power, ratio: 1 - math.sqrt(u),
    "cosine": lambda u, power, ratio: (1 + math.cos(math.pi * u)) / 2,
    "power": lambda u, power, ratio: 1 - u**power,
    "exp": lambda u, power, ratio: (ratio**u - ratio) / (1 - ratio),
}


@st.composite
def stable_and_decay(draw):
    """Arguments of WSDLRScheduler."""
    steps = draw(st.integers(1, 80))
    lr = draw(rates)
    return {
        "lr": lr, "t_initial": steps, "decay_t": draw(st.integers(1, steps)), "lr_min": lr * draw(st.just(0) | shares),
        "stable_fn": draw(st.sampled_from(["constant", "rsqrt", "power"])),
        "stable_timescale": draw(st.floats(0.5, 50)), "stable_power": draw(st.floats(0.1, 2)),
        "decay_fn": draw(st.sampled_from(sorted(DECAYS))),
        "decay_power": draw(st.floats(0.2, 3)), "decay_ratio": draw(st.floats(0.01, 0.9)),
        "warmup_t": draw(st.integers(0, 20)), "warmup_lr_init": draw(shares),
    }  # fmt: skip


@few
@given(drawn=stable_and_decay())
def test_warmup_stable_decay(drawn):
    exponent = {"constant": 0.0, "rsqrt": 0.5, "power": drawn["stable_power"]}[drawn["stable_fn"]]
    warmup, first, low, falls = drawn["warmup_t"], drawn["warmup_lr_init"], drawn["lr_min"], drawn["decay_t"]

    def value(t):
        stable = max(drawn["lr"] * (1 + t / drawn["stable_timescale"]) ** -exponent, low)
        u = min(max(t - (drawn["t_initial"] - falls), 0) / falls, 1)
        return low + (stable - low) * DECAYS[drawn["decay_fn"]](u, drawn["decay_power"], drawn["decay_ratio"])

    climb = [first + t * (drawn["lr"] - first) / warmup for t in range(warmup)]
    same(ours.WSDLRScheduler(**drawn), [*climb, *(value(t) for t in range(STEPS - warmup))])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MultiStepLRScheduler", {"decay_t": [1, 5, 5, 30], "decay_rate": 0.5, "warmup_t": 4}),
        *(
            ("WSDLRScheduler", {"t_initial": 60, "decay_t": 20, "lr_min": 0.01, "warmup_t": 9, **functions})
            for functions in (
                {}, {"stable_fn": "rsqrt", "decay_fn": "linear"}, {"stable_fn": "power", "decay_fn": "cosine"},
                {"decay_fn": "power", "decay_power": 2.0}, {"stable_fn": "rsqrt", "decay_fn": "exp"},
            )
        ),
    ],
)  # fmt: skip
def test_the_newest_are_timms_own(name, arguments):
    theirs = getattr(pytest.importorskip("timm.scheduler", reason="timm is not installed"), name, None)
    if theirs is None:
        pytest.skip(f"this timm has no {name}")
    scheduler = theirs(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3), **arguments)
    same(getattr(ours, name)(0.3, **arguments), [scheduler._get_lr(t)[0] for t in range(STEPS)])


def test_every_default_is_timms():
    assert ours.CosineLRScheduler(0.3, 10) == ours.CosineLRScheduler(0.3, 10, 0.0, 1.0, 1.0, 1, 0, 0.0, False, 1.0)
    drawn = {"lr": 0.3, "t_initial": 20}
    same(ours.CosineLRScheduler(**drawn), expected(lambda u: (1 + math.cos(math.pi * u)) / 2, drawn))
    same(ours.TanhLRScheduler(**drawn), expected(lambda u: (1 - math.tanh(-7 + 10 * u)) / 2, drawn))
    same(ours.PolyLRScheduler(**drawn), expected(lambda u: (1 - u) ** 0.5, drawn))
    assert ours.StepLRScheduler(0.3, 5).table(0, 20)["lr"].tolist() == [0.3] * 20
    wsd = {"t_initial": 20, "decay_t": 5, "stable_power": 0.5, "decay_power": 0.5, "decay_ratio": 0.1}
    assert ours.WSDLRScheduler(0.3, 20, 5) == ours.WSDLRScheduler(
        0.3, **wsd, lr_min=0.0, stable_fn="constant", decay_fn="1-sqrt", warmup_t=0, warmup_lr_init=0.0
    )
    assert ours.WSDLRScheduler(0.3, 20, 5, stable_fn="rsqrt", warmup_t=4) == ours.WSDLRScheduler(
        0.3, **wsd, stable_fn="power", stable_timescale=4, warmup_t=4
    )


def test_a_warmup_that_replaces_jumps_down_and_one_before_does_not():
    replaced = ours.CosineLRScheduler(1.0, 10, warmup_t=5)["lr"]
    assert [replaced(4), replaced(5)] == pytest.approx([0.8, 0.5])
    before = ours.CosineLRScheduler(1.0, 10, warmup_t=5, warmup_prefix=True)["lr"]
    assert [before(4), before(5), before(15)] == pytest.approx([0.8, 1.0, 0.0])


@pytest.mark.parametrize("stretch", [2, 3, 5, 10])
@pytest.mark.parametrize("first", [1, 5, 10, 100])
def test_difference_timm_finds_a_restart_by_a_logarithm_and_ours_is_exact(first, stretch):
    """The expression of its `_get_lr`: at the first step of a cycle its rounding may give the one before."""
    policy = ours.CosineLRScheduler(1.0, first, cycle_mul=stretch, cycle_limit=9)
    for cycle in range(1, 6):
        edge = first * (stretch**cycle - 1) // (stretch - 1)
        assert math.floor(math.log(1 - edge / first * (1 - stretch), stretch)) in {cycle - 1, cycle}
        assert policy.at(edge)["lr"] == 1.0


def test_policies_fit_a_run_that_is_longer():
    policy = ours.CosineLRScheduler(1.0, 10, warmup_t=5)
    np.testing.assert_array_equal(policy.over(30).table(0, 30)["lr"], policy.table(0, 30)["lr"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ours.CosineLRScheduler(1.0, 0), "t_initial is 0, and must be at least 1"),
        (lambda: ours.CosineLRScheduler(1.0, 5, cycle_limit=0), "cycle_limit is 0"),
        (lambda: ours.CosineLRScheduler(1.0, 5, warmup_t=-1), "warmup_t is -1"),
        (lambda: ours.CosineLRScheduler(1.0, 5, cycle_mul=0.5), "cycle_mul is 0.5, and must be a whole number"),
        (lambda: ours.CosineLRScheduler(1.0, 5, cycle_mul=1.5, k_decay=2.0), "cycle_mul is 1.5"),
        (lambda: ours.TanhLRScheduler(1.0, 5, cycle_mul=1.5), "cycle_mul is 1.5"),
        (lambda: ours.TanhLRScheduler(1.0, 5, lb=3.0, ub=-3.0), "must be below"),
        (lambda: ours.StepLRScheduler(1.0, 2.5), "decay_t is a whole number of steps, not 2.5"),
        (lambda: ours.MultiStepLRScheduler(1.0, [0, 4]), "a moment of decay_t is 0, and must be at least 1"),
        (lambda: ours.MultiStepLRScheduler(1.0, [5, 3]), "the boundaries must rise"),
        (lambda: ours.WSDLRScheduler(1.0, 5, 6), "decay_t is 6, and must be at most t_initial, 5"),
        (lambda: ours.WSDLRScheduler(1.0, 5, 2, stable_fn="rsqrt"), "stable_timescale is 0, and must be above 0"),
        (lambda: ours.WSDLRScheduler(1.0, 5, 2, decay_fn="sqrt"), "'1-sqrt'"),
        (lambda: ours.WSDLRScheduler(1.0, 5, 2, stable_fn="cosine"), "stable_fn"),
        (lambda: ours.WSDLRScheduler(1.0, 5, 2, decay_fn="exp", decay_ratio=1.0), "must be below 1"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ParameterError) as caught:
        make()
    assert message in str(caught.value)
