"""Random numbers of a forward pass as a function of (trial, step, call, place), the same in every engine.

While `Draws` is entered, torch's dropouts take their masks from a counter-based generator instead of torch's global
one: the place of an element in its mask, and a key, go through an integer hash. It is plain arithmetic on int32, so
`vmap` maps it over the keys of all replicas, and a replica's masks do not depend on who else is in its wave
(docs/adr/0016). `Draws` also gives vectorised engines a form of what vmap cannot map, or maps wrongly: recurrent
layers, and the padding of embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from stepsize.engines.vectorised import attention, recurrent
from stepsize.kernel import seeds

CHUNK = 256
"""Steps whose keys are drawn at once."""

PIECE = 1 << 16
"""Forward passes of one step are this many numbers of calls apart: its micro-batches, and the pieces of a score."""


class Keys:
    """The keys of the masks, step by step: (replicas, 2) int32, from the seeds of the replicas alone."""

    def __init__(self, seeds: Sequence[int], device: torch.device | None = None) -> None:
        self._seeds, self._device = seeds, device
        self._chunk = -1
        self._table = torch.empty(0)

    def __call__(self, step: int) -> torch.Tensor:
        """Return the keys of update number `step`."""
        chunk, place = divmod(step, CHUNK)
        if chunk != self._chunk:
            low, high = -(1 << 31), 1 << 31
            drawn = [seeds.generator(seed, "draws", chunk).integers(low, high, (CHUNK, 2)) for seed in self._seeds]
            self._table = torch.from_numpy(np.stack(drawn, axis=1).astype(np.int32)).to(self._device)
            self._chunk = chunk
        return self._table[place]


class Draws(TorchFunctionMode):
    """A context in which dropouts draw from `key`, (2,) int32.

    piece: which forward pass of the step it is. mapped: vmap runs it, so functions take a form that can be mapped.

    Watch out: other random functions, and the dropout inside of nn.MultiheadAttention, go on drawing from torch's
    global generator, which vmap refuses. A mask has at most 2**32 places.
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
        kept = self._bits(math.prod(shape)) <= count - 1 - 2**31
        return kept.view(*shape).to(like.dtype) / (1 - p)

    def _bits(self, count: int) -> torch.Tensor:
        """Return `count` int32, evenly from all of them: the hash "triple32" of [wellons2018prospector], with a key.

        Half of the key is where the counter starts; the other half goes in after the first round, so that two streams
        whose counters overlap are still different.
        """
        first, second = self._key.unbind()
        self._calls += 1
        x = torch.arange(count, dtype=torch.int32, device=self._key.device) + (
            first + _wrapped(0x9E3779B9 * self._calls)
        )
        x = _round(x, 17, 0xED5AD4BB) ^ (second ^ _wrapped(0x85EBCA6B * self._calls))
        x = _round(_round(x, 11, 0xAC4C1B51), 15, 0x31848BAB)
        return x ^ _shifted(x, 14)


def _wrapped(number: int) -> int:
    """Return a number modulo 2**32, as an int32."""
    return (number + 2**31) % 2**32 - 2**31


def _shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Return x shifted to the right as if it had no sign."""
    return (x >> bits) & ((1 << (32 - bits)) - 1)


def _round(x: torch.Tensor, bits: int, factor: int) -> torch.Tensor:
    return (x ^ _shifted(x, bits)) * _wrapped(factor)


def _applied(x: torch.Tensor, mask: torch.Tensor, inplace: Any) -> torch.Tensor:
    return x.mul_(mask) if inplace else x * mask


def _dropout(draws: Draws, func: Any, x: torch.Tensor, *, p: float, training: bool, inplace: bool) -> Any:
    if not training or not 0 < p < 1:
        return func(x, p, training, inplace)
    return _applied(x, draws.mask(x, p), inplace)


def _channels(dims: int) -> Callable[..., Any]:
    """Return what stands in for the dropout of whole channels of `dims` dimensions."""

    def dropout(draws: Draws, func: Any, x: torch.Tensor, *, p: float, training: bool, inplace: bool) -> Any:
        if not training or not 0 < p < 1:
            return func(x, p, training, inplace)
        # Without a batch the channels come first; torch takes a 3-dimensional input of dropout2d for a batch of rows.
        leading = 1 if x.dim() == dims + 1 and dims != 2 else 2
        shape = (*x.shape[:leading], *(1 for _ in x.shape[leading:]))
        return _applied(x, draws.mask(x, p, shape), inplace)

    return dropout


def _attention(draws: Draws, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Attend by the formula where weights are dropped, else as torch does, all replicas together."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    p = given.pop("dropout_p", 0.0)
    if 0 < p < 1:
        return attention.dropped(lambda weights: weights * draws.mask(weights, p), **given)
    return attention.together(**given) if draws.mapped and p == 0 else func(*args, **kwargs)


def _layers(form: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands in for one of torch's recurrent layers; a packed sequence is left to torch."""

    def run(draws: Draws, func: Any, *args: Any) -> Any:
        packed = not isinstance(args[3], bool)
        between = args[5] if not packed and args[6] else 0.0
        if packed or not (draws.mapped or between):
            return func(*args)
        return form(args, lambda x: x * draws.mask(x, between) if between else x)

    return run


def _cell(form: Callable[..., Any]) -> Callable[..., Any]:
    return lambda draws, func, *args: form(*args) if draws.mapped else func(*args)


def _embedding(draws: Draws, func: Any, tokens: torch.Tensor, weight: torch.Tensor, **options: Any) -> Any:
    """Keep the gradient from the padding's row: vmap knows that row of the first replica alone (torch 2.13)."""
    padding = options.pop("padding_idx", None)
    if not draws.mapped or padding is None:
        return func(tokens, weight, padding, **options)
    found = func(tokens, weight, **options)
    return torch.where((tokens == padding % len(weight)).unsqueeze(-1), found.detach(), found)


STAND_INS: dict[Any, Callable[..., Any]] = {
    functional.dropout: _dropout,
    functional.dropout1d: _channels(1), functional.dropout2d: _channels(2), functional.dropout3d: _channels(3),
    functional.scaled_dot_product_attention: _attention, functional.embedding: _embedding,
    **{getattr(torch, name): _layers(form) for name, form in recurrent.LAYERS.items()},
    **{getattr(torch, name): _cell(form) for name, form in recurrent.CELLS.items()},
}  # fmt: skip
"""What stands in for a function of torch."""
