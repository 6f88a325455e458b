"""The models of the tasks: small, and without dropout, so that the ensemble can train many at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


def perceptron(*sizes: int, norm: Callable[[int], nn.Module] | None = None, act: type[nn.Module] = nn.ReLU):
    """Linear layers of the given sizes, with an activation, and perhaps a norm before it, between them."""
    layers: list[nn.Module] = [nn.Linear(sizes[0], sizes[1])]
    for width, following in pairwise(sizes[1:]):
        layers += [*([norm(width)] if norm else []), act(), nn.Linear(width, following)]
    return nn.Sequential(*layers)


def next_character(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of every character of a sequence, the mean."""
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def linear(width: int, outputs: int, *, bias: bool) -> nn.Module:
    """A linear map that begins at 0."""
    model = nn.Linear(width, outputs, bias=bias)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def convolutions(norm: Callable[[int], nn.Module] | None = None) -> nn.Module:
    """Two convolutions of 8x8 pixels, with strides, and a linear layer."""
    first, second = ([norm(width)] if norm else [] for width in (8, 16))
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), *first, nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), *second, nn.ReLU(),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


class Factors(nn.Module):
    """A matrix as a product of two: what a user thinks of an item, from a vector and a bias of each."""

    def __init__(self, users: int, items: int, width: int) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(users, width + 1), nn.Embedding(items, width + 1)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        user, item = self.users(pairs[..., 0]), self.items(pairs[..., 1])
        return (user[..., 1:] * item[..., 1:]).sum(-1) + user[..., 0] + item[..., 0]


class Bag(nn.Module):
    """The mean of the embeddings of many tokens, and a linear layer."""

    def __init__(self, tokens: int, width: int, classes: int) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(tokens, width), nn.Linear(width, classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.tokens(tokens).mean(-2))


class Recurrent(nn.Module):
    """A recurrent cell that reads an image row by row: `h = tanh(W x + V h)`."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.inward, self.onward = nn.Linear(8, width), nn.Linear(width, width, bias=False)
        self.head = nn.Linear(width, 10)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        inward = self.inward(rows)
        h = torch.tanh(inward[..., 0, :])
        for i in range(1, rows.shape[-2]):
            h = torch.tanh(inward[..., i, :] + self.onward(h))
        return self.head(h)


class Block(nn.Module):
    """Causal attention and a perceptron, each after a norm and beside a straight way."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = perceptron(width, 2 * width, width, act=nn.GELU)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time, width = x.shape
        q, k, v = self.qkv(self.before(x)).reshape(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, time, width))
        return x + self.mlp(self.after(x))


class Transformer(nn.Module):
    """A character transformer."""

    def __init__(self, characters: int, context: int, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(characters, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(tokens.shape[-1], device=tokens.device)
        return self.head(self.norm(self.blocks(self.token(tokens) + self.position(positions))))
