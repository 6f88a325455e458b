"""Runs that learn by heart: what they are told by, and what the belief makes of it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.by_heart import GREW, MOST, TURNS, by_length, learned_by_heart
from stepsize.jobs.advise.belief.evidence import Anchor, Run, last_tenth
from stepsize.jobs.advise.belief.prior import BY_HEART
from stepsize.jobs.advise.belief.tree import Tree
from stepsize.jobs.advise.field import families
from stepsize.jobs.advise.search import Search, epoch_of
from stepsize.problems import Task
from stepsize.rules import AdamW
from stepsize.strategy import Strategy

ADAM = Strategy.of("AdamW", "one_cycle", 1.0)
START = 2.0


class Endless(torch.utils.data.IterableDataset):
    """A stream without a length."""

    def __iter__(self):
        while True:
            yield torch.ones(2), torch.ones(1)


def run(steps, score, training, x=-2.0, error=0.0):
    return Run(ADAM.at(10**x), steps, 0, score, training, error=error)


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param([], id="nothing has run"),
        pytest.param([run(100, 1.0, 0.2)], id="one length shows no growth"),
        pytest.param([run(25, 1.5, 1.4), run(100, 1.0, 0.95)], id="no gap"),
        pytest.param([run(25, 1.5, 0.6), run(100, 0.6, 0.3)], id="what longer runs learn holds"),
        pytest.param([run(25, 1.9, 1.6), run(100, 1.8, 1.0)], id="hardly anything holds yet"),
        pytest.param([run(25, 1.1, 0.8), run(100, 2.1, 1.9)], id="harm"),
        pytest.param([run(25, 1.1, math.nan), run(100, 1.0, 0.1)], id="a training loss that is not known"),
        pytest.param([run(25, 1.1, 0.8), run(100, 1.0, 0.6, error=0.5)], id="a gap within its noise"),
        pytest.param([run(28, 1.99, 1.9), run(83, 1.72, 1.15)], id="factors of ratings that have just begun"),
    ],
)
def test_nothing_is_learned_by_heart_where(runs):
    assert learned_by_heart(runs, START) < 0.01


def test_a_loss_below_zero_of_which_nothing_was_learned_is_no_error():
    runs = [run(25, -1.0, -1.0), run(100, -1.2, -1.0)]
    assert learned_by_heart(runs, -1.0) == 0.0


@pytest.mark.parametrize("rule", ["AdamW", "Momentum"])
def test_it_is_too_early_to_say_before_a_third_is_learned(rule):
    """Products of factors learn the noise of their samples first, and divergence may be what stops momentum."""
    strategy = Strategy.of(rule, "one_cycle", 0.01)
    early, late = ([run(25, 1.8, 1.8), run(100, 1.5, training)] for training in (1.4, 1.2))
    assert learned_by_heart([replace(each, strategy=strategy) for each in early], START) == 0.0
    assert learned_by_heart([replace(each, strategy=strategy) for each in late], START) > 0.9


@pytest.mark.parametrize("score", [1.7, 2.0, 2.8])
def test_all_samples_without_a_gain_are_learned_by_heart(score):
    """The score is no better than before any training, and the training loss is nearly nothing."""
    assert learned_by_heart([run(25, 1.6, 1.4), run(100, score, 0.05)], START) == MOST


def test_a_wide_gap_that_grew_is_learned_by_heart():
    assert learned_by_heart([run(25, 1.1, 0.8), run(100, 1.0, 0.1)], START) == pytest.approx(MOST, rel=1e-3)


def test_no_sample_is_known_by_heart_before_it_comes_again():
    runs = [run(25, 1.1, 0.8), run(100, 1.0, 0.1)]
    assert learned_by_heart(runs, START, epoch=99.0) > 0.9
    assert learned_by_heart(runs, START, epoch=100.0) == learned_by_heart(runs, START, epoch=math.inf) == 0.0


@pytest.mark.parametrize(
    ("train", "batch_size", "epoch"), [((torch.ones(60, 2), torch.ones(60, 1)), 8, 7.5), (Endless(), 8, math.inf)]
)
def test_a_search_knows_when_samples_come_again(train, batch_size, epoch):
    data = (torch.ones(20, 2), torch.ones(20, 1))
    task = Task(lambda: torch.nn.Linear(2, 1), torch.nn.functional.mse_loss, train, data, batch_size, 100)
    assert epoch_of(task) == epoch
    assert Search(task, families([AdamW()], ["one_cycle"]), 100, 0, None).belief.epoch == epoch


def test_what_only_the_hotter_runs_have_learned_counts_as_learned():
    """Factors of ratings under Adagrad: in 82 steps validation gains what training learns, beside a wide gap."""
    short = [
        run(25, loss, training, x) for x, loss, training in ((-1.2, 1.33, 1.35), (-0.7, 1.24, 0.97), (-0.2, 1.32, 0.81))
    ]
    long = [
        run(82, loss, training, x) for x, loss, training in ((-0.8, 0.93, 0.48), (-0.5, 0.58, 0.17), (-0.1, 0.77, 0.16))
    ]
    assert learned_by_heart(short + long, 1.41) < 0.01


def test_noise_of_training_losses_does_not_hide_that_longer_runs_learn_by_heart():
    assert learned_by_heart([run(25, 1.1, 0.1, error=0.1), run(100, 1.0, 0.12, error=0.1)], START) > 0.9


def test_where_validation_turns_at_the_limit_it_is_as_likely_as_not():
    """So it is where what longer runs have gained is just as much as noise may be."""
    beyond = (TURNS * START - 1) - math.sqrt((TURNS * START - 1) ** 2 - 1)  # (1 + beyond)**2 = 2 TURNS START beyond
    longest = run(100, 1.0, 1.0 - beyond)
    assert by_length([longest], START)[0].turn == pytest.approx(TURNS * START)
    assert learned_by_heart([run(25, 1.0, 0.95), longest], START) == pytest.approx(MOST / 2, rel=2e-2)
    assert learned_by_heart([run(25, 1.0 + GREW, 0.1), run(100, 1.0, 0.0)], START) == pytest.approx(MOST / 2, rel=2e-3)


def test_the_turn_is_where_the_parabola_through_the_start_is_highest():
    learned = np.linspace(0, 2, 2001)
    for turn in (0.6, 1.1):
        reached = 0.5
        gain = reached - reached**2 / (2 * turn)
        (best,) = by_length([run(100, START - gain, START - reached)], START)
        assert learned[np.argmax(learned - learned**2 / (2 * best.turn))] == pytest.approx(turn, abs=1e-3)
    assert by_length([run(100, 1.0, 1.1)], START)[0].turn == math.inf


def test_the_gap_is_that_of_all_runs_which_are_about_as_good():
    runs = [run(100, 1.0, 0.8, -2.2), run(100, 1.05, 0.4), run(100, 1.3, 0.1, -1.8)]
    (best,) = by_length(runs, START)
    assert best.score == pytest.approx(1.025)
    assert best.gap == pytest.approx((1.025 - 0.6) / (START - 1.025))


def test_what_learns_by_heart_goes_as_far_in_longer_runs_and_no_further():
    """Best at 10**-1.4 in 100 steps and at 10**-2 in 400: their products are one, and the anchor says a decade more."""
    believed = {}
    for gap in (0.0, 0.6):
        known = Belief(1600, START, {"adaptive": Anchor(-1.5, 0.5, "a test")})
        for steps, best in ((100, -1.4), (400, -2.0)):
            rates = (best - 0.4, best, best + 0.4)
            known.learn([run(steps, loss, loss - gap, x) for x, loss in zip(rates, (0.9, 0.7, 0.9), strict=True)])
        believed[gap] = known.centre(ADAM)[0]
    assert believed[0.6] == pytest.approx(-2.0 - math.log10(4), abs=0.2)
    assert believed[0.0] > believed[0.6] + 0.2


@pytest.mark.parametrize("rule", ["AdamW", "Lion"])
def test_by_heart_the_best_rate_of_every_rule_falls_as_its_travel_says(rule):
    """That of Lion falls as the root of the length else, and no faster than that of others here."""
    family = Strategy.of(rule, "one_cycle", 1.0)
    known = Belief(1600, START, {"adaptive": Anchor(-2.0, 2.0, "a test")})
    for steps, best in ((100, -1.4), (400, -2.0)):
        rates = (best - 0.4, best, best + 0.4)
        losses = zip(rates, (0.9, 0.7, 0.9), strict=True)
        known.learn([replace(run(steps, loss, loss - 0.6, x), strategy=family.at(10**x)) for x, loss in losses])
    assert known.centre(family)[0] == pytest.approx(-2.0 - math.log10(4), abs=0.2)


def test_where_steps_go_as_one_over_the_root_the_best_rate_falls_by_half_of_a_power_less():
    """Adagrad that follows gradients of one size goes as far as the root of its steps: half a decade less in ten."""
    fall = {}
    for rule in ("AdamW", "Adagrad"):
        family = Strategy.of(rule, "one_cycle", 1.0)
        known = Belief(1000, START, {"adaptive": Anchor(-2.0, 2.0, "a test")})
        known.learn(Run(family.at(10**x), 100, 0, loss, loss) for x, loss in ((-2.4, 0.9), (-2, 0.7), (-1.6, 0.9)))
        learned = Tree(known, BY_HEART, by_heart=True)
        x = known.centres("adaptive")
        there = (np.exp(learned.log_posterior(family, steps)) for steps in (100, 1000))
        short, long = (float((each.sum(axis=0) / each.sum()) @ x) for each in there)
        fall[rule] = short - long
    assert fall["AdamW"] - fall["Adagrad"] == pytest.approx(0.5, abs=0.05)


def test_the_error_of_a_training_loss_is_that_of_its_batches():
    """Held to the standard error of a mean of independent losses; a steady fall adds nothing."""
    source = np.random.default_rng(0)
    losses = source.normal(1.0, 0.2, (400, 2000)) + np.linspace(1.0, 0.0, 400)[:, None]
    mean, error = last_tenth(losses)
    np.testing.assert_allclose(mean, losses[-40:].mean(axis=0))
    assert error.mean() == pytest.approx(0.2 / math.sqrt(40), rel=0.02)
    assert mean.std() == pytest.approx(error.mean(), rel=0.05)


def test_losses_that_were_not_told_leave_the_error_open_and_the_belief_sound():
    losses = np.linspace(1.0, 0.5, 100)[:, None].repeat(2, axis=1)
    losses[-12, 0], losses[-12, 1] = np.nan, np.inf
    mean, error = last_tenth(losses)
    assert np.isfinite(mean).all()
    assert np.isinf(error).all()
    assert learned_by_heart([run(25, 1.1, 0.8), run(100, 1.0, 0.1, error=math.inf)], START) < 1e-100


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_few_losses_have_an_error_too(steps):
    mean, error = last_tenth(np.ones((steps, 3), dtype=np.float32))
    assert mean.tolist() == [1.0, 1.0, 1.0]
    assert error.tolist() == [0.0, 0.0, 0.0]
