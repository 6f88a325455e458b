"""The rules of other range tests against the originals where they are installed, else against their definition."""

from itertools import combinations

import numpy as np
import pytest

from stepsize.jobs import compare
from stepsize.jobs.range_test import peer_finders
from stepsize.results import Sweep
from stepsize.rules import SGD

RATES = np.geomspace(1e-7, 10.0, 100)
X = np.log10(RATES)


def curve(seed, noise=0.05, points=100):
    x = np.linspace(-7, 1, points)
    clean = 2.3 - 1.8 / (1 + np.exp(-3 * (x + 3))) + 10 ** (2 * (x - 0.2))
    return clean + noise * np.random.default_rng(seed).standard_normal(points)


@pytest.mark.parametrize("seed", range(5))
def test_lightning_is_lightnings_own(seed):
    finder = pytest.importorskip("lightning.pytorch.tuner.lr_finder")
    theirs = finder._LRFinder("exponential", RATES[0], RATES[-1], len(RATES))
    losses = curve(seed)
    theirs.results = {"lr": RATES.tolist(), "loss": peer_finders.averaged(losses, 0.98).tolist()}
    assert peer_finders.lightning(RATES, losses) == pytest.approx(theirs.suggestion(), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_longest_falling_subsequence_is_the_longest_of_all(seed):
    losses = np.random.default_rng(seed).standard_normal(11)
    longest = {}
    for size in range(1, 12):
        for chosen in combinations(range(11), size):
            if (np.diff(losses[list(chosen)]) < 0).all():
                longest[chosen[-1]] = size
    assert peer_finders._falling(losses).tolist() == [longest[i] for i in range(11)]


def test_valley_takes_the_middle_of_it():
    """All 85 kept points of a straight fall are one: it is taken to begin 85 before its last."""
    losses = np.linspace(3.0, 2.9, 100)
    kept = RATES[10:95]
    assert peer_finders.valley(RATES, losses) == pytest.approx(kept[84 - 85 + int(85 / 3) + int(85 / 6)])


def test_minimum_is_a_tenth_of_the_lowest():
    losses = (X + 2) ** 2 + 1
    average = peer_finders.averaged(losses, 0.98)[10:95]
    assert peer_finders.minimum(RATES, losses) == pytest.approx(RATES[10:95][average.argmin()] / 10)


def test_steepest_is_the_steepest_of_the_average_between_the_cuts():
    losses = curve(0)
    average = [losses[0]]
    for loss in losses:
        average.append(0.95 * average[-1] + 0.05 * loss)
    slope = np.gradient(np.array(average[1:])[10:-5])
    assert peer_finders.steepest(RATES, losses) == pytest.approx(RATES[10:-5][slope.argmin()])


def test_slide_stops_where_the_slope_does_not_change_any_more():
    losses = np.where(X < -2, 2.0, 2.0 + 3 * (X + 2) ** 2)
    found = peer_finders.slide(RATES, losses)
    assert 1e-4 < found < 1e-1
    assert peer_finders.slide(RATES, np.full(100, 2.0)) == pytest.approx(RATES[10:95][-16])


def test_an_average_of_a_constant_is_the_constant_once_debiased():
    np.testing.assert_allclose(peer_finders.averaged(np.full(50, 2.0), 0.98), 2.0)
    np.testing.assert_allclose(peer_finders.averaged(np.full(50, 2.0), 0.95, debias=False), 2.0)


def test_all_are_compared_over_the_seeds_and_what_diverged_is_left_out():
    losses = np.column_stack([curve(seed) for seed in range(4)]).astype(np.float32)
    losses[97:] = np.nan
    found = compare(Sweep("task", SGD(), RATES, losses, (0, 1, 2, 3)))
    assert list(found) == ["valley", "slide", "minimum", "steep", "steepest", "lightning"]
    assert all(each.low <= each.value <= each.high for each in found.values())
    assert found["lightning"].value < 1e-4 < found["steep"].value  # a slope over the rate is noise where it is small


@pytest.mark.parametrize("losses", [np.full(100, np.nan), np.r_[2.3, np.full(99, np.nan)]])
def test_a_curve_without_a_fall_has_no_finder(losses):
    assert compare(Sweep("task", SGD(), RATES, losses[:, None], (0,))) == {}
