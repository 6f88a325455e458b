"""The last-iterate bound against METHODS 6(b), a closed form, and its own definition summed term by term."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stepsize.kernel.errors import ParameterError
from stepsize.schedules import Constant, Cosine, Linear
from stepsize.theory import best_rate, bound_terms, least_bound, rescale_factor


def one_minus_sqrt(steps, share):
    """The table of WSD with the cooldown `1 - sqrt(q)`, `q = 0` at its first step."""
    cooldown = int(steps * share)
    q = np.arange(cooldown) / cooldown
    return np.concatenate([np.ones(steps - cooldown), 1 - np.sqrt(q)])


def table(name, steps):
    schedules = {
        "constant": Constant(1.0),
        "wsd 20% linear": Constant(1.0) >> Linear(1.0, 0.0, "20%"),
        "wsd 50% linear": Constant(1.0) >> Linear(1.0, 0.0, "50%"),
        "linear": Linear(1.0, 0.0),
        "cosine": Cosine(1.0, 0.0),
    }
    if name == "wsd 20% 1-sqrt":
        return one_minus_sqrt(steps, 0.2)
    if name == "1/sqrt(t)":
        return 1 / np.sqrt(np.arange(1, steps + 1))
    return schedules[name].over(steps).table(0, steps)


ORACLES = [
    (400, "constant", 0.018176, 0.137545, 2.751),
    (400, "wsd 20% linear", 0.025374, 0.109323, 2.186),  # the sheet prints 2.187; 0.109323 * 20 is 2.18646
    (400, "wsd 20% 1-sqrt", 0.026846, 0.107288, 2.146),
    (400, "wsd 50% linear", 0.032491, 0.102422, 2.048),
    (400, "linear", 0.049563, 0.100630, 2.013),
    (400, "cosine", 0.048242, 0.103386, 2.068),
    (400, "1/sqrt(t)", 0.212086, 0.122264, 2.445),
    (4000, "constant", 0.005033, 0.049677, 3.142),
    (4000, "wsd 20% linear", 0.008118, 0.034212, 2.164),
    (4000, "linear", 0.015793, 0.031652, 2.002),
    (4000, "cosine", 0.015340, 0.032586, 2.061),
]


@pytest.mark.parametrize(("steps", "name", "gamma", "omega", "scaled"), ORACLES)
def test_the_oracle_table_is_reproduced_to_its_printed_digits(steps, name, gamma, omega, scaled):
    etas = table(name, steps)
    assert round(best_rate(etas), 6) == gamma
    assert round(least_bound(etas), 6) == omega
    assert round(least_bound(etas) * math.sqrt(steps), 3) == scaled


@pytest.mark.parametrize(("share", "log_ratio"), [(0.1, 0.784), (0.2, 0.670), (0.4, 0.500), (0.6, 0.345), (0.8, 0.183)])
def test_a_longer_cooldown_moves_the_best_rate_as_in_the_sheet(share, log_ratio):
    wsd = (Constant(1.0) >> Linear(1.0, 0.0, f"{share:.0%}")).over(400).table(0, 400)
    assert round(math.log(rescale_factor(wsd, table("linear", 400))), 3) == log_ratio


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_a_constant_has_the_closed_form_with_the_harmonic_number(steps):
    level, norm, distance = 0.3, 2.0, 5.0
    t1, t2 = bound_terms(np.full(steps, level), norm, distance)
    harmonic = sum(1 / k for k in range(1, steps))
    assert t1 == pytest.approx(distance**2 / (2 * level * steps), rel=1e-12)
    assert t2 == pytest.approx(level * norm**2 / 2 + level * norm**2 * harmonic / 2, rel=1e-12)


def brute_force(etas, norms, distance):
    """The definition, in O(T**2), with 1-based k and t as on the page."""
    last = len(etas)

    def tail(k):
        return math.fsum(etas[k - 1 :])

    def squares(k):
        return math.fsum((e * g) ** 2 for e, g in zip(etas[k - 1 :], norms[k - 1 :], strict=True))

    t1 = distance**2 / (2 * tail(1))
    second = squares(1) / (2 * tail(1))
    third = 0.5 * math.fsum(etas[k - 1] / tail(k + 1) * squares(k) / tail(k) for k in range(1, last))
    return t1, second + third


rates = st.floats(1e-6, 10.0)


@given(
    etas=st.lists(rates | st.just(0.0), max_size=20).flatmap(lambda head: rates.map(lambda last: [*head, last])),
    distance=st.floats(0.01, 100),
    data=st.data(),
)
def test_the_fast_sums_equal_the_definition(etas, distance, data):
    norms = data.draw(hnp.arrays(np.float64, len(etas), elements=st.floats(0.01, 10)))
    assert bound_terms(etas, norms, distance) == pytest.approx(brute_force(etas, norms, distance), rel=1e-10)


def test_tails_do_not_cancel_beneath_a_large_head():
    etas = [1e8, *[1e-8] * 50]
    assert bound_terms(etas) == pytest.approx(brute_force(etas, [1.0] * 51, 1.0), rel=1e-12)


def test_zeros_at_the_end_of_a_table_change_nothing():
    etas = table("linear", 50)
    norms = np.linspace(1, 2, 53)
    assert bound_terms([*etas, 0.0, 0.0, 0.0], norms) == bound_terms(etas, norms[:50])


def test_the_scale_of_a_table_moves_only_its_rate():
    etas = table("cosine", 60)
    assert best_rate(4 * etas) == pytest.approx(best_rate(etas) / 4, rel=1e-12)
    assert least_bound(4 * etas) == pytest.approx(least_bound(etas), rel=1e-12)


def test_the_shift_is_free_of_scale_and_composes():
    constant, linear, cosine = (table(name, 100) for name in ("constant", "linear", "cosine"))
    assert rescale_factor(linear, linear) == 1.0
    assert rescale_factor(3 * constant, 0.2 * linear) == pytest.approx(rescale_factor(constant, linear), rel=1e-12)
    through = rescale_factor(constant, linear) * rescale_factor(linear, cosine)
    assert through == pytest.approx(rescale_factor(constant, cosine), rel=1e-12)


def test_a_shorter_run_takes_a_larger_rate():
    assert rescale_factor(table("linear", 4000), table("linear", 400)) == pytest.approx(0.049563 / 0.015793, abs=1e-3)


@pytest.mark.parametrize(
    ("etas", "norms", "distance", "words"),
    [
        ([], 1.0, 1.0, "nothing ever moves"),
        ([0.0, 0.0], 1.0, 1.0, "nothing ever moves"),
        ([1.0, 1.0], 0.0, 1.0, "nothing ever moves"),
        ([1.0, 0.0], [0.0, 1.0], 1.0, "nothing ever moves"),
        ([1.0, math.nan], 1.0, 1.0, "etas must be finite"),
        ([1.0, -1.0], 1.0, 1.0, "etas must be finite"),
        ([1.0, math.inf], 1.0, 1.0, "etas must be finite"),
        ([1.0], -1.0, 1.0, "gradient_norms must be finite"),
        ([[1.0]], 1.0, 1.0, "of shape"),
        (1.0, 1.0, 1.0, "of shape"),
        ([1.0, 1.0], [1.0], 1.0, "of shape"),
        ([1.0], 1.0, 0.0, "distance must be"),
        ([1.0], 1.0, math.inf, "distance must be"),
    ],
)
def test_what_is_no_table_is_refused(etas, norms, distance, words):
    with pytest.raises(ParameterError, match=words):
        bound_terms(etas, norms, distance)


@pytest.mark.parametrize("function", [best_rate, least_bound, lambda etas: rescale_factor(etas, [1.0])])
def test_a_table_of_zeros_is_refused_everywhere(function):
    with pytest.raises(ParameterError, match="nothing ever moves"):
        function([0.0, 0.0])
