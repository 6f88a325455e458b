"""The refined schedule against METHODS 6(a), its own definition, and linear decay."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.kernel.errors import ParameterError
from stepsize.theory import least_bound, refine_schedule, resample_norms, smooth_norms
from stepsize.theory.bound import bound_terms

ORACLES = [
    (np.ones(10), [1, 8 / 9, 7 / 9, 6 / 9, 5 / 9, 4 / 9, 3 / 9, 2 / 9, 1 / 9, 0]),
    (np.linspace(1, 2, 10), [1, 0.6516, 0.4303, 0.2851, 0.1875, 0.1204, 0.0736, 0.0405, 0.0169, 0]),
    ([5, 3, 2, 1.5, 1, 1, 1, 1, 1, 1], [0.0544, 0.1488, 0.3222, 0.5333, 1, 0.8, 0.6, 0.4, 0.2, 0]),
]
norm_lists = st.lists(st.floats(0.01, 100), min_size=2, max_size=40)


@pytest.mark.parametrize(("norms", "rates"), ORACLES, ids=["constant", "rising", "falling"])
def test_the_oracles_are_reproduced_to_their_printed_digits(norms, rates):
    assert refine_schedule(norms).round(4).tolist() == np.round(rates, 4).tolist()


@given(norms=norm_lists, power=st.sampled_from([0.0, 1.0, 2.0]))
def test_it_is_its_definition_summed_term_by_term(norms, power):
    weights = [norm**-power for norm in norms]
    rates = [w * math.fsum(weights[t + 1 :]) for t, w in enumerate(weights)]
    assert refine_schedule(norms, power) == pytest.approx([rate / max(rates) for rate in rates], rel=1e-9, abs=1e-12)


@given(steps=st.integers(2, 200), norm=st.floats(1e-6, 1e6), power=st.sampled_from([1.0, 2.0]))
def test_constant_norms_give_linear_decay_to_zero(steps, norm, power):
    linear = 1 - np.arange(steps) / (steps - 1)
    np.testing.assert_allclose(refine_schedule(np.full(steps, norm), power), linear, rtol=0, atol=1e-9)


@given(norms=norm_lists, scale=st.floats(1e-3, 1e3))
def test_the_scale_of_the_norms_does_not_matter(norms, scale):
    np.testing.assert_allclose(refine_schedule(scale * np.array(norms)), refine_schedule(norms), rtol=1e-9, atol=1e-12)


@given(norms=norm_lists)
def test_it_peaks_at_one_and_ends_at_zero(norms):
    rates = refine_schedule(norms)
    assert rates.max() == 1.0
    assert rates[-1] == 0.0
    assert (rates >= 0).all()


@given(count=st.integers(4, 40), steepness=st.floats(1.0, 5.0))
def test_norms_that_rise_make_the_decay_faster_than_a_line(count, steepness):
    rates = refine_schedule(np.linspace(1.0, 1.0 + steepness, count))
    assert (np.diff(rates) < 0).all()
    assert (rates[1:-1] < 1 - np.arange(1, count - 1) / (count - 1)).all()


def test_norms_that_fall_first_make_a_warmup_by_themselves():
    rates = refine_schedule([9.0, 7.0, 5.0, 3.0, *[1.0] * 30])
    assert (np.diff(rates[:5]) > 0).all()
    assert (np.diff(rates[4:]) < 0).all()


def test_its_bound_is_not_above_that_of_linear_decay():
    """It minimises the bound for the recorded norms, up to a factor of log-like terms; linear decay is a competitor."""
    norms = 1 + 4 * np.exp(-np.arange(301) / 20)
    rates, linear = refine_schedule(norms)[:-1], 1 - np.arange(300) / 300

    def omega(etas):
        return math.sqrt(math.prod(bound_terms(etas, norms[:-1])))

    assert omega(rates) < 0.9 * omega(linear)
    assert least_bound(refine_schedule(np.ones(301))[:-1]) == pytest.approx(least_bound(linear))


def test_one_wild_batch_moves_nothing():
    norms = np.ones(200)
    norms[100] = 1e6
    assert (smooth_norms(norms) == 1).all()


def test_the_window_is_odd_and_a_share_of_the_run():
    """T = 40, share .1: a window of 2 int(.1 * 40 / 2) + 1 = 5, so that three low norms of five decide."""
    norms = np.ones(40)
    norms[10:13] = 0.5
    assert smooth_norms(norms)[11] == 0.5
    norms[12] = 1.0
    assert smooth_norms(norms)[11] == 1.0


def test_without_a_window_the_norms_stay():
    norms = np.random.default_rng(0).uniform(1, 2, 30)
    assert smooth_norms(norms, 0.0).tolist() == norms.tolist()


def test_resampling_goes_on_lines_between_the_logarithms():
    assert resample_norms([0, 10], [1.0, 100.0], [5]).tolist() == pytest.approx([10.0])
    assert resample_norms([3, 10], [2.0, 8.0], [0, 99]).tolist() == pytest.approx([2.0, 8.0])


@pytest.mark.parametrize("function", [refine_schedule, smooth_norms])
@pytest.mark.parametrize(
    ("norms", "words"),
    [
        ([], "two or more"),
        ([1.0], "two or more"),
        ([[1.0, 1.0]], "two or more"),
        ([1.0, 0.0], "above 0, and one is .*0.0"),
        ([1.0, -2.0], "above 0, and one is .*-2.0"),
        ([1.0, math.nan], "finite"),
        ([1.0, math.inf], "finite"),
    ],
)
def test_what_is_no_norm_is_refused(function, norms, words):
    with pytest.raises(ParameterError, match=words):
        function(norms)


def test_a_power_or_a_share_that_is_none_is_refused():
    with pytest.raises(ParameterError, match=r"power must be .* not -1"):
        refine_schedule([1.0, 1.0], -1)
    with pytest.raises(ParameterError, match=r"share must be .* not 1\.5"):
        smooth_norms([1.0, 1.0], 1.5)
