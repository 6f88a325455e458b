"""What stands in for functions of torch while `Dropout` is entered: those that draw, and those that vmap cannot map.

A function that draws takes its mask from the mode. Under `vmap` recurrent layers, cells and attention take a form that
can be mapped (`vectorised/recurrent.py`, `vectorised/attention.py`), and an embedding keeps its padding's gradient out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from stepsize.engines.vectorised import attention, recurrent

if TYPE_CHECKING:
    from stepsize.engines.dropout.mode import Dropout


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
    **{getattr(torch, name): _layers(form) for name, form in recurrent.LAYERS.items()},
    **{getattr(torch, name): _cell(form) for name, form in recurrent.CELLS.items()},
}  # fmt: skip
"""What stands in for a function of torch."""
