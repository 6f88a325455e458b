"""fastai's Learner: `PolicyCallback` with fastai's own optimizer and with one of torch's, and functions of `pct_train`.

fastai saves the model and the optimizer, and takes up a run at an epoch; the state of a callback is saved beside them.
"""

import pickle
import warnings

import pytest
import tinynet as tiny
import torch
from tinynet import POLICY, STEPS

from stepsize import Policy
from stepsize.kernel.errors import DriveError
from stepsize.policies import Groups
from stepsize.schedules import Linear

pytest.importorskip("fastai", reason="fastai is large, and not everywhere")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # pandas has deprecated an option that fastai sets
    from fastai.callback.schedule import ParamScheduler
    from fastai.callback.training import GradientAccumulation
    from fastai_loop import Watch, fit, learner

from stepsize.adapters.fastai import PctSchedule, PolicyCallback, as_schedules

pytestmark = pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning")  # when fastai loads
EPOCH = STEPS // 3
OPTIMIZERS = ("fastai", "torch")


def test_functions_are_right_at_each_update():
    """ParamScheduler sets one value for all groups, so the decay of one group is its Groups' ratio."""
    groups = Groups(POLICY, {"weights": {}, "biases": {"weight_decay": 0.0}})
    for kind in OPTIMIZERS:
        assert fit(learner(kind), ParamScheduler(as_schedules(groups, STEPS))) == tiny.expected()
        for row, rate in zip(
            fit(learner(kind), ParamScheduler(as_schedules(POLICY, STEPS))), tiny.expected(), strict=True
        ):
            assert row == [rate[0], rate[0]]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_run_is_taken_up_at_an_epoch_without_a_saved_state(kind, tmp_path):
    """fastai's way: `learn.save`, `learn.load`, `fit(start_epoch=)`."""
    whole = learner(kind)
    fit(whole, PolicyCallback(POLICY))
    broken = learner(kind, folder=tmp_path)
    fit(broken, PolicyCallback(POLICY), watch=Watch(fail_at=1))
    broken.save("broken")
    again = learner(kind, folder=tmp_path)
    again.load("broken")
    assert fit(again, PolicyCallback(POLICY), start_epoch=1) == tiny.expected()[EPOCH:]
    assert torch.equal(tiny.weights(again.model), tiny.weights(whole.model))


def test_functions_resume_at_an_epoch():
    groups = Groups(POLICY, {"weights": {}, "biases": {"weight_decay": 0.0}})
    scheduler = ParamScheduler(as_schedules(groups, STEPS))
    assert fit(learner(), scheduler, start_epoch=2) == tiny.expected()[2 * EPOCH :]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_functions_under_accumulation(kind):
    """GradientAccumulation counts samples: 32 are four batches."""
    groups = Groups(POLICY, {"weights": {}, "biases": {"weight_decay": 0.0}})
    learn, accumulate = learner(kind, batches=4 * EPOCH), GradientAccumulation(32)
    assert fit(learn, accumulate, ParamScheduler(as_schedules(groups, STEPS))) == tiny.expected()


def test_the_callback_is_exported_with_its_learner(tmp_path):
    learn = learner(folder=tmp_path, cbs=PolicyCallback(POLICY))
    fit(learn)
    learn.export("learner.pkl")
    loaded = torch.load(tmp_path / "learner.pkl", weights_only=False).policy
    assert (loaded.driver, loaded.policies) == (None, [POLICY])


def test_functions_are_pickled():
    functions = as_schedules(POLICY, STEPS)
    assert pickle.loads(pickle.dumps(functions)) == functions  # noqa: S301


def test_discriminative_rates_keep_their_ratio():
    """The largest rate is the policy's, as in `fit_one_cycle`."""
    seen = fit(learner(), PolicyCallback(Policy(lr=Linear(1.0, 0.0))), lr=slice(1e-4, 1e-3))
    assert [row[1][0] for row in seen] == Linear(1.0, 0.0, STEPS).table(0, STEPS).tolist()
    assert [row[0][0] for row in seen] == pytest.approx([0.1 * row[1][0] for row in seen])


def test_groups_are_declared_in_order():
    groups = Groups(Policy(lr=Linear(1.0, 0.0)), {"body": {"lr": 0.5}, "head": {}})
    seen = fit(learner(), PolicyCallback(groups))
    assert [row[0][0] for row in seen] == [0.5 * row[1][0] for row in seen]
    assert seen[0][1][0] == 1.0


@pytest.mark.parametrize("way", ["callback", "functions"])
def test_a_group_may_have_a_policy_of_its_own(way):
    own = Policy(lr=Linear(0.0, 0.02), momentum=0.7, weight_decay=0.0)
    groups = Groups(POLICY, {"weights": {}, "biases": own})
    callback = PolicyCallback(groups) if way == "callback" else ParamScheduler(as_schedules(groups, STEPS))
    rates = own["lr"].over(STEPS).table(0, STEPS).tolist()
    wanted = [[weights, (rate, 0.7, 0.0)] for (weights, _), rate in zip(tiny.expected(), rates, strict=True)]
    assert fit(learner(), callback) == wanted


def test_what_only_one_groups_own_policy_moves_stays_in_the_others():
    groups = Groups(POLICY.only({"lr"}), {"weights": {}, "biases": Policy(lr=0.5, momentum=Linear(0.9, 0.6))})
    learn = learner()
    seen = fit(learn, PolicyCallback(groups))
    assert {row[0][1] for row in seen} == {seen[0][0][1]}
    assert [row[1][1] for row in seen] == Linear(0.9, 0.6, STEPS).table(0, STEPS).tolist()
    assert sorted(learn.recorder.hps) == ["lr", "mom"]
    with pytest.raises(DriveError, match=r"sets momentum in all .*, and the policy of the group 'weights' does not"):
        as_schedules(groups, STEPS)


def test_the_recorder_plots_every_hyperparameter():
    learn = learner()
    seen = fit(learn, PolicyCallback(POLICY))
    assert learn.recorder.hps == {
        "lr": [row[1][0] for row in seen],
        "mom": [row[1][1] for row in seen],
        "wd": [row[1][2] for row in seen],
    }


def test_a_second_fit_begins_anew():
    learn, callback = learner(), PolicyCallback(Policy(lr=Linear(1.0, 0.0)))
    learn.add_cb(callback)
    assert fit(learn) == fit(learn)
    learn.validate()
    assert callback.driver.step == STEPS


def test_the_finder_of_a_rate_is_left_alone(tmp_path):
    """`lr_find` sets the rates of its own sweep, whatever callbacks the Learner has."""
    found = []
    for callbacks in ([], [PolicyCallback(POLICY)]):
        learn = learner(batches=20, folder=tmp_path, cbs=callbacks)
        with learn.no_bar(), learn.no_logging():
            learn.lr_find(num_it=20, show_plot=False)
        found.append(list(learn.recorder.lrs))
    assert found[0] == found[1]


def test_the_log_has_each_update_once():
    calls = []
    fit(learner(), PolicyCallback(POLICY, log=lambda step, values: calls.append((step, values["momentum/1"]))))
    assert calls == [(step, row[1][1]) for step, row in enumerate(tiny.expected())]


def test_accumulation_without_a_horizon_is_refused():
    with pytest.raises(DriveError, match=r"Tell the horizon in updates"):
        fit(learner(), GradientAccumulation(16), PolicyCallback(POLICY))


def test_an_epoch_that_begins_at_no_whole_step_is_refused():
    with pytest.raises(DriveError, match=r"epoch 1 of 3 begins at no whole step of 13"):
        fit(learner(), PolicyCallback(POLICY, 13), start_epoch=1)


def test_a_missing_hyperparameter_is_refused():
    with pytest.raises(DriveError, match="OptimWrapper has no hyperparameter 'dampening'"):
        fit(learner("torch"), PolicyCallback(Policy(lr=0.1, dampening=0.1)))


def test_there_is_no_state_before_the_first_fit():
    with pytest.raises(DriveError, match="has driven nothing yet"):
        PolicyCallback(POLICY).state_dict()


@pytest.mark.parametrize("steps", [0, 2.5])
def test_steps_are_a_whole_number(steps):
    with pytest.raises(ValueError, match="step"):
        PolicyCallback(POLICY, steps)


@pytest.mark.parametrize(("epochs", "batches"), [(1, 7), (3, 10), (7, 49), (10, 1000)])
def test_a_sum_of_rounded_parts_is_the_right_step(epochs, batches):
    """`pct_train` as fastai adds it up, against the whole number."""
    total = epochs * batches
    line = PctSchedule(Linear(0.0, float(total), total), total)
    for epoch in range(epochs):
        pct = epoch / epochs
        for batch in range(batches):
            assert line(pct) == pytest.approx(epoch * batches + batch, abs=1e-6)
            pct += 1.0 / (batches * epochs)
