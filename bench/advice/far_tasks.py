"""The third part: tasks that are nothing like the others, on which nothing is ever fitted.

Wide nets, weights that were trained before, streams, and thousands of updates. Each task is a function that returns a
`stepsize.Task` or a `stepsize.FunctionTask`. Half far-b is looked at once, at the end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import far_data
import far_models
import numpy as np
import torch
from suite import data, models
from torch.nn import functional

from stepsize import FunctionTask, Task
from stepsize.problems import Trainable

HALVES = ("far-a", "far-b")

KNOWN = ("asyncio", "email", "http", "unittest")
"""The packages that a language model has read before it is tuned on another."""

entropy, squares = functional.cross_entropy, functional.mse_loss


@dataclass(frozen=True)
class FarProblem:
    """A task, the half that it belongs to, and the logarithm of a rate around which its best is sought."""

    make: Callable[[], Trainable]
    half: str
    guess: float

    @property
    def name(self) -> str:
        return self.make.__name__

    @cached_property
    def task(self) -> Trainable:
        return self.make()


def digits_wide() -> Task:
    return Task(partial(models.perceptron, 64, 1400, 1400, 10), entropy, *data.digits(), 64, 300, "digits_wide")


def text_tuned() -> Task:
    """A character transformer that has read four packages, on a fifth."""
    make = partial(models.Transformer, data.CHARACTERS, 32, 64, heads=4, blocks=3)
    known = partial(far_data.windows, far_data.run_of_text(KNOWN), 32, 16)
    model = far_models.pretrained("text_tuned", make, models.next_character, known, steps=2000, rate=0.01)
    pieces = data.windows(33, "xml")
    pair = data.split(pieces[:, :-1], pieces[:, 1:], "xml", 500)
    return Task(partial(copy.deepcopy, model), models.next_character, *pair, 8, 400, "text_tuned")


def convolution_stream() -> FunctionTask:
    """A convolution net with batch norm, on pictures that are distorted anew in every update."""
    (images, labels), (judged, names) = data.digits((1, 8, 8))
    held_out = far_data.distorted(judged, 1, 0.2, torch.Generator().manual_seed(0)), names

    def train(trial) -> None:
        def batch() -> data.Pair:
            rows = torch.randint(0, len(images), (32,))
            return far_data.distorted(images[rows], 1, 0.2), labels[rows]

        far_models.fit(trial, far_models.convolutions_norm(), entropy, batch, held_out)

    return FunctionTask(train, 2000, "convolution_stream")


def bumps_long() -> FunctionTask:
    """A surface as a sum of 16 bumps, to high precision: the loss is the logarithm of the error."""
    steps, size = 25_000, 32

    def sampled(count: int, source: torch.Generator | None = None) -> data.Pair:
        points = far_data.SIDE * torch.rand((count, 2), generator=source)
        return points, far_data.surface(points)

    held_out = sampled(1000, torch.Generator().manual_seed(0))

    def train(trial) -> None:
        points, heights = sampled(size * trial.steps)
        far_models.fit_bumps(trial, 4, points.split(size), heights.split(size), held_out)

    return FunctionTask(train, steps, "bumps_long")


def digits_tuned() -> Task:
    """A very wide perceptron that has long seen shifted digits, 0 to 16 a pixel, on turned and noisier ones."""
    seen, held_out = ((16 * images, labels) for images, labels in far_data.pictures())
    make = partial(models.perceptron, 256, 1600, 1600, 10)

    def shifted() -> data.Pair:
        rows = torch.randint(0, len(seen[0]), (32,))
        return far_data.distorted(seen[0][rows], 2, 1.0).flatten(1), seen[1][rows]

    model = far_models.pretrained("digits_tuned", make, entropy, shifted, steps=1000, rate=3e-4)
    train, judged = (far_data.many(pair, 2, shift=2, noise=4.0, turned=0.3) for pair in (seen, held_out))
    return Task(partial(copy.deepcopy, model), entropy, train, judged, 32, 100, "digits_tuned")


def text_stream() -> FunctionTask:
    """A character transformer on random windows of six packages, judged on parts that are held out."""
    parts = far_data.run_of_text(data.PACKAGES).chunk(100)
    text = torch.cat([part for i, part in enumerate(parts) if i % 20])
    held_out = far_data.windows(torch.cat(parts[::20]), 24, 200, torch.Generator().manual_seed(0))

    def train(trial) -> None:
        model = models.Transformer(data.CHARACTERS, 24, 64, heads=4, blocks=2)
        far_models.fit(trial, model, models.next_character, partial(far_data.windows, text, 24, 4), held_out)

    return FunctionTask(train, 2000, "text_stream")


def pictures_long() -> FunctionTask:
    """A perceptron on three distorted copies of each picture, for ten epochs."""
    (images, labels), held_out = (far_data.many(pair, 3, shift=2, noise=0.3) for pair in far_data.pictures())

    def train(trial) -> None:
        def batch() -> data.Pair:
            rows = torch.randint(0, len(images), (8,))
            return images[rows], labels[rows]

        far_models.fit(trial, models.perceptron(256, 420, 300, 10), entropy, batch, held_out)

    return FunctionTask(train, 5000, "pictures_long")


def residual_deep() -> Task:
    """Eight residual blocks that guess the character after sixteen."""
    pieces = np.concatenate([data.windows(17, package) for package in data.PACKAGES])
    pair = data.split(pieces[::10, :-1], pieces[::10, -1], "residual", 1000)
    model = partial(far_models.Residual, data.CHARACTERS, 16, 256, 8)
    return Task(model, entropy, *pair, 16, 600, "residual_deep")


FAR: dict[str, FarProblem] = {
    problem.name: problem
    for problem in (
        FarProblem(digits_wide, "far-a", -3.0),
        FarProblem(text_tuned, "far-a", -2.5),
        FarProblem(convolution_stream, "far-a", -1.5),
        FarProblem(bumps_long, "far-a", -1.0),
        FarProblem(digits_tuned, "far-b", -3.5),
        FarProblem(text_stream, "far-b", -2.0),
        FarProblem(pictures_long, "far-b", -3.0),
        FarProblem(residual_deep, "far-b", -3.0),
    )
}
"""All problems of the third part by name."""


def far_half(name: str) -> list[FarProblem]:
    """Return the problems of one half, far-a or far-b."""
    return [problem for problem in FAR.values() if problem.half == name]
