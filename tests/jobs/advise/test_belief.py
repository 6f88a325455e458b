"""The belief over best rates: exact messages along a tree, held to brute force, and what runs of each length say."""

import math
from dataclasses import replace

import numpy as np
import pytest

from stepsize.jobs.advise.belief import evidence, prior, tree, valley
from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.evidence import Anchor, Run
from stepsize.jobs.rescale import rescale_exponent
from stepsize.kernel.arrays import floats
from stepsize.strategy import Strategy

ADAM = Strategy.of("AdamW", "one_cycle", 1.0)
WSD = Strategy.of("AdamW", "wsd", 1.0)
MOMENTUM = Strategy.of("Momentum", "one_cycle", 1.0)


def fresh(horizon=400, centre=-2.0, spread=0.3):
    anchors = {"adaptive": Anchor(centre, spread, "a test"), "euclidean": Anchor(-1.0, 0.6, "a test")}
    return Belief(horizon, 2.0, anchors)


def runs(family, rates, losses, steps, seed=0):
    return [Run(family.at(10**x), steps, seed, loss, loss) for x, loss in zip(rates, losses, strict=True)]


def test_before_any_run_the_best_rate_lies_around_the_anchor():
    mean, _ = fresh().centre(ADAM)
    assert mean == pytest.approx(-2.0, abs=0.03)
    offset = prior.family_prior(WSD).offset
    assert fresh().centre(WSD)[0] == pytest.approx(-2.0 + offset, abs=0.05)


def test_runs_move_the_belief_to_where_they_end_lowest():
    known = fresh()
    before = known.centre(ADAM)[1]
    known.learn(runs(ADAM, [-2, -1.5, -1, -0.5], [1.2, 0.9, 0.5, 1.1], 100))
    mean, spread = known.centre(ADAM)
    assert -1.6 < mean < -0.8
    assert spread < before


def test_one_family_says_where_another_is_but_not_across_groups():
    known = fresh()
    there = known.centre(MOMENTUM)
    known.learn(runs(ADAM, [-3.5, -3, -2.5], [1.0, 0.5, 0.9], 400))
    assert known.centre(WSD)[0] < -2.5
    assert known.centre(MOMENTUM) == pytest.approx(there)


def test_the_less_short_runs_have_learned_the_steeper_is_the_valley_below():
    centres, lost = [], []
    for gain in (0.05, 0.5, 1.4):
        known = fresh()
        known.learn(runs(ADAM, [-2.5, -2, -1.5], [2 - 0.8 * gain, 2 - gain, 2 - 0.8 * gain], 25))
        centres.append(known.centre(ADAM)[0])
        lost.append(known.lost(ADAM, floats([-2.5]))[0][0])
    assert centres == sorted(centres, reverse=True)
    assert lost[0] > lost[1] > lost[2]


def test_how_far_short_runs_went_says_what_a_long_one_loses_below():
    """A quarter of the length gained .4 of 1.6 at .01; all of it at .0025 misses .75 ** 1.5 of what one can gain."""
    known = fresh()
    known.learn([Run(ADAM.at(0.01), 100, 0, 1.6, 1.6), Run(ADAM.at(0.01), 400, 0, 0.4, 0.4)])
    ((at, lost, _),) = known._gone_as_far(ADAM, 400)
    assert (at, lost) == (pytest.approx(math.log10(0.0025)), pytest.approx(0.75**1.5))
    assert not list(known._gone_as_far(ADAM, 100))


def test_a_sum_of_squares_makes_a_run_go_as_the_root_of_its_steps():
    rule = Strategy.of("Adagrad", "one_cycle", 0.1)
    known = fresh()
    known.learn([Run(rule, 100, 0, 1.6, 1.6)])
    ((at, _, _),) = known._gone_as_far(rule, 400)
    assert at == pytest.approx(math.log10(0.1) - math.log10(4) / 2)


def test_longer_runs_say_more_than_shorter_ones():
    spreads = []
    for steps in (25, 100, 400):
        known = fresh(spread=0.6)
        known.learn(runs(ADAM, [-2.5, -2, -1.5], [0.9, 0.5, 0.9], steps))
        spreads.append(known.centre(ADAM)[1])
    assert spreads[0] > spreads[1] > spreads[2]


def test_the_best_rate_falls_with_the_length_by_the_one_law():
    known = fresh(horizon=1600, spread=2.0)
    known.learn(runs(ADAM, [-2.5, -2, -1.5], [0.9, 0.5, 0.9], 400))
    fall = known.centre(ADAM, 400)[0] - known.centre(ADAM, 1600)[0]
    assert fall == pytest.approx(-rescale_exponent(ADAM.rule) * math.log10(4), abs=0.06)


def test_runs_of_two_lengths_tell_by_which_power_the_rates_of_this_task_drift():
    """Best at -1 in runs of 100 steps and at -1.6 in runs of 400: by the usual law that would be -1.72 at 1600."""
    known = fresh(horizon=1600, spread=2.0)
    known.learn(runs(ADAM, [-1.5, -1.25, -1, -0.75], [0.9, 0.65, 0.5, 0.9], 100))
    known.learn(runs(ADAM, [-2.1, -1.85, -1.6, -1.35], [0.9, 0.65, 0.5, 0.9], 400))
    assert known.centre(ADAM)[0] < -1.85
    assert sum(weight * each.steeper for weight, each in known.trees()) < -0.25
    assert sum(weight for weight, _ in known.trees()) == pytest.approx(1.0)


@pytest.mark.parametrize("by_heart", [0.0, 0.6])
def test_messages_are_exact(monkeypatch, by_heart):
    """Held to the sum over all joint states of two families at two lengths, and over drifts, on a coarse grid."""
    monkeypatch.setattr(evidence, "REACH", 1.0)
    monkeypatch.setattr(valley, "STEP", 0.25)
    monkeypatch.setattr(valley, "DISTANCES", np.round(np.arange(-3.0, 2.001, 0.25), 3))
    coarse = prior.shapes("adaptive")[:, ::5]
    monkeypatch.setattr(prior, "shapes", lambda group: coarse)
    monkeypatch.setattr(Belief, "by_heart", by_heart)
    tree._matrix.cache_clear()
    known = fresh()
    known.learn(runs(ADAM, [-2.5, -2, -1.5], [0.9, 0.5, 0.8], 100))
    known.learn(runs(ADAM, [-2, -1.75], [0.4, 0.45], 400))
    known.learn(runs(WSD, [-2.25, -2], [0.38, 0.5], 400))
    x = known.centres("adaptive")
    lengths = ((ADAM, 100), (ADAM, 400), (WSD, 400))
    to_adam, to_wsd = (
        tree._matrix((float(x[0]), len(x)), p.offset, p.spread) for p in map(known.prior_of, (ADAM, WSD))
    )
    joint = 0.0
    for learns, probability, spread in (
        (False, 1 - by_heart, 0.3),
        (True, by_heart, np.hypot(0.3, prior.BY_HEART_DOUBT)),
    ):
        start = tree._normal(x[None, :] + 2.0, spread)[0]
        short, long, other = (np.exp(known.likelihood(*each, by_heart=learns)).sum(axis=0) for each in lengths)
        for steeper, log in zip(prior.STEEPER, prior.log_of_steeper(by_heart=learns), strict=True):
            walk = tree.Tree(known, steeper)._walk(ADAM, 100, 400)
            path = np.einsum("r,ra,rw,sa,s,a,w->a", start, to_adam, to_wsd, walk, short, long, other)
            joint += probability * np.exp(log) * path
    p = known.posterior(ADAM).sum(axis=0)
    np.testing.assert_allclose(p, joint / joint.sum(), rtol=1e-4, atol=1e-5)
    tree._matrix.cache_clear()


def test_a_length_at_which_nothing_has_begun_to_learn_says_nothing():
    known = fresh()
    known.learn(runs(ADAM, [-2.5, -2, -1.5], [1.99, 1.98, 1.97], 25))
    known.learn(runs(ADAM, [-2.5, -2, -1.5], [0.9, 0.5, 0.9], 100))
    slow = known.centre(ADAM)
    alone = fresh()
    alone.learn(runs(ADAM, [-2.5, -2, -1.5], [0.9, 0.5, 0.9], 100))
    assert slow[0] == pytest.approx(alone.centre(ADAM)[0], abs=0.05)


def test_where_only_training_gains_validation_says_nothing():
    """A model that learns its samples by heart: its validation moves by noise, and points far down."""
    known = fresh()
    before = known.centre(ADAM)
    losses = [Run(ADAM.at(10**x), 100, 0, score, 0.8) for x, score in ((-3.0, 1.98), (-2.5, 2.0), (-2.0, 2.2))]
    known.learn(losses)
    assert known.centre(ADAM)[0] == pytest.approx(before[0], abs=0.02)
    assert not any(map(known.did_harm, losses))
    assert known.did_harm(replace(losses[2], training=2.5))
    assert known.did_harm(replace(losses[2], training=math.nan))


def test_long_runs_that_all_ended_above_the_start_still_say_which_rates_are_better():
    """Shorter ones gained .4 of 2.0 at .1; long ones learn by heart, the less the lower their rate."""
    known = fresh(centre=-1.0)
    known.learn([Run(ADAM.at(10**x), 50, 0, score, 0.8) for x, score in ((-1.4, 1.7), (-1.0, 1.6), (-0.6, 1.7))])
    before = known.centre(ADAM)[0]
    known.learn([Run(ADAM.at(10**x), 400, 1, score, 0.1) for x, score in ((-1.2, 2.9), (-1.5, 2.4), (-1.8, 2.1))])
    assert known.centre(ADAM)[0] < -1.6 < before - 0.5


def test_what_is_expected_to_be_lost_is_least_near_the_best_rate():
    known = fresh()
    known.learn(runs(ADAM, [-2.5, -2, -1.5, -1], [0.7, 0.5, 0.52, 1.0], 400))
    mean, _ = known.centre(ADAM)
    lost, covariance = known.lost(ADAM, np.array([mean - 1, mean, mean + 0.8]))
    assert lost[1] < 0.05 < min(lost[0], lost[2])
    assert (np.linalg.eigvalsh(covariance) > -1e-9).all()


def test_the_risk_at_every_rate_is_the_mean_of_what_it_loses():
    known = fresh()
    known.learn(runs(ADAM, [-2.5, -2, -1.5], [0.7, 0.5, 0.6], 100))
    x = known.centres("adaptive")
    np.testing.assert_allclose(known.risk(ADAM, 400), known.lost(ADAM, x, 400)[0], atol=1e-12)
