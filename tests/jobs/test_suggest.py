"""What a sweep suggests: two bounds on curves whose bounds are known, or no clear answer and why."""

import numpy as np
import pytest

from stepsize.jobs import suggest
from stepsize.results import Sweep
from stepsize.rules import AdamW

RATES = np.geomspace(1e-6, 10.0, 280)
X = np.log10(RATES)
CENTRE, DEPTH = -1.5, 1.2
FOOT = CENTRE - np.sqrt(np.log(10))  # where a Gaussian well of width 1 is down by a tenth


def well(centre=CENTRE, depth=DEPTH, scale=2.3):
    return scale * np.exp(-depth * np.exp(-((X - centre) ** 2)))


def sweep(*columns):
    losses = np.stack(columns, axis=1).astype(np.float32)
    return Sweep("synthetic", AdamW(), RATES, losses, tuple(range(losses.shape[1])))


def noisy(curve, size, seed):
    return curve * np.exp(size * np.random.default_rng(seed).standard_normal(len(curve)))


def exploding(curve, at):
    out = curve.copy()
    out[at < X] = np.nan
    return out


def test_a_clean_curve_gives_its_foot_and_its_lowest_point():
    found = suggest(sweep(well(), well()))
    assert found.clear
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.05)
    assert np.log10(found.min_lr.value) == pytest.approx(FOOT, abs=0.1)
    assert found.max_lr.low == found.max_lr.high
    assert "70%" in found.reason
    np.testing.assert_allclose(found.smooth[:, 0], well(), rtol=0.02)


@pytest.mark.parametrize(("size", "tolerance"), [(0.01, 0.1), (0.05, 0.2), (0.15, 0.35)])
def test_noise_widens_the_bounds_and_does_not_move_them(size, tolerance):
    found = suggest(sweep(*(noisy(well(), size, seed) for seed in range(4))))
    assert found.clear
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=tolerance)
    assert np.log10(found.min_lr.value) == pytest.approx(FOOT, abs=2 * tolerance)
    assert found.max_lr.low <= found.max_lr.value <= found.max_lr.high


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_scale_of_the_loss_makes_no_difference(scale):
    given, plain = (suggest(sweep(noisy(well(scale=s), 0.03, 1))) for s in (scale, 1.0))
    assert given.max_lr.value == pytest.approx(plain.max_lr.value, rel=1e-3)
    assert given.min_lr.value == pytest.approx(plain.min_lr.value, rel=0.1)


@pytest.mark.parametrize("size", [0.0, 0.02, 0.1, 0.3])
def test_a_flat_curve_is_not_clear(size):
    found = suggest(sweep(*(noisy(np.full(280, 2.3), size, seed) for seed in range(3))))
    assert not found.clear
    assert (found.min_lr, found.max_lr) == (None, None)
    assert "no drop" in found.reason


def test_a_drop_within_the_noise_is_not_clear():
    found = suggest(sweep(*(noisy(well(depth=0.1), 0.15, seed) for seed in range(3))))
    assert not found.clear
    assert "not more than its noise" in found.reason


def test_a_curve_that_only_falls_is_not_clear():
    found = suggest(sweep(2.3 * np.exp(-0.1 * (X + 6))))
    assert not found.clear
    assert "no rise" in found.reason
    assert "widen" in found.reason


def test_a_divergence_is_a_rise():
    falling = 2.3 * np.exp(-0.3 * np.clip(X + 4, 0, None))
    found = suggest(sweep(*(exploding(falling, at) for at in (-0.5, -0.4))))
    assert found.clear
    assert np.log10(found.max_lr.value) == pytest.approx(-0.45, abs=0.1)
    assert np.isnan(found.smooth[-1]).all()


@pytest.mark.parametrize("last", [np.inf, 1e30])
def test_what_comes_after_a_divergence_is_not_read(last):
    curve = exploding(well(), 0.0)
    other = np.where(np.isnan(curve), last, curve)
    found = suggest(sweep(curve, other))
    assert found.max_lr.low == found.max_lr.high
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.05)


def test_a_seed_that_never_lived_is_not_clear():
    found = suggest(sweep(well(), np.full(280, np.nan)))
    assert not found.clear
    assert "diverged before" in found.reason


def test_seeds_that_disagree_are_not_clear():
    found = suggest(sweep(well(-3.0), well(-1.0), well(-2.0)))
    assert not found.clear
    assert "the seeds disagree: the maximum is between 0.001 and 0.098" in found.reason


@pytest.mark.parametrize("offset", [-2.3, -3.0, -10.0])
def test_negative_losses_have_bounds_too(offset):
    found = suggest(sweep(*(well() + offset + 0.01 * np.random.default_rng(s).standard_normal(280) for s in range(3))))
    assert found.clear, found.reason
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.15)


def test_a_loss_that_passes_zero_on_its_way_down_does_not_explode():
    fall = 0.2 - 5.0 * np.exp(-((X - CENTRE) ** 2))
    found = suggest(sweep(fall))
    assert found.clear, found.reason
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.1)


def test_a_short_ramp_is_read_as_well():
    rates = np.geomspace(1e-5, 10.0, 60)
    losses = 2.3 * np.exp(-DEPTH * np.exp(-((np.log10(rates) - CENTRE) ** 2)))
    found = suggest(Sweep("synthetic", AdamW(), rates, losses[:, None].astype(np.float32), (0,)))
    assert np.log10(found.max_lr.value) == pytest.approx(CENTRE, abs=0.15)
