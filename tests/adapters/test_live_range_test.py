"""The state machine of a range test, and `ramp` on steps of any framework."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from stepsize import load, ramp, save, suggest
from stepsize.adapters.range_test import Ramp, join_range_tests
from stepsize.jobs.range_test.bounds import read_bounds
from stepsize.kernel.errors import BudgetError, ParameterError, TaskError


def run(losses, **settings):
    """Tell a ramp a list of losses, or a function of the rate, until it is over."""
    found = Ramp(0.001, 1.0, 40, **settings)
    while found.going:
        found.tell(losses(found.rate) if callable(losses) else losses[found.point])
    return found.record()


def test_rates_climb_from_low_to_high_both_included():
    rates = run(lambda rate: 1.0).rates
    assert (rates[0], rates[-1], len(rates)) == (0.001, 1.0, 40)
    assert np.allclose(rates[1:] / rates[:-1], 1000 ** (1 / 39))
    assert np.allclose(np.diff(run(lambda rate: 1.0, spacing="linear").rates), 0.999 / 39)


def test_there_are_40_points_a_decade_unless_asked_otherwise():
    assert Ramp(1e-3, 1.0).points == 120
    assert Ramp(1.0, 1.1).points == 20


def test_a_loss_belongs_to_the_rate_of_its_update():
    sweep = run(lambda rate: 1 + rate)
    assert np.allclose(sweep.losses[:, 0], 1 + sweep.rates)


BEFORE = [2.0, 2.1, 1.9, 2.0, 1.8, 1.7]


@pytest.mark.parametrize("end", [[math.nan], [math.inf], [100.0, 90.0], [1e300, 1e300], [100.0, math.nan]])
def test_an_explosion_stops_the_ramp_and_is_recorded(end):
    sweep = run([*BEFORE, *end, *[0.0] * 40])
    assert len(sweep.rates) == len(BEFORE) + len(end)
    last = math.inf if end[-1] > 1e30 else end[-1]
    assert np.array_equal(sweep.losses[-1], [last], equal_nan=True)


@pytest.mark.parametrize("outlier", [100.0, 1e300])
def test_one_outlier_ends_no_range_test(outlier):
    sweep = run([*BEFORE, outlier, *[1.0] * 60])
    assert sweep.planned is None
    assert len(sweep.rates) == 40


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("losses", [[1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 8.5, 8.7], None])
def test_a_loop_and_a_task_are_cut_at_the_same_loss(losses, seed):
    """What the live test records up to where it stops has as many good losses as the whole curve of a job."""
    noise = np.random.default_rng(seed)
    whole = np.full(400, 9.0)
    if losses is None:
        whole[:] = np.exp(0.3 * noise.standard_normal(400)) * (1 + 1e-3 * np.geomspace(1e-2, 1e6, 400))
    else:
        whole[: len(losses)] = losses
    rates = np.geomspace(1e-3, 1.0, 400)
    ramp = Ramp(1e-3, 1.0, 400)
    while ramp.going:
        ramp.tell(whole[ramp.point])
    live = ramp.record()
    job = replace(live, rates=rates, losses=whole[:, None].astype(np.float32), planned=None)
    cuts = [np.isfinite(read_bounds(record).smooth[:, 0]).sum() for record in (live, job)]
    assert cuts[0] == cuts[1]
    assert len(live.rates) < 400 or cuts[1] == 400


def test_a_ramp_that_ended_in_an_explosion_can_be_read():
    """`suggest` sees where it was, before the point that exploded."""
    sweep = ramp(lambda rate: 2 / (1 + (rate / 1e-3)) + 30 * rate**2, 1e-6, 10.0)
    found = suggest(sweep)
    assert len(sweep.rates) < 280
    assert found.clear
    assert found.max_lr.value < sweep.rates[-1]


def test_batches_at_one_rate_are_averaged():
    losses = iter(np.arange(80.0))
    ramp = Ramp(0.001, 1.0, 20, batches=4)
    rates = []
    while ramp.going:
        rates.append(ramp.rate)
        ramp.tell(100 + next(losses))
    sweep = ramp.record()
    assert rates == np.repeat(sweep.rates, 4).tolist()
    assert sweep.losses[:, 0].tolist() == [101.5 + 4 * point for point in range(20)]
    assert (sweep.steps, sweep.cost) == (80, 80)


def test_validation_losses_stand_beside_the_points_they_were_taken_before():
    seen = []
    sweep = ramp(lambda rate: 1.0, 0.001, 1.0, 25, validate=lambda: seen.append(1) or float(len(seen)), every=10)
    held_out = sweep.held_out[:, 0]
    assert np.flatnonzero(~np.isnan(held_out)).tolist() == [0, 10, 20]
    assert held_out[[0, 10, 20]].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("every", [1, 10])
def test_a_ramp_with_validation_losses_can_be_read(every):
    """What was not taken is no divergence: the curve goes through those that were."""
    seen = [1e-6]

    def step(rate):
        seen.append(rate)
        return 2 / (1 + rate / 1e-3) + 30 * rate**2

    sweep = ramp(step, validate=lambda: 1.5 * (2 / (1 + seen[-1] / 1e-3) + 30 * seen[-1] ** 2), every=every)
    found, batches = suggest(sweep), suggest(replace(sweep, held_out=None))
    assert found.clear
    assert abs(np.log10(found.max_lr.value / batches.max_lr.value)) < 1.1 * every / 40  # a point's distance
    assert found.smooth.shape == sweep.losses.shape
    assert found.smooth[40, 0] == pytest.approx(1.5 * batches.smooth[40, 0], rel=0.05)


def test_seeds_are_columns_and_a_shorter_one_has_no_losses_behind_its_end(tmp_path):
    def make(seed):
        return lambda rate: 1.0 if rate < 0.99 * 10.0**-seed else 100.0

    sweep = ramp(make=make, seeds=(3, 1, 2), low=1e-4, high=1.0, task="mine", optimizer="Mine", horizon=500)
    assert sweep.seeds == (3, 1, 2)
    alive = np.isfinite(sweep.losses).sum(0)
    assert alive.tolist() == [42, 122, 82]
    assert sweep.cost == alive.sum()
    assert (sweep.task, sweep.title, sweep.horizon, sweep.rule) == ("mine", "Mine", 500, None)
    save(sweep, tmp_path / "sweep.json")
    again = load(tmp_path / "sweep.json")
    assert np.array_equal(again.losses, sweep.losses, equal_nan=True)


@pytest.mark.parametrize("loss", [None, "1.0", "one", [1.0], {}, 1j])
def test_what_is_no_number_is_refused(loss):
    with pytest.raises(TaskError, match="a loss is one number, not"):
        ramp(lambda rate: loss)


@pytest.mark.parametrize("loss", [torch.ones(8), np.ones((8, 1))])
def test_the_losses_of_a_whole_batch_are_refused(loss):
    with pytest.raises(TaskError, match=r"one number, not an array of shape .*take its mean"):
        ramp(lambda rate: loss)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_no_rate_can_help_a_first_loss_that_is_no_number(loss):
    with pytest.raises(TaskError, match="no learning rate can help"):
        ramp(lambda rate: loss)


def test_a_constant_loss_is_no_error():
    assert not suggest(ramp(lambda rate: 1.0)).clear


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (1.0, 0.1), (0.0, 1.0), (-1.0, 1.0), (0.1, math.inf)])
def test_a_range_that_does_not_climb_is_refused(low, high):
    with pytest.raises(ParameterError, match="climbs from low to high"):
        Ramp(low, high)


def test_what_a_ramp_cannot_be_is_refused():
    with pytest.raises(BudgetError, match="5 points is too short"):
        Ramp(points=5)
    with pytest.raises(ParameterError, match="'exponential' or 'linear', not 'cosine'"):
        Ramp(spacing="cosine")
    with pytest.raises(ParameterError, match="batches of a ramp is a whole number from 1 on, not 0"):
        Ramp(batches=0)
    with pytest.raises(ParameterError, match="points of a ramp is a whole number"):
        Ramp(points=25.5)
    with pytest.raises(TaskError, match="there was no loss"):
        Ramp().record()
    with pytest.raises(ParameterError, match="one of step= and make="):
        ramp()
    with pytest.raises(BudgetError, match="at least one seed"):
        ramp(make=lambda seed: lambda rate: 1.0, seeds=())
    with pytest.raises(ParameterError, match="same rates"):
        join_range_tests([ramp(lambda rate: 1.0, 0.1, 1.0), ramp(lambda rate: 1.0, 0.2, 1.0)])
    with pytest.raises(ParameterError, match="no range test to join"):
        join_range_tests([])


def test_an_interrupt_goes_through():
    def step(rate):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ramp(step)
