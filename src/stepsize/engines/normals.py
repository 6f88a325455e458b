"""Normal numbers for rules that add noise to the gradient: a function of trial, step and parameter, as masks are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from stepsize.engines.dropout import Keys, random_bits


class Normals:
    """Normal numbers for each parameter of each replica, step by step: a function of the replica's seed alone.

    seeds: of the replicas. row: (replicas, parameters), what the numbers are like. number: of the parameter group,
        which has numbers of its own.
    """

    def __init__(self, seeds: Sequence[int], row: torch.Tensor, number: int) -> None:
        distinct = sorted(set(seeds))
        self._keys, self._like, self._number = Keys(distinct, row.device, "gradient noise"), row[:1], number
        self._which = torch.tensor([distinct.index(seed) for seed in seeds], dtype=torch.int64, device=row.device)

    def __call__(self, step: int) -> torch.Tensor:
        """Return those of update number `step`, (replicas, parameters), each seed's drawn once."""
        count = self._like.shape[1]
        drawn = [_normal(key, 2 * self._number, count) for key in self._keys(step)]
        return torch.stack(drawn).to(self._like.dtype)[self._which]

    def keep(self, kept: torch.Tensor) -> None:
        """Go on with some of the replicas, by index."""
        self._which = self._which[kept]


def _normal(key: torch.Tensor, call: int, count: int) -> torch.Tensor:
    """Return `count` normal numbers, float32, of two calls [box1958note]: the same whatever precision a run has."""
    # Halves between 2**22 and 2**23 are float32 numbers, so that none becomes 0, whose logarithm is infinite: 23 bits.
    u, v = (((random_bits(key, c, count) >> 9) + (2**22 + 0.5)).float() * 2.0**-23 for c in (call, call + 1))
    return (-2 * u.log()).sqrt() * (2 * math.pi * v).cos()
