"""Which full run comes next where the first one disappointed."""

import math
from functools import partial
from types import SimpleNamespace

import pytest

from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.evidence import Anchor, Run
from stepsize.jobs.advise.locate import least_lost
from stepsize.jobs.advise.search import Search
from stepsize.jobs.advise.spending import Account
from stepsize.jobs.advise.stages import LOWER, UNSETTLED, _disappointed, _longer, _lower, _second
from stepsize.strategy import Strategy

ADAM = Strategy.of("AdamW", "one_cycle", 1.0)


def after(*runs):
    """A search that has made some runs: log10 rates, steps, scores and training losses, of a start of 2."""
    known = Belief(400, 2.0, {"adaptive": Anchor(-2.0, 0.3, "a test")})
    known.learn([Run(ADAM.at(10**x), steps, 0, score, training) for x, steps, score, training in runs])
    search = SimpleNamespace(belief=known, horizon=400, primary=ADAM)
    search._highest = partial(Search._highest, search)
    search.least = partial(Search.least, search)
    return search


def test_a_full_run_that_was_too_fast_is_followed_by_a_lower_one():
    search = after((-2.0, 100, 0.7, 0.7), (-2.0, 400, 1.0, 1.0))
    assert _disappointed(search)
    assert _lower(search) == pytest.approx(-2.0 - LOWER, abs=1e-3)


def test_one_that_learned_by_heart_is_followed_by_one_that_goes_as_far_as_the_best_pilot_run():
    """The sum of the rates of 400 steps at -2.1 is that of 100 steps at -1.5."""
    pilots = ((-1.9, 100, 0.9, 0.6), (-1.5, 100, 0.7, 0.2), (-1.1, 100, 0.9, 0.1))
    search = after(*pilots, (-1.5, 400, 1.0, 0.0))
    assert _disappointed(search)
    assert _lower(search) == pytest.approx(-1.5 - math.log10(4), abs=0.2)
    assert not _disappointed(after(*pilots, (-2.1, 400, 0.7, 0.1)))


def test_a_full_run_that_is_seen_to_have_learned_by_heart_is_followed_by_a_lower_one():
    """It ended no higher than its pilot runs, which were too short to learn anything by heart."""
    pilots = ((-2.2, 25, 1.6, 1.6), (-1.8, 25, 1.5, 1.5), (-1.4, 25, 1.6, 1.6))
    search = after(*pilots, (-2.0, 400, 1.4, 0.2))
    assert _disappointed(search)
    assert _lower(search) < -2.0 - LOWER
    assert not _disappointed(after(*pilots, (-2.0, 400, 0.9, 0.8)))  # what it learned more holds for others


def test_where_one_full_run_leaves_the_best_rate_open_the_next_is_as_far_away():
    pilots = [(-2 + away, steps, 0.7 + away**2, 0.7) for steps in (100, 200) for away in (-0.4, -0.2, 0.0, 0.2, 0.4)]
    for runs, count in (([], 1), (pilots, 0)):
        search = after(*runs, (-2.0, 400, 0.7, 0.7))
        search.fresh_seed = lambda strategy: 100
        search.aside = partial(Search.aside, search)
        open_by = search.belief.centre(ADAM)[1]
        asked = [math.log10(each.strategies[0].peak) for each in _second(search, lower=False)]
        assert len(asked) == count == (open_by > UNSETTLED)
        assert all(abs(x + 2.0) >= open_by - 0.01 for x in asked)


def test_the_rate_of_least_loss_keeps_to_its_side():
    known = after((-2.0, 400, 0.7, 0.7)).belief
    below = least_lost(known, ADAM, 400, apart=0.15, within=(-math.inf, -2.0))
    above = least_lost(known, ADAM, 400, apart=0.15, within=(-2.0, math.inf))
    assert below <= -2.15 + 1e-9
    assert above >= -1.85 - 1e-9


@pytest.mark.parametrize(
    ("most", "steps"),
    [
        pytest.param(1.0, 110, id="three of them"),
        pytest.param(0.55, 77, id="two, where three would be 49 steps long"),
        pytest.param(0.3, 0, id="none, where two would be no longer than those before"),
        pytest.param(5.0, 200, id="no longer than the limit"),
    ],
)
def test_the_last_pilot_runs_are_as_long_as_what_is_left_pays_for(most, steps):
    account = Account(None, 400, validation=8.0, spent=0.13)
    assert _longer(SimpleNamespace(account=account, horizon=400), 34, most, 200) == steps


def test_the_pilot_runs_of_every_length_have_a_seed_of_their_own():
    search = after((-2.0, 25, 1.0, 1.0), (-1.5, 25, 0.9, 0.9), (-2.0, 80, 0.7, 0.7), (-2.0, 400, 0.5, 0.5))
    search.first_seed = 3000
    assert [Search.pilot_seed(search, steps) for steps in (25, 80, 160)] == [3000, 3001, 3002]
