"""Tasks that belong to no half, most of them learned by heart: few samples, or embeddings that few batches see all of.

They came after a task of that kind had failed on the test half (see README.md). `advise` was designed on them and on
the dev half. What it says of its own loss is fitted to both (calibration.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from suite import data, models
from torch import nn
from torch.nn import functional

from stepsize import Task
from stepsize.kernel import seeds

CLASSES = 5

Pair = tuple[torch.Tensor, torch.Tensor]


class Product(nn.Module):
    """The product of two embeddings, and an offset for each of the two."""

    def __init__(self, rows: int, columns: int, width: int) -> None:
        super().__init__()
        self.row, self.column = nn.Embedding(rows, width), nn.Embedding(columns, width)
        self.row_offset, self.column_offset = nn.Embedding(rows, 1), nn.Embedding(columns, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        row, column = inputs[:, 0], inputs[:, 1]
        offsets = self.row_offset(row)[:, 0] + self.column_offset(column)[:, 0]
        return (self.row(row) * self.column(column)).sum(dim=1) + offsets


class NextCharacter(nn.Module):
    """A perceptron of the embeddings of some characters that says which comes next."""

    def __init__(self, context: int, width: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(data.CHARACTERS, width)
        self.hidden, self.output = nn.Linear(context * width, hidden), nn.Linear(hidden, data.CHARACTERS)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.output(torch.tanh(self.hidden(self.embedding(inputs).flatten(-2))))


def bag(seed: int, *, samples: int, vocabulary: int, length: int, width: int, steps: int) -> Task:
    """Return a task of words whose frequencies fall as in a language, and differ between the classes."""
    source = np.random.default_rng(seed)
    usual = 1 / np.arange(1, vocabulary + 1)
    tilted = usual * np.exp(0.8 * source.normal(size=(CLASSES, vocabulary)))
    frequencies = tilted / tilted.sum(axis=1, keepdims=True)
    targets = source.integers(0, CLASSES, samples + 600)
    inputs = np.stack([source.choice(vocabulary, length, p=frequencies[each]) for each in targets])
    train_on, validate_on = parted(torch.tensor(inputs), torch.tensor(targets), samples)
    model = partial(models.Bag, vocabulary, width, CLASSES)
    return Task(model, functional.cross_entropy, train_on, validate_on, 32, steps)


def code(
    packages: Sequence[str], *, length: int, each: int, weights: Sequence[int], numbers: int, width: int,
    batch: int, steps: int, held_out: int,
) -> Task:  # fmt: skip
    """Return a task of pieces of source and the package that they are from, as bags of their n-grams.

    weights: of the characters of an n-gram, which is their sum below `numbers`. each: pieces of a package.
    """
    parts = []
    for package in packages:
        pieces = data.windows(length, package)
        parts.append(pieces[seeds.generator(0, package).permutation(len(pieces))[:each]])
    pieces = np.concatenate(parts)
    count = length - len(weights) + 1
    grams = sum(weight * pieces[:, start : start + count] for start, weight in enumerate(weights)) % numbers
    labels = np.concatenate([np.full(len(part), number) for number, part in enumerate(parts)])
    train_on, validate_on = data.split(grams, labels, "code", held_out)
    model = partial(models.Bag, numbers, width, len(packages))
    return Task(model, functional.cross_entropy, train_on, validate_on, batch, steps)


def product(seed: int, *, samples: int, rows: int, columns: int, width: int) -> Task:
    """Return a task of noisy ratings, each a product of two of two numbers, of which a model has `width`."""
    source = np.random.default_rng(seed)
    left, right = source.normal(size=(rows, 2)), source.normal(size=(columns, 2))
    row, column = source.integers(0, rows, samples + 500), source.integers(0, columns, samples + 500)
    ratings = (left[row] * right[column]).sum(axis=1) + 0.5 * source.normal(size=len(row))
    inputs, targets = torch.tensor(np.stack([row, column], axis=1)), torch.tensor(ratings, dtype=torch.float32)
    train_on, validate_on = parted(inputs, targets, samples)
    return Task(partial(Product, rows, columns, width), functional.mse_loss, train_on, validate_on, 32, 400)


def few_digits(samples: int, widths: Sequence[int], *, batch: int, steps: int) -> Task:
    """Return a task of so many of the digits."""
    (inputs, targets), validate_on = data.digits()
    model = partial(models.perceptron, 64, *widths, 10)
    return Task(model, functional.cross_entropy, (inputs[:samples], targets[:samples]), validate_on, batch, steps)


def wrong_digits(share: float) -> Task:
    """Return a task of digits of which a share has a label at random."""
    (inputs, targets), validate_on = data.digits()
    source = np.random.default_rng(3)
    wrong = torch.tensor(source.random(len(targets)) < share)
    labels = torch.where(wrong, torch.tensor(source.integers(0, 10, len(targets))), targets)
    model = partial(models.perceptron, 64, 256, 256, 10)
    return Task(model, functional.cross_entropy, (inputs, labels), validate_on, 64, 400)


def noisy_function(samples: int, width: int) -> Task:
    """Return a task of a function of four of twenty features, half of whose values is noise."""
    source = np.random.default_rng(5)
    inputs = source.normal(size=(samples + 600, 20))
    values = inputs[:, :3].sum(axis=1) + np.sin(2 * inputs[:, 3]) + source.normal(size=len(inputs))
    values = (values - values.mean()) / values.std()
    x, y = (torch.tensor(each, dtype=torch.float32) for each in (inputs, values.reshape(-1, 1)))
    return Task(partial(models.perceptron, 20, width, width, 1), functional.mse_loss, *parted(x, y, samples), 32, 400)


def next_character(samples: int) -> Task:
    """Return a task of the character that follows on five others."""
    pieces = np.concatenate([data.windows(6, package) for package in ("logging", "importlib")])
    pieces = pieces[seeds.generator(0, "next").permutation(len(pieces))[: samples + 500]]
    split = data.split(pieces[:, :-1], pieces[:, -1], "next", 500)
    return Task(partial(NextCharacter, 5, 16, 96), functional.cross_entropy, *split, 32, 500)


def few_texts(samples: int) -> Task:
    """Return a task of a small transformer and a few pieces of source."""
    pieces = data.windows(13, "logging")[: samples + 200]
    split = data.split(pieces[:, :-1], pieces[:, 1:], "few", 200)
    model = partial(models.Transformer, data.CHARACTERS, 12, 24, heads=3, blocks=1)
    return Task(model, models.next_character, *split, 16, 300)


def parted(inputs: torch.Tensor, targets: torch.Tensor, samples: int) -> tuple[Pair, Pair]:
    """Return the first samples, and the others."""
    return (inputs[:samples], targets[:samples]), (inputs[samples:], targets[samples:])


PAIRS, TRIPLES = (31, 97), (31, 97, 211)

TASKS: dict[str, Callable[[], Task]] = {
    "a long bag": partial(bag, 0, samples=1200, vocabulary=800, length=20, width=12, steps=300),
    "a short bag": partial(bag, 1, samples=500, vocabulary=600, length=12, width=16, steps=500),
    "a wide product": partial(product, 0, samples=1500, rows=60, columns=80, width=8),
    "a narrow product": partial(product, 1, samples=2500, rows=100, columns=40, width=3),
    "code of five packages": partial(
        code, ("importlib", "multiprocessing", "urllib", "logging", "ctypes"), length=40, each=400, weights=PAIRS,
        numbers=1024, width=16, batch=64, steps=300, held_out=500,
    ),
    "code of four packages": partial(
        code, ("importlib", "multiprocessing", "urllib", "logging"), length=60, each=250, weights=PAIRS,
        numbers=1024, width=24, batch=32, steps=400, held_out=300,
    ),
    "code of six packages": partial(
        code, ("multiprocessing", "ctypes", "urllib", "xmlrpc", "concurrent", "encodings"), length=30, each=600,
        weights=TRIPLES, numbers=2048, width=8, batch=128, steps=400, held_out=800,
    ),
    "code of three packages": partial(
        code, ("importlib", "multiprocessing", "ctypes"), length=25, each=800, weights=PAIRS,
        numbers=512, width=32, batch=32, steps=250, held_out=600,
    ),
    "150 digits": partial(few_digits, 150, (128, 128), batch=32, steps=400),
    "300 digits": partial(few_digits, 300, (64, 64, 64), batch=16, steps=300),
    "digits of which a quarter is wrong": partial(wrong_digits, 0.25),
    "a noisy function": partial(noisy_function, 300, 96),
    "the next character": partial(next_character, 2000),
    "few texts": partial(few_texts, 300),
}  # fmt: skip
