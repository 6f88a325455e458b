"""What one more run of a strategy is worth: what it can still show, on the seed that it would run on."""

import math

import numpy as np
import pytest

from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.evidence import Anchor, Run
from stepsize.jobs.advise.belief.worlds import Worlds, draw
from stepsize.jobs.advise.belief.worth import SHARED, noise_of, worth
from stepsize.kernel.arrays import floats
from stepsize.strategy import Strategy

LEADER, RIVAL = (Strategy.of("AdamW", policy, 0.01) for policy in ("one_cycle", "wsd"))


def belief(*scores: tuple[Strategy, int, float]) -> Belief:
    runs = [Run(strategy, 400, seed, score, score) for strategy, seed, score in scores]
    return Belief(400, 1.0, {"adaptive": Anchor(-2.0, 0.5, "a test")}, runs)


def gains_of(found: Belief, next_seeds: list[int]) -> np.ndarray:
    both = [LEADER, RIVAL]
    return draw(found, both, both, 0, next_seeds).gains(np.ones(2, dtype=bool))


def test_a_rival_that_has_run_often_is_worth_less_than_one_that_has_run_once():
    once = belief((LEADER, 100, 0.1), (RIVAL, 100, 0.104))
    often = belief((LEADER, 100, 0.1), *((RIVAL, 100 + number, 0.104) for number in range(12)))
    assert gains_of(often, [101, 112])[1] < gains_of(once, [101, 101])[1] / 3


def test_what_is_gained_is_the_closed_form_of_normal_losses():
    source = np.random.default_rng(0)
    losses = floats([source.normal(0.0, 0.01, 200_000), source.normal(0.005, 0.02, 200_000)])
    found = Worlds(losses, losses, losses.min(axis=0), 0.03**2).gains(np.ones(2, dtype=bool))
    # by hand: the mean of the rival moves by its variance over the root of that of what is shown
    shown = np.array([0.01**2, 0.02**2]) / np.sqrt([0.01**2 + 0.03**2, 0.02**2 + 0.03**2])
    z = 0.005 / shown
    normal = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    above = np.array([math.erfc(each / math.sqrt(2)) / 2 for each in z])
    assert found == pytest.approx(shown * normal - 0.005 * above, rel=0.03, abs=1e-5)


def test_seeds_add_what_their_runs_have_in_common():
    found = belief((LEADER, 100, 0.1), (RIVAL, 100, 0.1), (LEADER, 101, 0.12), (RIVAL, 101, 0.12))
    known = worth(found, [LEADER, RIVAL], seeds=[100, 101, 102])
    low, high, fresh = known.mean[2:]
    assert low < 0 < high
    assert fresh == pytest.approx(0.0, abs=1e-12)
    assert known.covariance[4, 4] == pytest.approx(SHARED * noise_of(found))
    assert known.covariance[2, 2] < known.covariance[4, 4]
