"""On how many threads torch works: on one, where an update is so small that others wait for it and burn a core each.

torch shares the work of every kernel out to all cores, and a core that has none left spins. An update of a perceptron
64-128-128-10 in batches of 64 takes a millisecond on one thread; on two it takes half as long again, and two and a half
times the processor's time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from stepsize.engines.machine import cores

SMALL = 1 << 25
"""Parameters times samples of an update, below which one thread is as fast as two; the replicas of a batch add up."""

ASKED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Settings by which a user says how many threads there are."""


@contextmanager
def threads_for(work: float) -> Iterator[None]:
    """Let torch work on one thread within the block if an update is small, and as before after it.

    work: parameters times samples of an update, of all replicas. Where the user has said how many threads there are,
    by the environment or `torch.set_num_threads`, so many there are.

    Watch out: a sum on another number of threads may differ in its last bits.
    """
    before = torch.get_num_threads()
    if work >= SMALL or before == 1 or _asked(before):
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _asked(threads: int) -> bool:
    """Whether the user chose so many: torch by itself takes all that run at once, or one for each physical core."""
    return any(os.environ.get(name) for name in ASKED) or threads not in {cores(), cores() // 2}
