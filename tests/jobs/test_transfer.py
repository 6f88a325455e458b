"""A tuned strategy for a longer run: the law that was measured, cooldowns by the bound, and every refusal."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.jobs import suggest, transfer
from stepsize.jobs.rescale import BOUND, rescale_spread
from stepsize.kernel.errors import ParameterError
from stepsize.policies import Policy, constant, cosine, linear_to_zero, one_cycle, wsd
from stepsize.results import RateGrid
from stepsize.rules import SGD, Adagrad, AdamW, Lion, Momentum, Prodigy
from stepsize.schedules import Constant, Cosine, Linear
from stepsize.strategy import Strategy
from stepsize.theory import best_rate

WSD = Strategy(SGD(), Policy(lr=Constant(0.1) >> Linear(0.1, 0.0, "20%")))


@pytest.mark.parametrize(("factor", "share"), [(1.5, 0.45), (2, 0.63), (3, 0.88), (4, 1.0)])
def test_the_cooldown_grows_as_in_the_sheet(factor, share):
    """T0 = 4000 with a cooldown of 20 %, at the same rate."""
    steps = round(4000 * factor)
    schedule = transfer(WSD, 4000, steps, by="cooldown").policy["lr"]
    rates = schedule.table(0, steps)
    assert rates.max() == 0.1
    assert round((rates < 0.1).mean(), 2) == pytest.approx(share, abs=0.005)


@settings(max_examples=15)
@given(factor=st.floats(1.0, 3.0), share=st.integers(10, 60))
def test_a_longer_cooldown_keeps_the_best_rate_of_the_bound(factor, share):
    strategy = Strategy(SGD(), Policy(lr=Constant(1.0) >> Linear(1.0, 0.0, f"{share}%")))
    long = round(400 * factor)
    try:
        longer = transfer(strategy, 400, long, by="cooldown")
    except ParameterError as error:
        assert "no cooldown is long enough" in str(error)  # noqa: PT017  (both answers are right, each where it is)
        return
    before, after = strategy.over(400).policy["lr"].table(0, 400), longer.policy["lr"].table(0, long)
    assert best_rate(after) >= 0.94 * best_rate(before)


def test_the_rate_follows_the_bound_where_its_exponent_is_asked_for():
    longer = transfer(WSD, 400, 1600, exponent=BOUND)
    expected = best_rate(WSD.over(1600).policy["lr"].table(0, 1600)) / best_rate(
        WSD.over(400).policy["lr"].table(0, 400)
    )
    assert longer.peak == pytest.approx(0.1 * expected)
    assert longer.policy["lr"].steps == 1600
    assert longer.name != WSD.name


@pytest.mark.parametrize(
    ("rule", "power"), [(SGD(), -0.2), (AdamW(), -0.2), (Adagrad(), -0.2), (Lion(), -0.5), (Prodigy(), 0.0)]
)
def test_how_far_it_moves_hangs_on_the_rule(rule, power):
    longer = transfer(Strategy(rule, linear_to_zero(0.1)), 1000, 8000)
    assert math.log(longer.peak / 0.1) / math.log(8) == pytest.approx(power, abs=0.01)


@pytest.mark.parametrize("rule", [SGD(), Lion(), Prodigy()])
def test_it_is_the_rate_that_a_grid_of_short_runs_suggests(rule):
    rates = np.array([0.03, 0.1, 0.3])
    losses = np.array([[0.5], [0.4], [0.5]])
    grid = RateGrid(
        task="synthetic", rule=rule, rates=rates, policy=cosine(1.0), losses=losses.astype(np.float32),
        held_out=losses, seeds=(0,), steps=400, cost=1200, horizon=1600,
    )  # fmt: skip
    best = suggest(grid, horizon=400).lr.value
    longer = transfer(Strategy(rule, cosine(best)), 400, 1600)
    assert longer.peak == pytest.approx(suggest(grid).lr.value, rel=1e-6)


def test_a_cooldown_grows_by_the_bound_and_stays_for_a_rule_of_its_own_scale():
    policy = Policy(lr=Constant(0.1) >> Linear(0.1, 0.0, "20%"))
    lengths = [
        transfer(Strategy(rule, policy), 400, 800, by="cooldown").policy["lr"].parts[-1].steps
        for rule in (AdamW(), SGD(), Lion(), Prodigy())
    ]
    assert lengths[0] == lengths[1] == lengths[2] == pytest.approx(0.63 * 800, abs=8)
    assert lengths[3] == 0.2 * 800


def test_the_same_length_changes_nothing_but_the_binding():
    for by in ("rate", "cooldown"):
        longer = transfer(WSD, 500, 500, by=by)
        np.testing.assert_allclose(longer.policy["lr"].table(0, 500), WSD.over(500).policy["lr"].table(0, 500))


def test_the_spread_of_two_doublings_is_the_root_of_two_times_that_of_one():
    assert math.log(rescale_spread(100, 400)) == pytest.approx(math.sqrt(2) * math.log(rescale_spread(100, 200)))
    assert rescale_spread(100, 100) == 1


def test_moving_twice_is_moving_once():
    """A strategy that is bound already goes on from where it is."""
    strategy = Strategy(SGD(), cosine(0.1))
    once = transfer(strategy, 100, 1600)
    twice = transfer(transfer(strategy, 100, 400), 400, 1600)
    assert twice.peak == pytest.approx(once.peak, rel=1e-6)
    assert twice.policy["lr"].steps == once.policy["lr"].steps == 1600


def test_momentum_is_stretched_with_the_rate():
    policy = transfer(Strategy(Momentum(), one_cycle(0.1)), 100, 400).policy
    assert policy["momentum"].table(0, 400) == pytest.approx(one_cycle(0.1).over(400)["momentum"].table(0, 400))


def test_a_warmup_before_the_stable_part_stays():
    strategy = Strategy(SGD(), wsd(0.1, warmup="10%", cooldown="20%", shape="linear"))
    schedule = transfer(strategy, 1000, 1500, by="cooldown").policy["lr"]
    table = schedule.table(0, 1500)
    np.testing.assert_allclose(table[:150], strategy.over(1500).policy["lr"].table(0, 150))
    assert (table < 0.1)[150:].sum() > 0.21 * 1500


@pytest.mark.parametrize(
    ("strategy", "source", "target", "options", "message"),
    [
        (WSD, 400, 300, {}, "transferred to a longer run, not to 300"),
        (WSD, 100, 1700, {}, "17 times the 100 .* tune on 107 steps or more"),
        (WSD, 0, 100, {}, "0"),
        (WSD, 100, 200, {"by": "shape"}, "by must be 'rate' or 'cooldown', not 'shape'"),
        (Strategy(SGD(), constant(0.1)), 100, 200, {}, "ends at 100% of its peak"),
        (Strategy(SGD(), Policy(lr=Cosine(1.0, 0.6))), 100, 200, {}, "ends at 60% of its peak"),
        (Strategy(SGD(), cosine(0.1)), 100, 200, {"by": "cooldown"}, "where a constant rate comes before it"),
        (WSD, 100, 1600, {"by": "cooldown"}, "no cooldown is long enough"),
        (WSD.over(300), 100, 200, {}, "bound to 300 steps, and the strategy is said to be tuned for 100"),
    ],
)
def test_what_is_not_known_to_hold_is_refused(strategy, source, target, options, message):
    with pytest.raises(ParameterError, match=message):
        transfer(strategy, source, target, **options)
