"""What a range test sees of the validation data: scores along the climb, the bounds in them, and what the gap says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from teacher import teacher

from stepsize import FunctionTask, Task
from stepsize.engines import Ensemble, Loop
from stepsize.jobs import range_test, suggest
from stepsize.jobs.range_test.bounds import read_bounds, smooth_curve
from stepsize.jobs.range_test.held_out import accuracy, describe_gap, gap
from stepsize.kernel.errors import ParameterError, TaskError
from stepsize.policies import Policy
from stepsize.results import RangeTestRecord, load, save
from stepsize.rules import SGD, AdamW, Momentum
from stepsize.schedules import Exponential, Linear
from stepsize.strategy import Strategy, Trial

STEPS = 120
RATES = np.geomspace(1e-5, 10.0, STEPS)
X = np.log10(RATES)


def classes(metric=None, mode="min"):
    """Which of two numbers is larger: a task with an accuracy."""
    x = torch.randn(96, 2, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > x[:, 1]).long()
    return Task(
        lambda: torch.nn.Linear(2, 2), torch.nn.functional.cross_entropy, (x[:64], y[:64]), (x[64:], y[64:]), 16, 50,
        "larger", metric=metric, mode=mode,
    )  # fmt: skip


def record(losses, held_out, every=4, **known):
    scores = np.full((STEPS, 1), np.nan)
    scores[::every, 0] = held_out[::every]
    return RangeTestRecord(
        task="synthetic", rule=AdamW(), rates=RATES, losses=losses[:, None].astype(np.float32), seeds=(0,), steps=STEPS,
        cost=STEPS, held_out=scores, **known,
    )  # fmt: skip


def fall(centre, depth, rise=1.5):
    """A loss that falls around `centre` by a factor, and rises after 0.3."""
    return 2.3 * np.exp(-depth / (1 + np.exp(-5 * (centre * -1 + X)))) * (1 + np.exp(rise * 4 * (X + 0.5)))


@pytest.mark.parametrize("engine", [Loop(), Ensemble()])
def test_a_score_is_that_of_the_weights_before_the_update_at_its_rate(engine):
    task = teacher(60)
    found = range_test(
        task, SGD(), low=1e-3, high=1.0, steps=STEPS, seeds=(0, 3), held_out=True, widen=False, curvature=False,
        engine=engine,
    )  # fmt: skip
    assert found.taken.sum() == 60  # every second update: 70 are the most
    climb = Policy(lr=Exponential(1e-3, 1.0)).over(STEPS)
    alone = engine.run(task, [Trial(Strategy(SGD(), climb), 3)], STEPS, score_every=2)
    np.testing.assert_allclose(found.held_out[2::2, 1], alone.scores[:-1, 0], rtol=1e-5)
    assert found.held_out[0].tolist() == pytest.approx([task.score(task.build(seed)) for seed in (0, 3)])
    np.testing.assert_array_equal(found.losses, range_test(
        task, SGD(), low=1e-3, high=1.0, steps=STEPS, seeds=(0, 3), widen=False, curvature=False, engine=engine,
    ).losses)  # fmt: skip


def test_scores_are_kept_in_a_file_and_those_of_the_diverged_are_infinite(tmp_path):
    found = range_test(teacher(60), SGD(), low=1.0, high=1e9, steps=60, seeds=(0,), held_out=True, widen=False)
    assert np.isinf(found.held_out[-1, 0])
    again = load(save(found, tmp_path / "test.json"))
    np.testing.assert_array_equal(again.held_out, found.held_out)
    assert (again.scored, again.has_gap) == ("validation loss", True)


def test_the_accuracy_is_watched_in_place_of_the_loss():
    found = range_test(classes(), Momentum(), low=1e-4, high=100.0, seeds=(0, 1), metric="accuracy", curvature=False)
    assert (found.scored, found.judged_name, found.has_gap) == (
        "negative validation accuracy", "validation accuracy", False,
    )  # fmt: skip
    assert -1 <= np.nanmin(found.held_out) < -0.9
    reason = suggest(found).reason
    assert "the validation accuracy rises by 0." in reason or "no clear answer" in reason
    assert suggest(found).generalisation == ""


def test_the_accuracy_is_the_share_of_right_answers():
    outputs = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert accuracy(outputs, torch.tensor([1, 1, 1])).item() == pytest.approx(2 / 3, abs=1e-7)


def test_the_tasks_own_metric_is_found_by_its_name_and_its_loss_is_the_loss():
    def hits(outputs, targets):
        return (outputs.argmax(1) == targets).float().mean()

    task = classes(hits, "max")
    options = {"low": 1e-3, "high": 1.0, "steps": 20, "seeds": (0,), "widen": False, "curvature": False}
    assert range_test(task, SGD(), metric="hits", **options).scored == "negative validation hits"
    assert range_test(task, SGD(), held_out=True, **options).scored == "validation loss"


@pytest.mark.parametrize(
    ("task", "asked", "error", "message"),
    [
        (classes(), {"metric": "acuracy"}, ParameterError, "no metric 'acuracy'. Did you mean 'accuracy'"),
        (teacher(60), {"metric": "accuracy"}, TaskError, "are no classes but numbers"),
        (FunctionTask(lambda _: None), {"held_out": True}, TaskError, "training function, whose model, loss and data"),
        (classes(lambda outputs, _: outputs, "max"), {"metric": "<lambda>"}, TaskError, "must be one number"),
        (classes(), {"momentum": (0.9, 0.8)}, ParameterError, "SGD has no momentum to go from 0.9 to 0.8"),
    ],
)
def test_what_cannot_be_watched_or_moved_is_refused_before_the_work(task, asked, error, message):
    with pytest.raises(error, match=message):
        range_test(task, SGD(), **asked, progress=lambda _: pytest.fail("it ran"))


def test_the_momentum_falls_in_equal_steps_while_the_rate_climbs():
    task = teacher(60)
    options = {"low": 1e-3, "high": 1.0, "steps": 40, "seeds": (0,), "widen": False, "engine": Loop()}
    found = range_test(task, Momentum(), momentum=(0.95, 0.75), **options)
    assert found.momentum == (0.95, 0.75)
    policy = Policy(lr=Exponential(1e-3, 1.0), momentum=Linear(0.95, 0.75)).over(40)
    np.testing.assert_allclose(policy.table(0, 40)["momentum"], 0.95 - 0.2 * np.arange(40) / 40, rtol=0, atol=1e-12)
    alone = Loop().run(task, [Trial(Strategy(Momentum(), policy), 0)], 40)
    np.testing.assert_array_equal(found.losses, alone.losses)
    still = range_test(task, Momentum(momentum=0.75), **options)
    assert found.limits == pytest.approx(still.limits)  # of the momentum that it ends with


def test_bounds_are_read_from_what_was_held_out():
    training, held_out = fall(-2.5, 1.5), fall(-1.5, 1.5)
    assert suggest(record(training, held_out)).reason.startswith("the validation loss falls by")
    plain = suggest(replace(record(training, held_out), held_out=None))
    assert suggest(record(training, held_out)).min_lr.value > 5 * plain.min_lr.value


def test_the_gap_is_the_score_less_the_smoothed_training_loss():
    found = record(fall(-2.5, 1.5), fall(-2.5, 1.2))
    rates, training, above = gap(found)
    expected = smooth_curve(X, fall(-2.5, 1.5).astype(np.float32), 6)[::4]
    np.testing.assert_array_equal(rates, RATES[::4])
    np.testing.assert_allclose(training[:, 0], expected, rtol=1e-12)
    np.testing.assert_allclose(above[:, 0], fall(-2.5, 1.2)[::4] - expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("training", "held_out", "sign"),
    [
        (
            fall(-2.5, 3.0),
            fall(-2.5, 1.0) * (1 + 0.4 / (1 + np.exp(-9 * (X + 1.4)))),
            "signs of overfitting: from 0.017 to 0.068",
        ),
        (fall(-2.5, 1.5), fall(-2.5, 1.5), "signs of underfitting: at "),
        (fall(-2.5, 1.5), fall(-2.5, 1.1), "of the validation loss at"),
    ],
)
def test_the_gap_is_a_sign_of_over_or_underfitting(training, held_out, sign):
    assert sign in suggest(record(training, held_out)).generalisation


def test_a_gap_of_something_else_than_the_loss_or_of_no_learning_says_nothing():
    found = record(fall(-2.5, 1.5), fall(-2.5, 1.1))
    other = replace(found, scored="validation error")
    assert describe_gap(other, read_bounds(other)) == ""
    flat = record(np.full(STEPS, 2.3), np.full(STEPS, 2.3))
    assert describe_gap(flat, read_bounds(flat)) == ""
