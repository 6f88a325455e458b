"""The logic of the range-test benchmark, on made-up numbers."""

from itertools import combinations

import numpy as np
import pytest
import torch

from stepsize.results import RangeTestRecord
from stepsize.rules import SGD

RATES = 10.0 ** (np.arange(-24, 1) / 8)
"""1e-3 to 1, eight a decade."""


def bowl(module, best=-1.3, start=2.0, low=0.5, diverged_from=None):
    """A truth whose score is a parabola in log10 of the rate, lowest at `best`, and `start` far from it."""
    scores = np.minimum(low + (np.log10(RATES) - best) ** 2, start)
    diverged = np.zeros(len(RATES), dtype=int)
    if diverged_from is not None:
        diverged[diverged_from:] = 1
        scores[diverged_from:] = np.inf
    return module("truth").Truth(start, RATES, scores, diverged)


def test_the_best_rate_lies_between_the_grid_points(module):
    """The parabola is exact, so its vertex is, though no grid point is there."""
    rate, score = bowl(module).best()
    assert np.log10(rate) == pytest.approx(-1.3, abs=1e-9)
    assert score == pytest.approx(0.5, abs=1e-9)


def test_the_best_beside_a_cliff_is_the_lowest_point(module):
    """Where the scores fall until they diverge there is no vertex, and nothing is extrapolated."""
    truth = bowl(module, best=1.0, start=20.0, diverged_from=-2)
    assert truth.best() == (RATES[-3], truth.scores[-3])


def test_regret_is_a_share_of_the_gain(module):
    """At the grid points it is the parabola over the gain, and half way between two of them their mean."""
    truth = bowl(module)
    here, there = (truth.regret(rate) for rate in RATES[10:12])
    assert here == pytest.approx((np.log10(RATES[10]) + 1.3) ** 2 / 1.5)
    assert truth.regret(np.sqrt(RATES[10] * RATES[11])) == pytest.approx((here + there) / 2)


def test_divergence_of_any_seed_is_all_of_the_gain(module):
    truth = bowl(module, diverged_from=20)
    assert truth.regret(RATES[20]) == 1.0
    assert truth.regret(RATES[19]) < 0.5 < truth.regret(10 ** (np.log10(RATES[19]) + 0.1))


@pytest.mark.parametrize("rate", [None, 2.0, float("nan"), float("inf"), 0.0])
def test_no_rate_and_a_rate_above_all_lose_everything(module, rate):
    assert bowl(module, best=-0.1).regret(rate) == 1.0


def test_a_rate_below_all_loses_what_the_lowest_does(module):
    truth = bowl(module, best=-2.5)
    assert truth.regret(1e-9) == truth.regret(RATES[0]) == pytest.approx(0.25 / 1.5)


def test_a_score_above_the_start_is_no_more_than_everything(module):
    """Regret ends at 1, also where training does harm."""
    truth = module("truth").Truth(1.0, RATES[:3], np.array([0.0, 0.5, 7.0]), np.zeros(3, dtype=int))
    assert truth.regrets().tolist() == [0.0, 0.5, 1.0]


def test_the_truth_survives_its_file(module):
    """Rates, scores and divergences come back from plain numbers."""
    truth = bowl(module, diverged_from=20)
    again = module("truth").from_plain(truth.start, module("truth").to_plain(truth))
    assert again.regrets() == pytest.approx(truth.regrets(), abs=1e-4)
    assert np.isinf(again.scores).sum() == 5


def test_the_window_stops_where_more_than_the_share_is_missed(module):
    rates, missed = 10.0 ** np.arange(7), np.array([1.0, 0.9, 0.4, 0.0, 0.3, 0.7, 1.0])
    assert module("runs").window(rates, missed, 0.5) == (10.0, 1e5)
    assert module("runs").window(rates, missed, 0.95) == (1.0, 1e6)
    assert module("runs").window(rates[2:5], missed[2:5], 0.5) == (100.0, 1e4)


def test_the_grid_holds_both_limits_and_round_powers(module):
    found = module("runs").grid(0.03, 2.0, 8)
    assert found[0] <= 0.03 < found[1]
    assert found[-2] < 2.0 <= found[-1]
    assert np.isclose(found, 0.1).any()
    assert np.diff(np.log10(found)) == pytest.approx(1 / 8)


def test_the_halves_are_apart_and_mixed(module):
    """At least seven problems in each half, no task in both, every rule on both sides, and three draws of each kind."""
    tasks = module("tasks")
    dev, test, *urns = (tasks.half(name) for name in tasks.HALVES)
    assert len(dev) >= 7
    assert len(test) >= 7
    assert len(dev) + len(test) + sum(map(len, urns)) == len(tasks.PROBLEMS)
    for urn in urns:
        kinds = [each.title.split("_")[1] for each in urn]
        assert {kinds.count(kind.__name__) for kind in tasks.lots.KINDS} == {3}
    assert not {each.make for each in dev} & {each.make for each in test}
    assert {type(each.rule) for each in dev} == {type(each.rule) for each in test}


def test_a_draw_is_a_matter_of_its_number_alone(module):
    """The urns have nothing in common, and a task is what it was however often it is drawn."""
    lots = module("lots")
    for number in range(len(lots.KINDS)):
        first, again, other = lots.draw("drawn", number), lots.draw("drawn", number), lots.draw("tried", number)
        assert (first.batch_size, first.steps) == (again.batch_size, again.steps)
        assert all(map(torch.equal, first.train, again.train))
        assert (first.batch_size, first.steps) != (other.batch_size, other.steps)
        assert torch.isfinite(torch.tensor(first.score(first.build(0))))


def test_a_cell_counts_what_loses_more_than_a_tenth(module):
    cell = module("table").Cell.of([0.0, 0.1, 0.11, 1.0])
    assert (cell.mean, cell.worst, cell.failures) == pytest.approx((0.3025, 1.0, 0.5))


def test_the_spread_is_in_decades_and_leaves_silence_out(module):
    spread = module("table").spread
    assert spread([1e-3, None, 1e-1, 1e-2]) == pytest.approx(2.0)
    assert spread([1e-3, None]) is None


# The rules of other range tests, against the originals where they are installed, else against their definition.

PEER_RATES = np.geomspace(1e-7, 10.0, 100)
X = np.log10(PEER_RATES)


def curve(seed, noise=0.05, points=100):
    x = np.linspace(-7, 1, points)
    clean = 2.3 - 1.8 / (1 + np.exp(-3 * (x + 3))) + 10 ** (2 * (x - 0.2))
    return clean + noise * np.random.default_rng(seed).standard_normal(points)


def record(losses):
    points, seeds = losses.shape
    return RangeTestRecord(
        task="task", rule=SGD(), rates=PEER_RATES, losses=losses, seeds=tuple(range(seeds)), steps=points,
        cost=points * seeds,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_lightning_is_lightnings_own(module, seed):
    lr_finder = pytest.importorskip("lightning.pytorch.tuner.lr_finder")
    theirs = lr_finder._LRFinder("exponential", PEER_RATES[0], PEER_RATES[-1], len(PEER_RATES))
    losses = curve(seed)
    theirs.results = {"lr": PEER_RATES.tolist(), "loss": module("peer_rules").averaged(losses, 0.98).tolist()}
    assert module("peer_rules").lightning(PEER_RATES, losses) == pytest.approx(theirs.suggestion(), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_longest_falling_subsequence_is_the_longest_of_all(module, seed):
    losses = np.random.default_rng(seed).standard_normal(11)
    longest = {}
    for size in range(1, 12):
        for chosen in combinations(range(11), size):
            if (np.diff(losses[list(chosen)]) < 0).all():
                longest[chosen[-1]] = size
    assert module("peer_rules")._falling(losses).tolist() == [longest[i] for i in range(11)]


def test_valley_takes_the_middle_of_it(module):
    """All 85 kept points of a straight fall are one: it is taken to begin 85 before its last."""
    losses = np.linspace(3.0, 2.9, 100)
    kept = PEER_RATES[10:95]
    assert module("peer_rules").valley(PEER_RATES, losses) == pytest.approx(kept[84 - 85 + int(85 / 3) + int(85 / 6)])


def test_minimum_is_a_tenth_of_the_lowest(module):
    losses = (X + 2) ** 2 + 1
    average = module("peer_rules").averaged(losses, 0.98)[10:95]
    assert module("peer_rules").minimum(PEER_RATES, losses) == pytest.approx(PEER_RATES[10:95][average.argmin()] / 10)


def test_steepest_is_the_steepest_of_the_average_between_the_cuts(module):
    losses = curve(0)
    average = [losses[0]]
    for loss in losses:
        average.append(0.95 * average[-1] + 0.05 * loss)
    slope = np.gradient(np.array(average[1:])[10:-5])
    assert module("peer_rules").steepest(PEER_RATES, losses) == pytest.approx(PEER_RATES[10:-5][slope.argmin()])


def test_slide_stops_where_the_slope_does_not_change_any_more(module):
    losses = np.where(X < -2, 2.0, 2.0 + 3 * (X + 2) ** 2)
    found = module("peer_rules").slide(PEER_RATES, losses)
    assert 1e-4 < found < 1e-1
    assert module("peer_rules").slide(PEER_RATES, np.full(100, 2.0)) == pytest.approx(PEER_RATES[10:95][-16])


def test_an_average_of_a_constant_is_the_constant_once_debiased(module):
    np.testing.assert_allclose(module("peer_rules").averaged(np.full(50, 2.0), 0.98), 2.0)
    np.testing.assert_allclose(module("peer_rules").averaged(np.full(50, 2.0), 0.95, debias=False), 2.0)


def test_all_are_compared_over_the_seeds_and_what_diverged_is_left_out(module):
    losses = np.column_stack([curve(seed) for seed in range(4)]).astype(np.float32)
    losses[97:] = np.nan
    found = module("peer_rules").compare(record(losses))
    assert list(found) == ["valley", "slide", "minimum", "steep", "steepest", "lightning"]
    assert all(each.low <= each.value <= each.high for each in found.values())
    assert found["lightning"].value < 1e-4 < found["steep"].value  # a slope over the rate is noise where it is small


@pytest.mark.parametrize("losses", [np.full(100, np.nan), np.r_[2.3, np.full(99, np.nan)]])
def test_a_curve_without_a_fall_has_no_answer(module, losses):
    assert module("peer_rules").compare(record(losses[:, None])) == {}
