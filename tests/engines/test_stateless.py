"""What is recorded has no state: what could change from call to call in silence is found, by what code refers to."""

import functools
import itertools
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from stepsize.engines.vectorised.stateless import is_stateless

CALLS, SCALE, TABLE = [0], 2.0, torch.ones(3)


def plain(outputs, targets):
    return functional.cross_entropy(outputs, targets)


class Base(nn.Module):
    """As users write them."""

    factor = 3

    def __init__(self, **own):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        self.act, self.width, self.log = torch.tanh, (3, 3), []
        vars(self).update(own)

    def helper(self, x):
        return self.act(x) * self.factor * math.sqrt(self.width[0])

    def forward(self, x):
        for layer in self.layers:
            x = self.helper(layer(x)) if len(self.width) > 1 else x
        if x.shape[0] > 10**9:
            raise ValueError(x.shape)
        return functional.relu(x) * SCALE + TABLE + sum([part.mean() for part in (x, x)])


def as_it_is(self, x):
    return Base.forward(self, x)


def counted():
    CALLS[0] += 1
    return 1.0


def made(body, **own):
    """A module of a class of its own, with this forward."""
    return type("Own", (Base,), {"forward": body})(**own)


def counting(self, x):
    self.calls = 1
    return x


TABLE_OF = functools.cache(torch.arange)


def cached(self, x):
    return x + TABLE_OF(3)


def closed():
    calls = 0

    def forward(self, x):
        nonlocal calls
        calls += 1
        return x

    return forward


def numpy_of(self, x):
    return x + float(self.layers[0].weight.numpy()[0, 0])


class Schedule:
    """An object that can be called, and counts."""

    calls = 0

    def __call__(self, outputs, targets):
        self.calls += 1
        return functional.mse_loss(outputs, targets)


def hooked():
    model = Base()
    model.layers[0].register_forward_hook(lambda *_: None)
    return model


def patched():
    model = nn.Linear(3, 3)
    model.forward = lambda x: x
    return model


def remembering(outputs, targets, seen=[]):  # noqa: B006  (a default that changes is what is tested)
    seen.append(1)
    return plain(outputs, targets)


def noted(outputs, targets):
    return plain(outputs, targets)


noted.calls = 0

GOOD = {
    "perceptron": nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.GELU(), nn.BatchNorm1d(3)),
    "encoder": nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2),
    "lstm": nn.LSTM(3, 4),
    "own": Base(),
    "lambda": made(lambda self, x: self.layers[0](x) * self.factor),
}
BAD = {
    "attribute": made(counting),
    "list": made(lambda self, x: x * len(self.log)),
    "class": made(as_it_is),
    "global function": made(lambda self, x: x * counted()),
    "global list": made(lambda self, x: x * CALLS[0]),
    "random": made(lambda self, x: x * random.random()),  # noqa: S311  (no secret)
    "numpy": made(lambda self, x: x * np.random.rand()),  # noqa: NPY002  (as a user may)
    "own generator": made(lambda self, x: x * self.draws.random(), draws=random.Random(3)),  # noqa: S311  (no secret)
    "iterator": made(lambda self, x: x * next(self.numbers), numbers=itertools.count()),
    "list iterator": made(lambda self, x: x * self.numbers.__next__(), numbers=iter([1.0, 2.0])),
    "cache": made(cached),
    "closure": made(closed()),
    "values": made(numpy_of),
    "setattr": made(lambda self, x: setattr(self, "calls", 1) or x),
    "print": made(lambda self, x: print(x.shape) or x),  # noqa: T201  (it would print twice, and then never)
    "import": made(lambda self, x: __import__("random").random() * x),
    "object": made(lambda self, x: self.schedule(x, x), schedule=Schedule()),
    "property": type(
        "Own", (Base,), {"now": property(lambda self: len(self.log)), "forward": lambda s, x: x * s.now}
    )(),
    "helper": type("Own", (Base,), {"helper": lambda self, x: self.log.append(1) or x})(),
    "inside": nn.Sequential(nn.Linear(3, 3), made(counting)),
    "activation": nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation=lambda x: x * counted()),
    "hook": hooked(),
    "patched": patched(),
    "call": type("Own", (Base,), {"__call__": lambda self, x: self.forward(x)})(),
    "parametrized": nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
}
BAD_LOSSES = {
    "object": Schedule(), "method": Schedule().__call__, "default": remembering, "attribute": noted,
    "partial": functools.partial(plain, targets=[]), "module": made(lambda self, x, y: x * len(self.log)),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_model_that_keeps_nothing_is_stateless(name):
    assert is_stateless(GOOD[name], plain)


@pytest.mark.parametrize("name", BAD)
def test_a_model_that_may_keep_something_is_not(name):
    assert not is_stateless(BAD[name], plain)


@pytest.mark.parametrize("name", BAD_LOSSES)
def test_a_loss_that_may_keep_something_is_not(name):
    assert is_stateless(nn.Linear(3, 3), plain)
    assert not is_stateless(nn.Linear(3, 3), BAD_LOSSES[name])


@pytest.mark.parametrize("loss", [functional.mse_loss, nn.CrossEntropyLoss(), functools.partial(plain), plain])
def test_losses_of_torch_and_of_plain_functions_are_stateless(loss):
    assert is_stateless(nn.Linear(3, 3), loss)
