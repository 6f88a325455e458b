"""A training script as people have them, with three lines changed: does the rate that it finds reach the best one?

    OMP_NUM_THREADS=1 python bench/tune_script.py [--seeds 2]

Workers that augment, label smoothing, two parameter groups, bfloat16, clipping: digits as pictures, a convolution net.
The same loop is driven at rates a third of a decade apart, and once finds its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import stepsize
from stepsize.policies import one_cycle

BATCH, STEPS = 64, 276
RATES = [round(10 ** (index / 3), 5) for index in range(-11, -1)]

pictures, labels = load_digits(return_X_y=True)
x, y = torch.tensor(pictures, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16, torch.tensor(labels)
known, fresh = TensorDataset(x[:1500], y[:1500]), (x[1500:], y[1500:])

Loop = Callable[[nn.Module, torch.optim.Optimizer, DataLoader], Iterable[Any]]


def augmented(samples: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch whose pictures are shifted by up to a pixel; it runs in the workers of the loader."""
    shifted = [picture.roll(torch.randint(-1, 2, (2,)).tolist(), (1, 2)) for picture, _ in samples]
    return torch.stack(shifted), torch.stack([label for _, label in samples])


def train(seed: int, loop: Loop) -> tuple[float, Any]:
    """Train once, and return the error on fresh pictures, and the loop. Two lines of it know how the rate is found."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    matrices, others = ([p for p in model.parameters() if (p.ndim > 1) is large] for large in (True, False))
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.05)
    loader = DataLoader(known, BATCH, shuffle=True, drop_last=True, num_workers=2, collate_fn=augmented)
    batches = loop(model, optimizer, loader)
    for inputs, targets in batches:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = cross_entropy(model(inputs), targets, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if hasattr(batches, "tell"):
            batches.tell(loss)
    model.eval()
    with torch.no_grad():
        return cross_entropy(model(fresh[0]), fresh[1]).item(), batches


def driven(rate: float) -> Loop:
    """Return a loop at one rate."""

    def batches(_: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader) -> Iterable[Any]:
        epochs = (batch for _ in range(STEPS) for batch in loader)
        for _, batch in zip(stepsize.drive(optimizer, one_cycle(rate), STEPS), epochs, strict=False):
            yield batch

    return batches


def tuned(model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader) -> Iterable[Any]:
    """Return the loop that finds its own rate."""
    return stepsize.tune(model, optimizer, loader, policy="one_cycle", steps=STEPS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    seeds = range(parser.parse_args().seeds)
    for rate in RATES:
        print(f"at {rate:<8g} {fmean(train(seed, driven(rate))[0] for seed in seeds):.4f}", flush=True)
    for seed in seeds:
        score, loop = train(seed, tuned)
        print(f"seed {seed}: finds {loop.answer.strategy.peak:g}, {score:.4f}; {loop.answer}", flush=True)


if __name__ == "__main__":
    main()
