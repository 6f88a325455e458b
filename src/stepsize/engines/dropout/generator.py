"""Random numbers without a state: a hash of a counter and a key (docs/adr/0016).

A generator with a state gives a replica other numbers when it runs in other company, and `vmap` refuses it. Here the
number of an element is a function of the trial's seed, the update, the call and the element's index, in plain int32
arithmetic, which `vmap` maps over the keys of all replicas and every device computes alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from stepsize.kernel import seeds

CHUNK = 256
"""Steps whose keys are drawn at once."""


class Keys:
    """The keys of the masks, step by step: (replicas, 2) int32, from the seeds of the replicas alone."""

    def __init__(self, seeds: Sequence[int], device: torch.device | None = None) -> None:
        self._seeds, self._device = seeds, device
        self._chunk = -1
        self._table = torch.empty(0)

    def __call__(self, step: int) -> torch.Tensor:
        """Return the keys of update number `step`."""
        chunk, row = divmod(step, CHUNK)
        if chunk != self._chunk:
            low, high = -(1 << 31), 1 << 31
            drawn = [seeds.generator(seed, "draws", chunk).integers(low, high, (CHUNK, 2)) for seed in self._seeds]
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
