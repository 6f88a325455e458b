"""Which full run comes next where the first one disappointed."""

import math
from types import SimpleNamespace

import pytest

from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.evidence import Anchor, Run
from stepsize.jobs.advise.locate import least_lost
from stepsize.jobs.advise.stages import LOWER, _lower
from stepsize.strategy import Strategy

ADAM = Strategy.of("AdamW", "one_cycle", 1.0)


def after(*runs):
    """A search that has made some runs: log10 rates, steps, scores and training losses, of a start of 2."""
    known = Belief(400, 2.0, {"adaptive": Anchor(-2.0, 0.3, "a test")})
    known.learn([Run(ADAM.at(10**x), steps, 0, score, training) for x, steps, score, training in runs])
    return SimpleNamespace(belief=known, horizon=400)


def test_a_full_run_that_was_too_fast_is_followed_by_a_lower_one():
    search = after((-1.5, 100, 0.7, 0.7), (-1.5, 400, 1.0, 1.0))
    assert _lower(search) == pytest.approx(-1.5 - LOWER, abs=1e-3)


def test_one_that_learned_by_heart_is_followed_by_one_that_goes_as_far_as_the_best_pilot_run():
    """The sum of the rates of 400 steps at -2.1 is that of 100 steps at -1.5."""
    search = after((-1.0, 100, 0.9, 0.1), (-1.5, 100, 0.7, 0.2), (-1.5, 400, 1.0, 0.0))
    assert _lower(search) == pytest.approx(-1.5 - math.log10(4), abs=1e-3)


def test_the_rate_of_least_loss_keeps_to_its_side():
    known = after((-2.0, 400, 0.7, 0.7)).belief
    below = least_lost(known, ADAM, 400, apart=0.15, within=(-math.inf, -2.0))
    above = least_lost(known, ADAM, 400, apart=0.15, within=(-2.0, math.inf))
    assert below <= -2.15 + 1e-9
    assert above >= -1.85 - 1e-9
