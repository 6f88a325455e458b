"""A task of noisy linear regression, whose best rates are known."""

import numpy as np
import torch

from stepsize import Task


def teacher(steps=120):
    """Linear regression on noisy targets, the same in training and validation."""
    noise = np.random.default_rng(0)
    x = torch.from_numpy(noise.standard_normal((256, 8))).float()
    y = x @ torch.from_numpy(noise.standard_normal((8, 1))).float()
    y = y + 0.3 * torch.from_numpy(noise.standard_normal((256, 1))).float()
    train, validation = (x[:192], y[:192]), (x[192:], y[192:])
    return Task(lambda: torch.nn.Linear(8, 1), torch.nn.functional.mse_loss, train, validation, 16, steps, "teacher")
