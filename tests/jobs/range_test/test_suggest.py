"""What a sweep suggests: two bounds on curves whose bounds are known, or no clear answer and why."""

from dataclasses import replace

import numpy as np
import pytest

from stepsize.jobs import suggest
from stepsize.jobs.range_test.suggest import AIM
from stepsize.policies import constant, linear_to_zero, one_cycle
from stepsize.results import Estimate, RangeTestRecord, RateGrid
from stepsize.rules import SGD, Adagrad, AdamW, ClipNorm, Lion, Prodigy
from stepsize.schedules import Linear
from stepsize.strategy import Strategy
from stepsize.theory import rescale_factor

RATES = np.geomspace(1e-6, 10.0, 280)
X = np.log10(RATES)
CENTRE, DEPTH = -1.5, 1.2
FOOT = CENTRE - np.sqrt(np.log(10))  # where a Gaussian well of width 1 is down by a tenth


def well(centre=CENTRE, depth=DEPTH, scale=2.3):
    return scale * np.exp(-depth * np.exp(-((X - centre) ** 2)))


def record(*columns, rates=RATES):
    losses = np.stack(columns, axis=1).astype(np.float32)
    points, seeds = losses.shape
    return RangeTestRecord(
        task="synthetic", rule=AdamW(), rates=rates, losses=losses, seeds=tuple(range(seeds)), steps=points,
        cost=points * seeds,
    )  # fmt: skip


def noisy(curve, size, seed):
    return curve * np.exp(size * np.random.default_rng(seed).standard_normal(len(curve)))


def exploding(curve, at):
    out = curve.copy()
    out[at < X] = np.nan
    return out


def test_a_clean_curve_gives_its_foot_and_its_lowest_point():
    found = suggest(record(well(), well()))
    assert found.clear
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.05)
    assert np.log10(found.min_lr.value) == pytest.approx(FOOT, abs=0.1)
    assert found.max_lr.low == found.max_lr.high
    assert "70%" in found.reason
    np.testing.assert_allclose(found.smooth[:, 0], well(), rtol=0.02)


@pytest.mark.parametrize(("size", "tolerance"), [(0.01, 0.1), (0.05, 0.2), (0.15, 0.35)])
def test_noise_widens_the_bounds_and_does_not_move_them(size, tolerance):
    found = suggest(record(*(noisy(well(), size, seed) for seed in range(4))))
    assert found.clear
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=tolerance)
    assert np.log10(found.min_lr.value) == pytest.approx(FOOT, abs=2 * tolerance)
    assert found.max_lr.low <= found.max_lr.value <= found.max_lr.high


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_scale_of_the_loss_makes_no_difference(scale):
    given, plain = (suggest(record(noisy(well(scale=s), 0.03, 1))) for s in (scale, 1.0))
    assert given.max_lr.value == pytest.approx(plain.max_lr.value, rel=1e-3)
    assert given.min_lr.value == pytest.approx(plain.min_lr.value, rel=0.1)


@pytest.mark.parametrize("size", [0.0, 0.02, 0.1, 0.3])
def test_a_flat_curve_is_not_clear(size):
    found = suggest(record(*(noisy(np.full(280, 2.3), size, seed) for seed in range(3))))
    assert not found.clear
    assert (found.min_lr, found.max_lr) == (None, None)
    assert "no drop" in found.reason


def test_a_drop_within_the_noise_is_not_clear():
    found = suggest(record(*(noisy(well(depth=0.1), 0.15, seed) for seed in range(3))))
    assert not found.clear
    assert "not more than its noise" in found.reason


def test_a_curve_that_only_falls_is_not_clear():
    found = suggest(record(2.3 * np.exp(-0.1 * (X + 6))))
    assert not found.clear
    assert "no rise" in found.reason
    assert "widen" in found.reason


def test_a_divergence_is_a_rise():
    falling = 2.3 * np.exp(-0.3 * np.clip(X + 4, 0, None))
    found = suggest(record(*(exploding(falling, at) for at in (-0.5, -0.4))))
    assert found.clear
    assert np.log10(found.max_lr.value) == pytest.approx(-0.45, abs=0.1)
    assert np.isnan(found.smooth[-1]).all()


@pytest.mark.parametrize("last", [np.inf, 1e30])
def test_what_comes_after_a_divergence_is_not_read(last):
    curve = exploding(well(), 0.0)
    other = np.where(np.isnan(curve), last, curve)
    found = suggest(record(curve, other))
    assert found.max_lr.low == found.max_lr.high
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.05)


def test_a_seed_that_never_lived_is_not_clear():
    found = suggest(record(well(), np.full(280, np.nan)))
    assert not found.clear
    assert "diverged before" in found.reason


def test_seeds_that_disagree_are_not_clear():
    found = suggest(record(well(-3.0), well(-1.0), well(-2.0)))
    assert not found.clear
    assert "the seeds disagree: the maximum is between 0.001 and 0.098" in found.reason


@pytest.mark.parametrize("offset", [-2.3, -3.0, -10.0])
def test_negative_losses_have_bounds_too(offset):
    found = suggest(record(*(well() + offset + 0.01 * np.random.default_rng(s).standard_normal(280) for s in range(3))))
    assert found.clear, found.reason
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.15)


def test_a_loss_that_passes_zero_on_its_way_down_does_not_explode():
    fall = 0.2 - 5.0 * np.exp(-((X - CENTRE) ** 2))
    found = suggest(record(fall))
    assert found.clear, found.reason
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.1)


def test_a_short_range_test_is_read_as_well():
    rates = np.geomspace(1e-5, 10.0, 60)
    losses = 2.3 * np.exp(-DEPTH * np.exp(-((np.log10(rates) - CENTRE) ** 2)))
    found = suggest(record(losses, rates=rates))
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.15)


def grid(rates, finals, *, policy=None, steps=50, before=2.3, horizon=400, rule=None):
    finals = np.asarray(finals, dtype=np.float64).reshape(len(rates), -1)
    seeds = tuple(range(finals.shape[1]))
    return RateGrid(
        task="synthetic", rule=rule or AdamW(), rates=np.asarray(rates, dtype=np.float64),
        losses=finals.astype(np.float32), seeds=seeds, steps=steps, cost=finals.size * steps,
        policy=policy or constant(1.0), held_out=finals, before=np.full(len(seeds), before), horizon=horizon,
    )  # fmt: skip


def parabola(rates, best, depth=1.0):
    return np.exp(depth * np.log10(np.asarray(rates) / best) ** 2 - 1)


RATES_OF_GRID = [0.001, 0.003, 0.01, 0.03, 0.1]


def test_a_grid_is_lowest_at_the_vertex_of_its_parabola():
    found = suggest(grid(RATES_OF_GRID, parabola(RATES_OF_GRID, 0.014)), horizon=50)
    assert found.clear
    assert found.lr.value == pytest.approx(0.014, rel=1e-6)
    assert found.policy["lr"].table(0, 50).tolist() == [0.014] * 50


def test_a_longer_run_has_a_smaller_rate_by_the_law_that_was_measured():
    runs = grid(RATES_OF_GRID, parabola(RATES_OF_GRID, 0.014), policy=linear_to_zero(1.0))
    bound = rescale_factor(Linear(1.0, 0.0).over(50).table(0, 50), Linear(1.0, 0.0).over(800).table(0, 800))
    assert suggest(runs, horizon=800).lr.value == pytest.approx(0.014 * bound**0.4, rel=1e-6)
    assert bound == pytest.approx((50 / 800) ** 0.5, rel=0.05)
    assert "T**-0.20" in suggest(runs, horizon=800).reason


@pytest.mark.parametrize(("rule", "exponent"), [(Prodigy(), 0.0), (Adagrad(), -0.2), (SGD(), -0.2), (Lion(), -0.5)])
def test_how_much_smaller_depends_on_the_rule(rule, exponent):
    runs = grid(RATES_OF_GRID, parabola(RATES_OF_GRID, 0.014), rule=rule, policy=linear_to_zero(1.0))
    assert suggest(runs, horizon=400).lr.value == pytest.approx(0.014 * 8**exponent, rel=0.1)
    wrapped = grid(RATES_OF_GRID, parabola(RATES_OF_GRID, 0.014), rule=ClipNorm(rule), policy=linear_to_zero(1.0))
    assert suggest(wrapped, horizon=400).lr == suggest(runs, horizon=400).lr


def test_another_shape_is_reached_by_the_bound():
    runs = grid(RATES_OF_GRID, parabola(RATES_OF_GRID, 0.014))
    found = suggest(runs, "linear_to_zero", horizon=50)
    bound = rescale_factor(np.ones(50), Linear(1.0, 0.0).over(50).table(0, 50))
    assert found.lr.value == pytest.approx(0.014 * bound, rel=1e-6)
    assert 1.5 < bound < 3.5
    assert found.policy == linear_to_zero(float(f"{found.lr.value:.3g}")).over(50)


def test_what_is_asked_for_may_be_a_name_a_policy_or_a_strategy():
    runs = grid(RATES_OF_GRID, parabola(RATES_OF_GRID, 0.014))
    wanted = one_cycle(7.0).only({"lr", "momentum"})
    by_name, by_policy = suggest(runs, "one_cycle"), suggest(runs, wanted)
    assert by_name.lr == by_policy.lr == suggest(runs, Strategy(AdamW(), wanted)).lr
    assert by_policy.policy.peak == pytest.approx(by_policy.lr.value, rel=5e-3)
    assert "momentum" in by_policy.policy


def test_a_cycle_gets_its_base_from_the_two_bounds():
    tested = record(*(noisy(well(), 0.02, seed) for seed in range(2)))
    found = suggest(replace(tested, horizon=400), "triangular")
    assert found.base.value / found.lr.value == pytest.approx(found.min_lr.value / found.max_lr.value)
    low, high = (found.policy["lr"](step) for step in (0, 50))
    assert (low, high) == (pytest.approx(found.base.value, rel=0.05), pytest.approx(found.lr.value, rel=0.01))
    alone = suggest(grid([0.007, 0.014, 0.028], parabola([0.007, 0.014, 0.028], 0.014), before=0.5), "triangular2")
    assert (alone.min_lr, alone.base.value) == (None, pytest.approx(alone.lr.value / 4))
    assert suggest(grid(RATES_OF_GRID, parabola(RATES_OF_GRID, 0.014)), "cosine").base is None


def test_a_range_test_alone_points_to_a_constant_rate_and_says_how():
    """A share of the lowest point, from the 40 steps of a decade to 400."""
    tested = replace(record(well(), well()), horizon=400)
    found = suggest(tested, "constant")
    longer = rescale_factor(np.ones(40), np.ones(400)) ** 0.4
    assert found.lr.value == pytest.approx(AIM * found.max_lr.value * longer, rel=0.02)
    assert 0.55 < longer < 0.7
    assert f"{AIM:g} of" in found.reason
    assert suggest(tested).lr is None


@pytest.mark.parametrize(
    ("finals", "reason"),
    [
        ([2.0, 1.5, 1.0, 0.8, 0.5], "beyond the largest rate of the grid, 0.1"),
        ([0.5, 0.8, 1.0, 1.5, 2.0], "beyond the smallest rate of the grid, 0.001"),
        ([np.inf] * 5, "every run of the grid diverged"),
        ([2.31, 2.32, 2.33, 2.4, 9.0], "no run of the grid ends below where it began"),
    ],
)
def test_a_grid_without_a_clear_answer_says_why(finals, reason):
    found = suggest(grid(RATES_OF_GRID, finals))
    assert not found.clear
    assert found.lr is None
    assert reason in found.reason


def test_where_no_run_has_lowered_the_validation_loss_the_training_loss_decides():
    runs = grid(RATES_OF_GRID, [2.29, 2.25, 2.28, 2.4, 3.0])
    training = replace(runs, losses=parabola(RATES_OF_GRID, 0.02).reshape(-1, 1).astype(np.float32))
    assert suggest(training, horizon=50).lr.value == pytest.approx(0.02, rel=1e-4)
    assert suggest(runs, horizon=50).lr.value == pytest.approx(0.0035, rel=0.3)


def test_seeds_that_disagree_by_more_than_a_decade_have_no_clear_answer():
    finals = np.column_stack(
        [parabola(RATES_OF_GRID, 0.003, 0.1), parabola(RATES_OF_GRID, 0.03, 0.1), parabola(RATES_OF_GRID, 0.04, 0.1)]
    )
    wide = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    found = suggest(grid(wide, finals))
    assert "the seeds disagree" in found.reason


def test_a_run_that_diverged_is_no_cliff_that_the_parabola_falls_off():
    finals = parabola(RATES_OF_GRID, 0.014)
    finals[3:] = [np.inf, np.inf]
    found = suggest(grid(RATES_OF_GRID, finals), horizon=50)
    assert 0.003 < found.lr.value <= 0.011


def test_the_curvature_stands_beside_the_bounds_and_warns_when_they_disagree():
    tested = record(well(), well())
    agreeing = suggest(replace(tested, limits=np.array([0.05, 0.06])))
    assert agreeing.limit == Estimate(0.055, 0.05, 0.06)
    assert agreeing.warnings == ()
    (warning,) = suggest(replace(tested, limits=np.array([1e-4, 1e-4]))).warnings
    assert "far above the largest rate that the curvature" in warning
    (warning,) = suggest(replace(tested, limits=np.array([10.0, np.inf]))).warnings
    assert "far below" in warning
    assert suggest(replace(tested, limits=np.array([np.nan, np.inf]))).limit is None
