"""What a record says about itself: deaths, final scores, orders, intervals."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from stepsize.kernel.errors import MissingPackageError
from stepsize.policies import Policy
from stepsize.results import Curves, Estimate, Interval, Race, Rung, Standing
from stepsize.rules import SGD
from stepsize.strategy import Strategy, Trial

STRATEGIES = tuple(Strategy(SGD(), Policy(lr=rate)) for rate in (0.1, 0.2, 0.3))
TRIALS = tuple(Trial(strategy, 0) for strategy in STRATEGIES)


def curves(losses, scores):
    losses = np.array(losses, dtype=np.float32)
    return Curves(
        TRIALS[: losses.shape[1]], len(losses), losses, np.array([len(losses)]), np.array(scores), 2.0, "loop"
    )


def test_a_trial_died_at_its_first_loss_that_is_not_finite():
    record = curves([[1, np.nan, 1], [1, 1, np.inf], [1, 1, 1]], [[1.0, 1, 1]])
    assert record.died_at.tolist() == [-1, 0, 1]


def test_the_final_score_of_a_trial_that_diverged_is_infinite():
    record = curves([[1, 1, 1], [1, np.nan, 1]], [[0.5, 0.4, np.nan]])
    assert record.final.tolist() == [0.5, math.inf, math.inf]


def test_the_final_score_is_the_last():
    record = Curves(TRIALS[:1], 2, np.ones((2, 1)), np.array([1, 2]), np.array([[0.3], [0.7]]))
    assert record.final.tolist() == [0.7]


def test_selecting_and_joining_are_inverse():
    record = curves([[1, 2, 3], [4, 5, 6]], [[7.0, 8, 9]])
    parts = [record.select([0]), record.select([1, 2])]
    joined = Curves.join(parts)
    assert joined.trials == record.trials
    np.testing.assert_array_equal(joined.losses, record.losses)
    np.testing.assert_array_equal(joined.scores, record.scores)
    assert joined.seconds == 4.0
    assert (joined.steps, joined.engine) == (2, "loop")
    assert record.select([2, 0]).losses.tolist() == [[3, 1], [6, 4]]
    assert record.select([2, 0]).scores.tolist() == [[9, 7]]
    assert record.select([2, 0]).trials == (TRIALS[2], TRIALS[0])


def test_a_rung_is_ordered_by_its_means_and_a_diverged_seed_is_last():
    rung = Rung(10, STRATEGIES, (0, 1), np.array([[1.0, 3.0], [np.inf, 0.0], [1.0, 1.0]]))
    assert rung.means.tolist() == [2.0, math.inf, 1.0]
    assert rung.order == [2, 0, 1]


def test_ties_keep_the_order_in_which_strategies_entered():
    rung = Rung(10, STRATEGIES, (0,), np.array([[1.0], [0.5], [0.5]]))
    assert rung.order == [1, 2, 0]


def test_the_best_of_a_race_stands_first():
    standings = tuple(
        Standing(strategy=strategy, score=Interval(1, 0, 2), behind=None, diverged=0, tied=False)
        for strategy in STRATEGIES[::-1]
    )
    race = Race(
        task="task",
        steps=2,
        rungs=(),
        standings=standings,
        curves=curves([[1]], [[1.0]]),
        agreement=(),
        cost=1.0,
        engine="loop",
        seconds=1.0,
    )
    assert race.best == STRATEGIES[2]


@pytest.mark.parametrize(("value", "inside"), [(0.0, True), (1.0, True), (0.5, True), (-0.01, False), (1.01, False)])
def test_an_interval_holds_its_ends(value, inside):
    assert (value in Interval(0.4, 0.0, 1.0)) is inside


def test_an_interval_and_an_estimate_print_as_a_person_writes_them():
    assert str(Interval(0.5, 0.25, 0.75)) == "0.5000 (0.2500 to 0.7500)"
    assert str(Estimate(0.012, 0.001, 0.1)) == "0.012 (0.001 to 0.1)"
    assert str(Estimate.of(np.array([0.0032]))) == "0.0032"


def test_an_estimate_is_the_median_with_the_range():
    assert Estimate.of(np.array([3.0, 1.0, 2.0, 10.0])) == Estimate(2.5, 1.0, 10.0)


def test_the_rows_of_a_race_are_its_standings():
    rung = Rung(10, STRATEGIES[:2], (4, 7), np.array([[1.0, 3.0], [np.inf, 0.5]]))
    first = Standing(strategy=STRATEGIES[0], score=Interval(2, 1, 3), behind=None, diverged=0, tied=True, chance=1.0)
    last = Standing(
        strategy=STRATEGIES[1], score=Interval(np.inf, -np.inf, np.inf), behind=None, diverged=1, tied=False, decay=0.5
    )
    race = Race(
        task="task",
        steps=10,
        rungs=(rung,),
        standings=(first, last),
        curves=curves([[1]], [[1.0]]),
        agreement=(),
        cost=1.0,
        engine="loop",
        seconds=1.0,
    )
    rows = race.rows()
    assert [row["rank"] for row in rows] == [1, 2]
    assert [row["strategy"] for row in rows] == [s.name for s in STRATEGIES[:2]]
    assert (rows[0]["score"], rows[0]["score_low"], rows[0]["behind"], rows[0]["chance"]) == (2, 1, None, 1.0)
    assert [(row["seed_4"], row["seed_7"]) for row in rows] == [(1.0, 3.0), (np.inf, 0.5)]
    assert [row["diverged"] for row in rows] == [0, 1]
    assert rows[1]["decay"] == 0.5
    assert race.indistinguishable == (STRATEGIES[0],)


def test_the_frame_of_a_race_is_pandas_or_says_what_to_install(monkeypatch):
    race = Race(
        task="task",
        steps=2,
        rungs=(),
        standings=(),
        curves=curves([[1]], [[1.0]]),
        agreement=(),
        cost=1.0,
        engine="loop",
        seconds=1.0,
    )
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: ("frame", rows)))
    assert race.frame() == ("frame", [])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match="pandas"):
        race.frame()


def test_the_places_of_the_winner_are_on_every_rung():
    first = Rung(5, STRATEGIES[:2], (0,), np.array([[1.0], [0.5]]))
    last = Rung(10, STRATEGIES[:1], (0,), np.array([[1.0]]))
    without = Rung(10, STRATEGIES[1:2], (0,), np.array([[1.0]]))
    standing = Standing(strategy=STRATEGIES[0], score=Interval(1, 0, 2), behind=None, diverged=0, tied=True)
    race = Race(
        task="task",
        steps=10,
        rungs=(first, without, last),
        standings=(standing,),
        curves=curves([[1]], [[1.0]]),
        agreement=(),
        cost=1.0,
        engine="loop",
        seconds=1.0,
    )
    assert race.ranks == (2, None, 1)
