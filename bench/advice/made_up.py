"""Tasks of made-up data that few batches see all of: bags of words, and ratings as products of two embeddings.

    python bench/advice/made_up.py [--budgets 0 1 3] [--seeds 5]

On these, and on the dev half, was chosen how far to doubt what is read off such a model, and how a task's own drift is
learned. They belong to no half, and what they show is no claim.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
from families import train
from suite import SIZE
from torch import nn
from torch.nn import functional
from truth import JUDGES

from stepsize import Task, jobs
from stepsize.engines.vectorised.ensemble import Ensemble
from stepsize.strategy import Strategy, Trial

RATES = np.arange(-3, 0.51, 0.125)
"""log10 of the rates among which the best AdamW with 1cycle is sought."""

CLASSES = 5

Pair = tuple[torch.Tensor, torch.Tensor]


class Bag(nn.Module):
    """The mean of the embeddings of some words, and a linear layer."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.output = nn.Linear(width, CLASSES)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.output(self.embedding(inputs).mean(dim=1))


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


def bag(seed: int, *, samples: int, vocabulary: int, length: int, width: int, steps: int) -> Task:
    """Return a task of words whose frequencies fall as in a language, and differ between the classes."""
    source = np.random.default_rng(seed)
    usual = 1 / np.arange(1, vocabulary + 1)
    tilted = usual * np.exp(0.8 * source.normal(size=(CLASSES, vocabulary)))
    frequencies = tilted / tilted.sum(axis=1, keepdims=True)
    targets = source.integers(0, CLASSES, samples + 600)
    inputs = np.stack([source.choice(vocabulary, length, p=frequencies[each]) for each in targets])
    train_on, validate_on = parted(torch.tensor(inputs), torch.tensor(targets), samples)
    return Task(partial(Bag, vocabulary, width), functional.cross_entropy, train_on, validate_on, 32, steps)


def product(seed: int, *, samples: int, rows: int, columns: int, width: int) -> Task:
    """Return a task of noisy ratings, each a product of two of two numbers, of which a model has `width`."""
    source = np.random.default_rng(seed)
    left, right = source.normal(size=(rows, 2)), source.normal(size=(columns, 2))
    row, column = source.integers(0, rows, samples + 500), source.integers(0, columns, samples + 500)
    ratings = (left[row] * right[column]).sum(axis=1) + 0.5 * source.normal(size=len(row))
    inputs, targets = torch.tensor(np.stack([row, column], axis=1)), torch.tensor(ratings, dtype=torch.float32)
    train_on, validate_on = parted(inputs, targets, samples)
    return Task(partial(Product, rows, columns, width), functional.mse_loss, train_on, validate_on, 32, 400)


def parted(inputs: torch.Tensor, targets: torch.Tensor, samples: int) -> tuple[Pair, Pair]:
    """Return the first samples, and the others."""
    return (inputs[:samples], targets[:samples]), (inputs[samples:], targets[samples:])


TASKS: dict[str, Callable[[], Task]] = {
    "a long bag": partial(bag, 0, samples=1200, vocabulary=800, length=20, width=12, steps=300),
    "a short bag": partial(bag, 1, samples=500, vocabulary=600, length=12, width=16, steps=500),
    "a wide product": partial(product, 0, samples=1500, rows=60, columns=80, width=8),
    "a narrow product": partial(product, 1, samples=2500, rows=100, columns=40, width=3),
}


def best(task: Task) -> tuple[float, float]:
    """Return the lowest mean loss of AdamW with 1cycle on the seeds that judge, and log10 of its rate."""
    trials = [Trial(Strategy.of("AdamW", "one_cycle", 10**x), seed) for x in RATES for seed in JUDGES]
    found = Ensemble(size=SIZE, device="cpu").run(task, trials, task.steps)
    losses = found.final.reshape(len(RATES), -1).mean(axis=1)
    return float(np.nanmin(losses)), float(RATES[np.nanargmin(losses)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.0, 1.0, 3.0])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for name, make in TASKS.items():
        problem = SimpleNamespace(name=name, task=make())
        lowest, rate = best(problem.task)
        start = float(np.mean([problem.task.score(problem.task.build(seed)) for seed in JUDGES]))
        for budget in options.budgets:
            advice = [jobs.advise(problem.task, budget=budget, seed=seed) for seed in range(options.seeds)]
            scores = train(problem, [each.strategy for each in advice], JUDGES).mean(axis=1)
            lost = 100 * (scores - lowest) / (start - lowest)
            each = " ".join(f"{value:.0f}" for value in lost)
            print(f"{name}, best at 10**{rate:.2f}, budget {budget:g}: loses {lost.mean():.1f} % ({each})", flush=True)


if __name__ == "__main__":
    main()
