"""Child seeds: every random stream of a run is a pure function of one seed and a name.

There is no global generator anywhere. Two streams with different names are independent, and asking for
one never disturbs another, so a batch of step 700 can be drawn without drawing the 700 before it.

>>> child(0, "init") == child(0, "init"), child(0, "init") == child(1, "init")
(True, False)
"""

from __future__ import annotations

import hashlib
import operator

import numpy as np


def _sequence(seed: int, *path: str | int) -> np.random.SeedSequence:
    # A hash of the whole path: SeedSequence pads its words with zeros, so [5] and [5, 0] would be one stream.
    names = [part if isinstance(part, str) else operator.index(part) for part in (seed, *path)]
    digest = hashlib.blake2b(repr(names).encode(), digest_size=16).digest()
    return np.random.SeedSequence(int.from_bytes(digest, "little"))


def child(seed: int, *path: str | int) -> int:
    """Return the 63-bit child seed of `seed` at `path`, names or counters."""
    return int(_sequence(seed, *path).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return NumPy's generator of the child seed of `seed` at `path`."""
    return np.random.default_rng(_sequence(seed, *path))
