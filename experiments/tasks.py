"""The tasks that experiments share: small models on data that needs no download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from torch import nn

from stepsize.kernel import seeds
from stepsize.problems import Task
from stepsize.problems.builtin_tasks import digits


def perceptron(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU) -> Callable[[], nn.Module]:
    """Return a factory of a perceptron with layers of these widths, the inputs first."""

    def model() -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), activation()]
        return nn.Sequential(*layers[:-1])

    return model


def softmax_digits() -> Task:
    """The digits and softmax regression, which is convex."""
    return replace(digits(), model=perceptron(64, 10), batch_size=128, name="softmax-digits")


def small_digits() -> Task:
    """The digits and a perceptron 64-64-10."""
    return replace(digits(), model=perceptron(64, 64, 10), batch_size=32, name="small-digits")


NOISY = "digits with 20 % of the training labels drawn anew and clean ones held out"
"""What `noisy_digits` is, in the words of a setting."""


def noisy_digits(share: float = 0.2) -> Task:
    """The digits with this share of the training labels drawn anew, clean ones held out, and a perceptron 64-64-10."""
    task = small_digits()
    inputs, labels = task.train
    draw = seeds.generator(0, "label noise")
    wrong = draw.random(len(labels)) < share
    noisy = np.where(wrong, draw.integers(0, 10, len(labels)), labels.numpy())
    return replace(task, train=(inputs, torch.from_numpy(noisy)), name="noisy-digits")


def digits_conv() -> Task:
    """The digits and a small convolution net with batch norm."""
    task = digits()

    def model() -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Flatten(), nn.Linear(128, 10),
        )  # fmt: skip

    return replace(task, model=model, batch_size=32, name="digits-conv")


def diabetes() -> Task:
    """The diabetes data (scikit-learn, 442 patients, 10 numbers each): regression, in units of the standard deviation.

    Squared error, and a tanh perceptron 10-32-1.
    """
    data = load_diabetes()
    order = seeds.generator(0, "diabetes").permutation(len(data.target))
    inputs = torch.from_numpy((data.data[order] * np.sqrt(len(order))).astype(np.float32))
    scaled = (data.target[order] - data.target.mean()) / data.target.std()
    targets = torch.from_numpy(scaled.astype(np.float32))[:, None]
    train, held = (inputs[110:], targets[110:]), (inputs[:110], targets[:110])
    model = perceptron(10, 32, 1, activation=nn.Tanh)
    return Task(model, nn.functional.mse_loss, train, held, batch_size=32, name="diabetes")


def scored_on_training(task: Task) -> Task:
    """Return `task` with its training data held out too: the score is then the training loss, in evaluation mode.

    Weights and batches are those of `task`, so both can be run, and the losses belong to the same weights.
    """
    return replace(task, validation=task.train, name=f"{task.name}, training loss")


def initial_loss(task: Task, seed: int) -> float:
    """Return the validation loss before any update."""
    model: Any = task.build(seed)
    return task.score(model)
