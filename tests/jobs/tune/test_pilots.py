"""What the answer of pilot runs rests on, by losses that are made up."""

import math

import numpy as np
import pytest

from stepsize.engines.base import LITTLE, updates_of
from stepsize.jobs.advise.belief.belief import Belief
from stepsize.jobs.advise.belief.evidence import Anchor, Run
from stepsize.jobs.tune.family import family
from stepsize.jobs.tune.pilots import APART, TIMED, LoopTask, PilotRun, Pilots, scored
from stepsize.rules import AdamW
from stepsize.strategy import Strategy

RESTED = (2.0, 2.4, 1.6, 2.2, 1.8)
BEST = -2.5


def loop(held_out=None, rested=RESTED, validation=0.0):
    return LoopTask("made up", 400, held_out, rested, None, AdamW(), validation)


def answered(task, losses):
    """The log10 rate that is answered where `losses` gives score and training loss at so many decades from the best."""
    pilots = Pilots(task, family(AdamW(), "one_cycle", task.steps), 1.0)
    while (run := pilots.next()) is not None:
        score, training = losses(math.log10(run.rate) - BEST)
        pilots.learn(type(run)(run.rate, run.steps, score, training, run.steps))
    return math.log10(pilots.answer().strategy.peak)


def test_batches_that_are_harder_than_the_first_ones_do_not_hide_what_was_learned():
    harder = answered(loop(), lambda away: (2.2 + 0.1 * away**2, math.nan))
    assert harder == pytest.approx(BEST, abs=0.5)
    assert loop().doubt == pytest.approx(2 * 0.3162278 * math.sqrt(1 / 5 + 1 / 3))
    assert loop(rested=(2.0,) * 5).doubt == 0


def test_where_validation_falls_at_no_rate_training_losses_say_which_is_best():
    def by_heart(away):
        return 1.95 + 0.02 * away, 2 - 1.5 * math.exp(-(away**2))

    assert answered(loop(2.0), by_heart) == pytest.approx(BEST, abs=0.5)


def test_a_gap_to_training_losses_counts_as_far_as_their_batches_agree():
    run = scored(PilotRun(0.1, 40), [2.0] * 36 + [1.0, 1.2, 0.8, 1.0], lambda: 1.5)
    assert (run.score, run.training, run.made) == (1.5, pytest.approx(1.0), 40)
    assert run.error == pytest.approx(2 * 0.1632993 / 2)
    assert scored(PilotRun(0.1, 40), [1.0] * 40, None).error == 0


@pytest.mark.parametrize(("score", "by_heart"), [(1.75, 0.0), (1.5, 0.9)])
def test_where_the_score_has_hardly_gained_it_is_too_early_to_say_that_runs_learn_by_heart(score, by_heart):
    belief = Belief(400, 2.0, {"adaptive": Anchor(-2.0, 0.4, "nothing")})
    strategy = Strategy.of("AdamW", "one_cycle", 0.01)
    belief.learn([Run(strategy, 25, 0, 1.8, 1.8), Run(strategy, 100, 0, score, 1.0)])
    assert by_heart <= belief.by_heart <= by_heart + 0.1


def test_training_losses_speak_only_where_they_measure_what_validation_does():
    assert loop(2.0).training_start == pytest.approx(2.0)
    assert math.isnan(loop(0.9).training_start)
    assert math.isnan(loop().training_start)
    assert (loop(0.9).scored, loop(0.9).start) == ("validation loss", 0.9)
    assert (loop().scored, loop().start) == ("training loss", pytest.approx(2.0))


@pytest.mark.parametrize("off", [0.85, 1.15])
def test_a_validation_that_is_timed_15_percent_off_counts_as_much_almost_always(off):
    true = np.geomspace(LITTLE, 1000, 1001)
    same = np.array([updates_of(each, 1.0, APART) == updates_of(off * each, 1.0, APART) for each in true])
    boundaries = np.array([LITTLE, 8, 32, 128, 512])
    near = np.abs(np.log(true[:, None] / boundaries)).min(axis=1) <= abs(math.log(off)) + 1e-9
    assert same[~near].all()
    assert same.mean() > 0.85


def test_validations_before_the_first_run_are_paid_for_too():
    pilots = Pilots(loop(2.0, validation=16.0), family(AdamW(), "one_cycle", 400), 1.0)
    made = 0
    while (run := pilots.next()) is not None:
        pilots.learn(PilotRun(run.rate, run.steps, 1.0, 1.0, run.steps))
        made += run.steps + 16
    answer = pilots.answer()
    assert answer.cost == pytest.approx((len(RESTED) + TIMED * 16 + made) / (400 + 16))
    assert answer.cost <= 1 + 1e-9
