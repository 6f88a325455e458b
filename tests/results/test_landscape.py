"""Intervals against published and SciPy's numbers, and a record that survives its file."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from stepsize import load, save
from stepsize.kernel.errors import ParameterError, SpecError
from stepsize.policies import constant
from stepsize.problems.landscapes import Rastrigin, ThreeHumpCamel
from stepsize.problems.noise import Gaussian
from stepsize.results import Descent
from stepsize.results.io import dumps, loads
from stepsize.results.landscape import ELSEWHERE, UNKNOWN, median_time, wilson
from stepsize.rules import SGD
from stepsize.strategy import Strategy

TWO = (Strategy(SGD(), constant(0.1), "small"), Strategy(SGD(), constant(0.5), "large"))


def record(**changes):
    """Six starts on a camel: two lie in the global basin, three in local ones, one is not known."""
    found = Descent(
        landscape=ThreeHumpCamel(), noise=Gaussian(0.1), steps=50, seed=3, strategies=TWO, starts=np.zeros((6, 2)),
        home=np.array([0, 0, 1, 2, ELSEWHERE, UNKNOWN]),
        last=np.zeros((2, 6, 2)), basins=np.array([[0, 0, 1, 2, -1, -2], [0, 1, 0, 0, -1, -2]]),
        entered=np.array([[0, 4, -1, -1, -1, -1], [0, 2, 9, 30, 7, -1]]), died_at=np.array([[-1] * 6, [-1] * 5 + [4]]),
        path_steps=np.array([0, 50]), paths=np.zeros((2, 2, 3, 2)),
    )  # fmt: skip
    return replace(found, **changes)


# Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(successes, trials, low, high):
    found = wilson(successes, trials)
    assert (found.mean, found.low, found.high) == (
        successes / trials, pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5)
    )  # fmt: skip


@pytest.mark.parametrize("n", [6, 10, 37, 1000])
def test_the_interval_of_a_median_is_scipys(n):
    times = np.random.default_rng(n).permutation(n) + 1
    found = median_time(times)
    peer = stats.quantile_test(times, p=0.5).confidence_interval(0.95)
    assert found.mean == np.median(times)
    assert (found.low, found.high) == (peer.low, peer.high)


def test_starts_that_never_came_are_later_than_all_others():
    found = median_time(np.array([1, 2, 3, 4, 5, 6] + [-1] * 4))
    assert found.mean == 5.5
    assert found.low == 2
    assert found.high == np.inf
    assert median_time(np.array([-1] * 9 + [1])).mean == np.inf


def test_the_interval_of_a_median_covers_what_it_says():
    source = np.random.default_rng(0)
    draws = [median_time(source.geometric(0.01, 40)) for _ in range(1000)]
    true = stats.geom(0.01).median()
    assert np.mean([true in found for found in draws]) > 0.94


def test_the_outcome_counts_what_it_says():
    small, large = record().outcomes
    assert (small.trapped, large.trapped) == (3, 3)
    assert (small.share.mean, small.escape.mean) == (2 / 6, 0)
    assert (large.share.mean, large.escape.mean) == (3 / 6, 2 / 3)
    assert large.escape == wilson(2, 3)
    assert (small.diverged, large.diverged) == (0, 1)
    assert (small.time.mean, large.time.mean) == (np.inf, 8)


def test_without_a_trapped_start_there_is_no_rate_of_escape():
    assert record(home=np.zeros(6, dtype=int)).outcomes[0].escape is None


def test_a_record_survives_its_file(tmp_path):
    found = record()
    again = load(save(found, tmp_path / "result.json"), Descent)
    for name in ("landscape", "noise", "strategies", "outcomes"):
        assert getattr(again, name) == getattr(found, name)
    for name in ("starts", "home", "last", "basins", "entered", "died_at", "path_steps", "paths"):
        assert (getattr(again, name) == getattr(found, name)).all()
    assert loads(dumps(replace(found, noise=None))).noise is None


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ParameterError, match=r"Descent\.home must have the shape \(6,\), not \(5,\)"):
        record(home=np.zeros(5))
    with pytest.raises(ParameterError, match=r"Descent\.starts must have the shape"):
        record(landscape=Rastrigin(3))
    text = dumps(record()).replace('"ThreeHumpCamel"', '"Trifid"')
    with pytest.raises(SpecError, match="no landscape is called 'Trifid'"):
        loads(text)
