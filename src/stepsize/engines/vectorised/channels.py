"""Convolutions and batch norms of all replicas as single operations, with the channels of one beside those of the next.

To a convolution replicas are groups of channels, and to a batch norm they are channels. `vmap` finds that too, but adds
a bias, and scales what is normalised, by passes of their own over all images, forward and back. What runs here is not
mapped any more, and its gradient is autograd's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.autograd import Function
from torch.nn import functional

Form = Callable[..., torch.Tensor]
"""form(function, replicas, *tensors): a function of torch of so many replicas; the tensors are (replicas, ...)."""

CONVOLUTIONS = functional.conv1d, functional.conv2d, functional.conv3d


def convolution(function: Any, input: torch.Tensor, weight: torch.Tensor, *args: Any, **named: Any) -> torch.Tensor:  # noqa: A002  (torch's name)
    """Run one of torch's convolutions under `vmap`, with its own arguments."""
    options = dict(zip(("bias", "stride", "padding", "dilation", "groups"), args, strict=False)) | named
    bias = options.pop("bias", None)
    function = partial(function, **options)
    if input.dim() != weight.dim():  # one image, and no batch
        return torch.as_tensor(function(input, weight, bias))
    return _beside(function, _convolved, input, weight, bias)


def batch_norm(function: Any, x: torch.Tensor, mean: Any, variance: Any, **options: Any) -> torch.Tensor:
    """Run torch's batch norm under `vmap`, with its own arguments."""
    affine = options.pop("weight", None), options.pop("bias", None)
    return _beside(partial(function, **options), _normalised, x, mean, variance, *affine)


def _convolved(function: partial[torch.Tensor], replicas: int, x: Any, weight: Any, bias: Any) -> torch.Tensor:
    groups = replicas * function.keywords.get("groups", 1)
    return function(_channels(x), weight.flatten(0, 1), bias if bias is None else bias.flatten(), groups=groups)


def _normalised(function: partial[torch.Tensor], _: int, x: Any, *others: Any) -> torch.Tensor:
    mean, variance, *affine = others
    # What is written over, the running mean and variance, must not become a copy.
    written = [each if each is None else each.view(-1) for each in (mean, variance)]
    return function(_channels(x), *written, *(each if each is None else each.flatten() for each in affine))


def _channels(x: torch.Tensor) -> torch.Tensor:
    """Return (replicas, batch, channels, ...) as (batch, replicas * channels, ...)."""
    return x.movedim(0, 1).flatten(1, 2)


def _beside(*inputs: Any) -> torch.Tensor:
    found: torch.Tensor = _Beside.apply(*inputs)  # type: ignore[no-untyped-call]  # torch's
    return found


class _Beside(Function):
    """A function that `vmap` maps by laying the channels of replicas beside each other."""

    @staticmethod
    def forward(function: Any, _: Form, *tensors: Any) -> torch.Tensor:
        """Run without a map."""
        return torch.as_tensor(function(*tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: no gradient of `forward` itself is asked for."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, function: Any, form: Form, *tensors: Any) -> tuple[torch.Tensor, int]:
        """Run with all channels beside each other, or as `vmap` does it where replicas share a tensor."""
        dims, replicas = in_dims[2:], info.batch_size
        if any(dim is None and each is not None for each, dim in zip(tensors, dims, strict=True)):
            return torch.vmap(function, dims)(*tensors), 0
        stacked = [each if each is None else each.movedim(dim, 0) for each, dim in zip(tensors, dims, strict=True)]
        out = form(function, replicas, *stacked)
        return out.view(len(out), replicas, -1, *out.shape[2:]), 1
