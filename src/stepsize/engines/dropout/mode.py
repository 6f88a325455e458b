"""The mode of torch in which dropouts draw from a key, in the loop and in the ensemble alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from stepsize.engines.dropout.generator import random_bits
from stepsize.engines.dropout.stand_ins import STAND_INS

PIECE = 1 << 16
"""Forward passes of one step are this many numbers of calls apart: its micro-batches, and the pieces of a score."""


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
