"""fastai's Learner: `PolicyCallback` with fastai's own optimizer and with one of torch's, and functions of `pct_train`.

fastai saves the model and the optimizer, and takes up a run at an epoch; the state of a callback is saved beside them.
"""

import pickle
import sys
import warnings
from functools import partial
from pathlib import Path

import processes
import pytest
import tinynet as tiny
import torch
from tinynet import POLICY, STEPS

from stepsize import Policy
from stepsize.kernel.errors import DriveError
from stepsize.policies import Groups, cosine
from stepsize.schedules import Linear

pytest.importorskip("fastai", reason="fastai is large, and not everywhere")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # pandas has deprecated an option that fastai sets
    from fastai.callback.fp16 import MixedPrecision
    from fastai.callback.schedule import ParamScheduler
    from fastai.callback.training import GradientAccumulation
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Callback, CancelFitException, Learner
    from fastai.optimizer import Adam, OptimWrapper

from stepsize.adapters.fastai import PctSchedule, PolicyCallback, as_schedules

pytestmark = pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning")  # when fastai loads
EPOCH = STEPS // 3
OPTIMIZERS = ("fastai", "torch")


class Watch(Callback):
    """Notes the values in force at each update, after all other callbacks."""

    order, run_valid = 2000, False

    def __init__(self, fail_at=None):
        self.rows, self.fail_at = [], fail_at

    def before_step(self):
        self.rows.append([(group["lr"], group["mom"], group["wd"]) for group in self.learn.opt.hypers])

    def before_epoch(self):
        if self.learn.epoch == self.fail_at:
            raise CancelFitException


class Scaled(MixedPrecision):
    """fastai's MixedPrecision, which knows the GPU alone, on the CPU."""

    def before_fit(self):
        self.autocast = torch.autocast("cpu", enabled=False)
        self.learn.scaler, self.scales = torch.amp.GradScaler("cpu", init_scale=4.0), []


class Explode(Callback):
    """Makes the loss of some batches infinite."""

    run_valid = False

    def after_loss(self):
        if self.learn.train_iter in (0, 3, 4):
            self.learn.loss_grad = self.learn.loss_grad * float("inf")


class Items(list):
    """A data set that fastai can export without its items."""

    def new_empty(self):
        return Items()


def split(net):
    """The parameters in two groups, the second of the biases."""
    named = list(net.named_parameters())
    return [[p for name, p in named if ("bias" in name) == biases] for biases in (False, True)]


def learner(kind="fastai", batches=EPOCH, first=0, folder=".", **arguments):
    """A Learner whose second parameter group has no weight decay."""
    items = Items(item for step in range(first, first + batches) for item in zip(*tiny.batch(step), strict=True))
    dls = DataLoaders(DataLoader(items, bs=8), DataLoader(Items(items[:8]), bs=8))
    opt_func = Adam if kind == "fastai" else partial(OptimWrapper, opt=torch.optim.AdamW)
    learn = Learner(
        dls, tiny.model(), torch.nn.functional.cross_entropy, opt_func, splitter=split, path=folder, **arguments
    )
    learn.create_opt()
    learn.opt.set_hypers(wd=[0.1, 0.0])
    return learn


def fit(learn, *callbacks, epochs=3, watch=None, **arguments):
    """Fit, and return the values in force at each update."""
    watch = watch or Watch()
    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, cbs=[*callbacks, watch], **arguments)
    return watch.rows


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_values_right_at_each_update(kind):
    assert fit(learner(kind), PolicyCallback(POLICY)) == tiny.expected()


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
@pytest.mark.parametrize("saved", [False, True])
def test_resume_is_bit_identical(kind, saved, tmp_path):
    """fastai's way, at an epoch: `learn.save`, `learn.load`, `fit(start_epoch=)`."""
    whole, callback = learner(kind), PolicyCallback(POLICY)
    fit(whole, callback)
    broken, callback = learner(kind, folder=tmp_path), PolicyCallback(POLICY)
    fit(broken, callback, watch=Watch(fail_at=1))
    broken.save("broken")
    state = callback.state_dict()
    again, callback = learner(kind, folder=tmp_path), PolicyCallback(POLICY)
    again.load("broken")
    if saved:
        callback.load_state_dict(state)
    assert fit(again, callback, start_epoch=1) == tiny.expected()[EPOCH:]
    assert torch.equal(tiny.weights(again.model), tiny.weights(whole.model))


def test_functions_resume_at_an_epoch():
    groups = Groups(POLICY, {"weights": {}, "biases": {"weight_decay": 0.0}})
    scheduler = ParamScheduler(as_schedules(groups, STEPS))
    assert fit(learner(), scheduler, start_epoch=2) == tiny.expected()[2 * EPOCH :]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_accumulation(kind):
    """GradientAccumulation counts samples: 32 are four batches."""
    learn, accumulate = learner(kind, batches=4 * EPOCH), GradientAccumulation(32)
    assert fit(learn, accumulate, PolicyCallback(POLICY, STEPS)) == tiny.expected()
    groups = Groups(POLICY, {"weights": {}, "biases": {"weight_decay": 0.0}})
    learn, accumulate = learner(kind, batches=4 * EPOCH), GradientAccumulation(32)
    assert fit(learn, accumulate, ParamScheduler(as_schedules(groups, STEPS))) == tiny.expected()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_skipped_steps(kind):
    """MixedPrecision's GradScaler skips 3 of 15 updates."""
    callback = PolicyCallback(POLICY, STEPS)
    assert fit(learner(kind, batches=5), Scaled(), Explode(), callback) == tiny.expected()
    assert callback.driver.step == STEPS


class Parallel(Callback):
    """DistributedDataParallel as fastai's DistributedTrainer wraps it, whose DataLoader needs a GPU."""

    def before_fit(self):
        self.learn.model = torch.nn.parallel.DistributedDataParallel(self.learn.model)

    def after_fit(self):
        self.learn.model = self.learn.model.module


def work(folder):
    """One of two processes, each with batches of its own: this file, run as a program."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    learn = learner(first=EPOCH * rank)
    seen = fit(learn, Parallel(), PolicyCallback(POLICY))
    torch.save({"seen": seen, "weights": tiny.weights(learn.model)}, folder / f"{rank}.pt")


def test_two_processes(tmp_path):
    """DistributedDataParallel over gloo."""
    processes.two("test_fastai.py", tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first["weights"], second["weights"])
    assert first["seen"] == second["seen"] == tiny.expected()


def test_saved_and_reloaded(tmp_path):
    """The state in a file, and the callback itself inside of a Learner that fastai exports."""
    callback = PolicyCallback(POLICY)
    learn = learner(folder=tmp_path, cbs=callback)
    fit(learn)
    torch.save(callback.state_dict(), tmp_path / "policy.pt")
    state = torch.load(tmp_path / "policy.pt", weights_only=True)
    for other in (PolicyCallback(POLICY, STEPS + 1), PolicyCallback(cosine(0.1))):
        other.load_state_dict(state)
        with pytest.raises(DriveError, match="another policy, horizon or feedback"):
            fit(learner(), other)
    learn.export("learner.pkl")
    loaded = torch.load(tmp_path / "learner.pkl", weights_only=False).policy
    assert (loaded.driver, loaded._policy) == (None, POLICY)


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


def test_the_log_is_told_each_update_once():
    told = []
    fit(learner(), PolicyCallback(POLICY, log=lambda step, values: told.append((step, values["momentum/1"]))))
    assert told == [(step, row[1][1]) for step, row in enumerate(tiny.expected())]


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


if __name__ == "__main__":
    work(Path(sys.argv[1]))
    processes.leave()
