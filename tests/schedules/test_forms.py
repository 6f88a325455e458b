"""Every form against its formula, written again with plain math: inside, past its end, bound and by itself."""

import math

import numpy as np
import pytest

from stepsize.kernel.errors import ParameterError
from stepsize.schedules import (
    Chain,
    Clipped,
    Constant,
    Cosine,
    Custom,
    Exponential,
    ExponentialToZero,
    ExpRange,
    Geometric,
    Interpolated,
    KCosine,
    Linear,
    MirrorCosine,
    MultiStep,
    Polynomial,
    PowerLaw,
    Product,
    Repeat,
    Reversed,
    Rex,
    Scaled,
    Sqrt,
    Square,
    Staircase,
    Stepped,
    Stretched,
    Sum,
    Table,
    Tanh,
    Triangular,
    Triangular2,
    Until,
    jump,
    with_horizon,
)

STEPS = (*range(17), 20, 23, 24, 31, 32, 57, 100)
PI = math.pi


def line(start, end, steps, c=lambda u: u):
    """`start*(1 - c) + end*c`, held after `steps`."""
    return lambda t: start + (end - start) * c(min(t / steps, 1.0))


def cosine(start, end, steps):
    return line(start, end, steps, lambda u: (1 - math.cos(PI * u)) / 2)


def cycle(base, peak, rise, fall, amplitude):
    """`base + (peak - base) * cycle * amplitude`, a cycle after the other."""

    def formula(t):
        cycle, position = divmod(t, rise + fall)
        height = position / rise if position <= rise else 1 - (position - rise) / fall
        return base + (peak - base) * height * amplitude(cycle, t)

    return formula


def chained(first, steps, rest):
    return lambda t: first(t) if t < steps else rest(t - steps)


def again(formula, first, stretch, scale):
    """One cycle after the other, each `stretch` times as long and `scale` times as high."""

    def repeated(t):
        size, height = first, 1.0
        while t >= size:
            t, size, height = t - size, size * stretch, height * scale
        return height * formula(t * first / size)

    return repeated


def between(at, values, bend=lambda u: u):
    """The value between two moments that are not one."""

    def formula(t):
        after = next((k for k, moment in enumerate(at) if moment > t), None)
        if after is None:
            return values[-1]
        u = (t - at[after - 1]) / (at[after] - at[after - 1])
        return values[after - 1] + (values[after] - values[after - 1]) * bend(u)

    return formula


def half_cosine(u):
    return (1 - math.cos(PI * u)) / 2


def tanh(lower, upper):
    low, high = math.tanh(lower), math.tanh(upper)
    return lambda u: (math.tanh(lower + (upper - lower) * u) - low) / (high - low)


FORMS = {
    # the curves of the article
    "constant": (Constant(0.3), lambda t: 0.3),
    "constant bound": (Constant(0.3).over(5), lambda t: 0.3),
    "linear": (Linear(0.2, 0.9, 8), line(0.2, 0.9, 8)),
    "linear bound": (Linear(0.9, 0.2).over(12), line(0.9, 0.2, 12)),
    "polynomial": (Polynomial(0.8, 0.1, 9), line(0.8, 0.1, 9, lambda u: 1 - (1 - u) ** 2)),
    "polynomial 3.5": (Polynomial(0.8, 0.1, 9, power=3.5), line(0.8, 0.1, 9, lambda u: 1 - (1 - u) ** 3.5)),
    "exponential": (Exponential(0.8, 0.1, 9), lambda t: 0.8 * (0.1 / 0.8) ** min(t / 9, 1)),
    "exponential upwards": (Exponential(1e-3, 2.0).over(11), lambda t: 1e-3 * 2000 ** min(t / 11, 1)),
    "cosine": (Cosine(0.8, 0.1, 9), cosine(0.8, 0.1, 9)),
    "cosine bound": (Cosine(0.1, 0.8).over(14), cosine(0.1, 0.8, 14)),
    # the cooldowns
    "sqrt": (Sqrt(0.8, 0.1, 9), line(0.8, 0.1, 9, math.sqrt)),
    "square": (Square(0.8, 0.1, 9), line(0.8, 0.1, 9, lambda u: u**2)),
    "mirror cosine": (MirrorCosine(0.8, 0.1, 9), line(0.8, 0.1, 9, lambda u: 2 * u - (1 - math.cos(PI * u)) / 2)),
    "to zero": (ExponentialToZero(0.8, 0.1, 9), line(0.8, 0.1, 9, lambda u: (1 - 0.1**u) / 0.9)),
    "to zero, left": (
        ExponentialToZero(0.8, 0.1, left=0.3).over(9),
        line(0.8, 0.1, 9, lambda u: (1 - 0.3**u) / 0.7),
    ),
    "rex": (Rex(0.8, 0.1, 9), line(0.8, 0.1, 9, lambda u: 1 - (1 - u) / (1 - u / 2))),
    "tanh": (Tanh(0.8, 0.1, 9), line(0.8, 0.1, 9, tanh(-6.0, 3.0))),
    "tanh, other ends": (Tanh(0.8, 0.1, 9, lower=-1.5, upper=0.5), line(0.8, 0.1, 9, tanh(-1.5, 0.5))),
    "tanh, far ends": (Tanh(0.8, 0.1, 9, lower=-900.0, upper=900.0), line(0.8, 0.1, 9, tanh(-900.0, 900.0))),
    "k cosine": (KCosine(0.8, 0.1, 9), line(0.8, 0.1, 9, lambda u: (1 - math.cos(PI * u**1.5)) / 2)),
    "k cosine 0.5": (KCosine(0.8, 0.1, 9, k=0.5), line(0.8, 0.1, 9, lambda u: (1 - math.cos(PI * u**0.5)) / 2)),
    # without an end
    "geometric": (Geometric(0.7, 0.9), lambda t: 0.7 * 0.9**t),
    "geometric every 3": (Geometric(0.7, 0.5, every=3), lambda t: 0.7 * 0.5 ** (t / 3)),
    "geometric bound": (Geometric(0.7, 0.5, every="25%").over(16), lambda t: 0.7 * 0.5 ** (min(t, 16) / 4)),
    "power law": (PowerLaw(0.7), lambda t: 0.7 / math.sqrt(1 + t)),
    "power law 2": (PowerLaw(0.7, exponent=2.0, timescale=2.5), lambda t: 0.7 / (1 + t / 2.5) ** 2),
    "power law bound": (
        PowerLaw(0.7, exponent=1.5, timescale="25%").over(16),
        lambda t: 0.7 / (1 + min(t, 16) / 4) ** 1.5,
    ),
    "power law bound to a run alone": (
        PowerLaw(0.7, timescale=2.5).over(9),
        lambda t: 0.7 / (1 + min(t, 9) / 2.5) ** 0.5,
    ),
    # stairs
    "multi step": (MultiStep(0.7, 0.5, at=(3, 3, 7)), lambda t: 0.7 if t < 3 else 0.175 if t < 7 else 0.0875),
    "multi step held": (MultiStep(0.7, 0.5, at=(3, 7), steps=5), lambda t: 0.7 if t < 3 else 0.35),
    "multi step bound": (
        MultiStep(0.7, 0.1, at=("25%", "50%")).over(16),
        lambda t: 0.7 if t < 4 else 0.07 if t < 8 else 0.007,
    ),
    "staircase": (Staircase(0.7, 0.9, every=3), lambda t: 0.7 * 0.9 ** (t // 3)),
    "staircase held": (Staircase(0.7, 0.9, every=3, steps=8), lambda t: 0.7 * 0.9 ** (min(t, 8) // 3)),
    "staircase bound": (Staircase(0.7, 0.9, every="25%").over(20), lambda t: 0.7 * 0.9 ** (min(t, 20) // 5)),
    # cycles, which go on
    "triangular": (Triangular(0.2, 1.0, half_cycle=3), cycle(0.2, 1.0, 3, 3, lambda cycle, t: 1)),
    "triangular, fall": (Triangular(0.2, 1.0, half_cycle=3, fall=5), cycle(0.2, 1.0, 3, 5, lambda cycle, t: 1)),
    "triangular bound": (
        Triangular(0.9, 0.4, half_cycle="25%", fall="12.5%").over(16),
        cycle(0.9, 0.4, 4, 2, lambda cycle, t: 1),
    ),
    "triangular2": (Triangular2(0.2, 1.0, half_cycle=3), cycle(0.2, 1.0, 3, 3, lambda cycle, t: 2.0**-cycle)),
    "triangular2 bound": (
        Triangular2(0.2, 1.0, half_cycle="12.5%").over(16),
        cycle(0.2, 1.0, 2, 2, lambda cycle, t: 2.0**-cycle),
    ),
    "exp range": (ExpRange(0.2, 1.0, half_cycle=3), cycle(0.2, 1.0, 3, 3, lambda cycle, t: 0.9999**t)),
    "exp range .9": (
        ExpRange(0.2, 1.0, half_cycle=2, fall=4, gamma=0.9),
        cycle(0.2, 1.0, 2, 4, lambda cycle, t: 0.9**t),
    ),
    # recorded
    "interpolated": (
        Interpolated((0.0, 2.5, 9.0), (0.1, 1.0, 0.4)),
        between((0.0, 2.5, 9.0), (0.1, 1.0, 0.4)),
    ),
    "interpolated cosine": (
        Interpolated((0.0, 2.5, 9.0), (0.1, 1.0, 0.4), "cosine"),
        between((0.0, 2.5, 9.0), (0.1, 1.0, 0.4), half_cosine),
    ),
    "interpolated jump": (
        Interpolated((0.0, 2.0, 2.0, 8.0), (0.1, 1.0, 0.5, 0.3)),
        between((0.0, 2.0, 2.0, 8.0), (0.1, 1.0, 0.5, 0.3)),
    ),
    "interpolated last jump": (
        Interpolated((0.0, 2.0, 2.0), (0.1, 1.0, 0.5)),
        lambda t: 0.5 if t >= 2 else 0.1 + 0.45 * t,
    ),
    "interpolated held": (Interpolated((0.0, 8.0), (0.0, 1.0), steps=5), lambda t: min(t, 5) / 8),
    "interpolated bound": (Interpolated((0.0, 8.0), (0.0, 1.0)).over(6), lambda t: min(t, 6) / 8),
    "table": (Table((0.1, 0.2, 0.4)), lambda t: (0.1, 0.2, 0.4)[min(t, 2)]),
    "table held": (Table((0.1, 0.2, 0.4, 0.8), steps=2), lambda t: (0.1, 0.2, 0.4)[min(t, 2)]),
    "custom": (Custom(lambda step: 1 / (2 + step)), lambda t: 1 / (2 + t)),
    # wraps
    "clipped": (Clipped(Linear(0.0, 1.0, 8), low=0.3, high=0.6), lambda t: min(max(min(t / 8, 1), 0.3), 0.6)),
    "clipped below": (Clipped(Linear(1.0, 0.0).over(8), low=0.3), lambda t: max(1 - min(t / 8, 1), 0.3)),
    "clipped bound": (Clipped(Linear(1.0, 0.0), high=0.6).over(8), lambda t: min(1 - min(t / 8, 1), 0.6)),
    "clipped nowhere": (Clipped(Linear(0.0, 5.0, 8)), line(0.0, 5.0, 8)),
    "reversed": (Reversed(Square(0.8, 0.1, 9)), lambda t: 0.8 - 0.7 * (max(9 - t, 0) / 9) ** 2),
    "reversed bound": (Reversed(Square(0.8, 0.1)).over(12), lambda t: 0.8 - 0.7 * (max(12 - t, 0) / 12) ** 2),
    "reversed growth stays": (Reversed(Geometric(1.0, 0.5, steps=6)), lambda t: 0.5 ** max(6 - t, 0)),
    "stepped": (Stepped(Linear(1.0, 0.0, 8), 3), lambda t: 1 - (min(t, 8) // 3) * 3 / 8),
    "stepped without an end": (Stepped(Geometric(1.0, 0.9), 4), lambda t: 0.9 ** (t // 4 * 4)),
    "stepped bound": (Stepped(Linear(1.0, 0.0), "25%").over(20), lambda t: 1 - (min(t, 20) // 5) / 4),
    "stepped cycle stays": (
        Stepped(Triangular(0.0, 1.0, 3), 2).over(10),
        lambda t: cycle(0.0, 1.0, 3, 3, lambda cycle, t: 1)(min(t, 10) // 2 * 2),
    ),
    "until": (Until(PowerLaw(0.7), 6), lambda t: 0.7 / math.sqrt(1 + min(t, 6))),
    "until bound": (
        (Until(Linear(1.0, 0.0, "50%"), "25%") >> Constant(0.1)).over(16),
        chained(lambda t: 1 - t / 8, 4, lambda t: 0.1),
    ),
    "stretched": (Stretched(Square(0.8, 0.1, 4), 10), line(0.8, 0.1, 10, lambda u: u**2)),
    "stretched cycle": (
        Stretched(Geometric(1.0, 0.5, every=2, steps=4), 10),
        lambda t: 0.5 ** (min(t, 10) * 0.4 / 2),
    ),
    "stretched cycle stays": (
        Stretched(Triangular(0.0, 1.0, 3, steps=8), 12),
        lambda t: 1 - abs(min(t, 12) * 8 / 12 % 6 - 3) / 3,
    ),
    "stretched bound": (
        (Stretched(Geometric(1.0, 0.5, every="25%", steps="50%"), "25%") >> Constant(0.1)).over(16),
        chained(lambda t: 0.5 ** (t * 2 / 4), 4, lambda t: 0.1),
    ),
    "repeat": (Repeat(Linear(1.0, 0.0, 4)), again(line(1.0, 0.0, 4), 4, 1, 1.0)),
    "repeat lower": (Repeat(Linear(1.0, 0.25, 4), scale=0.7), again(line(1.0, 0.25, 4), 4, 1, 0.7)),
    "repeat longer": (Repeat(Linear(1.0, 0.25, 4), stretch=2), again(line(1.0, 0.25, 4), 4, 2, 1.0)),
    "repeat longer, lower": (
        Repeat(Cosine(1.0, 0.25, 2), stretch=3, scale=0.5),
        again(cosine(1.0, 0.25, 2), 2, 3, 0.5),
    ),
    "repeat bound": (Repeat(Cosine(1.0, 0.0, "25%"), stretch=2).over(20), again(cosine(1.0, 0.0, 5), 5, 2, 1.0)),
    # the algebra
    "chain": (
        (Linear(0.0, 1.0, "25%") >> Cosine(1.0, 0.2)).over(16),
        chained(line(0.0, 1.0, 4), 4, cosine(1.0, 0.2, 12)),
    ),
    "chain of three": (
        Linear(0.0, 1.0, 3) >> Constant(0.9, 4) >> PowerLaw(0.8),
        chained(line(0.0, 1.0, 3), 3, chained(lambda t: 0.9, 4, lambda t: 0.8 / math.sqrt(1 + t))),
    ),
    "scaled": (Scaled(Linear(0.2, 0.9), 3.0).over(8), line(0.6, 2.7, 8)),
    "sum": (Sum(Linear(0.2, 0.9), Constant(0.5)).over(8), line(0.7, 1.4, 8)),
    "product": (Product(Linear(0.0, 1.0), Geometric(1.0, 0.5)).over(8), lambda t: min(t, 8) / 8 * 0.5 ** min(t, 8)),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_its_formula(name):
    schedule, formula = FORMS[name]
    expected = [formula(t) for t in STEPS]
    np.testing.assert_allclose([schedule(t) for t in STEPS], expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(schedule(np.array(STEPS)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("stretch", [1, 2, 3])
def test_a_repeat_is_still_exact_after_a_billion_steps(stretch):
    schedule, formula = Repeat(Linear(1.0, 0.25, 5), stretch=stretch), again(line(1.0, 0.25, 5), 5, stretch, 1.0)
    moments = (10**9, 10**9 + 1, 10**12 + 7, 2**50 + 3) if stretch > 1 else (10**6, 10**6 + 1)
    assert [schedule(t) for t in moments] == pytest.approx([formula(t) for t in moments], rel=1e-9)


def test_a_custom_function_is_given_whole_steps_as_ints_and_what_lies_between_as_floats():
    asked = []
    schedule = Custom(lambda step: asked.append(step) or 1.0, steps=4)
    schedule.table(0, 3)
    Stretched(schedule, 8).table(2, 5)
    assert asked == [0, 1, 2, 1, 1.5, 2]
    assert [type(step) for step in asked] == [int, int, int, int, float, int]


def test_a_hundredth_of_a_step_before_a_cycle_is_its_begin():
    """Stretched by 200/1199, step 1 is step 5.995 of a cycle of 6."""
    assert Stretched(Triangular(0.0, 1.0, 3, steps=1199), 200)(1) == 0.0
    assert Stretched(Repeat(PowerLaw(1.0, steps=6), steps=1199), 200)(1) == 1.0


SPANS = [
    # edges 0, 3, 8, 10 of 10 are 0, 4.5, 12, 15 of 15, and halves go up
    (
        Constant(1.0, 3) >> Linear(1.0, 0.5, 5) >> Linear(0.5, 0.0, 2),
        15,
        Constant(1.0, 5) >> Linear(1.0, 0.5, 7) >> Linear(0.5, 0.0, 3),
    ),
    # a part inside a wrap begins where the wrap does
    (
        Constant(1.0, 3) >> Clipped(Linear(1.0, 0.5, 5), low=0.6) >> Linear(0.5, 0.0, 2),
        15,
        Constant(1.0, 5) >> Clipped(Linear(1.0, 0.5, 7), low=0.6) >> Linear(0.5, 0.0, 3),
    ),
    # a part with its own steps counts from 0 inside
    (
        Constant(1.0, 3) >> Until(Linear(1.0, 0.5, 5), 5) >> Linear(0.5, 0.0, 2),
        15,
        Constant(1.0, 5) >> Until(Linear(1.0, 0.5, 8), 7) >> Linear(0.5, 0.0, 3),
    ),
    # parts that round to nothing go
    (Linear(0.0, 1.0, 1) >> Constant(1.0, 18) >> Linear(1.0, 0.0, 1), 5, Chain((Constant(1.0, 5),))),
    # lengths inside, at least 1
    (Staircase(1.0, 0.5, every=3, steps=10), 25, Staircase(1.0, 0.5, every=8, steps=25)),
    (Staircase(1.0, 0.5, every=2, steps=10), 2, Staircase(1.0, 0.5, every=1, steps=2)),
    (MultiStep(1.0, 0.5, at=(1, 5), steps=10), 4, MultiStep(1.0, 0.5, at=(1, 2), steps=4)),
    (MultiStep(1.0, 0.5, at=(3, 5), steps=10), 25, MultiStep(1.0, 0.5, at=(8, 13), steps=25)),
    (Triangular(0.1, 1.0, 2, steps=8), 12, Triangular(0.1, 1.0, 3, steps=12)),
    (Triangular(0.1, 1.0, 2, steps=8, fall=6), 12, Triangular(0.1, 1.0, 3, steps=12, fall=9)),
    (Repeat(Linear(1.0, 0.0, 2), stretch=2, steps=10), 2, Repeat(Linear(1.0, 0.0, 1), stretch=2, steps=2)),
    # what has its own clock is stretched
    (Geometric(1.0, 0.5, every=2, steps=10), 15, Stretched(Geometric(1.0, 0.5, every=2, steps=10), 15)),
    (Table((1.0, 0.5), steps=4), 6, Stretched(Table((1.0, 0.5), steps=4), 6)),
    (Interpolated((0.0, 4.0), (1.0, 0.5), steps=4), 6, Stretched(Interpolated((0.0, 4.0), (1.0, 0.5), steps=4), 6)),
    (ExpRange(0.1, 1.0, 2, steps=4), 6, Stretched(ExpRange(0.1, 1.0, 2, steps=4), 6)),
    (Stretched(Table((1.0, 0.5), steps=4), 6), 9, Stretched(Table((1.0, 0.5), steps=4), 9)),
    # the same horizon changes nothing
    (Geometric(1.0, 0.5, steps=10), 10, Geometric(1.0, 0.5, steps=10)),
]


@pytest.mark.parametrize(("schedule", "total", "expected"), SPANS)
def test_another_horizon_moves_every_edge_in_proportion(schedule, total, expected):
    assert with_horizon(schedule, total) == expected


def test_a_jump_is_the_quotient_of_the_two_values():
    assert jump(Constant(0.4), Constant(0.1), 3) == pytest.approx(0.25)
    assert jump(Linear(1.0, 0.0, 10), Linear(1.0, 0.0, 20), 5) == pytest.approx(0.75 / 0.5)
    assert jump(Constant(0.0), Constant(0.1), 3) == math.inf
    assert jump(Constant(0.0), Constant(0.0), 3) == 1.0
    assert jump(Constant(0.1), Constant(0.0), 3) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExponentialToZero(1.0, 0.0, left=1.0), r"ExponentialToZero\.left must be below 1, not 1\.0"),
        (lambda: ExponentialToZero(1.0, 0.0, left=1.5), r"ExponentialToZero\.left must be below 1, not 1\.5"),
        (lambda: Tanh(1.0, 0.0, lower=2.0, upper=2.0), r"Tanh\.lower must be below Tanh\.upper"),
        (lambda: Tanh(1.0, 0.0, lower=2.0, upper=-2.0), r"Tanh\.lower must be below Tanh\.upper"),
        (lambda: Tanh(1.0, 0.0, lower=30.0, upper=40.0), r"the tangent must move between them"),
        (lambda: Clipped(Constant(1.0), low=0.5, high=0.25), r"Clipped\.high must be at least Clipped\.low, not 0\.25"),
        (lambda: Exponential(0.0, 1.0), r"start and end must be above 0, not 0\.0 and 1\.0"),
        (lambda: Exponential(1.0, 0.0), r"start and end must be above 0, not 1\.0 and 0\.0"),
        (lambda: Interpolated((0.0,), (1.0,)), "two or more, not 1 and 1"),
        (lambda: Interpolated((0.0, 1.0), (1.0, 2.0, 3.0)), "as many values as moments, two or more, not 3 and 2"),
        (lambda: Interpolated((1.0, 2.0), (1.0, 2.0)), r"Interpolated\.at must begin at 0"),
        (lambda: Interpolated((0.0, 2.0, 1.0), (1.0, 2.0, 3.0)), r"Interpolated\.at must begin at 0 and not fall"),
        (lambda: Table(()), "a Table needs at least one value"),
        (lambda: Custom(0.1), r"Custom\.function must be a function of the step, not 0\.1"),
        (lambda: with_horizon(Linear(1.0, 0.0), 10), "is not bound yet"),
    ],
)
def test_what_makes_no_curve_is_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_the_edges_of_what_is_refused_are_allowed():
    assert Clipped(Linear(1.0, 0.0, 4), low=0.5, high=0.5)(1) == 0.5
    assert Interpolated((0.0, 0.0), (1.0, 0.5))(0) == 0.5
    flat = Tanh(1.0, 0.0, 2, lower=0.0, upper=1.1e-6)
    assert flat(1) == pytest.approx(0.5, rel=1e-6)
    assert ExponentialToZero(1.0, 0.0, 2, left=0.999)(1) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    "schedule",
    [
        PowerLaw(1.0, timescale=1000),
        Linear(0.0, 1.0, 20_000) >> Cosine(1.0, 0.0, 30_000),
        3.0 * (Linear(0.0, 1.0, 17) >> Repeat(Cosine(1.0, 0.0, 7), stretch=2)),
    ],
    ids=["alone", "chain", "scaled"],
)
@pytest.mark.parametrize(("start", "stop"), [(5, 40_007), (16_384, 49_152), (19_999, 20_001), (7, 7), (60_000, 60_003)])
def test_a_long_table_from_the_middle_is_the_formula_at_its_steps(schedule, start, stop):
    np.testing.assert_array_equal(schedule.table(start, stop), schedule(np.arange(start, stop)))


def test_a_stretch_by_a_fraction_says_what_serves_instead():
    with pytest.raises(
        ParameterError, match=r"whole number, not 1\.5: restarts are at whole steps\. Write the cycles one"
    ):
        Repeat(Cosine(0.1, 0.0, 10), stretch=1.5)
