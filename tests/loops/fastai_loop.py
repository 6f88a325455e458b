"""fastai: a policy as a callback, with fastai's own optimizer or with one of torch's."""

import warnings
from functools import partial

import tinynet as tiny
import torch
from torch import distributed

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # pandas has deprecated an option that fastai sets
    from fastai.callback.fp16 import MixedPrecision
    from fastai.callback.training import GradientAccumulation
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Callback, CancelFitException, Learner
    from fastai.optimizer import Adam, OptimWrapper

from stepsize.adapters.fastai import PolicyCallback

WAYS = ("fastai", "torch")
WARNINGS = ("numpy.core is deprecated",)  # when fastai loads
STOPS = (4, 8)
"""fastai takes up a run at an epoch; the state of a callback is saved beside the model."""


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

    def __init__(self, infinite):
        self.infinite = infinite

    def after_loss(self):
        if self.learn.train_iter in self.infinite:
            self.learn.loss_grad = self.learn.loss_grad * float("inf")


class Parallel(Callback):
    """DistributedDataParallel as fastai's DistributedTrainer wraps it, whose DataLoader needs a GPU."""

    def before_fit(self):
        self.learn.model = torch.nn.parallel.DistributedDataParallel(self.learn.model)

    def after_fit(self):
        self.learn.model = self.learn.model.module


class Items(list):
    """A data set that fastai can export without its items."""

    def new_empty(self):
        return Items()


def split(net):
    """The parameters in two groups, the second of the biases."""
    named = list(net.named_parameters())
    return [[p for name, p in named if ("bias" in name) == biases] for biases in (False, True)]


def learner(kind="fastai", batches=4, first=0, folder=".", **arguments):
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


def train(
    way, folder, *, policy=tiny.POLICY, steps=tiny.STEPS, accumulation=1, infinite=(), stop=tiny.STEPS, resume=False
):
    batches = 5 if infinite else 4 * accumulation
    learn = learner(way, batches, batches * tiny.RANK, folder)
    callback, others = PolicyCallback(policy, steps), []
    if accumulation > 1:
        others.append(GradientAccumulation(8 * accumulation))  # it counts samples
    if infinite:
        others += [Scaled(), Explode(infinite)]
    if tiny.PROCESSES > 1:
        distributed.init_process_group("gloo")
        others.append(Parallel())
    begin = 0
    if resume:
        learn.load("broken")
        state = torch.load(folder / "policy.pt", weights_only=True)
        callback.load_state_dict(state)
        begin = state["drivers"][0]["step"] // 4
    seen = fit(learn, *others, callback, watch=Watch(fail_at=stop // 4), start_epoch=begin)
    if tiny.PROCESSES == 1:
        learn.save("broken")
        torch.save(callback.state_dict(), folder / "policy.pt")
    return seen, tiny.weights(learn.model)
