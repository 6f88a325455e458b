"""Fourteen more tasks that belong to no half, for one rule and one policy (one_family.py).

Walls, plateaus, features as they were measured, and bags of source.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from more_tasks import PAIRS, code
from sklearn import datasets
from suite import data, models
from torch import nn
from torch.nn import functional

from stepsize import Task
from stepsize.kernel import seeds

entropy, squares = functional.cross_entropy, functional.mse_loss


def wine(hidden: Callable[[], nn.Module], steps: int) -> Task:
    """Return a task of 178 wines, as measured: thirteen features of sizes .1 to 1 000."""
    x, y = datasets.load_wine(return_X_y=True)
    return Task(hidden, entropy, *data.split(x.astype(np.float32), y.astype(np.int64), "wine", 60), 8, steps)


def normed() -> nn.Module:
    return nn.Sequential(nn.LayerNorm(13), *models.perceptron(13, 32, 3))


def raw_digits() -> Task:
    """Return a task of digits of 0 to 16 a pixel and a perceptron of three layers."""
    (inputs, targets), (others, labels) = data.digits()
    model = partial(models.perceptron, 64, 48, 48, 48, 10)
    return Task(model, entropy, (16 * inputs, targets), (16 * others, labels), 32, 300)


def bumps() -> Task:
    """Return a task of bright spots of 0 to 20 in one of five places, and convolutions without a norm."""
    source = np.random.default_rng(11)
    labels = source.integers(0, 5, 1500)
    rows, columns = np.mgrid[0:8, 0:8]
    x = np.array([2, 5, 2, 5, 3.5])[labels] + source.normal(size=1500)
    y = np.array([2, 2, 5, 5, 3.5])[labels] + source.normal(size=1500)
    away = (columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2
    pictures = 20 * np.exp(-away / 4) + 2 * source.normal(size=(1500, 8, 8))
    return Task(convolutions, entropy, *data.split(pictures[:, None].astype(np.float32), labels, "bumps", 400), 32, 250)


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 12, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(12, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5),
    )  # fmt: skip


def plateau() -> Task:
    """Return a task of a sine and a product of features, times 30, which deep nets find late."""
    source = np.random.default_rng(12)
    x = source.normal(size=(1800, 12))
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.3 * source.normal(size=1800)
    y = (y - y.mean()) / y.std() * 30
    model = partial(models.perceptron, 12, 40, 40, 40, 1, act=nn.Tanh)
    return Task(model, squares, *data.split(x.astype(np.float32), y[:, None].astype(np.float32), "tanh", 400), 32, 450)


def uneven() -> Task:
    """Return a task of least squares with features of sizes .02 to .3."""
    source = np.random.default_rng(13)
    sizes = np.geomspace(0.02, 0.3, 15)
    x = source.normal(size=(700, 15)) * sizes
    y = x @ (source.normal(size=15) / sizes)
    y = (y - y.mean()) / y.std() + 0.7 * source.normal(size=700)
    model = partial(models.linear, 15, 1, bias=False)
    return Task(model, squares, *data.split(x.astype(np.float32), y[:, None].astype(np.float32), "ls", 200), 16, 350)


def narrow() -> Task:
    """Return a task of thirty features that five numbers make, and a perceptron with batch norm that encodes them."""
    source = np.random.default_rng(14)
    x = np.tanh(source.normal(size=(1600, 5)) @ source.normal(size=(5, 30))) + 0.1 * source.normal(size=(1600, 30))
    (train_on, _), (validate_on, _) = data.split(x.astype(np.float32), np.arange(1600), "auto", 400)
    model = partial(models.perceptron, 30, 24, 6, 24, 30, norm=nn.BatchNorm1d, act=nn.Tanh)
    return Task(model, squares, (train_on, train_on), (validate_on, validate_on), 64, 400)


def ratings() -> Task:
    """Return a task of two fifths of a table of rank three, with noise."""
    source = np.random.default_rng(15)
    table = source.normal(size=(70, 3)) @ source.normal(size=(3, 110)) / np.sqrt(3)
    table = table + 0.3 * source.normal(size=table.shape)
    pairs = np.argwhere(source.random(table.shape) < 0.4)
    values = table[pairs[:, 0], pairs[:, 1]].astype(np.float32)
    return Task(partial(models.Factors, 70, 110, 4), squares, *data.split(pairs, values, "ratings", 600), 128, 500)


def source_text() -> Task:
    """Return a task of the source of four packages and a transformer of one block."""
    pieces = np.concatenate([data.windows(15, each) for each in ("logging", "importlib", "concurrent", "curses")])
    pieces = pieces[seeds.generator(0, "ts").permutation(len(pieces))[:5000]]
    model = partial(models.Transformer, data.CHARACTERS, 14, 32, heads=2, blocks=1)
    return Task(model, models.next_character, *data.split(pieces[:, :-1], pieces[:, 1:], "ts", 250), 24, 250)


def columns() -> Task:
    """Return a task of digits that a recurrent cell reads column by column, four times as bright."""
    (inputs, targets), (others, labels) = data.digits((8, 8))
    turned = ((4 * inputs.transpose(1, 2), targets), (4 * others.transpose(1, 2), labels))
    return Task(partial(models.Recurrent, 32), entropy, *turned, 24, 300)


BAGS = (
    ("importlib", "multiprocessing", "urllib", "logging", "ctypes", "concurrent"),
    ("xmlrpc", "encodings", "ctypes", "urllib", "curses", "multiprocessing"),
    ("importlib", "logging", "concurrent", "xmlrpc", "curses", "dbm"),
    ("tkinter", "idlelib", "lib2to3", "distutils", "multiprocessing", "urllib"),
)
"""Packages whose pieces bags of pairs of characters tell apart."""

bag = partial(code, length=40, each=500, weights=PAIRS, numbers=1024, width=16, batch=64, steps=300, held_out=600)

OTHERS: dict[str, Callable[[], Task]] = {
    "wine, layer norm": partial(wine, normed, 250),
    "wine, raw": partial(wine, partial(models.perceptron, 13, 24, 24, 3), 300),
    "raw digits": raw_digits,
    "bright spots": bumps,
    "a plateau": plateau,
    "uneven features": uneven,
    "a narrow code": narrow,
    "other ratings": ratings,
    "other source": source_text,
    "digits by columns": columns,
    **{f"bag {number}": partial(bag, packages) for number, packages in enumerate(BAGS, 1)},
}
"""All by name."""
