"""Dropout whose masks are a function of trial, step and call, the same in every engine (docs/adr/0016).

A generator with a state gives a replica other numbers when it runs in other company, and `vmap` refuses it. Here the
number of an element is a function of the trial's seed, the update, the call and the element's index, a hash in plain
int32 arithmetic, which `vmap` maps over the keys of all replicas and every device computes alike.

A function that draws takes its mask from the mode. Under `vmap` recurrent layers, cells and attention take a form that
can be mapped (`vectorised/recurrent.py`, `vectorised/attention.py`), convolutions and batch norms one that is faster
(`vectorised/channels.py`), and an embedding keeps its padding's gradient out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from stepsize.engines.vectorised import attention, channels, recurrent
from stepsize.kernel import seeds

CHUNK = 256
"""Steps whose keys are drawn at once."""

PIECE = 1 << 16
"""Forward passes of one step are this many numbers of calls apart: its micro-batches, and the pieces of a score."""


class Keys:
    """The keys of a stream of random numbers, step by step: (replicas, 2) int32, from the replicas' seeds alone.

    stream: the masks of dropout, or another.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | None = None, stream: str = "draws") -> None:
        self._seeds, self._device, self._stream = seeds, device, stream
        self._chunk = -1
        self._table = torch.empty(0)

    def __call__(self, step: int) -> torch.Tensor:
        """Return the keys of update number `step`."""
        chunk, row = divmod(step, CHUNK)
        if chunk != self._chunk:
            low, high = -(1 << 31), 1 << 31
            drawn = [seeds.generator(seed, self._stream, chunk).integers(low, high, (CHUNK, 2)) for seed in self._seeds]
            self._table = torch.from_numpy(np.stack(drawn, axis=1).astype(np.int32)).to(self._device)
            self._chunk = chunk
        return self._table[row]


def random_bits(key: torch.Tensor, call: int, count: int) -> torch.Tensor:
    """Return `count` int32, evenly from all of them: the hash "triple32" of [wellons2018prospector], with a key.

    key: (2,) int32. call: the number of the call that asks within its step.
    """
    first, second = key.unbind()
    # Half of the key is where the counter starts. Two streams whose counters overlap would then share numbers, shifted;
    # so the other half goes in after the first round. The odd factors (the golden ratio's, and one of murmur3's) spread
    # the small numbers of calls over all bits. int32 wraps around in torch, which is the arithmetic that a hash wants.
    counter = torch.arange(count, dtype=torch.int32, device=key.device) + (first + _wrapped(0x9E3779B9 * call))
    x = _round(counter, 17, 0xED5AD4BB) ^ (second ^ _wrapped(0x85EBCA6B * call))
    x = _round(_round(x, 11, 0xAC4C1B51), 15, 0x31848BAB)
    return x ^ _shifted(x, 14)


def _wrapped(number: int) -> int:
    """Return a number modulo 2**32, as an int32."""
    return (number + 2**31) % 2**32 - 2**31


def _shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Return x shifted to the right as if it had no sign: torch has no unsigned shift, so the sign's copies go."""
    return (x >> bits) & ((1 << (32 - bits)) - 1)


def _round(x: torch.Tensor, bits: int, factor: int) -> torch.Tensor:
    """Return one xorshift and one product by an odd number; both can be undone, so no two counters collide."""
    return (x ^ _shifted(x, bits)) * _wrapped(factor)


class Dropout(TorchFunctionMode):
    """A context in which dropouts draw from `key`, (2,) int32.

    piece: which forward pass of the step it is. mapped: vmap runs it, so functions take a form that can be mapped.

    Watch out: other random functions, and the dropout inside of nn.MultiheadAttention, go on drawing from torch's
    global generator, which vmap refuses. A mask has at most 2**32 elements.
    """

    def __init__(self, key: torch.Tensor, piece: int = 0, *, mapped: bool = False) -> None:
        super().__init__()
        self._key, self._calls, self.mapped = key, piece * PIECE, mapped

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func`, or what stands in for it; there the mode is off."""
        stand_in = STAND_INS.get(func)
        if stand_in is None:
            return func(*args, **(kwargs or {}))
        return stand_in(self, func, *args, **(kwargs or {}))

    def mask(self, like: torch.Tensor, p: float, shape: Sequence[int] | None = None) -> torch.Tensor:
        """Return 1 / (1 - p) with probability 1 - p, else 0, in the dtype of `like`, and of its shape by default."""
        shape = like.shape if shape is None else shape
        count = max(1, round((1 - p) * 2**32))
        self._calls += 1
        # Bits are compared as integers: turned into floats first, two dtypes would drop different elements.
        kept = random_bits(self._key, self._calls, math.prod(shape)) <= count - 1 - 2**31
        return kept.view(*shape).to(like.dtype) / (1 - p)


def _applied(x: torch.Tensor, mask: torch.Tensor, inplace: Any) -> torch.Tensor:
    return x.mul_(mask) if inplace else x * mask


def _dropout(dropout: Dropout, func: Any, x: torch.Tensor, *, p: float, training: bool, inplace: bool) -> Any:
    if not training or not 0 < p < 1:
        return func(x, p, training, inplace)
    return _applied(x, dropout.mask(x, p), inplace)


def _channels(dims: int) -> Callable[..., Any]:
    """Return what stands in for the dropout of whole channels of `dims` dimensions."""

    def stand_in(dropout: Dropout, func: Any, x: torch.Tensor, *, p: float, training: bool, inplace: bool) -> Any:
        if not training or not 0 < p < 1:
            return func(x, p, training, inplace)
        # Without a batch the channels come first; torch takes a 3-dimensional input of dropout2d for a batch of rows.
        leading = 1 if x.dim() == dims + 1 and dims != 2 else 2
        shape = (*x.shape[:leading], *(1 for _ in x.shape[leading:]))
        return _applied(x, dropout.mask(x, p, shape), inplace)

    return stand_in


def _attention(dropout: Dropout, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Attend by the formula where weights are dropped, else as torch does, all replicas together."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    p = named.pop("dropout_p", 0.0)
    if 0 < p < 1:  # the fused kernels draw inside, from torch's generator
        return attention.dropped(lambda weights: weights * dropout.mask(weights, p), **named)
    return attention.together(**named) if dropout.mapped and p == 0 else func(*args, **kwargs)


def _layers(form: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands in for one of torch's recurrent layers; a packed sequence is left to torch."""

    def run(dropout: Dropout, func: Any, *args: Any) -> Any:
        packed = not isinstance(args[3], bool)
        between = args[5] if not packed and args[6] else 0.0
        if packed or not (dropout.mapped or between):
            return func(*args)
        return form(args, lambda x: x * dropout.mask(x, between) if between else x)

    return run


def _cell(form: Callable[..., Any]) -> Callable[..., Any]:
    return lambda dropout, func, *args: form(*args) if dropout.mapped else func(*args)


def _images(form: Callable[..., Any]) -> Callable[..., Any]:
    return lambda dropout, func, *args, **named: (partial(form, func) if dropout.mapped else func)(*args, **named)


def _embedding(dropout: Dropout, func: Any, tokens: torch.Tensor, weight: torch.Tensor, **options: Any) -> Any:
    """Keep the gradient from the padding's row: vmap knows that row of the first replica alone (torch 2.13)."""
    padding = options.pop("padding_idx", None)
    if not dropout.mapped or padding is None:
        return func(tokens, weight, padding, **options)
    vectors = func(tokens, weight, **options)
    return torch.where((tokens == padding % len(weight)).unsqueeze(-1), vectors.detach(), vectors)


STAND_INS: dict[Any, Callable[..., Any]] = {
    functional.dropout: _dropout,
    functional.dropout1d: _channels(1), functional.dropout2d: _channels(2), functional.dropout3d: _channels(3),
    functional.scaled_dot_product_attention: _attention, functional.embedding: _embedding,
    functional.batch_norm: _images(channels.batch_norm),
    **{function: _images(channels.convolution) for function in channels.CONVOLUTIONS},
    **{getattr(torch, name): _layers(form) for name, form in recurrent.LAYERS.items()},
    **{getattr(torch, name): _cell(form) for name, form in recurrent.CELLS.items()},
}  # fmt: skip
"""What stands in for a function of torch."""
