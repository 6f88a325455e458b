"""The models of the third part, the loop that trains them on a stream, and weights that were trained before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from far_data import SIDE
from suite import data, models
from torch import nn

from stepsize.engines.function import FunctionTrial
from stepsize.problems.base import seeded
from stepsize.strategy import Strategy, Trial

Batch = Callable[[], data.Pair]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def convolutions_norm() -> nn.Module:
    """Two strided convolutions of 8x8 pixels with batch norm, the mean over the pixels, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


class Beside(nn.Module):
    """A norm and a perceptron of one hidden layer beside a straight way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), models.perceptron(width, width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class Residual(nn.Module):
    """A deep residual perceptron that reads a few characters and names the next."""

    def __init__(self, characters: int, context: int, width: int, blocks: int) -> None:
        super().__init__()
        self.token = nn.Embedding(characters, width // context)
        self.blocks = nn.Sequential(*[Beside(width) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(self.token(tokens).flatten(-2))))


def fit(trial: FunctionTrial, model: nn.Module, loss: Loss, batch: Batch, judged: data.Pair) -> None:
    """Train a model on a stream of batches as the trial says; its score is the loss on `judged`."""
    optimizer = trial.optimizer(model)

    def score() -> float:
        model.eval()
        with torch.no_grad(), getattr(optimizer, "averaged", nullcontext)():
            found = float(loss(model(judged[0]), judged[1]))
        model.train()
        return found

    for _ in trial:
        trial.apply(optimizer)
        optimizer.zero_grad()
        inputs, targets = batch()
        found = loss(model(inputs), targets)
        found.backward()
        optimizer.step(lambda found=found: found)
        trial.report(found, score=score)


def bump_slopes(bumps: torch.Tensor, points: torch.Tensor, heights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logarithm, to base ten, of the mean squared error of a sum of Gaussian bumps, and its gradient.

    bumps: (bumps, 4), each a centre, the logarithm of its width, and a height. points: (points, 2). By hand, since
    autograd would take three times as long over so few numbers.
    """
    centres, height, narrow = bumps[:, :2], bumps[:, 3], torch.exp(-2 * bumps[:, 2])
    away = points[:, None] - centres
    squared = (away * away).sum(-1) * narrow
    bump = torch.exp(-0.5 * squared)
    error = bump @ height - heights
    slope = bump * (error * (2 / len(points)))[:, None]
    inner = slope * height
    centre = (inner.T @ points - inner.sum(0)[:, None] * centres) * narrow[:, None]
    rest = torch.stack([(inner * squared).sum(0), slope.sum(0)], 1)
    mean = error.square().mean()
    return mean.log10(), torch.cat([centre, rest], 1) / (mean * math.log(10))


def fit_bumps(
    trial: FunctionTrial, rows: int, points: Sequence[torch.Tensor], heights: Sequence[torch.Tensor], judged: data.Pair
) -> None:
    """Fit a sum of bumps to one batch of heights after the other; its score is the loss on `judged`.

    rows: so many of as many bumps each; from centres at random, some seeds miss a hill whatever the rate.
    """
    axis = SIDE * (torch.arange(rows) + 0.5) / rows
    centres = torch.cartesian_prod(axis, axis)
    centres += 0.3 * torch.randn(centres.shape)
    bumps = nn.Parameter(torch.cat([centres, torch.zeros_like(centres)], 1))
    optimizer = trial.optimizer([bumps])

    @torch.no_grad()
    def score() -> float:
        with getattr(optimizer, "averaged", nullcontext)():
            return float(bump_slopes(bumps, *judged)[0])

    for step in trial:
        trial.apply(optimizer)
        loss, bumps.grad = bump_slopes(bumps.detach(), points[step], heights[step])
        optimizer.step(lambda loss=loss: loss)
        trial.report(loss, score=score)


def pretrained(name: str, make: Callable[[], nn.Module], loss: Loss, batch: Batch, *, steps: int, rate: float):
    """Return a model that AdamW has trained on a stream of batches, 1cycle, from a fixed seed.

    Its weights are kept in a file beside this one, and made again where there is none; delete it when the model, the
    stream or the training changes.
    """
    file = Path(__file__).with_name(f"{name}.pt")
    with seeded(0):
        model = make()
        if not file.exists():
            trial = FunctionTrial(Trial(Strategy.of("AdamW", "one_cycle", rate), 0), steps, [steps])
            fit(trial, model, loss, batch, batch())
            torch.save(model.state_dict(), file)
    model.load_state_dict(torch.load(file))
    return model.train()
