"""torch's attention in two more forms: by the formula, with dropped weights, and with all replicas as one batch.

torch's fused kernels cannot be mapped by `vmap`. They need not be: attention has no parameters, so replicas are to it
what samples are, and go into its batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import Function
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def dropped(
    drop: Callable[[torch.Tensor], torch.Tensor], *, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attn_mask: torch.Tensor | None = None, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:  # fmt: skip
    """Attend with weights that went through `drop`; the other arguments are torch's."""
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        hides = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if hides else scores + attn_mask
    return drop(scores.softmax(-1)) @ value


def together(
    *, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None = None,
    **options: Any,
) -> torch.Tensor:  # fmt: skip
    """Attend under `vmap`: with the replicas as more of the batch, where there is one, and no mask."""
    dims = {query.dim(), key.dim(), value.dim()}
    if attn_mask is None and dims <= {3, 4} and len(dims) == 1:
        attended: torch.Tensor = _Together.apply(query, key, value, options)  # type: ignore[no-untyped-call]  # torch's
        return attended
    return scaled_dot_product_attention(query, key, value, attn_mask, **options)


class _Together(Function):
    """Attention that `vmap` maps by folding what it maps over into the batch; what runs there has its gradient."""

    @staticmethod
    def forward(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        """Attend without a map."""
        return scaled_dot_product_attention(query, key, value, **options)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: no gradient of `forward` itself is asked for."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> tuple[torch.Tensor, int]:
        """Attend with what is mapped over in front of the batch."""
        *tensors, options = inputs
        folded = [
            (x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)).flatten(0, 1)
            for x, dim in zip(tensors, in_dims, strict=False)
        ]
        # `Replicas` allows the plain kernel alone, for what vmap would map by itself; what runs here is not mapped any
        # more, and its gradient is autograd's own, so the fused kernels are back.
        with sdpa_kernel(KERNELS):
            out = scaled_dot_product_attention(*folded, **options)
        return out.view(info.batch_size, -1, *out.shape[1:]), 0
