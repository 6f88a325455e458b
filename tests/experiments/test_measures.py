"""What the experiments compute beside the library, against numbers made by hand."""

import math

import numpy as np
import pytest
import torch
from experiments.adam_correction import GUESSING, Uncorrected, adverse, noise
from experiments.base import Setup, ratio, spread
from experiments.contests import _tuned, grid
from experiments.escape import stable_rate
from experiments.horizon import best_rate, slope
from experiments.hyperparameters import DECAYS, Moves, capped
from experiments.one_size import orders
from experiments.oscillation import EVERY, HALF, Cycles, strategy
from experiments.page import text
from experiments.rates import Runs
from experiments.reddi import RATE, STARTS, average_regret, follow
from experiments.sensitivity import Losses, width
from experiments.text_task import CHUNK, PACKAGES, text_task

from stepsize.engines.landscape.descend import descend
from stepsize.policies import Policy
from stepsize.problems.landscapes import Booth, DoubleWell, Reddi
from stepsize.results import Interval
from stepsize.rules import Adam, AMSGrad
from stepsize.schedules import PowerLaw
from stepsize.strategy import Strategy


def test_a_ratio_is_the_geometric_mean_over_pairs():
    found = ratio([2.0, 8.0], [1.0, 1.0])
    assert found.mean == pytest.approx(4.0)
    assert found.low < 2.0
    assert found.high > 8.0


def test_a_ratio_with_a_diverged_seed_decides_nothing():
    assert ratio([1.0, math.inf], [1.0, 1.0]) == Interval(math.inf, 0.0, math.inf)


def test_spread_is_from_least_to_most():
    assert spread([1.0, 2.0, 6.0]) == Interval(3.0, 1.0, 6.0)


def test_tuning_and_reporting_seeds_differ():
    setup = Setup(3)
    assert not set(setup.seeds(0, 8)) & set(setup.seeds(100, 8))
    assert not set(setup.seeds(0, 8)) & set(Setup(4).seeds(0, 8))


def test_the_worst_and_the_best_value_are_chosen_on_other_seeds_than_they_are_compared_on():
    moves = Moves((1, 2, 3), np.array([1.0, 3.0, 2.0]), np.array([[2.0, 2.0], [3.0, 3.0], [9.0, 9.0]]))
    assert (moves.apart, moves.worst_and_best, moves.ratio.mean) == (3.0, "2 / 1", pytest.approx(1.5))


def test_a_run_that_diverged_counts_as_guessing():
    assert capped(np.array([0.5, 7.0, np.inf, np.nan])).tolist() == [0.5, *3 * [math.log(10)]]


def test_one_hyperparameter_moves_and_the_others_stay():
    plain, moved = (
        DECAYS["step"].family(**values)(0.1).over(100).table(0, 100)["lr"] for values in ({}, {"factor": 0.5})
    )
    np.testing.assert_allclose([plain[0], plain[99]], [0.1, 0.001])
    np.testing.assert_allclose([moved[0], moved[99]], [0.1, 0.025])


def test_an_order_is_decided_where_all_seeds_agree_and_open_where_they_do_not():
    first, noise = np.zeros(8), np.tile([-1.0, 1.0], 4)
    scores = np.array([[first, 1 + 0.1 * noise, noise], [first, -1 + 0.1 * noise, noise]])
    assert orders(scores).tolist() == [[-1, 0, 0], [1, 0, 0]]


def test_adam_without_its_corrections_is_the_moment_over_the_root():
    rule = Uncorrected(lr=0.1)
    p, g, m, v = np.ones((1, 2)), np.array([[2.0, -0.5]]), 0.0, 0.0
    slots = rule.init(p, np)
    for k in range(1, 6):
        p, slots = rule.step(p, g, slots, rule.coefficients(rule.hyperparameters, k), np)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    np.testing.assert_allclose(slots[0], m)
    np.testing.assert_allclose(slots[1], v)
    once, _ = rule.step(np.zeros((1, 2)), g, rule.init(p, np), rule.coefficients(rule.hyperparameters, 1), np)
    np.testing.assert_allclose(once, -0.1 * 0.1 * g / (np.sqrt(0.001) * np.abs(g) + 1e-8))


def test_the_noise_of_the_autoencoder_has_the_moments_of_a_normal():
    torch.manual_seed(0)
    drawn = noise(torch.zeros(200, 100)).double()
    assert drawn.mean().item() == pytest.approx(0, abs=0.03)
    assert drawn.var().item() == pytest.approx(1, rel=0.05)
    assert drawn.pow(4).mean().item() == pytest.approx(3 - 2 / 12, rel=0.05)  # of twelve coins


def test_what_the_missing_correction_costs_is_a_mean_over_the_rates():
    found = {"corrected": {10: np.array([[1.0], [2.0]])}, "uncorrected": {10: np.array([[2.0], [4.0]])}}
    assert adverse(found, 10) == pytest.approx([2.0])
    assert pytest.approx(64 * math.log(2)) == GUESSING


@pytest.mark.parametrize("best", [0.01, 1.0, 100.0])
def test_a_grid_is_widened_until_the_best_rate_is_inside(best):
    def means(pairs):
        return np.array([abs(math.log(rate / best)) for _, rate in pairs])

    rates, found = _tuned(means, ["one"], grid(0.5, 2.0, 2.0), 10)["one"]
    assert abs(math.log(rates[found.argmin()] / best)) < math.log(2)
    assert rates[0] < rates[found.argmin()] < rates[-1]
    assert (np.diff(rates) > 0).all()


def test_a_grid_is_not_widened_for_ever():
    rates, _ = _tuned(lambda pairs: np.array([-rate for _, rate in pairs]), ["one"], grid(1.0, 4.0, 2.0), 2)["one"]
    assert rates.tolist() == [1.0, 2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize(
    ("losses", "limit", "found"),
    [
        ([1.0, 1.0, 1.0], 2.0, 2.0),  # nowhere above it
        ([3.0, 1.0, 3.0], 2.0, 1.0),  # half of a step on each side
        ([3.0, 1.0, math.inf], 2.0, 0.5 + 1 / 19),  # a diverged run counts as ten times the limit
        ([3.0, 3.0, 3.0], 2.0, 0.0),  # never good enough
    ],
)
def test_width_is_measured_between_the_crossings(losses, limit, found):
    assert width(np.arange(3.0), np.array(losses), limit) == pytest.approx(found)


def test_training_at_all_is_half_of_the_way_to_the_best_of_all_rules():
    good, bad = np.array([[2.0], [0.0], [2.0]]), np.array([[2.0], [1.5], [2.0]])
    losses = Losses(np.array([0.1, 1.0, 10.0]), {"good": good, "bad": bad}, np.array([2.0]))
    assert losses.widths("good", "trains at all") == pytest.approx([1.0])
    assert losses.widths("bad", "trains at all") == pytest.approx([0.0])


def test_the_best_rate_lies_between_those_of_the_grid():
    rates, peak = grid(0.01, 1.0, 10**0.5), 10**-1.1
    assert best_rate(rates, np.exp((np.log10(rates / peak)) ** 2)) == pytest.approx(-1.1)
    assert best_rate(rates, rates) == pytest.approx(-2)


def test_a_slope_of_one_half_is_found():
    best = -0.5 * np.log10([100, 400, 1600])[:, None] + np.array([0.0, 1.0])
    assert slope((100, 400, 1600), best).mean == pytest.approx(-0.5)


def test_the_swing_of_a_sine_on_a_trend_is_that_of_the_sine():
    steps = np.arange(EVERY, 14 * HALF + 1, EVERY, dtype=np.float64)
    logs = 0.3 * np.sin(np.pi * steps / HALF) - steps / 1000
    swings = Cycles(steps, np.exp(logs)[:, None]).swings
    assert swings == pytest.approx([math.exp(0.6) - 1], rel=0.05)


@pytest.mark.parametrize("kind", ["momentum 0", "momentum 0.9", "momentum 0.9 to 0.8"])
def test_cycles_have_the_same_effective_rates_at_their_first_and_last_step(kind):
    table = strategy(0.4, kind).over(2 * HALF).table(0, HALF + 1)
    effective = table["lr"] / (1 - table["momentum"])
    assert effective[[0, HALF]] == pytest.approx([0.04, 0.4])


def test_the_regret_of_staying_at_the_worst_point():
    path = np.ones((4, 1))
    assert average_regret(Reddi(), path) == pytest.approx([2 * (3 - 1 - 1) / 3])
    assert average_regret(Reddi(), -path) == pytest.approx([0.0])


@pytest.mark.parametrize("rule", [Adam(momentum=0.0, beta2=0.1), AMSGrad(beta2=0.99)])
def test_our_own_loop_takes_the_steps_of_the_engine(rule):
    strategy = Strategy(rule, Policy(lr=PowerLaw(RATE, exponent=0.5, timescale=1.0)))
    starts = np.array(STARTS)[:, None]
    paths = descend(Reddi(), [strategy], starts=starts, steps=300, points=600).paths
    ours = follow(Setup(), "", Reddi(), rule, 300)
    np.testing.assert_allclose(ours, paths[0, :, :, 0], rtol=0, atol=1e-12)  # NumPy and torch round a root differently


@pytest.mark.parametrize(("landscape", "edge"), [(Booth(), 1 / 9), (DoubleWell(dimensions=1), 2 / 8)])
def test_the_largest_stable_rate_is_the_known_one(landscape, edge):
    assert stable_rate(landscape) == pytest.approx(edge, rel=1e-5)


def test_losses_are_read_where_the_level_is_first_reached():
    train = np.array([[[1.0, 1.0]], [[0.5, 0.9]], [[0.4, 0.8]]])
    runs = Runs(np.array([0.1]), np.array([10.0, 20.0, 30.0]), train, 10 * train, np.array([2.0, 2.0]))
    assert runs.reached(0.1, 0.6).tolist() == [20.0, math.inf]
    assert runs.validation_at(0.1, 0.6).tolist() == [5.0, math.inf]


def test_the_task_of_source_text_has_every_package_and_starts_at_chance():
    task = text_task(500, samples=3000)
    inputs, labels = task.train
    assert inputs.shape[1] == CHUNK
    assert 0 <= int(inputs.min()) < int(inputs.max()) <= 500
    assert len(set(labels.tolist())) == len(PACKAGES)
    assert task.score(task.build(0)) == pytest.approx(math.log(len(PACKAGES)), rel=1e-5)


@pytest.mark.parametrize(
    ("interval", "written"),
    [((1.234, 1.0, 1.5), "1.23 (1 to 1.5)"), ((2.0, 2.0, 2.0), "2"), ((math.inf, 0.0, math.inf), "not finite")],
)
def test_an_interval_has_three_digits(interval, written):
    assert text(Interval(*interval)) == written
