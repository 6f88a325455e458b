"""A function of the rate, of any framework, finds its own rate and then trains with it."""

import math

import numpy as np
import pytest

import stepsize
from stepsize.kernel.errors import DriveError, ParameterError, TaskError
from stepsize.policies import one_cycle
from stepsize.rules import SGD

STEPS = 100


class Descent:
    """Gradient descent on a bowl of two curvatures, in place; keeps the rates that it was given."""

    def __init__(self):
        self.weights = np.array([1.0, 1.0])
        self.rates = []

    def step(self, rate):
        loss = float(self.weights**2 @ [1.0, 0.1])
        self.weights -= rate * 2 * self.weights * [1.0, 0.1]
        self.rates.append(rate)
        return loss

    def snapshot(self):
        return self.weights.copy()

    def restore(self, kept):
        self.weights[:] = kept

    @property
    def three(self):
        return {"snapshot": self.snapshot, "restore": self.restore}


def test_the_real_run_is_the_one_at_the_rate_that_was_found():
    descent, again = Descent(), Descent()
    answer = stepsize.tuned(descent.step, steps=STEPS, rule=SGD(), **descent.three)
    rates = answer.policy.table(0, STEPS)["lr"]
    for rate in rates:
        again.step(rate)
    assert descent.rates[-STEPS:] == rates.tolist()
    assert np.array_equal(descent.weights, again.weights)
    assert answer.cost <= 1
    assert list(answer.policy) == ["lr"]


def test_its_rate_trains_as_well_as_the_best_of_a_list():
    descent = Descent()
    answer = stepsize.tuned(descent.step, "cosine", steps=STEPS, rule=SGD(), **descent.three)
    finals = []
    for rate in np.geomspace(1e-3, 3.0, 15):
        other = Descent()
        for each in stepsize.policies.cosine(rate).over(STEPS).table(0, STEPS)["lr"]:
            loss = other.step(each)
        finals.append(loss)
    assert answer.learned
    assert descent.step(0.0) < np.nanmin(finals) + 0.02


def test_a_step_that_begins_anew_needs_no_snapshot():
    made = []

    def make(seed):
        made.append((seed, Descent()))
        return made[-1][1].step

    answer = stepsize.tuned(make=make, steps=STEPS, rule=SGD())
    assert len(made) == len(answer.runs) + 2  # a look, and the real run
    assert {seed for seed, _ in made} == {0}
    assert len(made[-1][1].rates) == STEPS
    assert [len(each.rates) for _, each in made[1:-1]] == [run.steps for run in answer.runs]


def test_a_validation_scores_the_runs():
    descent, calls = Descent(), []

    def validate():
        calls.append(float(descent.weights @ descent.weights))
        return calls[-1]

    answer = stepsize.tuned(descent.step, steps=STEPS, rule=SGD(), validate=validate, share=0.5, **descent.three)
    assert answer.start == calls[0] == 2.0
    assert [run.score for run in answer.runs] == calls[1:]


def test_an_error_in_a_pilot_run_leaves_all_as_it_was():
    descent = Descent()

    def step(rate):
        if len(descent.rates) > 20:
            raise KeyboardInterrupt
        return descent.step(rate)

    with pytest.raises(KeyboardInterrupt):
        stepsize.tuned(step, steps=STEPS, **descent.three)
    assert descent.weights.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("given", ["step", "step and snapshot", "all", "nothing"])
def test_what_does_not_say_how_to_begin_anew_is_refused(given):
    descent = Descent()
    parts = {
        "step": {"step": descent.step},
        "step and snapshot": {"step": descent.step, "snapshot": descent.snapshot},
        "all": {"step": descent.step, **descent.three, "make": lambda seed: descent.step},
        "nothing": {},
    }[given]
    with pytest.raises(ParameterError, match="step=, snapshot= and restore=, or make= alone"):
        stepsize.tuned(steps=STEPS, **parts)
    assert not descent.rates


def test_what_cannot_be_tuned_is_refused():
    descent = Descent()
    with pytest.raises(TaskError, match="the first training loss is nan, before any update"):
        stepsize.tuned(lambda rate: math.nan, steps=STEPS, **descent.three)
    with pytest.raises(TaskError, match="a loss is one number, not None"):
        stepsize.tuned(lambda rate: None, steps=STEPS, **descent.three)
    with pytest.raises(DriveError, match="a loop of 20 updates is too short to tune"):
        stepsize.tuned(descent.step, steps=20, **descent.three)
    with pytest.raises(TaskError, match=r"none of 10 pilot runs, at rates from"):
        stepsize.tuned(lambda rate: 1.0 if rate <= 1e-12 else math.nan, one_cycle, steps=10_000, **descent.three)
