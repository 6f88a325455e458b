"""Data of the third part: larger pictures, shifted and noisy ones, long runs of text, and a made-up surface."""

from __future__ import annotations

import numpy as np
import torch
from suite import data
from torch.nn import functional

PIXELS = 16
"""The pictures are so wide and so high."""

SIDE = 10.0
"""The surface is that of a square of this side."""


def pictures() -> tuple[data.Pair, data.Pair]:
    """The digits at twice their size, (pictures, 1, 16, 16), 0 to 1; for training and for validation."""
    (x, y), (judged, labels) = data.digits((1, 8, 8))
    larger = [functional.interpolate(part, size=(PIXELS, PIXELS), mode="bilinear") for part in (x, judged)]
    return (larger[0], y), (larger[1], labels)


def distorted(images: torch.Tensor, shift: int, noise: float, source: torch.Generator | None = None) -> torch.Tensor:
    """Return the images, each shifted by up to `shift` pixels both ways, with normal noise.

    source: of the random numbers; torch's global generator when not given.
    """
    padded = functional.pad(images, (shift,) * 4)
    offsets = torch.randint(0, 2 * shift + 1, (2, len(images), 1), generator=source) + torch.arange(images.shape[-1])
    index = torch.arange(len(images))[:, None, None]
    found = padded[index, 0, offsets[0][:, :, None], offsets[1][:, None, :]][:, None]
    return found + noise * torch.randn(found.shape, generator=source)


def many(pair: data.Pair, copies: int, *, shift: int, noise: float, turned: float = 0.0) -> data.Pair:
    """Return distorted copies of pictures as rows of 256 pixels; the same ones each time.

    turned: by so many radians before the rest.
    """
    images, labels = (part.repeat_interleave(copies, 0) for part in pair)
    if turned:
        sine, cosine = np.sin(turned), np.cos(turned)
        turn = torch.tensor([[[cosine, -sine, 0.0], [sine, cosine, 0.0]]], dtype=torch.float32)
        grid = functional.affine_grid(turn.expand(len(images), 2, 3), list(images.shape), align_corners=False)
        images = functional.grid_sample(images, grid, align_corners=False)
    return distorted(images, shift, noise, torch.Generator().manual_seed(0)).flatten(1), labels


def run_of_text(packages: tuple[str, ...]) -> torch.Tensor:
    """The source of packages as one long row of characters, 0 to 96."""
    return torch.from_numpy(np.concatenate([data.characters(package) for package in packages]))


def windows(text: torch.Tensor, length: int, count: int, source: torch.Generator | None = None) -> data.Pair:
    """Return random windows of a text, (count, length), and the same ones one character on."""
    first = torch.randint(0, len(text) - length, (count, 1), generator=source)
    found = text[first + torch.arange(length + 1)]
    return found[:, :-1], found[:, 1:]


def surface(points: torch.Tensor) -> torch.Tensor:
    """The height of a surface of eight hills and hollows at points of the square, (points, 2)."""
    source = torch.Generator().manual_seed(8)
    centres = SIDE * torch.rand((8, 2), generator=source)
    heights = 4 * torch.randn(8, generator=source)
    widths = 0.8 + 1.5 * torch.rand(8, generator=source)
    squared = ((points[:, None] - centres) ** 2).sum(-1)
    return torch.exp(-squared / (2 * widths**2)) @ heights
