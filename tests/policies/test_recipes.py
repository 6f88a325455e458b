"""Every recipe's curve by default and otherwise, against plain math at shares of a run of 1000 steps."""

import math

import numpy as np
import pytest

from stepsize.policies import (
    RECIPES,
    cooldown,
    cyclical,
    exp_range_paper,
    exponential_decay,
    hann,
    inverse_sqrt,
    inverse_time,
    linear_to_zero,
    noam,
    one_cycle,
    polynomial_decay,
    power,
    restarts,
    smith_one_cycle,
    step_decay,
    warm,
    warmup_cosine,
    welch,
    wsd,
)
from stepsize.schedules import Constant, Linear, PowerLaw

RUN = 1000
STEPS = (0, 1, 7, 20, 25, 49, 50, 51, 99, 100, 101, 125, 187, 200, 249, 250, 260, 299, 300, 301, 339, 340, 400, 459)
STEPS += (460, 461, 500, 600, 679, 680, 690, 699, 700, 701, 750, 799, 800, 801, 875, 899, 900, 919, 920, 940, 999, 1000)
PI = math.pi
PEAK = 0.4


def line(start, end, u):
    return start + (end - start) * u


def cosine(start, end, u):
    return line(start, end, (1 - math.cos(PI * u)) / 2)


def triangle(t, half=125):
    """0, up to 1 in `half` steps, and down again, on and on."""
    index = t % (2 * half)
    return 1 - abs(index - half) / half


def sgdr(t, size, stretch, scale):
    height = 1.0
    while t >= size:
        t, size, height = t - size, size * stretch, height * scale
    return height * cosine(1, 0, t / size)


def stable(t, down, first=50, last=200):
    """A warmup, a stable part, and `down(u)` at the end, of a peak of 1."""
    if t < first:
        return line(0.01, 1, t / first)
    return 1.0 if t < RUN - last else down((t - RUN + last) / last)


def rise_and_fall(t, start, end, warmup, shape):
    return shape(start, 1, t / warmup) if t < warmup else shape(1, end, (t - warmup) / (RUN - warmup))


def against(t, least, most, warmup, shape):
    return shape(most, least, t / warmup) if t < warmup else shape(least, most, (t - warmup) / (RUN - warmup))


def logs(t, half, base):
    if t < half:
        return line(base, 1, t / half)
    return line(1, 0, (t - half) / half) if t < 2 * half else base / 1000


def welch_curve(t, base, half=125):
    """A parabola with its top in the middle of a cycle."""
    return base + (1 - base) * (1 - ((t % (2 * half)) / half - 1) ** 2)


def hann_curve(t, base, half=125):
    return base + (1 - base) * (1 - math.cos(PI * (t % (2 * half)) / half)) / 2


def scheduler(t, exponent, plateau, last):
    """`min(1, (t / plateau) ** -exponent)`, and an exponential to 0 over the last steps."""
    rate = 1.0 if t < plateau else (t / plateau) ** -exponent
    u = max(0, t - RUN + last) / last
    return rate * (0.1**u - 0.1) / 0.9


CURVES = {
    "constant": lambda t: 1,
    "step_decay": lambda t: 0.1 ** (t // 340),
    "exponential_decay": lambda t: 0.01 ** (t / RUN),
    "polynomial_decay": lambda t: (1 - t / RUN) ** 2,
    "linear_to_zero": lambda t: 1 - t / RUN,
    "cosine": lambda t: cosine(1, 0, t / RUN),
    "warmup_linear": lambda t: line(0.01, 1, t / 50) if t < 50 else line(1, 0, (t - 50) / 950),
    "warmup_cosine": lambda t: line(0.01, 1, t / 50) if t < 50 else cosine(1, 0, (t - 50) / 950),
    "triangular": lambda t: line(0.25, 1, triangle(t)),
    "triangular2": lambda t: line(0.25, 1, triangle(t) / 2 ** (t // 250)),
    "exp_range": lambda t: line(0.25, 1, triangle(t) * 0.1 ** (t / 1000)),
    "exp_range_paper": lambda t: 0.9995**t * line(0.25, 1, triangle(t)),
    "welch": lambda t: welch_curve(t, 0.25),
    "hann": lambda t: hann_curve(t, 0.25),
    "restarts": lambda t: sgdr(t, 100, 2, 1),
    "one_cycle": lambda t: rise_and_fall(t, 1 / 25, 4e-6, 300, cosine),
    "smith_one_cycle": lambda t: logs(t, 460, 0.1),
    "wsd": lambda t: stable(t, lambda u: 1 - math.sqrt(u)),
    "inverse_sqrt": lambda t: line(0.01, 1, t / 50) if t < 50 else math.sqrt(50 / t),
    "inverse_time": lambda t: 1 / (1 + t / 100),
    "noam": lambda t: line(0.01, 1, t / 50) if t < 50 else math.sqrt(50 / t),
    "power": lambda t: scheduler(t, 0.51, 100, 100),
}


def same(schedule, formula, factor=PEAK):
    expected = [factor * formula(t) for t in STEPS]
    assert [schedule(t) for t in STEPS] == pytest.approx(expected, rel=1e-11, abs=1e-14)


def test_there_is_a_curve_for_every_recipe():
    assert set(CURVES) == set(RECIPES)


@pytest.mark.parametrize("name", CURVES)
def test_a_recipe_is_its_formula_by_default(name):
    same(RECIPES[name](PEAK).over(RUN)["lr"], CURVES[name])


MOMENTA = {
    "one_cycle": lambda t: against(t, 0.85, 0.95, 300, cosine),
    "smith_one_cycle": lambda t: 0.95 - 0.1 * triangle(t, 460) if t < 920 else 0.95,
    "triangular": lambda t: 0.9 - 0.1 * triangle(t),
    "triangular2": lambda t: 0.9 - 0.1 * triangle(t) / 2 ** (t // 250),
    "exp_range": lambda t: 0.9 - 0.1 * triangle(t) * 0.1 ** (t / 1000),
}


@pytest.mark.parametrize("name", RECIPES)
def test_momentum_moves_the_other_way_where_a_recipe_moves_it(name):
    policy = RECIPES[name](PEAK).over(RUN)
    assert list(policy) == (["lr", "momentum"] if name in MOMENTA else ["lr"])
    if name in MOMENTA:
        same(policy["momentum"], MOMENTA[name], 1.0)


DOWN = {
    "linear": lambda u: line(1, 0.2, u),
    "lowered_linear": lambda u: line(0.7, 0.2, u),
    "sqrt": lambda u: line(1, 0.2, math.sqrt(u)),
    "cosine": lambda u: cosine(1, 0.2, u),
    "square": lambda u: line(1, 0.2, u**2),
    "mirror_cosine": lambda u: line(1, 0.2, 2 * u - (1 - math.cos(PI * u)) / 2),
    "exponential": lambda u: line(1, 0.2, (1 - 0.1**u) / 0.9),
}

OTHERWISE = {
    "step_decay": (step_decay(PEAK, factor=0.5, every=200), lambda t: 0.5 ** (t // 200)),
    "exponential_decay": (exponential_decay(PEAK, end=0.3), lambda t: 0.3 ** (t / RUN)),
    "polynomial_decay": (polynomial_decay(PEAK, power=3.0), lambda t: (1 - t / RUN) ** 3),
    "linear_to_zero": (
        linear_to_zero(PEAK, warmup="10%"),
        lambda t: line(0.01, 1, t / 100) if t < 100 else 1 - (t - 100) / 900,
    ),
    "warmup_cosine": (
        warmup_cosine(PEAK, warmup=100, start=0.2, end=0.1),
        lambda t: line(0.2, 1, t / 100) if t < 100 else cosine(1, 0.1, (t - 100) / 900),
    ),
    "cyclical": (cyclical(PEAK, base=0.5, half_cycle=50), lambda t: line(0.5, 1, triangle(t, 50))),
    "exp_range": (
        cyclical(PEAK, base=0.5, shape="exp_range", left=0.5),
        lambda t: line(0.5, 1, triangle(t) * 0.5 ** (t / 1000)),
    ),
    "exp_range_paper": (
        exp_range_paper(PEAK, half_cycle="10%", gamma=0.99),
        lambda t: 0.99**t * line(0.25, 1, triangle(t, 100)),
    ),
    "welch": (welch(PEAK, base=0.1, half_cycle=50), lambda t: welch_curve(t, 0.1, 50)),
    "hann": (hann(PEAK, base=0.1, half_cycle=50), lambda t: hann_curve(t, 0.1, 50)),
    "restarts": (
        restarts(PEAK, first=50, stretch=3, scale=0.5, end=0.2),
        lambda t: 0.2 + 0.8 * sgdr(t, 50, 3, 0.5),
    ),
    "one_cycle": (
        one_cycle(PEAK, warmup="46%", start=0.2, end=0.1, curve="linear"),
        lambda t: rise_and_fall(t, 0.2, 0.1, 460, line),
    ),
    "smith_one_cycle": (smith_one_cycle(PEAK, half_cycle=300, base=0.2), lambda t: logs(t, 300, 0.2)),
    "inverse_sqrt": (
        inverse_sqrt(PEAK, warmup=100),
        lambda t: line(0.01, 1, t / 100) if t < 100 else math.sqrt(100 / t),
    ),
    "inverse_time": (inverse_time(PEAK, timescale=30.5), lambda t: 1 / (1 + t / 30.5)),
    "noam": (noam(PEAK, warmup=100), lambda t: min((t + 1) / 100, math.sqrt(100 / (t + 1)))),
    "power": (power(PEAK, exponent=0.8, plateau=50, cooldown="20%"), lambda t: scheduler(t, 0.8, 50, 200)),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_recipe_is_its_formula_otherwise(name):
    policy, formula = OTHERWISE[name]
    same(policy.over(RUN)["lr"], formula)


@pytest.mark.parametrize("shape", DOWN)
def test_wsd_comes_down_in_every_shape(shape):
    policy = wsd(PEAK, warmup=100, cooldown="30%", shape=shape, end=0.2)
    same(policy.over(RUN)["lr"], lambda t: stable(t, DOWN[shape], 100, 300))


@pytest.mark.parametrize("shape", DOWN)
def test_a_cooldown_leaves_a_schedule_in_every_shape(shape):
    schedule = cooldown(PowerLaw(PEAK, timescale=100.0), 300, 200, shape=shape, end=0.2)
    assert schedule.steps == 500
    same(schedule, lambda t: 1 / math.sqrt(1 + t / 100) if t < 300 else 0.5 * DOWN[shape](min((t - 300) / 200, 1)))


def test_a_cooldown_goes_to_0_by_1_sqrt_by_default():
    schedule = cooldown(Constant(PEAK), 300, 200)
    same(schedule, lambda t: 1.0 if t < 300 else 1 - math.sqrt(min((t - 300) / 200, 1)))


def test_momentum_may_have_other_bounds():
    other = (0.7, 0.99)
    same(cyclical(PEAK, momentum=other).over(RUN)["momentum"], lambda t: 0.99 - 0.29 * triangle(t), 1.0)
    same(
        one_cycle(PEAK, momentum=other, curve="linear").over(RUN)["momentum"],
        lambda t: against(t, 0.7, 0.99, 300, line),
        1.0,
    )
    same(
        smith_one_cycle(PEAK, momentum=other, half_cycle=500).over(RUN)["momentum"],
        lambda t: 0.99 - 0.29 * triangle(t, 500),
        1.0,
    )
    assert [list(make(PEAK, momentum=None)) for make in (cyclical, one_cycle, smith_one_cycle)] == [["lr"]] * 3


WARMUPS = {
    "linear": lambda low, u: line(low, 1, u),
    "exponential": lambda low, u: low ** (1 - u),
    "cosine": lambda low, u: cosine(low, 1, u),
    "sqrt": lambda low, u: line(low, 1, 1 - math.sqrt(1 - u)),
}


@pytest.mark.parametrize("shape", WARMUPS)
@pytest.mark.parametrize(("steps", "start"), [(200, 0.3), ("20%", 0.3), ("20%", None)])
def test_a_warmup_rises_to_its_peak_in_every_shape(shape, steps, start):
    schedule = (warm(PEAK, steps, start=start, shape=shape) >> Constant(PEAK)).over(RUN)
    same(schedule, lambda t: WARMUPS[shape](0.01 if start is None else start, min(t / 200, 1)))


def test_a_warmup_of_steps_wastes_none():
    assert warm(PEAK, 5).table(0, 7).tolist() == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4, 0.4, 0.4])
    assert warm(PEAK, 5) == Linear(PEAK / 5, PEAK, 4)
    assert warm(PEAK, 2) == Linear(PEAK / 2, PEAK, 1)
    assert warm(PEAK, 1) == Constant(PEAK, 1)
    assert warm(PEAK, 5, shape="cosine")(0) == pytest.approx(0.01 * PEAK)
    assert warm(PEAK, 5, start=0.0)(0) == 0.0


@pytest.mark.parametrize("warmup", [1, 2, 3, 10])
def test_noam_is_its_formula_for_every_whole_warmup(warmup):
    n = np.arange(1, 60)
    expected = np.minimum(n / warmup, np.sqrt(warmup / n))
    np.testing.assert_allclose(RECIPES["noam"](1.0, warmup=warmup)["lr"].table(0, 59), expected, rtol=1e-12)
